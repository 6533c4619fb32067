//! Changes of a table's metadata that make no snapshot: columns, properties, expiry. The loop is that of a commit: load,
//! plan, write, swap; after anything that is not a clear yes, look before acting.

use iceberg::spec::TableMetadataBuilder;
use icefold_core::{Error, ErrorKind, Result};

use crate::metadata;
use crate::pointer::{Pointer, SwapError};
use crate::table::LoadedTable;
use crate::warehouse::Warehouse;

/// What shall become of a table's metadata.
pub(crate) type Amendment = Box<dyn FnOnce(TableMetadataBuilder) -> iceberg::Result<TableMetadataBuilder> + Send>;

impl Warehouse {
    /// Brings a table to where `plan` has nothing left to change, and returns it. `plan` gets the newest version each time
    /// and says what it shall become; since it is asked again after a lost reply, it must see what is done already.
    ///
    /// # Errors
    /// Those of `plan`; errors of store and catalog when attempts run out.
    pub(crate) async fn amend(
        &self,
        table: &str,
        mut plan: impl FnMut(&LoadedTable) -> Result<Option<Amendment>>,
    ) -> Result<LoadedTable> {
        let mut last = Error::bug("a change of metadata without an attempt");
        for attempt in 0..self.settings().commit.max_attempts {
            self.pause(attempt).await;
            let base = self.load(table).await?;
            let Some(amendment) = plan(&base)? else { return Ok(base) };
            match self.amend_once(&base, amendment).await? {
                Ok(amended) => return Ok(amended),
                // Whatever happened, the next look tells what is left to do.
                Err(error) => last = error,
            }
        }
        Err(last.with("table", table))
    }

    async fn amend_once(&self, base: &LoadedTable, amendment: Amendment) -> Result<Result<LoadedTable>> {
        let next = metadata::amended(base, self.clock().now_ms(), amendment);
        let next = next.map_err(|e| Error::bug("the table metadata refuses a planned change").because(e))?;
        let location = metadata::write(base, &next).await?;
        Ok(match self.0.pointers.swap(&base.name, &base.pointer, &location).await {
            // A service with version tokens must be asked for the new one.
            Ok(()) if base.pointer.version_token.is_some() => Ok(self.load(base.name()).await?),
            Ok(()) => Ok(self.load_version(base.name.clone(), Pointer::to(location)).await?),
            Err(SwapError::Conflict) => Err(Error::new(ErrorKind::Conflict, "other commits were faster")),
            Err(SwapError::Unknown(e)) => Err(Error::new(ErrorKind::OutcomeUnknown, "the reply was lost").because(e)),
            Err(SwapError::Transient(e)) => Err(e),
            Err(SwapError::Refused(e)) => return Err(e),
        })
    }
}

//! Removing snapshots from a table's history, by the retention rule or by id.
//!
//! Only metadata changes: what no snapshot reaches any more is left for a later clean-up, because a reader may be at work
//! on it. What pins a snapshot (current, tags and branches, newest checkpoint) is refused, not skipped.

use std::collections::BTreeSet;

use icefold_core::{Error, ErrorKind, Result};

use crate::pointer::SwapError;
use crate::produce::{checkpoint_snapshot, write_metadata};
use crate::table::LoadedTable;
use crate::warehouse::Warehouse;

impl Warehouse {
    /// Removes snapshots by id; ids that are gone already are no error. Returns the ids that this call removed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a pinned snapshot; as [`Warehouse::commit`] otherwise.
    pub async fn expire(&self, table: &str, ids: &[i64]) -> Result<Vec<i64>> {
        let settings = &self.settings().commit;
        let mut last = Error::bug("an expiry without an attempt");
        for attempt in 0..settings.max_attempts {
            self.pause(attempt).await;
            let base = self.load(table).await?;
            let present: Vec<i64> =
                ids.iter().copied().filter(|id| base.metadata().snapshot_by_id(*id).is_some()).collect();
            if present.is_empty() {
                return Ok(present);
            }
            refuse_pinned(&base, &present)?;
            match self.expire_once(&base, &present).await? {
                Ok(()) => return Ok(present),
                // Whatever happened, the next look tells which ids are still there.
                Err(error) => last = error,
            }
        }
        Err(last.with("table", table))
    }

    async fn expire_once(&self, base: &LoadedTable, ids: &[i64]) -> Result<Result<()>> {
        let builder = (**base.metadata()).clone().into_builder(Some(base.metadata_location().to_owned()));
        let builder = ids.iter().fold(builder, |b, id| b.remove_statistics(*id).remove_partition_statistics(*id));
        let next = builder
            .remove_snapshots(ids)
            .build()
            .map_err(|e| Error::bug("expiry is refused by the metadata").because(e))?;
        let location = write_metadata(base, &next.metadata).await?;
        Ok(match self.0.pointers.swap(&base.name, &base.pointer, &location).await {
            Ok(()) => Ok(()),
            Err(SwapError::Conflict) => Err(Error::new(ErrorKind::Conflict, "other commits were faster")),
            Err(SwapError::Unknown(e)) => Err(Error::new(ErrorKind::OutcomeUnknown, "the reply was lost").because(e)),
            Err(SwapError::Transient(e)) => Err(e),
            Err(SwapError::Refused(e)) => return Err(e),
        })
    }
}

fn refuse_pinned(base: &LoadedTable, ids: &[i64]) -> Result<()> {
    let pinned: BTreeSet<i64> = base.refs().values().copied().chain(checkpoint_snapshot(base.metadata())).collect();
    match ids.iter().find(|id| pinned.contains(id)) {
        None => Ok(()),
        Some(id) => Err(Error::invalid(format!(
            "snapshot `{id}` cannot expire: a branch, a tag or the newest checkpoint needs it; drop the tag first"
        ))),
    }
}

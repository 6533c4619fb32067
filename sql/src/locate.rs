//! Which files hold certain rows: what a query over the rows cannot tell.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::prelude::{col, lit};
use iceberg::spec::DataContentType;
use icefold_catalog::{LiveFile, LoadedTable};
use icefold_core::Result;

use crate::error::from_datafusion;
use crate::files::{Place, SnapshotFiles};
use crate::session::{SessionSettings, bare_context};
use crate::table::IcefoldTable;

/// Returns the live data files of a table that hold a row, not deleted, whose text column `column` is `value`. Files that
/// their bounds rule out are not read.
///
/// # Errors
/// `InvalidInput` when there is no such column; errors of the store.
pub async fn files_with(table: &LoadedTable, column: &str, value: &str) -> Result<Vec<LiveFile>> {
    let Some(snapshot) = table.snapshot(None)? else { return Ok(Vec::new()) };
    let live = table.live_files(&snapshot).await?;
    let (data, deletes): (Vec<_>, Vec<_>) =
        live.into_iter().partition(|live| live.file.content_type() == DataContentType::Data);
    let context = bare_context(&SessionSettings::default(), table.store())?;
    let mut found = Vec::new();
    for file in data {
        let files = std::iter::once(file.clone()).chain(deletes.iter().cloned()).collect();
        let one = Arc::new(OneFile { files, place: Place::new(table.store().clone())? });
        let provider = IcefoldTable::new(table.name(), table.metadata(), None, one)?;
        let rows = context.read_table(Arc::new(provider)).map_err(from_datafusion)?;
        let rows = rows.filter(col(column).eq(lit(value))).map_err(from_datafusion)?;
        if rows.count().await.map_err(from_datafusion)? > 0 {
            found.push(file);
        }
    }
    Ok(found)
}

/// One data file, and the deletes that may apply to it.
#[derive(Debug)]
struct OneFile {
    files: Vec<LiveFile>,
    place: Place,
}

#[async_trait]
impl SnapshotFiles for OneFile {
    async fn live_files(&self) -> Result<Vec<LiveFile>> {
        Ok(self.files.clone())
    }

    fn place(&self) -> &Place {
        &self.place
    }
}

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

/// Returns the live data files of a table that hold a row, not deleted, in which each named column holds what is said. Files that
/// their bounds rule out are not read.
///
/// # Errors
/// `InvalidInput` when there is no such column; errors of the store.
pub async fn files_with(table: &LoadedTable, conditions: &[(&str, Equal<'_>)]) -> Result<Vec<LiveFile>> {
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
        let mut rows = context.read_table(Arc::new(provider)).map_err(from_datafusion)?;
        for (column, value) in conditions {
            let value = match value {
                Equal::Text(text) => lit(*text),
                Equal::Number(number) => lit(*number),
            };
            rows = rows.filter(col(*column).eq(value)).map_err(from_datafusion)?;
        }
        if rows.count().await.map_err(from_datafusion)? > 0 {
            found.push(file);
        }
    }
    Ok(found)
}

/// What a column must hold.
#[derive(Debug, Clone, Copy)]
pub enum Equal<'a> {
    /// This text.
    Text(&'a str),
    /// This number.
    Number(i64),
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

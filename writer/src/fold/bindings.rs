//! Whom each device belongs to at a restart, from the rows of `identities`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use futures::{StreamExt, stream};
use iceberg::spec::DataContentType;
use icefold_catalog::LoadedTable;
use icefold_core::{Error, Offset, Result, ShardId};
use icefold_files::ParquetFile;
use xxhash_rust::xxh3::xxh3_128;

use super::identity::{EdgeKind, Identities};

/// Files whose footers are read ahead.
const READ_AHEAD: usize = 4;

/// Columns that bindings are made of.
const COLUMNS: [&str; 7] = ["known_id", "user_id", "kind", "binding_number", "shard", "segment", "source_offset"];

/// Remembers the bindings in `table`, `identities` as loaded, that were made before the run's shards go on, at `starts`;
/// those of other shards count all.
///
/// # Errors
/// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a file of the table cannot be read; errors of the store;
/// [`ErrorKind::Refused`](icefold_core::ErrorKind::Refused) when there are more devices than allowed.
pub(crate) async fn rebuild(
    table: &LoadedTable,
    starts: &BTreeMap<ShardId, Offset>,
    identities: &mut Identities,
) -> Result<()> {
    let Some(snapshot) = table.snapshot(None)? else { return Ok(()) };
    let schema = table.metadata().current_schema();
    let id = |name: &&str| schema.field_by_name(name).map(|field| field.id);
    let columns: Option<Vec<i32>> = COLUMNS.iter().map(id).collect();
    let columns = columns.ok_or_else(|| Error::bug("`identities` was opened without its columns"))?;
    let files = table.live_files(&snapshot).await?.into_iter().map(|live| live.file);
    let data = files.filter(|file| file.content_type() == DataContentType::Data);
    let mut opened = stream::iter(data)
        .map(|file| async move { ParquetFile::open(table.store(), file.file_path(), file.file_size_in_bytes()).await })
        .buffered(READ_AHEAD);
    while let Some(file) = opened.next().await.transpose()? {
        let mut reader = file.read(&columns, file.row_groups_reaching(-1, 0)).await?;
        while let Some(rows) = reader.next().transpose()? {
            let odd = || Error::corrupt(format!("`{}` has columns of another type than `identities`", file.uri()));
            remember(&rows, starts, identities)?.ok_or_else(odd)?;
        }
    }
    Ok(())
}

/// `None` when a column is of another type.
fn remember(rows: &RecordBatch, starts: &BTreeMap<ShardId, Offset>, identities: &mut Identities) -> Result<Option<()>> {
    let text = |column: usize| rows.column(column).as_string_opt::<i32>();
    let (Some(known), Some(users), Some(kinds)) = (text(0), text(1), text(2)) else { return Ok(None) };
    let (Some(shards), Some(segments)) = (text(4), text(5)) else { return Ok(None) };
    let numbers = rows.column(3).as_primitive_opt::<Int32Type>();
    let offsets = rows.column(6).as_primitive_opt::<Int64Type>();
    let (Some(numbers), Some(offsets)) = (numbers, offsets) else { return Ok(None) };
    for row in 0..rows.num_rows() {
        let start = starts.iter().find(|(shard, _)| shard.as_str() == shards.value(row)).map(|(_, start)| start);
        let position = u64::try_from(offsets.value(row)).unwrap_or(0);
        let at = || Offset { segment: Arc::from(segments.value(row)), position };
        if start.is_some_and(|start| at() >= *start) {
            continue;
        }
        let (device, number) = (xxh3_128(known.value(row).as_bytes()), numbers.value(row).unsigned_abs());
        let kind = if kinds.value(row) == EdgeKind::Alias.as_str() { EdgeKind::Alias } else { EdgeKind::Identify };
        identities.remember(device, users.value(row), kind, number)?;
    }
    Ok(Some(()))
}

//! How each column is written: dictionary or not, which statistics, page and compression.

use icefold_core::tables::ColumnType;
use icefold_core::{Error, Result};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// Size of a data page before compression: zstd gains little from more, and a reader skips page-wise.
const PAGE_BYTES: usize = 1 << 20;

/// Rows after which the size of the page is looked at. With payloads of 2 KB it is then exceeded by half at most.
const ROWS_PER_CHECK: usize = 256;

/// Bytes of a minimum or maximum that the footer keeps.
const STATISTICS_BYTES: usize = 64;

/// Columns that hardly repeat inside a row group: a dictionary would be built and thrown away.
const WITHOUT_DICTIONARY: &[&str] = &[
    "payload",
    "batch_envelope",
    "properties",
    "traits",
    "context",
    "extra",
    "found",
    "message_id",
    "event_time",
    "arrival_time",
    "original_timestamp",
    "sent_at",
    "source_offset",
    "session_latest",
    "session_event_number",
];

/// Text whose minimum and maximum let a reader skip files or row groups. Of other text every file holds nearly every
/// value, so that its bounds would only cost time and put personal data into manifests.
const TEXT_WITH_STATISTICS: &[&str] = &[
    "message_id",
    "event_type",
    "event_name",
    "anonymous_id",
    "user_id",
    "group_id",
    "previous_id",
    "resolved_user_id",
    "known_id",
    "reason",
    "contract",
    "shard",
    "segment",
];

/// Columns by which a reader looks for few rows: the minimum and maximum of every page are kept.
const WITH_PAGE_STATISTICS: &[&str] =
    &["event_time", "arrival_time", "stream_time", "anonymous_id", "user_id", "source_offset"];

/// Returns the Parquet properties of files with these columns.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when zstd has no such level.
pub fn properties<'a>(
    columns: impl IntoIterator<Item = (&'a str, ColumnType)>,
    compression_level: i32,
) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(compression_level).map_err(|e| {
        Error::invalid(format!("`compression_level` = {compression_level} is no level of zstd: set it to 1 to 19"))
            .because(e)
    })?;
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("icefold version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(level))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(PAGE_BYTES)
        .set_write_batch_size(ROWS_PER_CHECK)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for (name, kind) in columns {
        let path = || ColumnPath::from(name);
        if WITHOUT_DICTIONARY.contains(&name) {
            builder = builder.set_column_dictionary_enabled(path(), false);
        }
        if !has_bounds(name, kind) {
            builder = builder.set_column_statistics_enabled(path(), EnabledStatistics::None);
        } else if WITH_PAGE_STATISTICS.contains(&name) {
            builder = builder.set_column_statistics_enabled(path(), EnabledStatistics::Page);
        }
    }
    Ok(builder.build())
}

/// Returns whether the minimum and maximum of a column are kept: of every number and time, and of some text.
pub fn has_bounds(column: &str, kind: ColumnType) -> bool {
    match kind {
        // Of degrees a file holds nearly all, as it does of both truths.
        ColumnType::Binary | ColumnType::Double | ColumnType::Boolean => false,
        ColumnType::String => TEXT_WITH_STATISTICS.contains(&column),
        ColumnType::Int | ColumnType::Long | ColumnType::Date | ColumnType::Timestamp => true,
    }
}

/// Returns to how many characters or bytes the bounds of a column are cut in a manifest; `None` for numbers.
pub fn bound_length(column: &str, kind: ColumnType) -> Option<usize> {
    match (kind, column) {
        // Names of shards and segments share long beginnings; cut short, their bounds would tell nothing.
        (ColumnType::String, "shard" | "segment") => Some(STATISTICS_BYTES),
        (ColumnType::String | ColumnType::Binary, _) => Some(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use icefold_core::tables::TableKind;

    use super::*;

    #[test]
    fn every_named_column_exists() {
        let columns: Vec<&str> = TableKind::ALL.iter().flat_map(|t| t.columns()).map(|c| c.name).collect();
        let named = [WITHOUT_DICTIONARY, TEXT_WITH_STATISTICS, WITH_PAGE_STATISTICS];
        for name in named.into_iter().flatten() {
            assert!(columns.contains(name), "{name}");
        }
    }
}

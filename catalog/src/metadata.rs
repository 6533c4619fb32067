//! Metadata files: how one is read, how the next one is made, and the one clock that all of them obey.
//!
//! Times in a table's metadata never go back ([`next_ms`]), whatever the clocks of two committers say: readers refuse a
//! file whose times do. So what is produced is parsed back, as its next reader will, before any pointer is swapped.

use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;
use futures::join;
use iceberg::MetadataLocation;
use iceberg::compression::CompressionCodec;
use iceberg::spec::{MAIN_BRANCH, TableMetadata, TableMetadataBuilder};
use icefold_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::store::Store;
use crate::table::{LoadedTable, foreign};

/// The two logs of a metadata file, whose times must not go back either.
const LOGS: [&str; 2] = ["snapshot-log", "metadata-log"];

/// Returns the time of the version that follows `metadata`: now, or the newest time that it states if that is later.
pub(crate) fn next_ms(metadata: &TableMetadata, now_ms: i64) -> i64 {
    let snapshots = metadata.snapshots().map(|s| s.timestamp_ms());
    let log = metadata.history().iter().map(|entry| entry.timestamp_ms);
    let files = metadata.metadata_log().iter().map(|entry| entry.timestamp_ms);
    snapshots.chain(log).chain(files).fold(now_ms.max(metadata.last_updated_ms()), i64::max)
}

/// Makes the version that follows `base` by a change that makes no snapshot.
///
/// # Errors
/// Those of `change`, and what the metadata refuses.
pub(crate) fn amended(
    base: &LoadedTable,
    now_ms: i64,
    change: impl FnOnce(TableMetadataBuilder) -> iceberg::Result<TableMetadataBuilder>,
) -> iceberg::Result<TableMetadata> {
    // The builder takes the time from a clock of its own and compares it with both logs and with the version before. So these go
    // through it without times, with the number of each entry in their place, and all are set afterwards.
    let (history, files) = (base.metadata().history(), base.metadata().metadata_log());
    let mut untimed = serde_json::to_value(&**base.metadata())?;
    for log in LOGS {
        for (number, entry) in entries(&mut untimed, log).enumerate() {
            entry["timestamp-ms"] = number.into();
        }
    }
    untimed["last-updated-ms"] = history.len().max(files.len()).into();
    let untimed: TableMetadata = serde_json::from_value(untimed)?;
    let built = change(untimed.into_builder(Some(base.metadata_location().to_owned())))?.build()?.metadata;
    let time = built.snapshots().map(|s| s.timestamp_ms()).fold(next_ms(base.metadata(), now_ms), i64::max);
    let mut next = serde_json::to_value(&built)?;
    let number = |entry: &Value| entry["timestamp-ms"].as_u64().and_then(|n| usize::try_from(n).ok());
    // What has been added has no number of before: by the change, its time is this version's; to the files, `base` itself.
    for entry in entries(&mut next, LOGS[0]) {
        entry["timestamp-ms"] = number(entry).and_then(|n| history.get(n)).map_or(time, |e| e.timestamp_ms).into();
    }
    let base_ms = base.metadata().last_updated_ms();
    for entry in entries(&mut next, LOGS[1]) {
        entry["timestamp-ms"] = number(entry).and_then(|n| files.get(n)).map_or(base_ms, |e| e.timestamp_ms).into();
    }
    next["last-updated-ms"] = time.into();
    Ok(serde_json::from_value(next)?)
}

/// Makes a table's first version out of a builder.
///
/// # Errors
/// What the metadata refuses.
pub(crate) fn first(builder: TableMetadataBuilder, now_ms: i64) -> iceberg::Result<TableMetadata> {
    let mut metadata = serde_json::to_value(&builder.build()?.metadata)?;
    metadata["last-updated-ms"] = now_ms.into();
    Ok(serde_json::from_value(metadata)?)
}

fn entries<'a>(metadata: &'a mut Value, log: &str) -> impl Iterator<Item = &'a mut Value> {
    metadata.get_mut(log).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Writes the metadata file that follows `base` under the next version number and returns its URI.
///
/// # Errors
/// [`ErrorKind::Bug`] when nobody could read it; errors of the store. No pointer is touched.
pub(crate) async fn write(base: &LoadedTable, next: &TableMetadata) -> Result<String> {
    write_at(base.store(), &next_location(base.metadata_location(), next), next).await
}

/// Writes a metadata file under a name of its own and returns its URI.
///
/// # Errors
/// As [`write()`].
pub(crate) async fn write_at(store: &Store, location: &MetadataLocation, next: &TableMetadata) -> Result<String> {
    let text = Bytes::from(serde_json::to_vec(next).map_err(refused)?);
    let written = async {
        if location.compression_codec() == CompressionCodec::None {
            store.file_io().new_output(location.to_string())?.write(text.clone()).await
        } else {
            next.write_to(&store.file_io(), location).await
        }
    };
    // While the store writes: a file that nobody can read is as good as none until a pointer names it.
    let (written, readable) = join!(written, async { serde_json::from_slice::<TableMetadata>(&text) });
    readable.map_err(refused)?;
    written.map_err(|e| foreign(e, "the table metadata cannot be written"))?;
    Ok(location.to_string())
}

fn refused(because: serde_json::Error) -> Error {
    Error::bug("the metadata that would follow cannot be read back, so nothing was changed").because(because)
}

fn next_location(current: &str, next: &TableMetadata) -> MetadataLocation {
    let next_version = MetadataLocation::from_str(current).map(|at| at.with_next_version());
    // Another engine's file name (`v3.metadata.json`) has no version that can be counted on: start anew; names stay unique.
    next_version.unwrap_or_else(|_| MetadataLocation::new_with_metadata(next.location(), next)).with_new_metadata(next)
}

/// What a metadata file says beside what `iceberg` gives access to.
#[derive(Deserialize)]
struct Refs {
    #[serde(default)]
    refs: BTreeMap<String, Ref>,
}

#[derive(Deserialize)]
struct Ref {
    #[serde(rename = "snapshot-id")]
    snapshot_id: i64,
}

/// Reads a metadata file: what it says, and its branches and tags.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when it is gone or unreadable; errors of the store.
pub(crate) async fn read(store: &Store, uri: &str) -> Result<(TableMetadata, BTreeMap<String, i64>)> {
    let text = text(store, uri).await?;
    let metadata = parse(&text).map_err(|e| damaged(uri).because(e))?;
    let refs: Refs = serde_json::from_slice(&text).map_err(|e| damaged(uri).because(e))?;
    let mut refs: BTreeMap<String, i64> = refs.refs.into_iter().map(|(name, r)| (name, r.snapshot_id)).collect();
    if let Some(id) = metadata.current_snapshot_id() {
        refs.insert(MAIN_BRANCH.to_owned(), id);
    }
    Ok((metadata, refs))
}

/// Returns what makes readers that are stricter than [`read`] refuse a metadata file, if anything does.
///
/// # Errors
/// Those of [`read`].
pub(crate) async fn refusal(store: &Store, uri: &str) -> Result<Option<String>> {
    Ok(serde_json::from_slice::<TableMetadata>(&text(store, uri).await?).err().map(|refused| refused.to_string()))
}

fn damaged(uri: &str) -> Error {
    Error::corrupt(format!("metadata file `{uri}` is unreadable: restore it, or point the catalog at an older one"))
}

async fn text(store: &Store, uri: &str) -> Result<Vec<u8>> {
    let bytes = store.read(uri).await.map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::corrupt(format!(
            "metadata file `{uri}` is gone: restore it (a warehouse that was moved works only where it was), or point \
                 the catalog at an older one"
        ))
        .because(e),
        _ => e,
    })?;
    match bytes.starts_with(&[0x1f, 0x8b]) {
        true => unzip(&bytes).map_err(|e| damaged(uri).because(e)),
        false => Ok(bytes.to_vec()),
    }
}

/// Iceberg allows gzip for metadata files (`write.metadata.compression-codec`).
fn unzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut text)?;
    Ok(text)
}

/// Other engines (PyIceberg) write the time of their own clock, whatever was written before them by a faster one. Only times
/// are wrong then, and the next version of ours sets them right.
fn parse(text: &[u8]) -> serde_json::Result<TableMetadata> {
    serde_json::from_slice(text).or_else(|refused| in_order(text).map_err(|_| refused))
}

fn in_order(text: &[u8]) -> serde_json::Result<TableMetadata> {
    let mut metadata: Value = serde_json::from_slice(text)?;
    let mut updated = metadata["last-updated-ms"].as_i64().unwrap_or(0);
    for log in LOGS {
        let mut newest = i64::MIN;
        for entry in entries(&mut metadata, log) {
            newest = newest.max(entry["timestamp-ms"].as_i64().unwrap_or(newest));
            entry["timestamp-ms"] = newest.into();
        }
        updated = updated.max(newest);
    }
    metadata["last-updated-ms"] = updated.into();
    serde_json::from_value(metadata)
}

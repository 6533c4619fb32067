//! One immutable version of a table: its metadata, and what can be read from it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{
    DataFile, FormatVersion, ManifestFile, ManifestList, Schema, Snapshot, SnapshotRef, TableMetadataRef,
    UnboundPartitionSpec,
};
use icefold_core::tables::TableKind;
use icefold_core::{Error, ErrorKind, Result};

use crate::checkpoint::{self, Progress};
use crate::lineage::{self, Decider, Standing};
use crate::pointer::{Pointer, TableName};
use crate::store::Store;
use crate::voided;

/// Manifests read at the same time.
const MANIFEST_READ_CONCURRENCY: usize = 8;
/// Newest snapshots named in the error for an unknown id.
const SNAPSHOTS_IN_ERROR: usize = 5;

/// What a new table looks like.
#[derive(Debug, Clone)]
pub struct TableDefinition {
    /// Name.
    pub name: String,
    /// Columns.
    pub schema: Schema,
    /// Partitioning.
    pub partition_spec: UnboundPartitionSpec,
    /// Table properties.
    pub properties: HashMap<String, String>,
}

impl TableDefinition {
    /// Describes one of the tables of icefold's own.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`].
    pub fn built_in(kind: TableKind) -> Result<Self> {
        Ok(TableDefinition {
            name: kind.name().to_owned(),
            schema: kind.schema()?,
            partition_spec: kind.partition_spec()?,
            properties: kind.properties(),
        })
    }

    /// Refuses a table that never had a column which every row must have: such a column cannot be added.
    pub(crate) fn check_made(&self, table: &LoadedTable) -> Result<()> {
        let had = |name: &str| table.metadata().schemas_iter().any(|schema| schema.field_by_name(name).is_some());
        match self.schema.as_struct().fields().iter().find(|field| field.required && !had(&field.name)) {
            None => Ok(()),
            Some(field) => Err(Error::invalid(format!(
                "table `{}` was made by an earlier state of icefold: it has no column `{}`, which every row must have; tables \
                 are not migrated before the first release: ingest into a new warehouse (`--warehouse`), or move this one away",
                table.full_name(),
                field.name
            ))),
        }
    }
}

/// One version of a table. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LoadedTable {
    pub(crate) name: TableName,
    pub(crate) metadata: TableMetadataRef,
    pub(crate) pointer: Pointer,
    pub(crate) store: Store,
    pub(crate) refs: Arc<BTreeMap<String, i64>>,
    pub(crate) decider: Decider,
}

/// A live entry of a snapshot's manifests, with what it inherits from the manifest list.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveFile {
    /// The file.
    pub file: DataFile,
    /// Partition spec it was written under.
    pub spec_id: i32,
    /// Snapshot that added it.
    pub snapshot_id: i64,
    /// Place of its rows in the order of changes; deletes apply by it.
    pub data_sequence_number: i64,
    /// Sequence number of the commit that added the file.
    pub file_sequence_number: i64,
}

impl LoadedTable {
    /// Returns the name without the namespace.
    pub fn name(&self) -> &str {
        &self.name.name
    }

    /// Returns namespace and name.
    pub fn full_name(&self) -> &TableName {
        &self.name
    }

    /// Returns the metadata.
    pub fn metadata(&self) -> &TableMetadataRef {
        &self.metadata
    }

    /// Returns the URI of the metadata file.
    pub fn metadata_location(&self) -> &str {
        &self.pointer.metadata_location
    }

    /// Returns the branches and tags with the snapshots they point at.
    pub fn refs(&self) -> &BTreeMap<String, i64> {
        &self.refs
    }

    /// Returns the store that holds the table's objects.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns a snapshot by id, the current one for `None` (there is none before the first commit).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown id, naming the newest ones.
    pub fn snapshot(&self, id: Option<i64>) -> Result<Option<SnapshotRef>> {
        let Some(id) = id else { return Ok(self.metadata.current_snapshot().cloned()) };
        match self.metadata.snapshot_by_id(id) {
            Some(found) => Ok(Some(found.clone())),
            None => Err(self.unknown_snapshot(id)),
        }
    }

    fn unknown_snapshot(&self, id: i64) -> Error {
        let newest = lineage::ancestors(&self.metadata, self.metadata.current_snapshot_id());
        let newest: Vec<String> = newest.take(SNAPSHOTS_IN_ERROR).map(|s| format!("`{}`", s.snapshot_id())).collect();
        let hint = if newest.is_empty() {
            "it has none yet".to_owned()
        } else {
            format!("the newest are {}", newest.join(", "))
        };
        Error::new(
            ErrorKind::NotFound,
            format!("table `{}` has no snapshot `{id}` (never made, or expired): {hint}", self.name()),
        )
    }

    /// Returns how far the table is in the stream.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it cannot be proven that each row up to there is in the table or was removed by a delete
    /// (see [`lineage`]); errors of the store.
    pub async fn progress(&self) -> Result<Progress> {
        match self.standing().await? {
            Standing::Fresh => Ok(Progress::default()),
            Standing::At(stated) => checkpoint::read(&self.store, &stated.uri, self.metadata.uuid()).await,
            Standing::Halt(halt) => Err(halt.error(self.name(), self.metadata.current_snapshot_id())),
        }
    }

    /// Returns how far the table was when `snapshot_id` was its current snapshot.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown id, or when the snapshots that would tell have expired; errors of the store.
    pub async fn progress_at(&self, snapshot_id: i64) -> Result<Progress> {
        self.snapshot(Some(snapshot_id))?;
        match lineage::checkpoint_at(&self.metadata, snapshot_id)? {
            Some(uri) => checkpoint::read(&self.store, &uri, self.metadata.uuid()).await,
            None => Ok(Progress::default()),
        }
    }

    /// Reads the manifest list of a snapshot.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it is unreadable; errors of the store.
    pub async fn manifests(&self, snapshot: &Snapshot) -> Result<Vec<ManifestFile>> {
        let uri = snapshot.manifest_list();
        let bytes = self.store.read(uri).await.map_err(|e| e.with("table", &self.name))?;
        let list = ManifestList::parse_with_version(&bytes, self.metadata.format_version());
        let list = list.map_err(|e| {
            Error::corrupt(format!("manifest list `{uri}` is unreadable: restore it from a backup")).because(e)
        })?;
        Ok(list.consume_entries().into_iter().collect())
    }

    /// Reads the live entries of one manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it is unreadable; errors of the store.
    pub async fn manifest_entries(&self, manifest: &ManifestFile) -> Result<Vec<LiveFile>> {
        let unreadable = |e| foreign(e, &format!("manifest `{}` is unreadable", manifest.manifest_path));
        let spec = self.metadata.partition_spec_by_id(manifest.partition_spec_id);
        let loaded = match spec.filter(|spec| voided::has_void(spec) && manifest.key_metadata.is_none()) {
            Some(spec) => voided::load(manifest, spec, &self.store.read(&manifest.manifest_path).await?).await,
            None => manifest.load_manifest(&self.store.file_io()).await,
        };
        let (entries, _) = loaded.map_err(unreadable)?.into_parts();
        let live = entries.into_iter().filter(|e| e.is_alive()).map(|entry| {
            let entry = Arc::unwrap_or_clone(entry);
            let missing = || {
                Error::corrupt(format!("an entry of manifest `{}` lacks its sequence number", manifest.manifest_path))
            };
            Ok(LiveFile {
                spec_id: manifest.partition_spec_id,
                snapshot_id: entry.snapshot_id.ok_or_else(missing)?,
                data_sequence_number: entry.sequence_number.ok_or_else(missing)?,
                file_sequence_number: entry.file_sequence_number.ok_or_else(missing)?,
                file: entry.data_file,
            })
        });
        live.collect()
    }

    /// Reads every live data and delete file of a snapshot, in the order of its manifests.
    ///
    /// # Errors
    /// As [`LoadedTable::manifest_entries`].
    pub async fn live_files(&self, snapshot: &Snapshot) -> Result<Vec<LiveFile>> {
        let manifests = self.manifests(snapshot).await?.into_iter().filter(has_live_files);
        // Futures that own their manifest, so that the whole is `Send` for every lifetime (behind `async_trait`).
        let reads = manifests.map(|m| async move { self.manifest_entries(&m).await });
        let read: Vec<Vec<LiveFile>> = stream::iter(reads).buffered(MANIFEST_READ_CONCURRENCY).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Returns the path of a new data file: `<table>/data/<partition>/<file_id>.parquet`.
    pub fn new_data_path(&self, partition: &str, file_id: &str) -> String {
        let folder = if partition.is_empty() { String::new() } else { format!("{partition}/") };
        format!("{}/data/{folder}{file_id}.parquet", self.metadata.location().trim_end_matches('/'))
    }

    /// Refuses tables that this version cannot commit to.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.metadata.format_version() == FormatVersion::V2 {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "table `{}` has format version {}, icefold writes version 2: create it anew or let the engine that upgraded it write it",
            self.name,
            self.metadata.format_version()
        )))
    }
}

/// Whether a manifest still has live entries.
pub fn has_live_files(manifest: &ManifestFile) -> bool {
    manifest.has_added_files() || manifest.has_existing_files()
}

/// Gives an error of the `iceberg` crate the kind of our own error inside it, or `Corrupt`.
pub(crate) fn foreign(error: iceberg::Error, message: &str) -> Error {
    match icefold_core::error::find_in_chain(&error) {
        Some(own) => Error::new(own.kind(), format!("{message}: {own}")).because(error),
        None => Error::corrupt(message.to_owned()).because(error),
    }
}

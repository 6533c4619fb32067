//! What a scan needs of one snapshot: which files are live, and where their bytes are.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::object_store::ObjectStoreUrl;
use iceberg::spec::DataFile;
use icefold_core::Result;
use object_store::ObjectStore;
use object_store::path::Path;

/// A file that the snapshot names, with what the manifests say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveFile {
    /// The file.
    pub file: DataFile,
    /// Partition spec that it was written with.
    pub spec_id: i32,
    /// Snapshot that added it.
    pub snapshot_id: i64,
    /// Age of its rows: deletes apply to what is older.
    pub data_sequence_number: i64,
    /// Age of the file itself.
    pub file_sequence_number: i64,
}

/// The files of one snapshot.
///
/// The list never changes: implementations may cache it, and each call returns the same files.
#[async_trait]
pub trait SnapshotFiles: Debug + Send + Sync {
    /// Lists data and delete files.
    async fn live_files(&self) -> Result<Arc<Vec<LiveFile>>>;

    /// Returns where in the store the file with the absolute `uri` is.
    fn object_path(&self, uri: &str) -> Result<Path>;

    /// Returns the store that holds the files.
    fn object_store(&self) -> Arc<dyn ObjectStore>;

    /// Returns the name under which the store is registered with DataFusion.
    fn object_store_url(&self) -> ObjectStoreUrl;
}

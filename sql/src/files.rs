//! What a scan needs of one snapshot: which files are live, and where their bytes are.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::object_store::ObjectStoreUrl;
use iceberg::spec::SnapshotRef;
use icefold_catalog::{LiveFile, LoadedTable, Store};
use icefold_core::{Error, Result};
use object_store::ObjectStore;
use object_store::path::Path;

/// The files of one snapshot: the same ones at each call.
#[async_trait]
pub(crate) trait SnapshotFiles: Debug + Send + Sync {
    /// Lists data and delete files.
    async fn live_files(&self) -> Result<Vec<LiveFile>>;

    /// Returns the store that holds the files.
    fn place(&self) -> &Place;
}

/// The store that holds the files, under the name by which it is registered with DataFusion.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    store: Store,
    url: ObjectStoreUrl,
}

impl Place {
    /// Takes a store.
    ///
    /// # Errors
    /// `Bug` when the root of the store is more than a scheme and a bucket.
    pub(crate) fn new(store: Store) -> Result<Self> {
        let root = store.object_store_url();
        let url = ObjectStoreUrl::parse(root.as_str())
            .map_err(|e| Error::bug(format!("the store's root `{root}` is no name for DataFusion")).because(e))?;
        Ok(Place { store, url })
    }

    /// Returns where in the store the file with the absolute `uri` is.
    ///
    /// # Errors
    /// `InvalidInput` when it lies outside.
    pub(crate) fn path(&self, uri: &str) -> Result<Path> {
        self.store.object_path(uri)
    }

    /// Returns the store.
    pub(crate) fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.store.object_store()
    }

    /// Returns the name of the store.
    pub(crate) fn url(&self) -> &ObjectStoreUrl {
        &self.url
    }
}

/// The files of a snapshot of a table of the catalog.
#[derive(Debug)]
pub(crate) struct CatalogFiles {
    table: LoadedTable,
    snapshot: Option<SnapshotRef>,
    place: Place,
}

impl CatalogFiles {
    /// Takes a table at a snapshot; `None` for a table without one.
    ///
    /// # Errors
    /// As [`Place::new`].
    pub(crate) fn new(table: LoadedTable, snapshot: Option<SnapshotRef>) -> Result<Self> {
        let place = Place::new(table.store().clone())?;
        Ok(CatalogFiles { table, snapshot, place })
    }
}

#[async_trait]
impl SnapshotFiles for CatalogFiles {
    async fn live_files(&self) -> Result<Vec<LiveFile>> {
        match &self.snapshot {
            Some(snapshot) => self.table.live_files(snapshot).await,
            None => Ok(Vec::new()),
        }
    }

    fn place(&self) -> &Place {
        &self.place
    }
}

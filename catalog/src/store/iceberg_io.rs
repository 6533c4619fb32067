//! Lends a [`Store`] to the `iceberg` crate as its `Storage`, so that every byte goes through one place with our
//! durability, time-outs and errors.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig,
    StorageFactory,
};
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};

use super::Store;

/// Adapter from `iceberg`'s storage trait to a [`Store`].
#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoreStorage {
    /// Absent after a trip through serialization: credentials and connections do not travel.
    #[serde(skip)]
    store: Option<Store>,
}

impl StoreStorage {
    fn store(&self) -> iceberg::Result<&Store> {
        self.store.as_ref().ok_or_else(|| {
            iceberg::Error::new(
                iceberg::ErrorKind::FeatureUnsupported,
                "this storage was serialized and has lost its connection: open the warehouse again",
            )
        })
    }
}

/// Wraps an error so that it can travel through `iceberg` and be found again at the other end.
fn foreign(error: icefold_core::Error) -> iceberg::Error {
    let kind = match error.kind() {
        icefold_core::ErrorKind::NotFound => iceberg::ErrorKind::DataInvalid,
        _ => iceberg::ErrorKind::Unexpected,
    };
    iceberg::Error::new(kind, error.to_string()).with_source(error)
}

#[async_trait]
#[typetag::serde(name = "icefold")]
impl Storage for StoreStorage {
    async fn exists(&self, path: &str) -> iceberg::Result<bool> {
        Ok(self.store()?.size(path).await.map_err(foreign)?.is_some())
    }

    async fn metadata(&self, path: &str) -> iceberg::Result<FileMetadata> {
        match self.store()?.size(path).await.map_err(foreign)? {
            Some(size) => Ok(FileMetadata { size }),
            None => Err(iceberg::Error::new(iceberg::ErrorKind::DataInvalid, format!("`{path}` does not exist"))),
        }
    }

    async fn read(&self, path: &str) -> iceberg::Result<Bytes> {
        self.store()?.read(path).await.map_err(foreign)
    }

    async fn reader(&self, path: &str) -> iceberg::Result<Box<dyn FileRead>> {
        Ok(Box::new(RangeReader { store: self.store()?.clone(), uri: path.to_owned() }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> iceberg::Result<()> {
        self.store()?.write_new(path, vec![bytes]).await.map_err(foreign)
    }

    async fn writer(&self, path: &str) -> iceberg::Result<Box<dyn FileWrite>> {
        Ok(Box::new(WholeWriter { store: self.store()?.clone(), uri: path.to_owned(), parts: Some(Vec::new()) }))
    }

    async fn delete(&self, path: &str) -> iceberg::Result<()> {
        self.store()?.delete(path).await.map_err(foreign)
    }

    async fn delete_prefix(&self, path: &str) -> iceberg::Result<()> {
        for object in self.store()?.list(path).await.map_err(foreign)? {
            self.delete(&object.uri).await?;
        }
        Ok(())
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> iceberg::Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> iceberg::Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> iceberg::Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

#[typetag::serde(name = "icefold")]
impl StorageFactory for StoreStorage {
    fn build(&self, _: &StorageConfig) -> iceberg::Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.clone()))
    }
}

struct RangeReader {
    store: Store,
    uri: String,
}

#[async_trait]
impl FileRead for RangeReader {
    async fn read(&self, range: std::ops::Range<u64>) -> iceberg::Result<Bytes> {
        let path = self.store.object_path(&self.uri).map_err(foreign)?;
        let read = self.store.object_store().get_range(&path, range).await;
        read.map_err(|e| foreign(super::explain(e, "read", &self.uri)))
    }
}

/// Holds the parts until `close`: what `iceberg` writes through this (manifests, manifest lists) is small.
struct WholeWriter {
    store: Store,
    uri: String,
    parts: Option<Vec<Bytes>>,
}

#[async_trait]
impl FileWrite for WholeWriter {
    async fn write(&mut self, bytes: Bytes) -> iceberg::Result<()> {
        match &mut self.parts {
            Some(parts) => parts.push(bytes),
            None => return Err(closed(&self.uri)),
        }
        Ok(())
    }

    async fn close(&mut self) -> iceberg::Result<()> {
        let parts = self.parts.take().ok_or_else(|| closed(&self.uri))?;
        self.store.write_new(&self.uri, parts).await.map_err(foreign)
    }
}

fn closed(uri: &str) -> iceberg::Error {
    iceberg::Error::new(iceberg::ErrorKind::Unexpected, format!("`{uri}` was closed before"))
}

impl Store {
    /// Returns this store as the `iceberg` crate's `FileIO`.
    pub fn file_io(&self) -> FileIO {
        FileIOBuilder::new(Arc::new(StoreStorage { store: Some(self.clone()) })).build()
    }
}

//! Storage: one [`Store`] per root (local disk, a bucket, memory), spoken to in absolute URIs.
//!
//! Writes never replace an object: everything icefold stores is immutable, so [`Store::write_new`] refuses to overwrite
//! and needs no lock. On local disk a write is durable when it returns (see [`local`]); on S3 that is the service's
//! promise. [`iceberg_io`] lends the store to the `iceberg` crate.

pub mod counting;
mod direct;
pub mod iceberg_io;
pub mod local;
mod open;

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use icefold_core::{Error, ErrorKind, Result};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};
use url::Url;

pub use open::{Root, local_path, open_foreign, open_root};

/// From this size on an object goes to S3 in parts, so that a lost connection costs one part.
const MULTIPART_FROM_BYTES: usize = 64 * 1024 * 1024;
/// Parts on their way at the same time.
const MULTIPART_CONCURRENCY: usize = 4;

/// What a listing says about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Absolute URI.
    pub uri: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Last modification, milliseconds since 1970.
    pub modified_ms: i64,
}

/// An object store with the URL of its root. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    root: Url,
}

impl Store {
    /// Lends `inner`, whose paths are relative to `root` (`file:///`, `s3://bucket/`, `memory:///`).
    pub fn new(inner: Arc<dyn ObjectStore>, root: Url) -> Self {
        Store { inner, root }
    }

    /// Opens an empty store in memory.
    pub fn in_memory() -> Self {
        Store::new(Arc::new(object_store::memory::InMemory::new()), Url::parse("memory:///").expect("a constant URL"))
    }

    /// Returns the same root over another object store, for example one that counts or fails.
    #[must_use]
    pub fn wrapped(&self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Store { inner: wrap(self.inner.clone()), root: self.root.clone() }
    }

    /// Returns the object store; its paths come from [`Store::object_path`].
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.inner.clone()
    }

    /// Returns the URL of the root, to register the object store with a query engine.
    pub fn object_store_url(&self) -> &Url {
        &self.root
    }

    /// Returns the path below the root of an absolute URI. `file:/x` and `file:///x` are the same path.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the URI lies outside this store.
    pub fn object_path(&self, uri: &str) -> Result<Path> {
        let outside = || Error::invalid(format!("`{uri}` lies outside the store `{}`", self.root));
        let rest = match self.root.scheme() {
            "file" => uri.strip_prefix("file://").or_else(|| uri.strip_prefix("file:")).or(uri.strip_prefix('/')),
            _ => uri.strip_prefix(self.root.as_str()),
        };
        let rest = rest.ok_or_else(outside)?;
        Path::parse(rest.trim_start_matches('/')).map_err(|e| outside().because(e))
    }

    fn uri(&self, path: &Path) -> String {
        format!("{}{path}", self.root)
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Transient`], [`ErrorKind::Refused`].
    pub async fn read(&self, uri: &str) -> Result<Bytes> {
        let get = async { self.inner.get(&self.object_path(uri)?).await?.bytes().await.map_err(Failure::Store) };
        get.await.map_err(|e| e.explain("read", uri))
    }

    /// Writes a new object from parts, in order. When it returns `Ok`, the object is whole and durable.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when it exists already; [`ErrorKind::Refused`] (disk full, read-only, access denied);
    /// [`ErrorKind::OutcomeUnknown`] otherwise: look before writing again.
    pub async fn write_new(&self, uri: &str, parts: Vec<Bytes>) -> Result<()> {
        let path = self.object_path(uri)?;
        let size: usize = parts.iter().map(Bytes::len).sum();
        let written = if size >= MULTIPART_FROM_BYTES && self.root.scheme() == "s3" {
            self.write_multipart(&path, parts).await
        } else {
            let payload: PutPayload = parts.into_iter().collect();
            self.inner.put_opts(&path, payload, PutOptions::from(PutMode::Create)).await.map(|_| ())
        };
        written.map_err(|e| explain(e, "write", uri))
    }

    /// Data files have unique names, so a multipart upload, which cannot be conditional everywhere, replaces nothing.
    async fn write_multipart(&self, path: &Path, parts: Vec<Bytes>) -> object_store::Result<()> {
        let mut upload = WriteMultipart::new(self.inner.put_multipart(path).await?);
        for part in parts {
            upload.wait_for_capacity(MULTIPART_CONCURRENCY).await?;
            upload.put(part);
        }
        upload.finish().await.map(|_| ())
    }

    /// Returns the size of an object, `None` when there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Transient`], [`ErrorKind::Refused`].
    pub async fn size(&self, uri: &str) -> Result<Option<u64>> {
        match self.inner.head(&self.object_path(uri)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(explain(e, "look at", uri)),
        }
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// [`ErrorKind::Transient`], [`ErrorKind::Refused`].
    pub async fn delete(&self, uri: &str) -> Result<()> {
        match self.inner.delete(&self.object_path(uri)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(explain(e, "delete", uri)),
        }
    }

    /// Lists every object below a folder, in no particular order.
    ///
    /// # Errors
    /// [`ErrorKind::Transient`], [`ErrorKind::Refused`].
    pub async fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>> {
        let path = self.object_path(folder)?;
        let infos = self.inner.list(Some(&path)).map_ok(|meta| ObjectInfo {
            uri: self.uri(&meta.location),
            size_bytes: meta.size,
            modified_ms: meta.last_modified.timestamp_millis(),
        });
        infos.try_collect().await.map_err(|e| explain(e, "list", folder))
    }
}

/// Either our own error or the object store's, so that `?` works on both.
enum Failure {
    Own(Error),
    Store(object_store::Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::Own(e)
    }
}

impl From<object_store::Error> for Failure {
    fn from(e: object_store::Error) -> Self {
        Failure::Store(e)
    }
}

impl Failure {
    fn explain(self, act: &str, uri: &str) -> Error {
        match self {
            Failure::Own(e) => e,
            Failure::Store(e) => explain(e, act, uri),
        }
    }
}

/// Turns an object store's error into one that says what to do next.
pub fn explain(error: object_store::Error, act: &str, uri: &str) -> Error {
    use object_store::Error as E;
    let kind_and_reason = match &error {
        E::NotFound { .. } => (ErrorKind::NotFound, "it does not exist"),
        E::AlreadyExists { .. } | E::Precondition { .. } => (ErrorKind::Conflict, "it exists already"),
        E::PermissionDenied { .. } => (ErrorKind::Refused, "access is denied; check credentials and permissions"),
        E::Unauthenticated { .. } => (ErrorKind::Refused, "the credentials are refused; check key, secret and region"),
        E::InvalidPath { .. } | E::NotSupported { .. } | E::NotImplemented { .. } => {
            (ErrorKind::InvalidInput, "the store cannot do this")
        }
        other => match io_error(other).map(std::io::Error::kind) {
            Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => {
                (ErrorKind::Refused, "the disk is full; free space and run again, nothing was lost")
            }
            Some(std::io::ErrorKind::ReadOnlyFilesystem) => {
                (ErrorKind::Refused, "the file system is read-only; make it writable or choose another warehouse")
            }
            Some(std::io::ErrorKind::PermissionDenied) => {
                (ErrorKind::Refused, "access is denied; check the owner and the permissions of the folder")
            }
            Some(std::io::ErrorKind::NotADirectory | std::io::ErrorKind::IsADirectory) => {
                (ErrorKind::Refused, "a file stands where a folder is needed, or the reverse")
            }
            _ if act == "write" => (ErrorKind::OutcomeUnknown, "the store did not answer as it should"),
            _ => (ErrorKind::Transient, "the store did not answer as it should"),
        },
    };
    Error::new(kind_and_reason.0, format!("cannot {act} `{uri}`: {}", kind_and_reason.1)).because(error)
}

/// Finds the operating system's error in the chain of causes.
fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        next = current.source();
    }
    None
}

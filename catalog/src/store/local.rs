//! Local disk with the promise that S3 makes: an object is there whole or not at all, and once written it stays.
//!
//! `object_store`'s own local store renames but does not sync, so a power cut can leave an empty file under a name that
//! a metadata file already mentions. Here a write goes to a temporary file in the same folder, is synced, gets its name
//! by link (create) or rename (replace), and the folder is synced; new parent folders are synced too.

use std::fs::{self, File};
use std::path::{Path as FsPath, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use uuid::Uuid;

use super::direct::write_parts;

/// Begins the name of a file that is still being written; such files are never listed.
const TEMPORARY_PREFIX: &str = ".icefold-";

/// The local file system, addressed from its root, with durable writes.
#[derive(Debug)]
pub struct DurableLocal {
    reads: LocalFileSystem,
}

impl DurableLocal {
    /// Opens the file system.
    #[allow(clippy::new_without_default, reason = "opening a file system is not a default value")]
    pub fn new() -> Self {
        DurableLocal { reads: LocalFileSystem::new() }
    }

    #[expect(clippy::disallowed_methods, reason = "the local disk blocks; the simulation's store is in memory")]
    async fn write(&self, location: &Path, payload: PutPayload, replace: bool) -> Result<PutResult> {
        let target = self.reads.path_to_filesystem(location)?;
        let shown = target.display().to_string();
        let written = tokio::task::spawn_blocking(move || write_durably(&target, &payload, replace)).await;
        let written = written.map_err(|e| Error::JoinError { source: e })?;
        written.map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: shown, source: source.into() },
            _ => Error::Generic { store: "local disk", source: source.into() },
        })?;
        Ok(PutResult { e_tag: None, version: None })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a temporary name of the local disk, which nobody sees; the simulation's store is in memory"
)]
fn write_durably(target: &FsPath, payload: &PutPayload, replace: bool) -> std::io::Result<()> {
    let folder = target.parent().ok_or_else(|| std::io::Error::other("an object needs a folder"))?;
    create_folder(folder)?;
    let temporary = Temporary(folder.join(format!("{TEMPORARY_PREFIX}{}", Uuid::new_v4().simple())));
    let parts: Vec<Bytes> = payload.iter().cloned().collect();
    write_parts(&temporary.0, &parts)?;
    if replace {
        fs::rename(&temporary.0, target)?;
    } else {
        fs::hard_link(&temporary.0, target)?;
    }
    sync_folder(folder)
}

/// Removes the temporary file when it goes out of scope; after a rename there is nothing to remove.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // A file that stays behind is hidden from listings and harmless; there is nobody to tell.
        let _ = fs::remove_file(&self.0);
    }
}

/// Creates a folder and its missing parents, and syncs the folder that got a new entry, top down.
fn create_folder(folder: &FsPath) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folder(parent)?;
        match fs::create_dir(folder) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e),
            _ => sync_folder(parent)?,
        }
    }
    Ok(())
}

fn sync_folder(folder: &FsPath) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

impl std::fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("local disk")
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match options.mode {
            PutMode::Create => self.write(location, payload, false).await,
            PutMode::Overwrite => self.write(location, payload, true).await,
            PutMode::Update(_) => self.reads.put_opts(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotSupported {
            source: format!(
                "{location}: on local disk an object is written in one go, so that it is durable or absent"
            )
            .into(),
        })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.reads.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        use futures::{StreamExt, TryStreamExt};
        let shown =
            |meta: &ObjectMeta| !meta.location.filename().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX));
        self.reads.list(prefix).try_filter(move |meta| futures::future::ready(shown(meta))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reads.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.reads.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use std::sync::Arc;
    use url::Url;

    fn store(dir: &FsPath) -> (Store, String) {
        let store = Store::new(Arc::new(DurableLocal::new()), Url::parse("file:///").expect("url"));
        (store, format!("file://{}", dir.display()))
    }

    #[tokio::test]
    async fn a_written_object_is_whole_and_never_replaced() {
        let dir = tempfile::tempdir().expect("dir");
        let (store, root) = store(dir.path());
        let uri = format!("{root}/a/b/c.bin");
        store.write_new(&uri, vec!["one".into(), "two".into()]).await.expect("write");
        assert_eq!(store.read(&uri).await.expect("read"), "onetwo");
        let again = store.write_new(&uri, vec!["other".into()]).await.expect_err("exists");
        assert_eq!(again.kind(), icefold_core::ErrorKind::Conflict);
        assert_eq!(store.read(&uri).await.expect("read"), "onetwo");
        let listed = store.list(&root).await.expect("list");
        assert_eq!(listed.iter().map(|o| (o.uri.as_str(), o.size_bytes)).collect::<Vec<_>>(), [(uri.as_str(), 6)]);
        assert_eq!(fs::read_dir(dir.path().join("a/b")).expect("dir").count(), 1, "no temporary file stays behind");
    }

    #[tokio::test]
    async fn both_spellings_of_a_file_uri_are_one_object() {
        let dir = tempfile::tempdir().expect("dir");
        let (store, root) = store(dir.path());
        store.write_new(&format!("{root}/x"), vec!["x".into()]).await.expect("write");
        let short = root.replace("file:///", "file:/");
        assert_eq!(store.read(&format!("{short}/x")).await.expect("read"), "x");
    }

    #[tokio::test]
    async fn a_missing_object_is_not_found_and_deleting_it_is_no_error() {
        let dir = tempfile::tempdir().expect("dir");
        let (store, root) = store(dir.path());
        let uri = format!("{root}/none");
        assert_eq!(store.read(&uri).await.expect_err("none").kind(), icefold_core::ErrorKind::NotFound);
        assert_eq!(store.size(&uri).await.expect("size"), None);
        store.delete(&uri).await.expect("no error");
    }
}

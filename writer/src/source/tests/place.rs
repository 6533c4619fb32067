//! A place to read from: a folder in memory or on disk that counts requests and can be changed between two of them.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures::stream::BoxStream;
use icefold_core::{ErrorKind, Result, ShardId, ShardPosition};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::chunk::Chunk;
use crate::source::{FileRoot, FileSource, Source, SourceSettings};

pub(super) struct Place {
    pub(super) store: Arc<Watched>,
    root: Path,
    folder: Option<TempDir>,
    writes: AtomicU64,
    pub(super) stop: watch::Sender<bool>,
}

impl Place {
    pub(super) fn in_memory() -> Place {
        Place::new(Arc::new(InMemory::new()), Path::from("root"), None)
    }

    pub(super) fn on_disk() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::from_absolute_path(folder.path().canonicalize().unwrap()).unwrap();
        Place::new(Arc::new(LocalFileSystem::new()), root, Some(folder))
    }

    /// One of each kind: what holds for files holds for objects.
    pub(super) fn both() -> [Place; 2] {
        [Place::in_memory(), Place::on_disk()]
    }

    fn new(inner: Arc<dyn ObjectStore>, root: Path, folder: Option<TempDir>) -> Place {
        let store =
            Arc::new(Watched { inner, requests: watch::channel(Requests::default()).0, hook: Mutex::new(None) });
        Place { store, root, folder, writes: AtomicU64::new(0), stop: watch::channel(false).0 }
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.as_ref().expect("a place on disk").path()
    }

    /// Writes a file anew, as an upload does.
    pub(super) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        if self.folder.is_none() {
            let path = Path::parse(format!("root/{name}")).unwrap();
            let content = Bytes::copy_from_slice(content.as_ref());
            return block_on(self.store.inner.put(&path, content.into())).map(drop).unwrap();
        }
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_file_name(".new");
        std::fs::write(&new, content).unwrap();
        // The clock of a file system ticks slowly; each write here is a second later than the one before.
        let written = self.writes.fetch_add(1, Ordering::Relaxed);
        let file = std::fs::OpenOptions::new().append(true).open(&new).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_500_000_000 + written)).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    /// Adds to a file in its place, where the storage can do that.
    pub(super) fn append(&self, name: &str, content: impl AsRef<[u8]>) {
        if self.folder.is_none() {
            let path = Path::parse(format!("root/{name}")).unwrap();
            let mut whole =
                block_on(async { self.store.inner.get(&path).await.unwrap().bytes().await }).unwrap().to_vec();
            whole.extend_from_slice(content.as_ref());
            return self.put(name, whole);
        }
        let mut file = std::fs::OpenOptions::new().append(true).open(self.folder().join(name)).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        match self.folder {
            None => block_on(self.store.inner.delete(&Path::parse(format!("root/{name}")).unwrap())).unwrap(),
            Some(_) => std::fs::remove_file(self.folder().join(name)).unwrap(),
        }
    }

    pub(super) async fn open(&self, position: Option<&ShardPosition>) -> Result<FileSource> {
        self.open_with(position, small()).await
    }

    pub(super) async fn open_with(&self, at: Option<&ShardPosition>, settings: SourceSettings) -> Result<FileSource> {
        let root = FileRoot { shard: ShardId::new("file:///here"), path: self.root.clone(), single_file: false };
        FileSource::open(self.store.clone(), root, at, None, settings, self.stop.subscribe()).await
    }

    /// Opens where the time of the stream begins no earlier than at `floor_micros`.
    pub(super) async fn open_above(
        &self,
        position: Option<&ShardPosition>,
        floor_micros: Option<i64>,
    ) -> Result<FileSource> {
        let root = FileRoot { shard: ShardId::new("file:///here"), path: self.root.clone(), single_file: false };
        FileSource::open(self.store.clone(), root, position, floor_micros, small(), self.stop.subscribe()).await
    }

    pub(super) async fn open_file(&self, name: &str, position: Option<&ShardPosition>) -> Result<FileSource> {
        let path = Path::parse(format!("{}/{name}", self.root)).unwrap();
        let root = FileRoot { shard: ShardId::new("file:///here/file"), path, single_file: true };
        FileSource::open(self.store.clone(), root, position, None, small(), self.stop.subscribe()).await
    }

    /// Reads everything from the start.
    pub(super) async fn read(&self) -> Vec<Chunk> {
        rest(&mut self.open(None).await.unwrap()).await
    }

    /// Expects that continuing at `position` is refused as a change, at once or at the first chunk.
    pub(super) async fn refusal(&self, position: &ShardPosition) -> String {
        let error = match self.open(Some(position)).await {
            Err(error) => error,
            Ok(mut source) => source.next().await.expect_err("should be refused"),
        };
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        error.to_string()
    }
}

/// Settings under which a handful of short lines already makes several chunks and several requests.
pub(super) fn small() -> SourceSettings {
    SourceSettings {
        chunk_bytes: 16,
        max_record_bytes: 1_024,
        read_bytes: 32,
        poll_interval: Duration::from_millis(1),
        ..SourceSettings::default()
    }
}

pub(super) fn following() -> SourceSettings {
    SourceSettings { follow: true, ..small() }
}

/// Reads to the end.
pub(super) async fn rest(source: &mut dyn Source) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while let Some(chunk) = source.next().await.unwrap() {
        chunks.push(chunk);
    }
    chunks
}

/// Reads until an error comes.
pub(super) async fn until_error(source: &mut dyn Source) -> (Vec<Chunk>, icefold_core::Error) {
    let mut chunks = Vec::new();
    loop {
        match source.next().await {
            Ok(Some(chunk)) => chunks.push(chunk),
            Ok(None) => panic!("ended without an error after {}", text(&chunks)),
            Err(error) => return (chunks, error),
        }
    }
}

/// The content of chunks, with `|` where another segment begins.
pub(super) fn text(chunks: &[Chunk]) -> String {
    let mut text = String::new();
    for (i, chunk) in chunks.iter().enumerate() {
        if i > 0 && chunks[i - 1].segment != chunk.segment {
            text.push('|');
        }
        text.push_str(&String::from_utf8_lossy(&chunk.bytes));
    }
    text
}

/// The position after the first `chunks`.
pub(super) fn position_after(chunks: &[Chunk]) -> ShardPosition {
    chunks.last().expect("at least one chunk").to.clone()
}

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(content, 1).unwrap()
}

/// `count` numbered lines.
pub(super) fn numbered(count: usize) -> String {
    (0..count).map(|i| format!("line {i}\n")).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

/// A request that a source made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Get,
    Head,
    List,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Requests {
    pub(super) gets: usize,
    pub(super) heads: usize,
    pub(super) lists: usize,
}

type Hook = Box<dyn FnMut(Request, Requests) -> Option<object_store::Error> + Send>;

/// A store that counts what is asked of it, and can act or fail just before it answers.
pub(super) struct Watched {
    inner: Arc<dyn ObjectStore>,
    requests: watch::Sender<Requests>,
    hook: Mutex<Option<Hook>>,
}

impl Watched {
    pub(super) fn before_each(
        &self,
        hook: impl FnMut(Request, Requests) -> Option<object_store::Error> + Send + 'static,
    ) {
        *self.hook.lock().unwrap() = Some(Box::new(hook));
    }

    pub(super) fn requests(&self) -> Requests {
        *self.requests.borrow()
    }

    /// Waits until there were `lists` requests to list.
    pub(super) async fn listed(&self, lists: usize) {
        self.requests.subscribe().wait_for(|now| now.lists >= lists).await.unwrap();
    }

    /// Waits until a file was looked at `times` more.
    pub(super) async fn looked(&self, times: usize) {
        let before = self.requests().heads;
        self.requests.subscribe().wait_for(|now| now.heads >= before + times).await.unwrap();
    }

    fn note(&self, request: Request) -> object_store::Result<()> {
        self.requests.send_modify(|requests| match request {
            Request::Get => requests.gets += 1,
            Request::Head => requests.heads += 1,
            Request::List => requests.lists += 1,
        });
        let mut hook = self.hook.lock().unwrap();
        match hook.as_mut().and_then(|hook| hook(request, self.requests())) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watched({})", self.inner)
    }
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watched({})", self.inner)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, at: &Path, payload: PutPayload, how: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(at, payload, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> object_store::Result<GetResult> {
        self.note(if how.head { Request::Head } else { Request::Get })?;
        self.inner.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.note(Request::List) {
            Ok(()) => self.inner.list(prefix),
            Err(e) => Box::pin(futures::stream::iter([Err(e)])),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.note(Request::List) {
            Ok(()) => self.inner.list_with_offset(prefix, offset),
            Err(e) => Box::pin(futures::stream::iter([Err(e)])),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

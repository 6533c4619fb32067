//! The bytes of one file as they lie in storage, read from the front and pinned to one version of it.
//!
//! A local file is read through one open handle, so a file renamed over it does not mix with it. A remote object is
//! read in ranges that name its ETag, a few requests ahead. Either way a change shows as [`Got::Changed`] or in
//! [`StoredFile::refresh`], which tells growth (what was read is still there) from another content.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use icefold_core::Result;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::task::JoinHandle;

use super::listing::FileEntry;
use super::prefix::Prefix;
use super::refusal;

/// How many ranges of a remote object are requested before they are needed.
const RANGES_AHEAD: usize = 3;

/// One file of a source.
pub(super) struct StoredFile {
    store: Arc<dyn ObjectStore>,
    path: Path,
    version: Version,
    /// Whether `version` is what a read or a look at the file itself said; a listing may be older.
    pinned: bool,
    access: Access,
    read: Prefix,
    read_bytes: u64,
}

#[derive(Debug, Clone)]
struct Version {
    stored_bytes: u64,
    modified_micros: i64,
    e_tag: Option<String>,
}

enum Access {
    Unopened,
    Local(File),
    Remote(Ranges),
}

/// The ranges of a remote object that come next, without a gap.
#[derive(Default)]
struct Ranges {
    current: Bytes,
    requested: VecDeque<Request>,
    /// Where the next request starts.
    next: u64,
}

/// A request under way, given up when it is dropped.
struct Request(JoinHandle<object_store::Result<Bytes>>);

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    /// At least one byte.
    Some,
    /// Nothing: the end of what is there.
    End,
    /// Nothing: the file is not the version that it was.
    Changed,
}

/// What a look at a file that was read to its end found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    /// Nothing new.
    Same,
    /// What was read is still there; reading may go on.
    Grown,
    /// What was read is not there any more, as far as stored bytes tell.
    Replaced,
}

enum Reply {
    Local(File),
    Bytes(Bytes),
    Changed,
}

impl StoredFile {
    pub(super) fn new(store: Arc<dyn ObjectStore>, entry: &FileEntry, read_bytes: usize) -> Self {
        StoredFile {
            store,
            path: entry.path.clone(),
            version: Version { stored_bytes: entry.stored_bytes, modified_micros: entry.modified_micros, e_tag: None },
            pinned: false,
            access: Access::Unopened,
            read: Prefix::default(),
            read_bytes: read_bytes as u64,
        }
    }

    /// Size of the version being read.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.version.stored_bytes
    }

    /// Modification time of the version being read.
    pub(super) fn modified_micros(&self) -> i64 {
        self.version.modified_micros
    }

    /// Appends the next bytes to `buffer`, at most `want`.
    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>, want: usize) -> Result<Got> {
        let from = self.read.length();
        let end = self.version.stored_bytes.min(from + want as u64);
        if from >= end {
            return Ok(Got::End);
        }
        let before = buffer.len();
        if !self.fill(from..end, buffer).await? || buffer.len() == before {
            return Ok(Got::Changed);
        }
        self.read.update(&buffer[before..]);
        Ok(Got::Some)
    }

    /// Appends bytes from the start of `range`, as many as come at once; `false` when the version is gone.
    async fn fill(&mut self, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<bool> {
        if let Access::Unopened = self.access {
            let first = range.start..self.version.stored_bytes.min(range.start + self.read_bytes);
            match self.get(first).await? {
                Reply::Changed => return Ok(false),
                Reply::Local(file) => self.access = Access::Local(file),
                Reply::Bytes(current) => {
                    let next = range.start + current.len() as u64;
                    self.access = Access::Remote(Ranges { current, requested: VecDeque::new(), next });
                }
            }
        }
        match &mut self.access {
            Access::Local(_) => self.read_local(range, buffer).await.map(|()| true),
            _ => self.read_remote(range, buffer).await,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the local disk blocks; the simulation's store is in memory")]
    async fn read_local(&mut self, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<()> {
        let Access::Local(mut file) = std::mem::replace(&mut self.access, Access::Unopened) else { return Ok(()) };
        let mut bytes = std::mem::take(buffer);
        let (file, bytes, outcome) = tokio::task::spawn_blocking(move || {
            let outcome = read_at(&mut file, range, &mut bytes);
            (file, bytes, outcome)
        })
        .await
        .map_err(refusal::lost_task)?;
        *buffer = bytes;
        self.access = Access::Local(file);
        outcome.map_err(|e| refusal::reading(e, &self.path))
    }

    async fn read_remote(&mut self, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<bool> {
        let end = self.version.stored_bytes;
        let Access::Remote(ranges) = &mut self.access else { return Ok(false) };
        while ranges.requested.len() < RANGES_AHEAD && ranges.next < end {
            let next = ranges.next..end.min(ranges.next + self.read_bytes);
            ranges.next = next.end;
            ranges.requested.push_back(Request::start(&self.store, &self.path, &self.version, next));
        }
        if ranges.current.is_empty() {
            let Some(mut request) = ranges.requested.pop_front() else { return Ok(false) };
            match (&mut request.0).await.map_err(refusal::lost_task)? {
                Ok(bytes) => ranges.current = bytes,
                Err(object_store::Error::Precondition { .. }) => return Ok(false),
                Err(e) => return Err(refusal::storage(e, "reading", &self.path)),
            }
        }
        let part = ranges.current.len().min((range.end - range.start) as usize);
        buffer.extend_from_slice(&ranges.current[..part]);
        ranges.current.advance(part);
        Ok(true)
    }

    /// Asks for `range` of the pinned version, or pins the version that answers.
    async fn get(&mut self, range: Range<u64>) -> Result<Reply> {
        let if_match = self.version.e_tag.clone().filter(|_| self.pinned);
        let options = GetOptions { range: Some(range.clone().into()), if_match, ..GetOptions::default() };
        let reply = match self.store.get_opts(&self.path, options).await {
            Ok(reply) => reply,
            Err(object_store::Error::Precondition { .. }) => return Ok(Reply::Changed),
            Err(e @ object_store::Error::NotFound { .. }) => return Err(refusal::storage(e, "reading", &self.path)),
            // A range that begins after the end is answered by an error of no certain kind.
            Err(e) if !self.pinned => return self.shrunk_to(range.start, e).await,
            Err(e) => return Err(refusal::storage(e, "reading", &self.path)),
        };
        let version = Version::of(&reply.meta);
        if !self.pinned {
            self.version = version;
            self.pinned = true;
        } else if !self.version.is(&version) {
            return Ok(Reply::Changed);
        }
        self.open(reply).await
    }

    async fn open(&self, reply: GetResult) -> Result<Reply> {
        match reply.payload {
            GetResultPayload::File(file, _) => Ok(Reply::Local(file)),
            GetResultPayload::Stream(_) => {
                let bytes = reply.bytes().await.map_err(|e| refusal::storage(e, "reading", &self.path))?;
                Ok(Reply::Bytes(bytes))
            }
        }
    }

    async fn shrunk_to(&self, start: u64, error: object_store::Error) -> Result<Reply> {
        match self.store.head(&self.path).await {
            Ok(meta) if meta.size <= start => Ok(Reply::Changed),
            _ => Err(refusal::storage(error, "reading", &self.path)),
        }
    }

    /// Looks whether the file that was read to its end is still the same one. `trust_last_read` spares the request
    /// where the last read has named the version.
    pub(super) async fn refresh(&mut self, trust_last_read: bool) -> Result<Refresh> {
        if trust_last_read && matches!(self.access, Access::Remote(_)) && self.read.length() == self.stored_bytes() {
            return Ok(Refresh::Same);
        }
        let meta = self.store.head(&self.path).await.map_err(|e| refusal::storage(e, "looking at", &self.path))?;
        let now = Version::of(&meta);
        if self.pinned && self.version.is(&now) {
            return Ok(Refresh::Same);
        }
        self.access = Access::Unopened;
        self.version = now;
        self.pinned = true;
        let length = self.read.length();
        Ok(match self.prefix_of(length).await? {
            Some(prefix) if prefix.fingerprint() == self.read.fingerprint() => Refresh::Grown,
            _ => Refresh::Replaced,
        })
    }

    /// Goes on after `length` bytes, if they are there with that fingerprint; returns them as a prefix.
    pub(super) async fn seek(&mut self, length: u64, fingerprint: u128) -> Result<Option<Prefix>> {
        let prefix = self.prefix_of(length).await?.filter(|prefix| prefix.fingerprint() == fingerprint);
        if let Some(prefix) = &prefix {
            self.read = prefix.clone();
            if let Access::Remote(_) = self.access {
                self.access = Access::Remote(Ranges { next: length, ..Ranges::default() });
            }
        }
        Ok(prefix)
    }

    /// Reads the ends of the first `length` bytes; `None` when there are fewer or the version is gone.
    async fn prefix_of(&mut self, length: u64) -> Result<Option<Prefix>> {
        if self.stored_bytes() < length {
            return Ok(None);
        }
        let [head, tail] = Prefix::edges(length);
        let (Some(head), Some(tail)) = (self.fetch(head).await?, self.fetch(tail).await?) else { return Ok(None) };
        Ok(Some(Prefix::from_edges(length, head, tail)))
    }

    /// Reads `range` without moving; `None` when it is not there in full or the version is gone.
    async fn fetch(&mut self, range: Range<u64>) -> Result<Option<Vec<u8>>> {
        let length = (range.end - range.start) as usize;
        let mut bytes = Vec::new();
        if length == 0 {
            return Ok(Some(bytes));
        }
        if !matches!(self.access, Access::Local(_)) {
            match self.get(range.clone()).await? {
                Reply::Changed => return Ok(None),
                Reply::Local(file) => self.access = Access::Local(file),
                Reply::Bytes(found) => return Ok((found.len() == length).then(|| found.to_vec())),
            }
        }
        self.read_local(range, &mut bytes).await?;
        Ok((bytes.len() == length).then_some(bytes))
    }
}

impl Version {
    fn of(meta: &ObjectMeta) -> Self {
        Version {
            stored_bytes: meta.size,
            modified_micros: meta.last_modified.timestamp_micros(),
            e_tag: meta.e_tag.clone(),
        }
    }

    fn is(&self, other: &Version) -> bool {
        let same_content = match (&self.e_tag, &other.e_tag) {
            (Some(one), Some(two)) => one == two,
            _ => self.modified_micros == other.modified_micros,
        };
        same_content && self.stored_bytes == other.stored_bytes
    }
}

impl Request {
    fn start(store: &Arc<dyn ObjectStore>, path: &Path, version: &Version, range: Range<u64>) -> Self {
        let (store, path, if_match) = (store.clone(), path.clone(), version.e_tag.clone());
        let options = GetOptions { range: Some(range.into()), if_match, ..GetOptions::default() };
        Request(tokio::spawn(async move { store.get_opts(&path, options).await?.bytes().await }))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn read_at(file: &mut File, range: Range<u64>, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(range.start))?;
    buffer.reserve((range.end - range.start) as usize);
    file.take(range.end - range.start).read_to_end(buffer).map(drop)
}

//! The files of a source in name order, in bounded memory.
//!
//! A listing may come in any order (a local folder does), so one look goes through all of it and keeps the first
//! [`SourceSettings::listing_limit`](super::SourceSettings::listing_limit) names after the position. What lies behind
//! the position is only counted and summed up, never kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::TryStreamExt;
use futures::stream::BoxStream;
use icefold_core::Result;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::refusal;
use super::witness::Finished;

/// One file as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileEntry {
    /// Name below the root, `/`-separated: the segment.
    pub(super) name: Arc<str>,
    pub(super) path: Path,
    pub(super) stored_bytes: u64,
    pub(super) modified_micros: i64,
}

/// What one look at the listing found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files after the position, in name order, at most as many as the limit.
    pub(super) after: VecDeque<FileEntry>,
    /// There are more files after those of `after`.
    pub(super) more: bool,
    /// The files before the position. Only of a whole look.
    pub(super) behind: Finished,
    /// The newest of them, with its modification time.
    pub(super) newest_behind: Option<(String, i64)>,
    /// The file at the position. Only of a whole look.
    pub(super) at: Option<FileEntry>,
}

/// How much of the listing a look asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Also what lies behind the position.
    Whole,
    /// Only what comes after it, which is cheaper on S3.
    After,
}

/// Where the files are.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    store: Arc<dyn ObjectStore>,
    root: Path,
    single_file: bool,
    limit: usize,
}

impl Listing {
    pub(super) fn new(store: Arc<dyn ObjectStore>, root: Path, single_file: bool, limit: usize) -> Self {
        Listing { store, root, single_file, limit }
    }

    /// Looks for the files around the segment `position` (`None`: before every file).
    pub(super) async fn look(&self, position: Option<&str>, look: Look) -> Result<Found> {
        let mut found = Found::default();
        let mut after = BTreeMap::new();
        let mut files = self.stream(position.filter(|_| look == Look::After)).await?;
        while let Some(meta) = files.try_next().await.map_err(|e| refusal::storage(e, "listing", &self.root))? {
            let Some(entry) = self.entry(meta) else { continue };
            match position {
                Some(position) if *entry.name < *position => found.add_behind(&entry),
                Some(position) if *entry.name == *position => found.at = Some(entry),
                _ => {
                    after.insert(entry.name.clone(), entry);
                    if after.len() > self.limit {
                        after.pop_last();
                        found.more = true;
                    }
                }
            }
        }
        found.after = after.into_values().collect();
        Ok(found)
    }

    async fn stream(&self, after: Option<&str>) -> Result<BoxStream<'static, object_store::Result<ObjectMeta>>> {
        if self.single_file {
            if after.is_some() {
                return Ok(Box::pin(futures::stream::empty()));
            }
            return match self.store.head(&self.root).await {
                Ok(meta) => Ok(Box::pin(futures::stream::iter([Ok(meta)]))),
                Err(object_store::Error::NotFound { .. }) => Ok(Box::pin(futures::stream::empty())),
                Err(e) => Err(refusal::storage(e, "looking at", &self.root)),
            };
        }
        Ok(match after {
            Some(name) => self.store.list_with_offset(Some(&self.root), &self.path_of(name)?),
            None => self.store.list(Some(&self.root)),
        })
    }

    fn path_of(&self, name: &str) -> Result<Path> {
        let full = if self.root.as_ref().is_empty() { name.to_owned() } else { format!("{}/{name}", self.root) };
        Path::parse(full).map_err(|e| refusal::storage(e.into(), "listing", name))
    }

    /// Returns the file, or `None` when it is not one to be read: empty, or hidden by `.` or `_`.
    fn entry(&self, meta: ObjectMeta) -> Option<FileEntry> {
        let name: Arc<str> = if self.single_file {
            self.root.filename()?.into()
        } else {
            let full = meta.location.as_ref();
            let name = match self.root.as_ref() {
                "" => full,
                root => full.strip_prefix(root)?.strip_prefix('/')?,
            };
            if name.split('/').any(|part| part.starts_with(['.', '_'])) {
                return None;
            }
            name.into()
        };
        (meta.size > 0).then(|| FileEntry {
            name,
            stored_bytes: meta.size,
            modified_micros: meta.last_modified.timestamp_micros(),
            path: meta.location,
        })
    }
}

impl FileEntry {
    /// Returns the same file as `meta` shows it.
    pub(super) fn seen_as(&self, meta: &ObjectMeta) -> FileEntry {
        FileEntry { stored_bytes: meta.size, modified_micros: meta.last_modified.timestamp_micros(), ..self.clone() }
    }
}

impl Found {
    /// Counts the file at the position as one behind it, when it was read to its end.
    pub(super) fn count_at_as_behind(&mut self) {
        if let Some(at) = self.at.take() {
            self.add_behind(&at);
        }
    }

    fn add_behind(&mut self, entry: &FileEntry) {
        self.behind.add(&entry.name, entry.stored_bytes, entry.modified_micros);
        if self.newest_behind.as_ref().is_none_or(|(_, newest)| *newest < entry.modified_micros) {
            self.newest_behind = Some((entry.name.to_string(), entry.modified_micros));
        }
    }

    /// Says how the files behind the position differ from `read`, or `None` when they are the same.
    pub(super) fn difference(&self, read: &Finished) -> Option<String> {
        if self.behind.same_files(read) {
            return None;
        }
        let (then, now) = (read.files, self.behind.files);
        let newer = self.newest_behind.as_ref().filter(|(_, micros)| read.files == 0 || *micros > read.newest_micros);
        Some(match newer {
            Some((name, _)) => format!(
                "{} before it had been read, now there are {now}, and `{name}` was added or changed since",
                files(then)
            ),
            None => {
                format!("{} before it had been read, now there are {now}, and a name or a size is another", files(then))
            }
        })
    }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

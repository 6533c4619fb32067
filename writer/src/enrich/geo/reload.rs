//! A geo database in a local file that is replaced now and then while we run.
//!
//! The caller polls; a poll costs one look at size and time of the file. Nothing is replaced by a file that cannot be
//! opened: the error is told once, and the file is read again when it has changed again.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::GeoDatabase;
use icefold_core::{Error, Result};

/// What a file looked like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Size in bytes.
    pub bytes: u64,
    /// When it was last written, where the file system says so.
    pub modified: Option<SystemTime>,
}

/// Decides whether a file that looked like `seen` when it was last read, and looks like `now`, is to be read again.
/// A time that goes back counts as well: an older database was put back on purpose.
pub fn should_reload(seen: Option<&FileStamp>, now: &FileStamp) -> bool {
    // An empty file is one that has just been created.
    now.bytes > 0 && seen != Some(now)
}

/// A local file with a geo database.
#[derive(Debug)]
pub struct GeoFile {
    path: PathBuf,
    /// The stamp of the file that was last read, whether it could be opened or not.
    seen: Option<FileStamp>,
    /// True after an error that the file is not there, until it is.
    is_missing: bool,
}

impl GeoFile {
    /// Makes a watch over the file at `path`; nothing is read before the first poll.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        GeoFile { path: path.into(), seen: None, is_missing: false }
    }

    /// Reads the file when it has changed since the last poll (or on the first one): the new database, or the error
    /// that keeps the former one in use. `None` when there is nothing new, also while somebody is writing the file.
    /// Blocks as long as reading takes.
    pub fn poll(&mut self) -> Option<Result<GeoDatabase>> {
        let before = match stamp(&self.path) {
            Ok(stamp) => stamp,
            Err(error) => return (!std::mem::replace(&mut self.is_missing, true)).then_some(Err(error)),
        };
        self.is_missing = false;
        if !should_reload(self.seen.as_ref(), &before) {
            return None;
        }
        let opened = read(&self.path).and_then(GeoDatabase::open).map_err(|e| e.with("path", self.path.display()));
        // Written while it was read: what was read is of no use, the next poll sees another stamp anyway.
        if stamp(&self.path).ok() != Some(before) {
            return None;
        }
        self.seen = Some(before);
        Some(opened)
    }
}

fn stamp(path: &Path) -> Result<FileStamp> {
    let metadata: Metadata = std::fs::metadata(path).map_err(|e| unreadable(path, e))?;
    Ok(FileStamp { bytes: metadata.len(), modified: metadata.modified().ok() })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| unreadable(path, e))
}

fn unreadable(path: &Path, cause: std::io::Error) -> Error {
    Error::invalid("the geo database cannot be read: correct its path or its permissions")
        .with("path", path.display())
        .because(cause)
}

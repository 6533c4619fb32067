//! What a user types to name a source, and opening it.

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use icefold_core::{Clock, Error, ErrorKind, Result, ShardId, ShardPosition};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::watch;
use url::Url;

use super::{FileRoot, FileSource, Source, SourceSettings, StreamSource, refusal};

/// A source as a user names it, in the one form that all spellings of it share.
///
/// | typed | shard |
/// |---|---|
/// | `logs`, `./logs/`, `/data/logs`, `file:///data/logs` | `file:///data/logs` (links resolved) |
/// | `s3://bucket/prefix/` | `s3://bucket/prefix` |
/// | `-` | `stdin/NAME` |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceName {
    shard: ShardId,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Local { path: PathBuf, folder: bool },
    S3 { bucket: String, path: Path },
    StandardInput,
}

/// What is needed to open a source beside its name.
#[derive(Debug, Clone)]
pub struct OpenSource<'a> {
    /// The store of the bucket, for a source on S3 (see [`SourceName::bucket`]).
    pub store: Option<Arc<dyn ObjectStore>>,
    /// Where to continue; `None` reads from the start.
    pub position: Option<&'a ShardPosition>,
    /// Before which the time of the stream does not begin, in microseconds since 1970: the latest one of the shards that this one
    /// continues.
    pub floor_micros: Option<i64>,
    /// How to read.
    pub settings: SourceSettings,
    /// Ends the source when it turns true.
    pub stop: watch::Receiver<bool>,
    /// Tells when standard input is read.
    pub clock: Arc<dyn Clock>,
}

impl SourceName {
    /// Reads what a user typed. `stdin_name` tells one standard input from another.
    ///
    /// # Errors
    /// `NotFound` for a path that does not exist, `Refused` for one that may not be read, `InvalidInput` for anything
    /// else that is no source.
    pub fn parse(typed: &str, stdin_name: &str) -> Result<SourceName> {
        match typed.split_once("://") {
            _ if typed == "-" => Self::standard_input(stdin_name),
            Some(("s3" | "s3a", rest)) => Self::s3(rest),
            Some(("file", _)) => Self::local(&file_url(typed)?),
            Some((scheme, _)) if is_scheme(scheme) => Err(Error::invalid(format!(
                "`{typed}` cannot be read: a source is a path, a `file://` or `s3://` URL, or `-` for standard input"
            ))),
            _ if typed.is_empty() => Err(Error::invalid("the name of a source is empty: give a path, a URL or `-`")),
            _ => Self::local(FsPath::new(typed)),
        }
    }

    /// The shard that it is.
    pub fn shard(&self) -> &ShardId {
        &self.shard
    }

    /// The S3 bucket whose store has to be handed to [`open_source`], if it is on S3.
    pub fn bucket(&self) -> Option<&str> {
        match &self.place {
            Place::S3 { bucket, .. } => Some(bucket),
            _ => None,
        }
    }

    /// Returns whether it is standard input, which can be read only once.
    pub fn is_standard_input(&self) -> bool {
        self.place == Place::StandardInput
    }

    fn standard_input(name: &str) -> Result<SourceName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(Error::invalid(format!(
                "`{name}` cannot name standard input: use letters, digits, `-`, `_` and `.`"
            )));
        }
        Ok(SourceName { shard: ShardId::new(format!("stdin/{name}")), place: Place::StandardInput })
    }

    fn s3(rest: &str) -> Result<SourceName> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(Error::invalid("an `s3://` URL needs a bucket: `s3://bucket/prefix`"));
        }
        let path = Path::parse(prefix.trim_matches('/')).map_err(|e| {
            Error::invalid(format!("`s3://{rest}` has an empty or relative part: write the key as it is listed"))
                .because(e)
        })?;
        let shard = match path.as_ref() {
            "" => format!("s3://{bucket}"),
            path => format!("s3://{bucket}/{path}"),
        };
        Ok(SourceName { shard: ShardId::new(shard), place: Place::S3 { bucket: bucket.to_owned(), path } })
    }

    fn local(typed: &FsPath) -> Result<SourceName> {
        let shown = typed.display();
        let path = std::fs::canonicalize(typed).map_err(|e| cannot_see(typed, e))?;
        let kind = std::fs::metadata(&path).map_err(|e| cannot_see(typed, e))?.file_type();
        if !kind.is_dir() && !kind.is_file() {
            return Err(Error::invalid(format!("`{shown}` is neither a file nor a folder: read a pipe with `-`")));
        }
        if kind.is_dir() {
            std::fs::read_dir(&path).map(drop).map_err(|e| cannot_see(typed, e))?;
        } else {
            std::fs::File::open(&path).map(drop).map_err(|e| cannot_see(typed, e))?;
        }
        let url = path.to_str().and_then(|_| Url::from_file_path(&path).ok()).ok_or_else(|| {
            Error::invalid(format!("the path `{shown}` is not UTF-8: rename it or read it through `-`"))
        })?;
        let shard = ShardId::new(url.as_str().trim_end_matches('/'));
        Ok(SourceName { shard, place: Place::Local { path, folder: kind.is_dir() } })
    }
}

/// Opens the source `name`.
///
/// # Errors
/// Those of [`FileSource::open`] and [`StreamSource::open`].
pub async fn open_source(name: &SourceName, with: OpenSource<'_>) -> Result<Box<dyn Source>> {
    let shard = name.shard.clone();
    let (store, root): (Arc<dyn ObjectStore>, FileRoot) = match &name.place {
        Place::StandardInput => {
            let reader = Box::new(std::io::stdin());
            let OpenSource { position, floor_micros, settings, stop, clock, .. } = with;
            let source = StreamSource::open(reader, shard, clock, position, floor_micros, settings, stop).await?;
            return Ok(Box::new(source));
        }
        Place::Local { path, folder } => {
            let path = Path::from_absolute_path(path).map_err(|e| refusal::storage(e.into(), "opening", &shard))?;
            (Arc::new(LocalFileSystem::new()), FileRoot { shard, path, single_file: !folder })
        }
        Place::S3 { bucket, path } => {
            let store = with.store.ok_or_else(|| Error::bug(format!("no store was given for bucket `{bucket}`")))?;
            let single_file = is_object(&store, path).await?;
            (store, FileRoot { shard, path: path.clone(), single_file })
        }
    };
    let OpenSource { position, floor_micros, settings, stop, .. } = with;
    Ok(Box::new(FileSource::open(store, root, position, floor_micros, settings, stop).await?))
}

/// Returns whether `path` is one object. An empty one is a marker that some tools make for a folder.
async fn is_object(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<bool> {
    if path.as_ref().is_empty() {
        return Ok(false);
    }
    match store.head(path).await {
        Ok(meta) => Ok(meta.size > 0),
        // Who may read only below a prefix is denied the prefix itself. If nothing may be read, listing says so.
        Err(object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. }) => Ok(false),
        Err(e) => Err(refusal::storage(e, "looking at", path)),
    }
}

fn file_url(typed: &str) -> Result<PathBuf> {
    Url::parse(typed)
        .ok()
        .and_then(|url| url.to_file_path().ok())
        .ok_or_else(|| Error::invalid(format!("`{typed}` is no URL of a local file: write `file:///absolute/path`")))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn cannot_see(path: &FsPath, error: std::io::Error) -> Error {
    let shown = path.display();
    let (kind, message) = match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            (ErrorKind::NotFound, format!("`{shown}` does not exist: check the path"))
        }
        std::io::ErrorKind::PermissionDenied => {
            (ErrorKind::Refused, format!("`{shown}` may not be read: check its permissions"))
        }
        _ => (ErrorKind::Refused, format!("`{shown}` cannot be opened")),
    };
    Error::new(kind, message).with("reason", &error).because(error)
}

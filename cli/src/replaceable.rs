//! A file that somebody else may replace at any time: at a path, in a bucket, or behind a URL. It is read again only when
//! it is another one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use icefold_catalog::S3Settings;
use icefold_catalog::store::open_root;
use icefold_core::{Error, ErrorKind, Result};
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Client, Response, StatusCode};

use crate::config::{is_fetched, without_secrets};

/// Longest time to wait for a server: to connect, and between two pieces of an answer.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Longest time that an answer may take as a whole.
const MAX_FETCHING: Duration = Duration::from_secs(600);

/// Largest file that is fetched from a URL: a geo database with every address has some 500 MB.
const MAX_FETCHED_BYTES: u64 = 1 << 30;

/// A file, and what is known of the one that was read last.
#[derive(Debug)]
pub(crate) struct Replaceable {
    place: String,
    last: Option<Stamp>,
    client: Option<Client>,
}

/// What tells a file from the one that replaces it.
#[derive(Debug, PartialEq, Eq)]
enum Stamp {
    /// Size and time of an object.
    Stored(String),
    /// What a server says of a version (RFC 9110, section 8.8), and a hash for servers that say nothing.
    Served { etag: Option<HeaderValue>, modified: Option<HeaderValue>, hash: u64 },
}

impl Replaceable {
    pub(crate) fn new(place: impl Into<String>) -> Self {
        Replaceable { place: place.into(), last: None, client: None }
    }

    /// Returns the place as it may be shown.
    pub(crate) fn shown(&self) -> String {
        without_secrets(&self.place)
    }

    /// Returns the file if it is another one than when it was last read.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the place cannot be right; [`ErrorKind::Transient`] when it may answer later.
    pub(crate) async fn changed(&mut self, s3: &S3Settings) -> Result<Option<Bytes>> {
        let found = match is_fetched(&self.place) {
            true => self.fetched().await?,
            false => self.read(s3).await?,
        };
        let Some((bytes, stamp)) = found else { return Ok(None) };
        self.last = Some(stamp);
        Ok(Some(bytes))
    }

    async fn read(&self, s3: &S3Settings) -> Result<Option<(Bytes, Stamp)>> {
        let place = &self.place;
        let root = open_root(place, s3)?;
        let path = root.store.object_path(&root.uri)?;
        let store = root.store.object_store();
        let shown = self.shown();
        let failed =
            |e| Error::invalid(format!("`{shown}` cannot be read: correct its path or its permissions")).because(e);
        let found = object_store::ObjectStoreExt::head(&store, &path).await.map_err(failed)?;
        let stamp = Stamp::Stored(format!("{} {}", found.size, found.last_modified));
        if self.last.as_ref() == Some(&stamp) {
            return Ok(None);
        }
        let bytes = root.store.read(&root.uri).await?;
        // Written while it was read: the next look sees another stamp.
        Ok((bytes.len() as u64 == found.size).then_some((bytes, stamp)))
    }

    async fn fetched(&mut self) -> Result<Option<(Bytes, Stamp)>> {
        let response = self.ask().await?;
        match response.status() {
            StatusCode::NOT_MODIFIED => return Ok(None),
            status if status.is_success() => {}
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                let message = format!("`{}` answers {status}: correct the URL, or the key in it", self.shown());
                return Err(Error::invalid(message));
            }
            status => return Err(self.away().with("status", status)),
        }
        let header = |headers: &HeaderMap, name| headers.get(name).cloned();
        let (etag, modified) = (header(response.headers(), ETAG), header(response.headers(), LAST_MODIFIED));
        let Some(bytes) = self.body(response).await? else {
            // Not fetched again as long as it is the same, if the server can tell.
            self.last = Some(Stamp::Served { etag, modified, hash: 0 });
            let message = format!("`{}` is longer than {MAX_FETCHED_BYTES} bytes: put it on disk", self.shown());
            return Err(Error::invalid(message));
        };
        let hashed = bytes.clone();
        let hash = tokio::task::spawn_blocking(move || fingerprint(&hashed)).await;
        let hash = hash.map_err(|e| Error::bug("a fingerprint panicked").because(e))?;
        let is_same = matches!(&self.last, Some(Stamp::Served { hash: last, .. }) if *last == hash);
        let stamp = Stamp::Served { etag, modified, hash };
        if is_same {
            self.last = Some(stamp);
            return Ok(None);
        }
        Ok(Some((bytes, stamp)))
    }

    /// Asks for the file, unless it is the one that is known.
    async fn ask(&mut self) -> Result<Response> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => {
                let built = Client::builder()
                    .connect_timeout(MAX_SILENCE)
                    .read_timeout(MAX_SILENCE)
                    .timeout(MAX_FETCHING)
                    // Where a server sends us on to must not learn the key that stands in the URL.
                    .referer(false)
                    .build();
                let built = built.map_err(|e| Error::bug("a client for HTTP cannot be made").because(e))?;
                self.client.insert(built).clone()
            }
        };
        let mut request = client.get(&self.place);
        if let Some(Stamp::Served { etag, modified, .. }) = &self.last {
            let known = [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, modified)];
            for (name, value) in known {
                request = value.iter().fold(request, |request, value| request.header(&name, value));
            }
        }
        request.send().await.map_err(|e| self.broken(e))
    }

    /// Returns the body; `None` when it is too long.
    async fn body(&self, mut response: Response) -> Result<Option<Bytes>> {
        let announced = response.content_length().unwrap_or(0);
        if announced > MAX_FETCHED_BYTES {
            return Ok(None);
        }
        // At once, since a buffer that grows is copied again and again.
        let mut body = BytesMut::with_capacity(announced as usize);
        while let Some(piece) = response.chunk().await.map_err(|e| self.broken(e))? {
            if (body.len() + piece.len()) as u64 > MAX_FETCHED_BYTES {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Some(body.freeze()))
    }

    fn away(&self) -> Error {
        let message = format!("`{}` cannot be fetched now; it is looked for again", self.shown());
        Error::new(ErrorKind::Transient, message)
    }

    /// The URL of an error may hold secrets, so it is left out.
    fn broken(&self, error: reqwest::Error) -> Error {
        match error.is_builder() {
            true => Error::invalid(format!("`{}` is no URL", self.shown())).because(error.without_url()),
            false => self.away().because(error.without_url()),
        }
    }
}

fn fingerprint(bytes: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

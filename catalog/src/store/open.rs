//! From what a user writes (a folder, a `file://` or `s3://` URL) to a [`Store`] and a canonical URI.

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use icefold_core::{Error, Result};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::{ClientOptions, RetryConfig};
use url::Url;

use super::Store;
use super::local::DurableLocal;
use crate::settings::S3Settings;

/// A request that has not been answered after this long has failed.
const REQUEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);
/// A connection that is not up after this long has failed.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// Time that the S3 client retries throttling and server errors by itself.
const RETRY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// A store and the place in it that was named.
#[derive(Debug, Clone)]
pub struct Root {
    /// The store.
    pub store: Store,
    /// Canonical URI without a trailing slash: `file:///abs/dir`, `s3://bucket/prefix`, `memory:///name`.
    pub uri: String,
}

/// Opens the root of a warehouse.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) for what is neither a folder nor a known URL.
pub fn open_root(location: &str, s3: &S3Settings) -> Result<Root> {
    if let Some(path) = local_path(location)? {
        let store = Store::new(Arc::new(DurableLocal::new()), Url::parse("file:///").expect("a constant URL"));
        return Ok(Root { store, uri: format!("file://{}", path.display()).trim_end_matches('/').to_owned() });
    }
    let url = Url::parse(location).map_err(|e| Error::invalid(format!("`{location}` is not a URL")).because(e))?;
    match url.scheme() {
        "s3" => open_s3(&url, s3),
        "memory" => Ok(Root { store: Store::in_memory(), uri: location.trim_end_matches('/').to_owned() }),
        other => Err(Error::invalid(format!(
            "`{location}` has the unknown scheme `{other}`: use a folder, file://, or s3://bucket/prefix"
        ))),
    }
}

/// Opens a place outside the warehouse, for example the source of an ingest.
///
/// # Errors
/// As [`open_root`].
pub fn open_foreign(location: &str, s3: &S3Settings) -> Result<Root> {
    open_root(location, s3)
}

/// Returns the absolute path of a local location, `None` for a URL of another scheme.
///
/// # Errors
/// [`ErrorKind::Refused`](icefold_core::ErrorKind::Refused) when the working directory cannot be told.
pub fn local_path(location: &str) -> Result<Option<PathBuf>> {
    let path = match location.strip_prefix("file://").or_else(|| location.strip_prefix("file:")) {
        Some(path) => path,
        None if location.contains("://") => return Ok(None),
        None => location,
    };
    let absolute = std::path::absolute(FsPath::new(path)).map_err(|e| {
        Error::new(icefold_core::ErrorKind::Refused, format!("`{path}` has no absolute form")).because(e)
    })?;
    Ok(Some(normalised(&absolute)))
}

/// Takes `.` and `..` out, so that one folder has one URI. Links are kept: the URI is what the user wrote.
fn normalised(path: &FsPath) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

fn open_s3(url: &Url, s3: &S3Settings) -> Result<Root> {
    let bucket =
        url.host_str().ok_or_else(|| Error::invalid(format!("`{url}` names no bucket: write s3://bucket/prefix")))?;
    let client = ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT);
    let retry = RetryConfig { retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(client)
        .with_retry(retry)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_allow_http(s3.allow_http);
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &s3.region {
        builder = builder.with_region(region);
    }
    if let Some(key) = &s3.access_key_id {
        builder = builder.with_access_key_id(key);
    }
    if let Some(secret) = &s3.secret_access_key {
        builder = builder.with_secret_access_key(secret);
    }
    let store = builder.build().map_err(|e| {
        Error::invalid(format!("`{url}` cannot be opened: check region, endpoint and credentials")).because(e)
    })?;
    let root =
        Url::parse(&format!("s3://{bucket}/")).map_err(|e| Error::invalid("bucket name is no host name").because(e))?;
    let prefix = url.path().trim_matches('/');
    let uri = format!("{root}{prefix}").trim_end_matches('/').to_owned();
    Ok(Root { store: Store::new(Arc::new(store), root), uri })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_has_one_uri() {
        let s3 = S3Settings::default();
        for spelling in ["/a/b", "/a/b/", "/a/./c/../b", "file:///a/b", "file:/a/b"] {
            assert_eq!(open_root(spelling, &s3).expect("local").uri, "file:///a/b", "{spelling}");
        }
    }

    #[test]
    fn an_unknown_scheme_names_the_known_ones() {
        let error = open_root("gs://b/x", &S3Settings::default()).expect_err("unknown");
        assert!(error.to_string().contains("s3://"), "{error}");
    }
}

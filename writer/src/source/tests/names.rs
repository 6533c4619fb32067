//! What a user may type.

use std::sync::Arc;

use icefold_core::{ErrorKind, SystemClock};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::watch;

use super::place::{Place, Request, rest, small, text};
use crate::source::{OpenSource, SourceName, open_source};

fn with(store: Option<Arc<dyn ObjectStore>>) -> OpenSource<'static> {
    let stop = watch::channel(false).1;
    OpenSource { store, position: None, floor_micros: None, settings: small(), stop, clock: Arc::new(SystemClock) }
}

#[tokio::test]
async fn every_spelling_of_a_folder_is_the_same_shard() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("my logs/sub")).unwrap();
    std::fs::write(root.join("my logs/a"), "1\n").unwrap();
    std::os::unix::fs::symlink(root.join("my logs"), root.join("link")).unwrap();
    let root = root.to_str().unwrap();
    let shard = format!("file://{root}/my%20logs");
    for typed in [
        format!("{root}/my logs"),
        format!("{root}/my logs/"),
        format!("{root}/my logs/sub/.."),
        format!("{root}/link"),
        format!("file://{root}/my%20logs"),
        format!("file://{root}/my logs/"),
    ] {
        let name = SourceName::parse(&typed, "x").unwrap();
        assert_eq!(name.shard().as_str(), shard, "{typed}");
        let mut source = open_source(&name, with(None)).await.unwrap();
        assert_eq!(source.shard(), name.shard());
        assert_eq!(text(&rest(source.as_mut()).await), "1\n", "{typed}");
    }
    let file = SourceName::parse(&format!("{root}/my logs/a"), "x").unwrap();
    assert_eq!(file.shard().as_str(), format!("{shard}/a"));
    assert_eq!(text(&rest(open_source(&file, with(None)).await.unwrap().as_mut()).await), "1\n");
}

#[test]
fn a_path_that_does_not_exist_is_not_found() {
    for typed in ["/no/such/file", "file:///no/such/file", "no-such-file", "no-such-scheme:", "/dev/null/x"] {
        let error = SourceName::parse(typed, "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        assert!(error.message().contains("does not exist"), "{error}");
    }
}

#[test]
fn what_is_no_source_is_refused_with_what_is_one() {
    for (typed, says) in [
        ("", "empty"),
        ("http://example.com/x", "`s3://`"),
        ("s3://", "bucket"),
        ("s3:///key", "bucket"),
        ("s3://b/a//c", "as it is listed"),
        ("s3://b/../c", "as it is listed"),
        ("file://host/x", "file:///absolute/path"),
        ("/dev/null", "neither a file nor a folder"),
    ] {
        let error = SourceName::parse(typed, "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{typed}");
        assert!(error.message().contains(says), "{typed}: {error}");
    }
    assert!(SourceName::parse("-", "a/b").unwrap_err().message().contains("cannot name standard input"));
}

#[test]
fn standard_input_is_a_shard_by_the_name_it_is_given() {
    let name = SourceName::parse("-", "web-1").unwrap();
    assert_eq!(name.shard().as_str(), "stdin/web-1");
    assert!(name.is_standard_input() && name.bucket().is_none());
}

#[tokio::test]
async fn an_s3_prefix_and_an_s3_object_are_told_apart_by_what_is_there() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for (key, content) in
        [("logs/a", "1\n"), ("logs/b", "2\n"), ("logs2/c", "3\n"), ("marker", ""), ("marker/d", "4\n")]
    {
        store.put(&Path::from(key), content.into()).await.unwrap();
    }
    for (typed, shard, content) in [
        ("s3://bucket/logs", "s3://bucket/logs", "1\n|2\n"),
        ("s3://bucket/logs/", "s3://bucket/logs", "1\n|2\n"),
        ("s3a://bucket/logs", "s3://bucket/logs", "1\n|2\n"),
        ("s3://bucket/logs/b", "s3://bucket/logs/b", "2\n"),
        ("s3://bucket/marker", "s3://bucket/marker", "4\n"),
        ("s3://bucket", "s3://bucket", "1\n|2\n|3\n|4\n"),
    ] {
        let name = SourceName::parse(typed, "x").unwrap();
        assert_eq!((name.shard().as_str(), name.bucket()), (shard, Some("bucket")));
        let mut source = open_source(&name, with(Some(store.clone()))).await.unwrap();
        assert_eq!(text(&rest(source.as_mut()).await), content, "{typed}");
    }
    let denied = Place::in_memory();
    denied.put("a", "1\n");
    denied.store.before_each(|request, _| {
        (request == Request::Head)
            .then(|| object_store::Error::PermissionDenied { path: "root".into(), source: "403".into() })
    });
    let name = SourceName::parse("s3://bucket/root", "x").unwrap();
    let mut source = open_source(&name, with(Some(denied.store.clone()))).await.unwrap();
    assert_eq!(text(&rest(source.as_mut()).await), "1\n", "only what is below the prefix may be read");

    let nothing = SourceName::parse("s3://bucket/nothing", "x").unwrap();
    let error = open_source(&nothing, with(Some(store))).await.err().unwrap();
    assert!(error.message().contains("`s3://bucket/nothing` holds no files"), "{error}");
}

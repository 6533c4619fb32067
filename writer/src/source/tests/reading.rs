//! What one pass reads, and in which order.

use std::io::Write;

use icefold_core::{ErrorKind, Offset};

use super::place::{Place, Request, gzip, numbered, rest, small, text, zstd};
use crate::source::settings::MAX_CHUNK_LINES;
use crate::source::{Source, SourceSettings};

#[tokio::test]
async fn files_are_read_in_byte_order_of_their_names_through_all_folders() {
    for place in Place::both() {
        for name in ["b.ndjson", "a/z.ndjson", "a.ndjson", "a/10", "a/9", "Z", "é", "a b"] {
            place.put(name, format!("{name}\n"));
        }
        assert_eq!(text(&place.read().await), "Z\n|a b\n|a.ndjson\n|a/10\n|a/9\n|a/z.ndjson\n|b.ndjson\n|é\n");
    }
}

#[tokio::test]
async fn hidden_and_empty_files_are_not_read() {
    for place in Place::both() {
        for name in [".hidden", "_SUCCESS", ".git/config", "_temporary/part", "a/.x", "a/_x"] {
            place.put(name, "no\n");
        }
        place.put("empty", "");
        place.put("a/x_.y", "yes\n");
        assert_eq!(text(&place.read().await), "yes\n");
    }
}

/// Lines of a few bytes become rows of some hundred: a chunk of them would take a hundred times its size.
#[tokio::test]
async fn a_chunk_holds_a_bounded_number_of_lines_and_none_is_lost() {
    let content: String = (0..50_000).map(|line| format!("{line}\n")).collect();
    for place in Place::both() {
        place.put("a.ndjson", &content);
        let chunks = rest(&mut place.open_with(None, SourceSettings::default()).await.unwrap()).await;
        assert_eq!(text(&chunks), content);
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(chunks.iter().map(|chunk| lines(&chunk.bytes)).max(), Some(MAX_CHUNK_LINES));
    }
}

#[tokio::test]
async fn a_file_that_is_named_itself_is_read_whatever_its_name() {
    for place in Place::both() {
        place.put("_one.log", "1\n2\n");
        place.put("other", "no\n");
        let chunks = rest(&mut place.open_file("_one.log", None).await.unwrap()).await;
        assert_eq!(text(&chunks), "1\n2\n");
        assert_eq!(chunks[0].to.next, Offset::new("_one.log", 4));
    }
}

#[tokio::test]
async fn chunks_are_whole_lines_and_follow_one_another_without_a_gap() {
    for place in Place::both() {
        place.put("a", "one\ntwo\nthree three three three\nfour\n");
        place.put("b", "five\r\nsix");
        let chunks = place.read().await;
        assert_eq!(text(&chunks), "one\ntwo\nthree three three three\nfour\n|five\r\nsix");
        let mut next = Offset::start();
        for chunk in &chunks {
            assert_eq!(chunk.from, next);
            assert_eq!(chunk.to.next, Offset::new(chunk.segment.clone(), chunk.start + chunk.bytes.len() as u64));
            assert!(chunk.bytes.ends_with(b"\n") || chunk.bytes.ends_with(b"six"), "{chunk:?}");
            next = chunk.to.next.clone();
        }
        assert_eq!(next, Offset::new("b", 9));
    }
}

#[tokio::test]
async fn the_form_is_told_by_the_first_bytes_not_by_the_name() {
    for place in Place::both() {
        place.put("1.gz", "plain\n");
        place.put("2.ndjson", gzip(b"gzip\n"));
        place.put("3.txt", zstd(b"zstd\n"));
        place.put("4", "(\n");
        place.put("5", [0x1f, b'\n']);
        assert_eq!(text(&place.read().await), "plain\n|gzip\n|zstd\n|(\n|\u{1f}\n");
    }
}

#[tokio::test]
async fn all_gzip_members_and_zstd_frames_are_read() {
    let skippable = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'x', b'y', b'z'];
    for place in Place::both() {
        place.put("a", [gzip(b"1\n2"), gzip(b""), gzip(b"3\n"), gzip(b"4\n")].concat());
        place.put("b", [&skippable[..], &zstd(b"5\n6"), &zstd(b""), &skippable, &zstd(b"7\n8")].concat());
        assert_eq!(text(&place.read().await), "1\n23\n4\n|5\n67\n8");
    }
}

#[tokio::test]
async fn a_file_of_a_foreign_form_is_refused_with_its_name_for_what_it_is() {
    for (content, what) in [
        (&b"\xfd7zXZ\x00...."[..], "xz"),
        (b"BZh91AY&SY", "bzip2"),
        (b"PK\x03\x04....", "zip"),
        (b"PAR1\x15\x04\x15", "parquet"),
    ] {
        let place = Place::in_memory();
        place.put("a", "1\n");
        place.put("b", content);
        let (chunks, error) = super::place::until_error(&mut place.open(None).await.unwrap()).await;
        assert_eq!((text(&chunks).as_str(), error.kind()), ("1\n", ErrorKind::InvalidInput));
        let message = error.to_string();
        assert!(message.contains(what) && message.contains("`b`"), "{message}");
    }
}

#[tokio::test]
async fn the_time_of_the_stream_is_the_modification_time_of_the_file() {
    let place = Place::on_disk();
    let mut file = std::fs::File::create(place.folder().join("a")).unwrap();
    file.write_all(b"1\n").unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_micros(1_431_857_103_000_042)).unwrap();
    assert_eq!(place.read().await[0].stream_time_micros, 1_431_857_103_000_042);
}

#[tokio::test]
async fn a_folder_without_files_is_an_error_that_says_so() {
    for place in Place::both() {
        place.put("_hidden", "1\n");
        let error = place.open(None).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("holds no files"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_goes_away_before_it_is_read_is_passed_over() {
    for place in Place::both() {
        place.put("a", "1\n");
        place.put("b", "2\n");
        place.put("c", "3\n");
        let mut source = place.open(None).await.unwrap();
        place.remove("b");
        assert_eq!(text(&rest(&mut source).await), "1\n|3\n");
    }
}

#[tokio::test]
async fn a_file_that_is_emptied_before_it_is_read_is_as_if_it_were_not_there() {
    for place in Place::both() {
        place.put("a", "1\n");
        place.put("b", "2\n");
        place.put("c", "3\n");
        let mut source = place.open(None).await.unwrap();
        place.put("b", "");
        let chunks = rest(&mut source).await;
        assert_eq!(text(&chunks), "1\n|3\n");
        assert_eq!(rest(&mut place.open(Some(&chunks[1].to)).await.unwrap()).await.len(), 0);
    }
}

#[tokio::test]
async fn storage_that_fails_is_worth_another_try_and_storage_that_refuses_is_not() {
    for (refused, kind) in [(false, ErrorKind::Transient), (true, ErrorKind::Refused)] {
        for request in [Request::List, Request::Get] {
            let place = Place::in_memory();
            place.put("a", numbered(100));
            place.store.before_each(move |now, _| (now == request).then(|| failure(refused)));
            let error = match place.open(None).await {
                Ok(mut source) => source.next().await.unwrap_err(),
                Err(error) => error,
            };
            assert_eq!(error.kind(), kind, "{error:?}");
        }
    }
}

fn failure(refused: bool) -> object_store::Error {
    let source = "no".into();
    match refused {
        true => object_store::Error::PermissionDenied { path: "root/a".into(), source },
        false => object_store::Error::Generic { store: "S3", source },
    }
}

#[tokio::test]
async fn a_small_object_costs_one_request_beside_the_listing() {
    let place = Place::in_memory();
    for i in 0..20 {
        place.put(&format!("{i:02}"), format!("{i}\n"));
    }
    assert_eq!(place.read().await.len(), 20);
    let requests = place.store.requests();
    assert_eq!((requests.gets, requests.heads, requests.lists), (20, 0, 1));
}

#[tokio::test]
async fn after_its_end_a_source_says_that_it_is_over() {
    let place = Place::in_memory();
    place.put("a", "1\n");
    let mut source = place.open(None).await.unwrap();
    rest(&mut source).await;
    assert_eq!(source.next().await.unwrap_err().kind(), ErrorKind::Bug);
}

#[tokio::test]
async fn wrong_settings_are_refused_by_name() {
    let place = Place::in_memory();
    place.put("a", "1\n");
    for (key, settings) in [
        ("chunk_bytes", SourceSettings { chunk_bytes: 0, ..small() }),
        ("read_bytes", SourceSettings { read_bytes: 0, ..small() }),
        ("max_record_bytes", SourceSettings { chunk_bytes: 2_048, ..small() }),
        ("listing_limit", SourceSettings { listing_limit: 0, ..small() }),
        ("poll_interval", SourceSettings { poll_interval: std::time::Duration::ZERO, ..small() }),
        ("polls_per_recheck", SourceSettings { polls_per_recheck: 0, ..small() }),
    ] {
        let error = place.open_with(None, settings).await.err().unwrap();
        assert!(error.message().contains(&format!("`{key}`")), "{error}");
    }
}

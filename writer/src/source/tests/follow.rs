//! Following files as they grow.

use std::sync::Arc;

use icefold_core::{ErrorKind, Offset};

use super::place::{Place, Request, following, gzip, rest, text, zstd};
use crate::source::{Source, SourceSettings};

#[tokio::test]
async fn the_last_line_waits_for_its_line_break() {
    for place in Place::both() {
        place.put("a", "1\n2");
        let mut source = place.open_with(None, following()).await.unwrap();
        assert_eq!(source.next().await.unwrap().unwrap().bytes, "1\n");
        let (next, ()) = tokio::join!(source.next(), async {
            place.store.looked(3).await;
            place.append("a", "3\n");
        });
        let chunk = next.unwrap().unwrap();
        assert_eq!((&chunk.bytes[..], chunk.start), (&b"23\n"[..], 2));
    }
}

#[tokio::test]
async fn a_later_file_ends_the_one_before() {
    for place in Place::both() {
        place.put("a", "1\n2");
        let mut source = place.open_with(None, following()).await.unwrap();
        assert_eq!(source.next().await.unwrap().unwrap().bytes, "1\n");
        let (next, ()) = tokio::join!(source.next(), async {
            place.store.looked(2).await;
            place.put("b", "3\n");
        });
        assert_eq!(next.unwrap().unwrap().bytes, "2");
        let chunk = source.next().await.unwrap().unwrap();
        assert_eq!((&chunk.bytes[..], chunk.from), (&b"3\n"[..], Offset::new("a", 3)));
    }
}

#[tokio::test]
async fn what_was_written_just_before_the_next_file_came_is_read() {
    for place in Place::both() {
        place.put("a", "1\n");
        let mut source = place.open_with(None, following()).await.unwrap();
        source.next().await.unwrap().unwrap();
        let (place, mut written) = (Arc::new(place), false);
        let writer = place.clone();
        place.store.before_each(move |request, _| {
            if request == Request::List && !std::mem::replace(&mut written, true) {
                writer.append("a", "2\n");
                writer.put("b", "3\n");
            }
            None
        });
        assert_eq!(source.next().await.unwrap().unwrap().bytes, "2\n");
        assert_eq!(source.next().await.unwrap().unwrap().bytes, "3\n");
        place.store.before_each(|_, _| None);
    }
}

#[tokio::test]
async fn an_empty_folder_is_followed_until_files_come() {
    for place in Place::both() {
        let mut source = place.open_with(None, following()).await.unwrap();
        let (next, ()) = tokio::join!(source.next(), async {
            let before = place.store.requests().lists;
            place.store.listed(before + 2).await;
            place.put("a", "1\n");
        });
        assert_eq!(next.unwrap().unwrap().bytes, "1\n");
    }
}

#[tokio::test]
async fn a_stop_ends_it_and_leaves_the_unfinished_line_for_the_next_run() {
    for place in Place::both() {
        place.put("a", "1\n2");
        let mut source = place.open_with(None, following()).await.unwrap();
        let position = source.next().await.unwrap().unwrap().to;
        let (next, ()) = tokio::join!(source.next(), async {
            place.store.looked(2).await;
            place.stop.send_replace(true);
        });
        assert!(next.unwrap().is_none());
        place.stop.send_replace(false);
        assert_eq!(text(&rest(&mut place.open(Some(&position)).await.unwrap()).await), "2");
    }
}

#[tokio::test]
async fn a_stop_is_heeded_before_anything_is_read() {
    let place = Place::in_memory();
    place.put("a", "1\n");
    place.stop.send_replace(true);
    for settings in [following(), super::place::small()] {
        assert!(place.open_with(None, settings).await.unwrap().next().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_compressed_file_that_breaks_off_may_still_be_growing() {
    let content = super::place::numbered(500);
    for place in Place::both() {
        for whole in [gzip(content.as_bytes()), zstd(content.as_bytes())] {
            place.put("a", &whole[..whole.len() / 2]);
            let mut source = place.open_with(None, following()).await.unwrap();
            let (chunks, ()) = tokio::join!(rest(&mut source), async {
                place.store.looked(3).await;
                place.append("a", &whole[whole.len() / 2..whole.len() - 2]);
                place.store.looked(3).await;
                place.append("a", &whole[whole.len() - 2..]);
                place.store.looked(3).await;
                place.stop.send_replace(true);
            });
            assert_eq!(text(&chunks), content);
            place.stop.send_replace(false);
        }
    }
}

#[tokio::test]
async fn a_followed_gzip_file_may_grow_by_members() {
    for place in Place::both() {
        place.put("a", gzip(b"1\n2"));
        let mut source = place.open_with(None, following()).await.unwrap();
        let (chunks, ()) = tokio::join!(rest(&mut source), async {
            place.store.looked(2).await;
            place.append("a", gzip(b"3\n"));
            place.store.looked(2).await;
            place.append("a", gzip(b"4\n"));
            place.store.looked(3).await;
            place.stop.send_replace(true);
        });
        assert_eq!(text(&chunks), "1\n23\n4\n");
    }
}

#[tokio::test]
async fn a_compressed_file_that_breaks_off_is_damaged_once_a_later_file_came() {
    let whole = gzip(super::place::numbered(500).as_bytes());
    let place = Place::in_memory();
    place.put("a", &whole[..whole.len() / 2]);
    let mut source = place.open_with(None, following()).await.unwrap();
    let (outcome, ()) = tokio::join!(super::place::until_error(&mut source), async {
        place.store.looked(2).await;
        place.put("b", "1\n");
    });
    assert!(outcome.1.message().contains("`a`") && outcome.1.message().contains("damaged"), "{}", outcome.1);
}

#[tokio::test]
async fn a_shortened_file_is_refused_while_it_is_followed() {
    for place in Place::both() {
        place.put("a", "1\n2\n");
        let mut source = place.open_with(None, following()).await.unwrap();
        source.next().await.unwrap().unwrap();
        place.put("a", "1\n");
        let error = source.next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("shorter"), "{error}");
    }
}

#[tokio::test]
async fn a_change_far_behind_is_found_while_following() {
    for place in Place::both() {
        place.put("a", "1\n");
        place.put("b", "2\n");
        let settings = SourceSettings { polls_per_recheck: 3, ..following() };
        let mut source = place.open_with(None, settings).await.unwrap();
        source.next().await.unwrap().unwrap();
        source.next().await.unwrap().unwrap();
        place.put("aa", "late\n");
        let error = source.next().await.unwrap_err();
        assert!(error.message().contains("`aa` was added"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_still_empty_does_not_end_the_one_before() {
    for place in Place::both() {
        place.put("a", "1\n");
        place.put("b", "");
        let mut source = place.open_with(None, following()).await.unwrap();
        source.next().await.unwrap().unwrap();
        place.append("a", "2\n");
        assert_eq!(source.next().await.unwrap().unwrap().bytes, "2\n");
        place.append("b", "3\n");
        assert_eq!(source.next().await.unwrap().unwrap().bytes, "3\n");
    }
}

#[tokio::test]
async fn one_pass_over_a_file_that_is_being_written_ends_at_a_whole_line() {
    let place = Place::on_disk();
    place.put("a", "1\n2");
    let path = place.folder().join("a");
    place.store.before_each(move |request, _| {
        if request == Request::Head {
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            std::io::Write::write_all(&mut file, b"3").unwrap();
        }
        None
    });
    let chunks = place.read().await;
    assert_eq!(text(&chunks), "1\n");
    place.append("a", "\n");
    place.store.before_each(|_, _| None);
    let again = rest(&mut place.open(Some(&chunks[0].to)).await.unwrap()).await;
    assert_eq!(text(&again), "23\n");
}

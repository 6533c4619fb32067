//! Changes behind the position, each of which is refused.

use icefold_core::{ErrorKind, Offset, ShardPosition};

use super::place::{Place, gzip, numbered, position_after, rest, small, until_error};
use crate::source::{Source, SourceSettings};

/// Reads `a`, `b` and a part of `c`, changes something and says how the restart is refused.
async fn after_change(place: &Place, change: impl FnOnce(&Place)) -> String {
    place.put("a", "1\n");
    place.put("b", "2\n");
    place.put("c", numbered(20));
    let mut source = place.open(None).await.unwrap();
    let position = loop {
        let chunk = source.next().await.unwrap().unwrap();
        if chunk.segment.as_ref() == "c" && chunk.start > 0 {
            break chunk.to;
        }
    };
    change(place);
    let message = place.refusal(&position).await;
    assert!(message.contains("as a new source") && message.contains("c@"), "{message}");
    message
}

#[tokio::test]
async fn a_removed_file_is_refused() {
    for place in Place::both() {
        let message = after_change(&place, |place| place.remove("a")).await;
        assert!(message.contains("2 files") && message.contains("now there are 1"), "{message}");
    }
}

#[tokio::test]
async fn a_renamed_file_is_refused() {
    for place in Place::both() {
        let message = after_change(&place, |place| {
            place.remove("a");
            place.put("aa", "1\n");
        });
        assert!(message.await.contains("`aa` was added or changed"));
    }
}

#[tokio::test]
async fn a_file_added_with_an_earlier_name_is_refused_and_named() {
    for place in Place::both() {
        let message = after_change(&place, |place| place.put("ab", "new\n")).await;
        assert!(message.contains("now there are 3, and `ab` was added or changed"), "{message}");
    }
}

#[tokio::test]
async fn a_finished_file_of_another_size_is_refused_and_named() {
    for place in Place::both() {
        let message = after_change(&place, |place| place.append("b", "3\n")).await;
        assert!(message.contains("`b` was added or changed"), "{message}");
    }
}

#[tokio::test]
async fn a_removed_or_emptied_current_file_is_refused_and_named() {
    for place in Place::both() {
        let message = after_change(&place, |place| place.remove("c")).await;
        assert!(message.contains("`c` was removed, renamed or emptied"), "{message}");
        let message = after_change(&place, |place| place.put("c", "")).await;
        assert!(message.contains("`c` was removed, renamed or emptied"), "{message}");
    }
}

#[tokio::test]
async fn a_current_file_that_is_shorter_than_the_position_is_refused() {
    for place in Place::both() {
        for shorter in [b"line 0\n".to_vec(), gzip(b"line 0\n")] {
            let message = after_change(&place, |place| place.put("c", shorter)).await;
            assert!(message.contains("`c` is shorter than what was read"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_current_file_with_another_beginning_is_refused() {
    for place in Place::both() {
        let other = numbered(20).replace("line 0", "LINE 0");
        for other in [other.clone().into_bytes(), gzip(other.as_bytes())] {
            let message = after_change(&place, |place| place.put("c", other)).await;
            assert!(message.contains("`c` does not begin with what was read"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_last_line_without_line_break_that_goes_on_is_refused() {
    for place in Place::both() {
        for (before, after) in [(b"1\n2".to_vec(), b"1\n23\n".to_vec()), (gzip(b"1\n2"), gzip(b"1\n23\n"))] {
            place.put("a", before);
            let position = position_after(&place.read().await);
            place.put("a", after);
            let message = place.refusal(&position).await;
            assert!(message.contains("last line of file `a`") && message.contains("goes on"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_position_that_is_not_of_this_source_is_refused() {
    let place = Place::in_memory();
    place.put("b", "1\n");
    let position = position_after(&place.read().await);
    place.remove("b");
    place.put("c", "1\n");
    assert!(place.refusal(&position).await.contains("`b` was removed"));
    let bare = ShardPosition::at(Offset::new("b", 2));
    assert_eq!(place.open(Some(&bare)).await.err().unwrap().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_file_rewritten_while_it_is_read_never_mixes_with_what_it_was() {
    for place in Place::both() {
        let before = numbered(200);
        place.put("a", &before);
        let mut source = place.open(None).await.unwrap();
        let first = source.next().await.unwrap().unwrap();
        place.put("a", before.replace("line", "LINE"));
        let (chunks, error) = until_error(&mut source).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(chunks.iter().all(|chunk| !chunk.bytes.starts_with(b"LINE")), "{chunks:?}");
        let position = chunks.last().map_or(first.to, |chunk| chunk.to.clone());
        assert!(place.refusal(&position).await.contains("does not begin with"));
    }
}

#[tokio::test]
async fn a_file_replaced_by_a_longer_one_while_it_is_read_goes_on_where_it_was() {
    let content = numbered(200);
    let longer = content.clone() + "one more\n";
    let compressed = |content: &str| gzip(content.as_bytes());
    for place in Place::both() {
        for (before, after) in
            [(content.clone().into_bytes(), longer.clone().into_bytes()), (compressed(&content), compressed(&longer))]
        {
            place.put("a", before);
            place.put("b", "b\n");
            let mut source = place.open(None).await.unwrap();
            let mut chunks = vec![source.next().await.unwrap().unwrap()];
            place.put("a", after);
            chunks.extend(rest(&mut source).await);
            assert_eq!(super::place::text(&chunks), format!("{longer}|b\n"));
            for pair in chunks.windows(2) {
                assert_eq!(pair[0].to.next, pair[1].from);
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_vanishes_while_it_is_read_is_refused() {
    for place in Place::both() {
        place.put("a", numbered(200));
        let mut source = place.open(None).await.unwrap();
        source.next().await.unwrap().unwrap();
        place.remove("a");
        let (_, error) = until_error(&mut source).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("`a` was removed while"), "{error}");
    }
}

#[tokio::test]
async fn a_store_that_contradicts_itself_is_an_error_not_a_stall() {
    let place = Place::in_memory();
    place.put("a", numbered(200));
    let settings = SourceSettings { read_bytes: 16, ..small() };
    let mut source = place.open_with(None, settings).await.unwrap();
    source.next().await.unwrap().unwrap();
    place.store.before_each(|request, _| {
        (request == super::place::Request::Get)
            .then(|| object_store::Error::Precondition { path: "root/a".into(), source: "etag".into() })
    });
    let (_, error) = until_error(&mut source).await;
    assert_eq!(error.kind(), ErrorKind::Transient);
}

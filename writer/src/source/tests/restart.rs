//! Restart in the middle: what is the same afterwards, and what may have grown.

use icefold_core::Offset;

use super::place::{Place, gzip, numbered, position_after, rest, text, zstd};

#[tokio::test]
async fn a_restart_after_any_chunk_hands_over_the_rest_with_the_same_positions() {
    let content = numbered(30);
    for place in Place::both() {
        place.put("a", &content);
        place.put("b", gzip(content.as_bytes()));
        place.put("c", [zstd(&content.as_bytes()[..50]), zstd(&content.as_bytes()[50..])].concat());
        let all = place.read().await;
        assert!(all.len() > 40, "several chunks for each file");
        for done in 1..=all.len() {
            let position = position_after(&all[..done]);
            let again = rest(&mut place.open(Some(&position)).await.unwrap()).await;
            let key = |chunks: &[crate::Chunk]| -> Vec<_> {
                chunks.iter().map(|c| (c.from.clone(), c.start, c.bytes.clone(), c.to.clone())).collect()
            };
            assert_eq!(key(&again), key(&all[done..]), "after {}", position.next);
        }
    }
}

#[tokio::test]
async fn a_start_position_reads_from_the_start() {
    let place = Place::in_memory();
    place.put("a", "1\n");
    let start = icefold_core::ShardPosition::at(Offset::start());
    assert_eq!(text(&rest(&mut place.open(Some(&start)).await.unwrap()).await), "1\n");
}

#[tokio::test]
async fn the_last_file_may_grow_between_two_passes() {
    for place in Place::both() {
        place.put("a", "1\n");
        place.put("b", "2\n");
        let position = position_after(&place.read().await);
        place.append("b", "3\n4\n");
        place.put("c", "5\n");
        assert_eq!(text(&rest(&mut place.open(Some(&position)).await.unwrap()).await), "3\n4\n|5\n");
    }
}

#[tokio::test]
async fn a_gzip_file_may_grow_by_members() {
    for place in Place::both() {
        place.put("a", gzip(b"1\n2\n"));
        let position = position_after(&place.read().await);
        place.append("a", gzip(b"3\n"));
        assert_eq!(text(&rest(&mut place.open(Some(&position)).await.unwrap()).await), "3\n");
    }
}

#[tokio::test]
async fn a_file_may_be_compressed_otherwise_as_long_as_it_is_the_last_one() {
    for place in Place::both() {
        let content = numbered(50);
        place.put("a", &content);
        let all = place.read().await;
        place.put("a", zstd(content.as_bytes()));
        let again = rest(&mut place.open(Some(&all[3].to)).await.unwrap()).await;
        assert_eq!(text(&again), text(&all[4..]));
    }
}

#[tokio::test]
async fn a_second_pass_over_the_same_files_hands_over_nothing() {
    for place in Place::both() {
        place.put("a", "1\n2");
        place.put("b", gzip(b""));
        let position = position_after(&place.read().await);
        assert_eq!(rest(&mut place.open(Some(&position)).await.unwrap()).await.len(), 0);
    }
}

#[tokio::test]
async fn a_last_line_that_got_its_line_break_later_is_not_read_twice() {
    for line_break in ["\n", "\r\n"] {
        for place in Place::both() {
            place.put("a", "1\n2");
            let first = place.read().await;
            assert_eq!(text(&first), "1\n2");
            place.append("a", format!("{line_break}3\n"));
            let again = rest(&mut place.open(Some(&position_after(&first))).await.unwrap()).await;
            assert_eq!(text(&again), "3\n");
            assert_eq!((again[0].from.position, again[0].start), (3, 3 + line_break.len() as u64));
            assert_eq!(rest(&mut place.open(Some(&position_after(&again))).await.unwrap()).await.len(), 0);
        }
    }
}

#[tokio::test]
async fn a_line_break_alone_adds_no_record() {
    for added in ["\r", "\n", "\r\n"] {
        let place = Place::on_disk();
        place.put("a", "1");
        let position = position_after(&place.read().await);
        place.append("a", added);
        assert_eq!(rest(&mut place.open(Some(&position)).await.unwrap()).await.len(), 0, "{added:?}");
        place.put("b", "2\n");
        let again = rest(&mut place.open(Some(&position)).await.unwrap()).await;
        assert_eq!((text(&again).as_str(), &again[0].from), ("2\n", &position.next), "{added:?}");
    }
}

#[tokio::test]
async fn touching_and_copying_what_was_read_changes_nothing() {
    let place = Place::on_disk();
    place.put("a", "1\n");
    place.put("b", "2\n");
    let position = position_after(&place.read().await);
    for name in ["a", "b"] {
        let content = std::fs::read(place.folder().join(name)).unwrap();
        place.remove(name);
        place.put(name, content);
    }
    assert_eq!(rest(&mut place.open(Some(&position)).await.unwrap()).await.len(), 0);
}

#[tokio::test]
async fn continuing_in_a_long_plain_file_does_not_read_what_lies_before() {
    let place = Place::in_memory();
    place.put("a", numbered(200_000));
    let settings =
        || crate::source::SourceSettings { chunk_bytes: 1 << 20, max_record_bytes: 1 << 20, ..Default::default() };
    let all = rest(&mut place.open_with(None, settings()).await.unwrap()).await;
    let before = place.store.requests().gets;
    let last = &all[all.len() - 2].to;
    let again = rest(&mut place.open_with(Some(last), settings()).await.unwrap()).await;
    assert_eq!(text(&again), text(&all[all.len() - 1..]));
    assert!(place.store.requests().gets - before <= 4, "first bytes, two ends, the rest");
}

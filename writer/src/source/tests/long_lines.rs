//! Lines that are longer than a chunk, and lines that are too long to be held.

use super::place::{Place, gzip, position_after, rest, small, text, zstd};
use crate::chunk::{Chunk, Oversized};
use crate::source::{Source, SourceSettings};

fn line(length: usize) -> String {
    "x".repeat(length)
}

#[tokio::test]
async fn a_line_may_be_longer_than_a_chunk() {
    for place in Place::both() {
        let content = format!("a\n{}\nb\n", line(1_024));
        place.put("a", &content);
        let chunks = place.read().await;
        assert_eq!(text(&chunks), content);
        assert!(chunks.iter().all(|chunk| chunk.oversized.is_none()));
    }
}

#[tokio::test]
async fn a_line_that_is_too_long_comes_alone_with_its_beginning_and_reading_goes_on() {
    for place in Place::both() {
        let content = format!("a\n{}\nb\n{}", line(1_025), line(100_000));
        for stored in [content.clone().into_bytes(), gzip(content.as_bytes()), zstd(content.as_bytes())] {
            place.put("f", stored);
            let chunks = place.read().await;
            let seen: Vec<_> = chunks.iter().map(seen).collect();
            let expected = [
                (0, "a\n".to_owned(), None, 2),
                (2, line(1_024), Some(1_025), 2 + 1_026),
                (1_028, "b\n".to_owned(), None, 1_030),
                (1_030, line(1_024), Some(100_000), 101_030),
            ];
            assert_eq!(seen, expected);
            for done in 1..chunks.len() {
                let again = rest(&mut place.open(Some(&position_after(&chunks[..done]))).await.unwrap()).await;
                assert_eq!(again.iter().map(self::seen).collect::<Vec<_>>(), expected[done..]);
            }
        }
    }
}

fn seen(chunk: &Chunk) -> (u64, String, Option<u64>, u64) {
    let oversized = chunk.oversized.map(|Oversized { record_bytes }| record_bytes);
    (chunk.start, String::from_utf8(chunk.bytes.to_vec()).unwrap(), oversized, chunk.to.next.position)
}

#[tokio::test]
async fn what_is_too_long_does_not_depend_on_the_size_of_chunks() {
    let place = Place::in_memory();
    let content: String = (1_020..1_030).map(|length| line(length) + "\n").collect();
    place.put("a", &content);
    for chunk_bytes in [1, 7, 500, 1_024] {
        let settings = SourceSettings { chunk_bytes, ..small() };
        let chunks = rest(&mut place.open_with(None, settings).await.unwrap()).await;
        let oversized: Vec<_> = chunks.iter().filter_map(|chunk| chunk.oversized).map(|o| o.record_bytes).collect();
        assert_eq!(oversized, [1_025, 1_026, 1_027, 1_028, 1_029], "chunks of {chunk_bytes}");
    }
}

#[tokio::test]
async fn with_the_default_limits_a_line_of_a_hundred_megabytes_keeps_one() {
    let place = Place::in_memory();
    place.put("a", zstd(format!("{}\nshort\n", line(100 << 20)).as_bytes()));
    let mut source = place.open_with(None, SourceSettings::default()).await.unwrap();
    let long = source.next().await.unwrap().unwrap();
    assert_eq!((long.bytes.len(), long.oversized), (1 << 20, Some(Oversized { record_bytes: 100 << 20 })));
    let short = source.next().await.unwrap().unwrap();
    assert_eq!((&short.bytes[..], short.start), (&b"short\n"[..], (100 << 20) + 1));
}

#[tokio::test]
async fn a_last_line_that_is_too_long_and_goes_on_is_refused() {
    let place = Place::on_disk();
    place.put("a", line(5_000));
    let position = position_after(&place.read().await);
    place.append("a", "more\n");
    assert!(place.refusal(&position).await.contains("goes on"));
}

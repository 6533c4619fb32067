//! Compressed content that breaks off or is broken.

use std::io::Write;

use icefold_core::{ErrorKind, ShardPosition};

use super::place::{Place, gzip, numbered, position_after, rest, small, text, until_error, zstd};
use crate::source::{FileSource, SourceSettings};

async fn open(place: &Place, position: Option<&ShardPosition>) -> FileSource {
    place.open_with(position, SourceSettings { chunk_bytes: 1_000, ..small() }).await.unwrap()
}

/// Content that does not compress to nothing, so that a cut falls in its middle.
fn content() -> String {
    (0..30_000u64).map(|i| format!("{:016x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
}

#[tokio::test]
async fn what_lies_before_a_cut_is_read_and_the_whole_file_continues_there() {
    let content = content();
    for place in Place::both() {
        for whole in [gzip(content.as_bytes()), zstd(content.as_bytes())] {
            for cut in [whole.len() / 2, whole.len() - 1] {
                place.put("a", &whole[..cut]);
                place.put("b", "b\n");
                let (chunks, error) = until_error(&mut open(&place, None).await).await;
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(
                    error.message().contains("`a`") && error.message().contains("upload the whole file"),
                    "{error}"
                );
                let read = text(&chunks);
                assert!(content.starts_with(&read) && read.ends_with('\n'), "whole lines");
                assert!(error.to_string().contains(&format!("a@{}", read.len())), "{error}");

                let position = position_after(&chunks);
                assert!(place.refusal(&position).await.contains("is damaged"), "still damaged");
                place.put("a", &whole);
                let again = text(&rest(&mut open(&place, Some(&position)).await).await);
                assert_eq!((read + &again).replace('|', ""), format!("{content}b\n"));
            }
        }
    }
}

#[tokio::test]
async fn a_cut_in_the_first_bytes_is_damage_too() {
    let place = Place::in_memory();
    for whole in [gzip(b"1\n"), zstd(b"1\n")] {
        for cut in 4..whole.len() {
            place.put("a", &whole[..cut]);
            let (_, error) = until_error(&mut open(&place, None).await).await;
            assert!(error.message().contains("ends in the middle"), "cut at {cut}: {error}");
        }
    }
}

#[tokio::test]
async fn a_broken_byte_is_damage_and_names_the_file() {
    // As the command line tool does it; without a checksum some breaks are not visible.
    let mut checked = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    checked.include_checksum(true).unwrap();
    checked.write_all(content().as_bytes()).unwrap();
    for whole in [gzip(content().as_bytes()), checked.finish().unwrap()] {
        let place = Place::in_memory();
        let mut broken = whole.clone();
        let middle = broken.len() / 2;
        broken[middle..middle + 64].fill(0xff);
        place.put("a", broken);
        let (_, error) = until_error(&mut open(&place, None).await).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("file `a`") && error.message().contains("damaged"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_checksum_is_damage() {
    let place = Place::in_memory();
    let mut whole = gzip(numbered(10).as_bytes());
    let crc = whole.len() - 8;
    whole[crc] ^= 1;
    place.put("a", whole);
    let (chunks, error) = until_error(&mut open(&place, None).await).await;
    assert_eq!(text(&chunks), numbered(10));
    assert!(error.message().contains("broken"), "{error}");
}

#[tokio::test]
async fn garbage_after_the_last_member_is_damage() {
    for whole in [gzip(b"1\n"), zstd(b"1\n")] {
        let place = Place::in_memory();
        place.put("a", [&whole[..], b"garbage garbage garbage"].concat());
        let (chunks, error) = until_error(&mut open(&place, None).await).await;
        assert_eq!(text(&chunks), "1\n");
        assert!(error.message().contains("damaged"), "{error}");
    }
}

#[tokio::test]
async fn a_zstd_window_that_would_take_too_much_memory_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(b"1\n").unwrap();
    let place = Place::in_memory();
    place.put("a", encoder.finish().unwrap());
    let (_, error) = until_error(&mut open(&place, None).await).await;
    assert!(error.message().contains("128 MiB"), "{error}");
}

//! `stream_time` of files.

use std::time::{Duration, UNIX_EPOCH};

use icefold_core::ShardPosition;

use super::place::{Place, following, numbered, rest, small, text};
use crate::chunk::Chunk;
use crate::source::{FileSource, Source, SourceSettings};

const DAY: u64 = 86_400;

/// Sets when a file was modified, in seconds since 1970.
fn modified(place: &Place, name: &str, seconds: u64) {
    let file = std::fs::OpenOptions::new().append(true).open(place.folder().join(name)).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

/// A folder with a file of one line for each name and time.
fn folder(files: &[(&str, u64)]) -> Place {
    let place = Place::on_disk();
    for (name, seconds) in files {
        place.put(name, format!("{name}\n"));
        modified(&place, name, *seconds);
    }
    place
}

/// The time of each chunk in seconds since 1970, as the chunk and the position behind it say.
fn times(chunks: &[Chunk]) -> Vec<i64> {
    assert!(chunks.iter().all(|chunk| chunk.to.stream_time_micros == Some(chunk.stream_time_micros)));
    chunks.iter().map(|chunk| chunk.stream_time_micros / 1_000_000).collect()
}

fn named(pattern: &str) -> SourceSettings {
    SourceSettings { time_pattern: Some(pattern.to_owned()), ..small() }
}

async fn open_with_floor(place: &Place, position: Option<&ShardPosition>, floor_seconds: i64) -> FileSource {
    place.open_above(position, Some(floor_seconds * 1_000_000)).await.unwrap()
}

#[tokio::test]
async fn it_follows_files_in_the_order_of_their_times() {
    let place = folder(&[("a", 10), ("b", 20), ("c", 20), ("d", 30)]);
    assert_eq!(times(&place.read().await), [10, 20, 20, 30]);
}

#[tokio::test]
async fn where_the_order_of_files_falls_back_it_stays() {
    let place =
        folder(&[("access.log", 9 * DAY), ("access.log.1", 8 * DAY), ("access.log.2", 7 * DAY), ("b", 10 * DAY)]);
    let days = times(&place.read().await).iter().map(|seconds| *seconds as u64 / DAY).collect::<Vec<_>>();
    assert_eq!(days, [9, 9, 9, 10]);
}

#[tokio::test]
async fn a_file_that_grows_for_weeks_moves_on_with_each_reading() {
    let place = folder(&[("a", DAY)]);
    let mut source = place.open_with(None, following()).await.unwrap();
    let mut days = Vec::new();
    for day in [1, 8, 30] {
        let chunk = source.next().await.unwrap().unwrap();
        days.push(times(&[chunk])[0] as u64 / DAY);
        place.append("a", format!("after day {day}\n"));
        modified(&place, "a", if day == 1 { 8 * DAY } else { 30 * DAY });
    }
    assert_eq!(days, [1, 8, 30]);
}

#[tokio::test]
async fn what_a_file_got_between_two_runs_has_the_time_of_then() {
    let place = folder(&[("a", DAY)]);
    let first = place.read().await;
    place.append("a", "more\n");
    modified(&place, "a", 5 * DAY);
    let again = rest(&mut place.open(Some(&first[0].to)).await.unwrap()).await;
    assert_eq!((text(&again).as_str(), times(&again)), ("more\n", vec![5 * DAY as i64]));
}

#[tokio::test]
async fn a_restart_anywhere_gives_the_same_times() {
    let place = Place::on_disk();
    for (name, seconds) in [("a", 900), ("b", 500), ("c", 1_000)] {
        place.put(name, numbered(5));
        modified(&place, name, seconds);
    }
    let all = place.read().await;
    assert!(all.len() > 6, "several chunks for each file");
    for done in 1..all.len() {
        let again = rest(&mut place.open(Some(&all[done - 1].to)).await.unwrap()).await;
        assert_eq!(times(&again), times(&all[done..]), "after {}", all[done - 1].to.next);
    }
}

#[tokio::test]
async fn a_shard_that_continues_others_begins_no_earlier_than_they_stood() {
    let place = folder(&[("a", 10), ("b", 60)]);
    assert_eq!(times(&rest(&mut open_with_floor(&place, None, 50).await).await), [50, 60]);
    let first = open_with_floor(&place, None, 5).await.next().await.unwrap().unwrap();
    assert_eq!(times(std::slice::from_ref(&first)), [10]);
    let mut later = open_with_floor(&place, Some(&first.to), 70).await;
    assert_eq!(times(&rest(&mut later).await), [70], "the position says less");
}

#[tokio::test]
async fn the_name_of_a_file_may_tell_its_time() {
    let place = folder(&[("2026-11-22/13/a.gz", 7), ("2026-11-22/14/a.gz", 3)]);
    let chunks = rest(&mut place.open_with(None, named("%Y-%m-%d/%H")).await.unwrap()).await;
    assert_eq!(times(&chunks), [1_795_352_400, 1_795_356_000]);
    let again = rest(&mut place.open_with(Some(&chunks[0].to), named("%Y-%m-%d/%H")).await.unwrap()).await;
    assert_eq!(times(&again), [1_795_356_000], "also after a restart");
}

#[tokio::test]
async fn a_file_whose_name_tells_no_time_has_its_modification_time() {
    let place = folder(&[("2026-11-22.log", 7), ("notes.log", 1_795_400_000)]);
    let chunks = rest(&mut place.open_with(None, named("%Y-%m-%d")).await.unwrap()).await;
    assert_eq!(times(&chunks), [1_795_305_600, 1_795_400_000]);
}

#[tokio::test]
async fn a_pattern_that_cannot_be_read_is_refused_before_anything_is_read() {
    let place = folder(&[("a", 1)]);
    let error = place.open_with(None, named("%Y-%m")).await.err().unwrap();
    assert!(error.message().contains("does not say the day"), "{error}");
}

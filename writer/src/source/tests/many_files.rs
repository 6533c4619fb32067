//! Folders with more files than a listing keeps.

use super::place::{Place, following, rest, small, text};
use crate::source::listing::{Listing, Look};
use crate::source::{Source, SourceSettings};

#[tokio::test]
async fn more_files_than_the_limit_are_read_in_order() {
    for place in Place::both() {
        let names: Vec<_> = (0..100).map(|i| format!("{:03}", i * 37 % 100)).collect();
        names.iter().for_each(|name| place.put(name, format!("{name}\n")));
        let mut sorted = names.clone();
        sorted.sort();
        for settings in [small(), following()] {
            let settings = SourceSettings { listing_limit: 7, ..settings };
            let mut source = place.open_with(None, settings).await.unwrap();
            let mut read = Vec::new();
            while read.len() < 100 {
                let chunk = source.next().await.unwrap().unwrap();
                assert_eq!(chunk.bytes, format!("{}\n", chunk.segment));
                read.push(chunk.segment.to_string());
            }
            assert_eq!(read, sorted);
        }
    }
}

#[tokio::test]
async fn a_look_keeps_no_more_than_the_limit_however_many_files_there_are() {
    let place = Place::in_memory();
    (0..5_000).for_each(|i| place.put(&format!("{i:05}"), "1\n"));
    let listing = Listing::new(place.store.clone(), "root".into(), false, 10);
    let found = listing.look(Some("02500"), Look::Whole).await.unwrap();
    assert_eq!((found.behind.files, found.after.len(), found.more), (2_500, 10, true));
    assert_eq!(&*found.after[0].name, "02501");
}

#[tokio::test]
async fn the_witness_does_not_grow_with_the_number_of_files() {
    let place = Place::in_memory();
    (0..2_000).for_each(|i| place.put(&format!("{i:05}"), "1\n"));
    let settings = SourceSettings { listing_limit: 100, ..small() };
    let chunks = rest(&mut place.open_with(None, settings).await.unwrap()).await;
    assert_eq!(chunks.len(), 2_000);
    let longest = chunks.iter().map(|chunk| chunk.to.witness.len()).max().unwrap();
    assert!(longest < 256, "{longest} bytes");
    let again = rest(&mut place.open(Some(&chunks[998].to)).await.unwrap()).await;
    assert_eq!((again.len(), &again[0].from), (1_001, &chunks[998].to.next));
    assert_eq!(text(&again[..1]), "1\n");
}

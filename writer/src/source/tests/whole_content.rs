//! The law of the sources: whatever the files, the forms, the sizes and the restarts, the chunks are the content.

use icefold_core::{Offset, ShardPosition};
use proptest::prelude::*;

use super::place::{Place, gzip, small, zstd};
use crate::chunk::Chunk;
use crate::source::{Source, SourceSettings};

#[derive(Debug, Clone, Copy)]
enum Form {
    Plain,
    Gzip,
    Zstd,
}

#[derive(Debug, Clone)]
struct File {
    content: Vec<u8>,
    form: Form,
    /// Where members or frames end, as parts of 256 of the content.
    cuts: Vec<u8>,
}

impl File {
    fn stored(&self) -> Vec<u8> {
        let mut cuts: Vec<_> = self.cuts.iter().map(|cut| self.content.len() * usize::from(*cut) / 256).collect();
        cuts.extend([0, self.content.len()]);
        cuts.sort_unstable();
        let parts = cuts.windows(2).map(|cut| &self.content[cut[0]..cut[1]]);
        match self.form {
            Form::Plain => self.content.clone(),
            Form::Gzip => parts.flat_map(gzip).collect(),
            Form::Zstd => parts.flat_map(zstd).collect(),
        }
    }
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| if byte == b'\n' { b'\r' } else { byte });
    let length = prop_oneof![8 => 0..40_usize, 3 => 40..400_usize, 1 => 900..1_100_usize, 1 => 4_000..9_000_usize];
    (proptest::collection::vec(byte, 1..20), length)
        .prop_map(|(pattern, length)| pattern.into_iter().cycle().take(length).collect())
}

fn file() -> impl Strategy<Value = File> {
    let lines = proptest::collection::vec(line(), 0..25);
    let form = prop_oneof![Just(Form::Plain), Just(Form::Gzip), Just(Form::Zstd)];
    (lines, any::<bool>(), form, proptest::collection::vec(any::<u8>(), 0..3)).prop_map(|(lines, ended, form, cuts)| {
        let mut content = lines.join(&b'\n');
        if ended {
            content.push(b'\n');
        }
        File { content, form, cuts }
    })
}

fn settings() -> impl Strategy<Value = SourceSettings> {
    (1..900_usize, 1..5_000_usize, 1..4_usize).prop_map(|(chunk_bytes, read_bytes, listing_limit)| SourceSettings {
        chunk_bytes,
        read_bytes,
        listing_limit,
        ..small()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn chunks_are_the_content_whatever_the_sizes_and_the_restarts(
        files in proptest::collection::vec(file(), 1..5),
        settings in proptest::collection::vec(settings(), 1..4),
        restarts in proptest::collection::vec(1..30_usize, 0..4),
        on_disk in any::<bool>(),
    ) {
        let place = if on_disk { Place::on_disk() } else { Place::in_memory() };
        files.iter().enumerate().for_each(|(i, file)| place.put(&i.to_string(), file.stored()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let chunks = runtime.block_on(read_with_restarts(&place, &settings, &restarts));
        check(&files, &chunks, 1_024);
    }
}

/// Reads everything, opening the source anew after each count of `restarts`, with other settings each time.
async fn read_with_restarts(place: &Place, settings: &[SourceSettings], restarts: &[usize]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut position: Option<ShardPosition> = None;
    let mut runs = restarts.iter().copied().chain([usize::MAX]);
    for settings in settings.iter().cycle() {
        let Some(count) = runs.next() else { break };
        let mut source = match place.open_with(position.as_ref(), settings.clone()).await {
            Ok(source) => source,
            Err(e) if position.is_none() && e.message().contains("holds no files") => return chunks,
            Err(e) => panic!("{e:?}"),
        };
        for _ in 0..count {
            let Some(chunk) = source.next().await.unwrap() else { break };
            position = Some(chunk.to.clone());
            chunks.push(chunk);
        }
    }
    chunks
}

/// Checks that `chunks` hold each line of `files` once, at its position, and follow one another.
fn check(files: &[File], chunks: &[Chunk], max_record_bytes: usize) {
    let mut next = Offset::start();
    let mut expected = files.iter().enumerate().flat_map(|(i, file)| lines_of(i, &file.content)).peekable();
    for chunk in chunks {
        assert_eq!(chunk.from, next);
        assert!(chunk.to.next > chunk.from, "progress");
        let end = match chunk.oversized {
            Some(oversized) => {
                let (segment, start, line) = expected.next().expect("a line");
                assert_eq!((&*chunk.segment, chunk.start), (segment.as_str(), start));
                let whole = line.strip_suffix(b"\n").unwrap_or(&line);
                assert!(whole.len() > max_record_bytes);
                assert_eq!(oversized.record_bytes, whole.len() as u64);
                assert_eq!(chunk.bytes, whole[..max_record_bytes]);
                start + line.len() as u64
            }
            None => {
                let mut at = 0;
                while at < chunk.bytes.len() {
                    let (segment, start, line) = expected.next().expect("a line");
                    assert_eq!((&*chunk.segment, chunk.start + at as u64), (segment.as_str(), start));
                    assert!(chunk.bytes[at..].starts_with(&line), "line at {segment}@{start}");
                    assert!(line.strip_suffix(b"\n").unwrap_or(&line).len() <= max_record_bytes);
                    at += line.len();
                }
                assert!(at > 0, "no empty chunk");
                chunk.start + at as u64
            }
        };
        assert_eq!(chunk.to.next, Offset::new(chunk.segment.clone(), end));
        next = chunk.to.next.clone();
    }
    assert_eq!(expected.next(), None, "nothing is left out");
}

/// The lines of a file with their line breaks: segment, position, bytes.
fn lines_of(file: usize, content: &[u8]) -> Vec<(String, u64, Vec<u8>)> {
    let mut position = 0;
    content
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            let start = position;
            position += line.len() as u64;
            (file.to_string(), start, line.to_vec())
        })
        .collect()
}

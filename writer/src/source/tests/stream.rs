//! Standard input.

use std::io::{Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use icefold_core::{Clock, Error, ErrorKind, Offset, Result, ShardId, ShardPosition, SystemClock};
use tokio::sync::watch;

use super::place::{gzip, numbered, rest, small, text, until_error, zstd};
use crate::chunk::Chunk;
use crate::source::{Source, SourceSettings, StreamSource};

async fn open(content: impl Into<Vec<u8>>, position: Option<&ShardPosition>) -> Result<StreamSource> {
    open_reader(Box::new(Cursor::new(content.into())), position, small()).await
}

async fn open_reader(
    reader: Box<dyn Read + Send>,
    position: Option<&ShardPosition>,
    settings: SourceSettings,
) -> Result<StreamSource> {
    open_at(reader, Arc::new(TestClock::at(42_999)), position, None, settings).await
}

async fn open_at(
    reader: Box<dyn Read + Send>,
    clock: Arc<dyn Clock>,
    position: Option<&ShardPosition>,
    floor_micros: Option<i64>,
    settings: SourceSettings,
) -> Result<StreamSource> {
    let (shard, stop) = (ShardId::new("stdin/logs"), watch::channel(false).1);
    StreamSource::open(reader, shard, clock, position, floor_micros, settings, stop).await
}

/// A clock that is set.
#[derive(Debug)]
struct TestClock(AtomicI64);

impl TestClock {
    fn at(ms: i64) -> Self {
        TestClock(AtomicI64::new(ms))
    }

    fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

async fn read(content: impl Into<Vec<u8>>) -> Vec<Chunk> {
    rest(&mut open(content, None).await.unwrap()).await
}

async fn refusal(content: impl Into<Vec<u8>>, position: &ShardPosition) -> Error {
    let error = match open(content, Some(position)).await {
        Ok(mut source) => source.next().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    error
}

#[tokio::test]
async fn a_stream_is_read_like_a_file() {
    let content = numbered(100) + "last";
    for stored in [content.clone().into_bytes(), gzip(content.as_bytes()), zstd(content.as_bytes())] {
        let chunks = read(stored).await;
        assert_eq!(text(&chunks), content);
        assert_eq!(chunks[0].from, Offset::start());
        assert!(chunks.windows(2).all(|pair| pair[0].to.next == pair[1].from));
        assert!(chunks.iter().all(|chunk| chunk.stream_time_micros == 42_000_000), "whole seconds");
        assert!(chunks.iter().all(|chunk| chunk.shard.as_str() == "stdin/logs"));
    }
    assert_eq!(read("").await.len(), 0);
}

#[tokio::test]
async fn the_same_stream_given_again_continues_where_it_was() {
    let content = numbered(100);
    let all = read(content.as_bytes()).await;
    for stored in [content.clone().into_bytes(), gzip(content.as_bytes())] {
        for done in [1, 2, all.len() / 2, all.len()] {
            let position = all[done - 1].to.clone();
            let again = rest(&mut open(stored.clone(), Some(&position)).await.unwrap()).await;
            assert_eq!(text(&again), text(&all[done..]));
            if let Some(first) = again.first() {
                assert_eq!(first.from, position.next);
            }
        }
    }
}

#[tokio::test]
async fn a_longer_stream_with_the_same_beginning_continues() {
    let position = read(numbered(5)).await.pop().unwrap().to;
    assert_eq!(text(&rest(&mut open(numbered(7), Some(&position)).await.unwrap()).await), "line 5\nline 6\n");
}

#[tokio::test]
async fn another_stream_under_the_same_name_is_refused() {
    let position = read(numbered(50)).await.pop().unwrap().to;
    let other = refusal(numbered(50).replace("line 1\n", "LINE 1\n"), &position).await;
    assert!(other.message().contains("begins with something else"), "{other}");
    let shorter = refusal(numbered(3), &position).await;
    assert!(shorter.message().contains("ends before the position"), "{shorter}");
    let open_line = read("1\n2").await.pop().unwrap().to;
    let longer = refusal("1\n23\n", &open_line).await;
    assert!(longer.message().contains("last line goes on"), "{longer}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_hands_over_what_came_before() {
    let content = numbered(500);
    let whole = gzip(content.as_bytes());
    let (chunks, error) = until_error(&mut open(&whole[..whole.len() / 2], None).await.unwrap()).await;
    assert!(error.message().contains("damaged"), "{error}");
    let position = chunks.last().unwrap().to.clone();
    let again = rest(&mut open(whole, Some(&position)).await.unwrap()).await;
    assert_eq!(text(&chunks) + &text(&again), content);
}

#[tokio::test]
async fn a_whole_line_is_handed_over_although_the_next_one_is_slow() {
    let (writer, reader) = std::sync::mpsc::channel::<&'static [u8]>();
    let settings = SourceSettings::default();
    let mut source = open_reader(Box::new(Slow { reader, rest: b"" }), None, settings).await.unwrap();
    writer.send(b"1\n2").unwrap();
    assert_eq!(source.next().await.unwrap().unwrap().bytes, "1\n");
    writer.send(b"3\n").unwrap();
    assert_eq!(source.next().await.unwrap().unwrap().bytes, "23\n");
    drop(writer);
    assert!(source.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_stop_ends_a_stream_on_which_nothing_comes() {
    let (writer, reader) = std::sync::mpsc::channel();
    let (stop, stopped) = watch::channel(false);
    let reader = Box::new(Slow { reader, rest: b"" });
    let mut source =
        StreamSource::open(reader, ShardId::new("stdin/x"), Arc::new(SystemClock), None, None, small(), stopped)
            .await
            .unwrap();
    let (next, ()) = tokio::join!(source.next(), async {
        stop.send_replace(true);
    });
    assert!(next.unwrap().is_none());
    drop(writer);
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken"))
        }
    }
    let reader = Box::new(Cursor::new(b"1\n".to_vec()).chain(Broken));
    let (chunks, error) = until_error(&mut open_reader(reader, None, small()).await.unwrap()).await;
    assert_eq!((text(&chunks).as_str(), error.kind()), ("1\n", ErrorKind::Refused));
}

#[tokio::test]
async fn a_pipe_that_goes_on_for_weeks_moves_on_with_the_clock() {
    const DAY_MS: i64 = 86_400_000;
    let (writer, reader) = std::sync::mpsc::channel::<&'static [u8]>();
    let clock = Arc::new(TestClock::at(20_000 * DAY_MS));
    let reader = Box::new(Slow { reader, rest: b"" });
    let mut source = open_at(reader, clock.clone(), None, None, small()).await.unwrap();
    let mut times = Vec::new();
    for day in [0, 7, 30] {
        clock.set((20_000 + day) * DAY_MS);
        writer.send(b"line\n").unwrap();
        let chunk = source.next().await.unwrap().unwrap();
        assert_eq!(chunk.to.stream_time_micros, Some(chunk.stream_time_micros));
        times.push(chunk.stream_time_micros / 1_000 / DAY_MS);
    }
    assert_eq!(times, [20_000, 20_007, 20_030]);
    drop(writer);
}

/// Each read is a second later than the one before, whoever waits for it.
struct Ticking {
    reads: std::vec::IntoIter<&'static [u8]>,
    clock: Arc<TestClock>,
}

impl Read for Ticking {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let Some(bytes) = self.reads.next() else { return Ok(0) };
        self.clock.0.fetch_add(1_000, Ordering::SeqCst);
        into[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

#[tokio::test]
async fn a_chunk_of_a_pipe_ends_where_the_time_of_reading_changes() {
    for _ in 0..20 {
        let clock = Arc::new(TestClock::at(0));
        let reads = vec![&b"1\n2\n"[..], b"3\n4", b"-\n5\n", b"6"].into_iter();
        let reader = Box::new(Ticking { reads, clock: clock.clone() });
        let mut source = open_at(reader, clock, None, None, SourceSettings::default()).await.unwrap();
        let chunks = rest(&mut source).await;
        let told: Vec<_> =
            chunks.iter().map(|c| (c.stream_time_micros / 1_000_000, text(std::slice::from_ref(c)))).collect();
        // A line that was read in two parts is there when its end is.
        let expected = [(1, "1\n2\n"), (2, "3\n"), (3, "4-\n5\n"), (4, "6")];
        assert_eq!(told, expected.map(|(second, text)| (second, text.to_owned())));
    }
}

#[tokio::test]
async fn a_stream_given_again_goes_on_at_the_time_that_it_had_reached() {
    let all = read(numbered(20)).await;
    let position = all[0].to.clone();
    for (now_ms, floor_micros, expected) in
        [(7_000, None, 42_000_000), (7_000, Some(50_000_000), 50_000_000), (90_000, None, 90_000_000)]
    {
        let (reader, clock) = (Box::new(Cursor::new(numbered(20))), Arc::new(TestClock::at(now_ms)));
        let mut source = open_at(reader, clock, Some(&position), floor_micros, small()).await.unwrap();
        let chunks = rest(&mut source).await;
        assert_eq!(text(&chunks), text(&all[1..]));
        assert!(chunks.iter().all(|chunk| chunk.stream_time_micros == expected), "{chunks:?}");
    }
}

/// Gives what is sent to it, and waits where nothing is.
struct Slow {
    reader: std::sync::mpsc::Receiver<&'static [u8]>,
    rest: &'static [u8],
}

impl Read for Slow {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.reader.recv().unwrap_or_default();
        }
        self.rest.read(into)
    }
}

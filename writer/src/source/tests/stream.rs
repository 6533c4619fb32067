//! Standard input.

use std::io::{Cursor, Read};

use icefold_core::{Error, ErrorKind, Offset, Result, ShardId, ShardPosition};
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
    let stop = watch::channel(false).1;
    StreamSource::open(reader, ShardId::new("stdin/logs"), 42, position, settings, stop).await
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
        assert!(chunks.iter().all(|chunk| chunk.source_time_micros == 42 && chunk.shard.as_str() == "stdin/logs"));
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
    let mut source = StreamSource::open(reader, ShardId::new("stdin/x"), 0, None, small(), stopped).await.unwrap();
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

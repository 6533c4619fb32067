//! Forms of content, told by their first bytes, and the decoders of the compressed ones.
//!
//! gzip may have several members and zstd several frames, as `cat a.gz b.gz` or a log appender make them. A decoder is
//! fed piece by piece and keeps its state between the pieces, so a compressed file that grows is decompressed once.

use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use icefold_core::{Error, Result};
use zstd::stream::read::Decoder as ZstdDecoder;

/// How far back zstd content may refer: 2^27 = 128 MiB, as much as `zstd --ultra -22` asks for. What `--long=28` and
/// above wrote is refused, since otherwise the file decides how much memory is taken.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How the content of a file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Gzip,
    Zstd,
    /// Known, and not read.
    Foreign(&'static str),
}

/// Masked first bytes and what they say: (mask of the first byte, bytes, form). Those of foreign forms are long enough
/// not to begin a line of text. Zstd has two: a frame, and a frame to be skipped (RFC 8878, 3.1.2).
const MAGICS: [(u8, &[u8], Form); 8] = [
    (0xff, &[0x1f, 0x8b, 0x08], Form::Gzip),
    (0xff, &[0x28, 0xb5, 0x2f, 0xfd], Form::Zstd),
    (0xf0, &[0x50, 0x2a, 0x4d, 0x18], Form::Zstd),
    (0xff, &[0xfd, b'7', b'z', b'X', b'Z', 0x00], Form::Foreign("xz")),
    (0xff, b"BZh91A", Form::Foreign("bzip2")),
    (0xff, &[0x04, 0x22, 0x4d, 0x18], Form::Foreign("lz4")),
    (0xff, b"PK\x03\x04", Form::Foreign("zip")),
    (0xff, b"PAR1\x15", Form::Foreign("parquet")),
];

impl Form {
    /// How many first bytes tell every form.
    pub(super) const MAGIC_BYTES: usize = 6;

    /// Tells the form from the first bytes; `None` when there are too few. `whole` says that there are no more.
    pub(super) fn of(first: &[u8], whole: bool) -> Option<Form> {
        for (mask, magic, form) in MAGICS {
            let known = first.len().min(magic.len());
            let fits = first[..known].iter().zip(magic).enumerate().all(|(i, (byte, wanted))| {
                let mask = if i == 0 { mask } else { 0xff };
                byte & mask == *wanted
            });
            match form {
                _ if !fits || (known < magic.len() && whole) => {}
                _ if known < magic.len() => return None,
                form => return Some(form),
            }
        }
        Some(Form::Plain)
    }
}

/// Decompresses what it is fed.
pub(super) enum Decoder {
    Gzip(Box<MultiGzDecoder<Feed>>),
    Zstd(ZstdDecoder<'static, Feed>),
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decoded {
    /// As much as was wanted.
    Some,
    /// What there was; it needs to be fed to go on.
    Hungry,
    /// The end: fed completely, and nothing is missing.
    End,
    /// The end: broken or incomplete; the reason.
    Broken(String),
}

impl Decoder {
    /// Makes the decoder of a compressed form, fed with its first bytes.
    pub(super) fn new(form: Form, first: Vec<u8>) -> Result<Self> {
        let feed = Feed { bytes: first.into(), complete: false };
        if form == Form::Gzip {
            return Ok(Decoder::Gzip(Box::new(MultiGzDecoder::new(feed))));
        }
        let zstd = ZstdDecoder::with_buffer(feed).and_then(|mut decoder| {
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Ok(decoder)
        });
        zstd.map(Decoder::Zstd).map_err(|e| Error::bug("a zstd decoder could not be made").because(e))
    }

    /// Gives it more. What it was fed before must be used up.
    pub(super) fn feed(&mut self, bytes: Vec<u8>) {
        self.inlet().bytes = bytes.into();
    }

    /// Tells it that there is no more.
    pub(super) fn complete(&mut self) {
        self.inlet().complete = true;
    }

    fn inlet(&mut self) -> &mut Feed {
        match self {
            Decoder::Gzip(gzip) => gzip.get_mut(),
            Decoder::Zstd(zstd) => zstd.get_mut(),
        }
    }

    /// Appends at most `want` bytes of content to `buffer`. Takes long: not to be called from a task.
    pub(super) fn decode(&mut self, buffer: &mut Vec<u8>, want: usize) -> Decoded {
        buffer.reserve(want);
        let (form, outcome) = match self {
            Decoder::Gzip(gzip) => ("gzip", gzip.take(want as u64).read_to_end(buffer)),
            Decoder::Zstd(zstd) => ("zstd", zstd.take(want as u64).read_to_end(buffer)),
        };
        match outcome {
            Ok(brought) if brought == want => Decoded::Some,
            Ok(_) => Decoded::End,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Decoded::Hungry,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Decoded::Broken(format!("it ends in the middle of its {form} content"))
            }
            Err(e) if e.to_string().contains("too much memory") => Decoded::Broken(format!(
                "its zstd window is above {} MiB, which is not read (compress without `--long`)",
                1 << (ZSTD_WINDOW_LOG_MAX - 20)
            )),
            Err(e) => Decoded::Broken(format!("its {form} content is broken ({e})")),
        }
    }
}

/// What a decoder reads from. It says "would block" where more may come, which the decoders pass on and survive.
pub(super) struct Feed {
    bytes: Bytes,
    complete: bool,
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.bytes.is_empty() && !self.complete {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(&self.bytes)
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.advance(amount);
    }
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let amount = available.len().min(into.len());
        into[..amount].copy_from_slice(&available[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}

//! Generated events in files whose names and times are in the order of arrival, or on standard output.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use icefold_core::{Error, ErrorKind, Result};

use super::{Expectation, Generator, Plan};

/// Lines are handed to the file in pieces of about this size; each is one frame of a zstd file.
const BLOCK_BYTES: usize = 1 << 20;
/// Name of the file with the expectation; sources skip names that start with an underscore.
pub(crate) const EXPECTATION_FILE: &str = "_expectation.json";

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Compression {
    /// Not at all: `.ndjson`.
    None,
    /// As one gzip stream: `.ndjson.gz`.
    Gzip,
    /// As zstd frames: `.ndjson.zst`.
    Zstd,
}

/// Where the events go.
#[derive(Debug, Clone)]
pub(crate) enum Destination {
    /// Standard output.
    Stdout,
    /// This many files in a folder, with `_expectation.json` beside them.
    Folder(PathBuf, u64),
}

/// Writes the events of `plan` and returns what to expect of them; `progress` is told how many lines are written.
///
/// # Errors
/// `InvalidInput` when the folder already holds generated files, `Refused` when it cannot be written.
pub(crate) fn write(
    plan: Plan,
    compression: Compression,
    to: &Destination,
    mut progress: impl FnMut(u64),
) -> Result<Expectation> {
    let mut generator = Generator::new(plan);
    match to {
        Destination::Stdout => {
            let mut out = Encoder::new(io::stdout().lock(), compression).map_err(|e| refused(e, "standard output"))?;
            fill(&mut generator, &mut out, u64::MAX, &mut progress)
                .and_then(|()| out.finish())
                .map_err(|e| refused(e, "standard output"))?;
        }
        Destination::Folder(folder, files) => {
            prepare(folder)?;
            for index in 0..*files {
                // The first files take the rest, so that file sizes differ by one line at most.
                let lines = plan.events / files + u64::from(index < plan.events % files);
                let path = folder.join(file_name(index, compression));
                write_file(&path, lines, compression, &mut generator, &mut progress)
                    .map_err(|e| refused(e, &path.display().to_string()))?;
            }
            let path = folder.join(EXPECTATION_FILE);
            let text = serde_json::to_string_pretty(&generator.expectation()).map_err(io::Error::from);
            text.and_then(|text| fs::write(&path, text + "\n")).map_err(|e| refused(e, &path.display().to_string()))?;
        }
    }
    Ok(generator.expectation())
}

fn file_name(index: u64, compression: Compression) -> String {
    let ending = match compression {
        Compression::None => "",
        Compression::Gzip => ".gz",
        Compression::Zstd => ".zst",
    };
    format!("events-{index:06}.ndjson{ending}")
}

fn prepare(folder: &Path) -> Result<()> {
    let place = || folder.display().to_string();
    fs::create_dir_all(folder).map_err(|e| refused(e, &place()))?;
    for entry in fs::read_dir(folder).map_err(|e| refused(e, &place()))? {
        let name = entry.map_err(|e| refused(e, &place()))?.file_name();
        if name.to_string_lossy().starts_with("events-") || name == EXPECTATION_FILE {
            return Err(Error::invalid(format!(
                "folder `{}` already holds generated events: choose another --out or remove it first",
                folder.display()
            )));
        }
    }
    Ok(())
}

fn write_file(
    path: &Path,
    lines: u64,
    compression: Compression,
    generator: &mut Generator,
    progress: &mut impl FnMut(u64),
) -> io::Result<()> {
    let mut out = Encoder::new(File::create_new(path)?, compression)?;
    fill(generator, &mut out, lines, progress)?;
    out.finish()?;
    // As if the collector had written it: `stream_time` is then the same whenever and wherever events are generated.
    File::options()
        .append(true)
        .open(path)?
        .set_modified(UNIX_EPOCH + Duration::from_millis(generator.now_ms().unsigned_abs()))
}

fn fill<W: Write>(
    generator: &mut Generator,
    out: &mut Encoder<W>,
    lines: u64,
    progress: &mut impl FnMut(u64),
) -> io::Result<()> {
    let mut block = Vec::with_capacity(BLOCK_BYTES + (64 << 10));
    let mut told = 0;
    for line in 0..lines {
        let more = generator.next_line(&mut block);
        if block.len() >= BLOCK_BYTES || !more {
            out.write_block(&block)?;
            block.clear();
            progress(line - told);
            told = line;
        }
        if !more {
            return Ok(());
        }
    }
    progress(lines - told);
    out.write_block(&block)
}

/// Compresses blocks on their way to `W`.
enum Encoder<W: Write> {
    Plain(BufWriter<W>),
    Gzip(flate2::write::GzEncoder<W>),
    Zstd(W, zstd::bulk::Compressor<'static>),
}

impl<W: Write> Encoder<W> {
    fn new(to: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Encoder::Plain(BufWriter::new(to)),
            Compression::Gzip => Encoder::Gzip(flate2::write::GzEncoder::new(to, flate2::Compression::fast())),
            Compression::Zstd => Encoder::Zstd(to, zstd::bulk::Compressor::new(1)?),
        })
    }

    fn write_block(&mut self, block: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Plain(to) => to.write_all(block),
            Encoder::Gzip(to) => to.write_all(block),
            Encoder::Zstd(_, _) if block.is_empty() => Ok(()),
            Encoder::Zstd(to, compressor) => to.write_all(&compressor.compress(block)?),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Encoder::Plain(mut to) => to.flush(),
            Encoder::Gzip(to) => to.finish()?.flush(),
            Encoder::Zstd(mut to, _) => to.flush(),
        }
    }
}

fn refused(error: io::Error, place: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("generated events cannot be written to `{place}`")).because(error)
}

//! From the bytes of a [`Chunk`] to typed rows ([`DecodedChunk`]), in one pass.
//!
//! ```text
//! bytes ─▶ scanner ─▶ event (fields, leftovers) ─▶ contract ─┬▶ raw_events + events
//!             └─ fault ─▶ salvage of keys ─▶ violation ──────┴▶ raw_events + quarantine
//! ```
//!
//! * [`settings`]: limits and the input format.
//! * [`reason`]: the reason codes of quarantine.
//! * `segment`, `batch`: records of the Segment spec, single or several; `combined`, `log_line`: access logs.
//! * `scanner`, `block`, `text`: the pieces of the wire format.
//! * `event`, `fields`, `contract`, `times`: what the built-in contract makes of them.
//! * `tape`, `promise`: what is inside of bodies, and what data contracts say of it.
//! * `rows`, `columns`, `event_columns`: Arrow.
//! * `laws` (feature `laws`): what holds for every input, for property tests and the fuzzer.
//!
//! A row is a function of its chunk and the settings and of nothing else: no clock, no chance, no earlier chunk. Each
//! event makes exactly one row of `raw_events` and one of either `events` or `quarantine` (invariant W2). A malformed
//! event costs itself and nothing else.

mod batch;
mod block;
mod columns;
mod combined;
mod contract;
mod event;
mod event_columns;
mod fields;
#[cfg(any(test, feature = "laws"))]
pub mod laws;
mod log_line;
mod promise;
mod promoted;
pub mod reason;
mod rows;
mod salvage;
mod scanner;
mod segment;
mod segment_rows;
pub mod settings;
mod tape;
mod text;
mod times;
mod violation;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use icefold_core::contract::CompiledContracts;
use icefold_core::{Error, Result};

pub use self::batch::MAX_BATCH_EVENTS;
pub(crate) use self::batch::place_of_events;
pub use self::combined::{ACCESS_LOG_CONTRACT, ACCESS_LOG_LIBRARY};
pub use self::contract::MAX_ID_BYTES;
pub use self::reason::Reason;
pub use self::segment::MAX_ENVELOPE_GROWTH;
pub use self::settings::{DecodeSettings, InputFormat};
pub use self::times::MAX_RECEIVED_AHEAD_SECONDS;
pub use self::violation::{MAX_FOUND_BYTES, MAX_POINTER_BYTES};

use self::rows::Rows;
use self::segment::{Input, SegmentReader};
use crate::chunk::{Chunk, DecodedChunk};
use crate::contracts::Active;

/// Decodes chunks. One of each worker thread: its buffers are reused, its answers do not depend on earlier chunks.
pub struct Decoder {
    settings: DecodeSettings,
    format: InputFormat,
    segment: SegmentReader,
    rows: Rows,
    contracts: Option<Known>,
}

/// The contracts in force, and this decoder's own copy of their rules: regular expressions that are shared by threads
/// contend for their caches.
struct Known {
    active: Arc<Active>,
    compiled: CompiledContracts,
}

impl Decoder {
    /// Makes a decoder.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when the settings are not valid.
    pub fn new(settings: DecodeSettings, format: InputFormat) -> Result<Self> {
        settings.validate()?;
        let (segment, rows) = (SegmentReader::default(), Rows::new(&[])?);
        Ok(Decoder { settings, format, segment, rows, contracts: None })
    }

    /// Asks of events from now on what `contracts` say. Lines of an access log have a contract of their own.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the tables have no Arrow form.
    pub fn set_contracts(&mut self, contracts: Option<&Arc<Active>>) -> Result<()> {
        let contracts = contracts.filter(|_| self.format == InputFormat::Segment);
        let known = self.contracts.as_ref().map(|known| Arc::as_ptr(&known.active));
        if known != contracts.map(Arc::as_ptr) {
            let copy = |active: &Arc<Active>| Known { active: active.clone(), compiled: active.compiled.clone() };
            self.contracts = contracts.map(copy);
            self.rows = self.fresh_rows()?;
        }
        Ok(())
    }

    /// Decodes a chunk. Malformed events do not make an error, they become rows of `quarantine`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when the chunk is 4 GiB or longer, or becomes
    /// more than 2 GiB of text in one column.
    pub fn decode(&mut self, chunk: &Chunk) -> Result<DecodedChunk> {
        let start = place(chunk)?;
        let contracts = self.contracts.as_ref().map(|known| &known.compiled);
        let input = Input::new(chunk, start, &self.settings, self.format.contract(), contracts);
        match (chunk.oversized, self.format) {
            (Some(oversized), _) => self.segment.oversized(&input, oversized.record_bytes, &mut self.rows),
            (None, InputFormat::Segment) => self.segment.read(&input, &mut self.rows),
            (None, InputFormat::Combined) => combined::read(chunk, &input, &mut self.rows),
        }
        match self.rows.finish(chunk) {
            Ok(decoded) => {
                let contracts = self.contracts.as_ref().map(|known| known.active.label.clone());
                Ok(DecodedChunk { contracts, ..decoded })
            }
            Err(error) => {
                // Columns of different lengths must not meet the next chunk.
                self.rows = self.fresh_rows()?;
                Err(error)
            }
        }
    }

    fn fresh_rows(&self) -> Result<Rows> {
        Rows::new(self.contracts.as_ref().map(|known| known.compiled.columns()).unwrap_or_default())
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("settings", &self.settings)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Decodes one chunk; [`Decoder`] does the same for many.
///
/// # Errors
/// Those of [`Decoder::new`] and [`Decoder::decode`].
pub fn decode(chunk: &Chunk, settings: &DecodeSettings, format: InputFormat) -> Result<DecodedChunk> {
    Decoder::new(settings.clone(), format)?.decode(chunk)
}

/// Returns the chunk's place in its segment, if all places in it can be counted.
fn place(chunk: &Chunk) -> Result<i64> {
    let length = u32::try_from(chunk.bytes.len()).ok();
    let start = length.and_then(|length| {
        let start = i64::try_from(chunk.start).ok()?;
        start.checked_add(i64::from(length)).map(|_| start)
    });
    start.ok_or_else(|| {
        let message = format!("a chunk of {} bytes at {} cannot be addressed", chunk.bytes.len(), chunk.start);
        Error::invalid(format!("{message}: make the source's chunks shorter than 4 GiB")).with("shard", &chunk.shard)
    })
}

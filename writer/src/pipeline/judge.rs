//! The first ordered step: are the chunks complete, which events are duplicates, and to which session and person does
//! each belong? Cheap, since it is done under a lock, one chunk after the other.

use std::sync::Arc;

use icefold_core::{Error, Offset, Result, ShardId};

use super::epoch::Epoch;
use super::order::InOrder;
use super::resume::{Continuity, Place};
use crate::chunk::DecodedChunk;
use crate::enrich::Enriched;
use crate::fold::{Folded, Folds, ForeignRow, Keys, StateSizes};

/// A decoded chunk with its place.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) place: Place,
    pub(super) enriched: Enriched,
    pub(super) keys: Keys,
    pub(super) epoch: Arc<Epoch>,
}

/// A chunk whose events are decided.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) place: Place,
    pub(super) enriched: Enriched,
    pub(super) epoch: Arc<Epoch>,
    /// What was decided about its events.
    pub(super) folded: Folded,
}

/// Decides chunks in the order of their tickets.
#[derive(Debug)]
pub(super) struct Judge {
    order: InOrder<Decoded>,
    folds: Folds,
    continuity: Continuity,
}

impl Judge {
    /// Decides on top of `folds`; `starts` says where each shard goes on.
    pub(super) fn new(folds: Folds, starts: impl IntoIterator<Item = (ShardId, Offset)>) -> Self {
        let mut continuity = Continuity::default();
        for (shard, start) in starts {
            continuity.expect(shard, start);
        }
        Judge { order: InOrder::new(), folds, continuity }
    }

    /// Takes in a chunk and returns those whose turn has come, decided.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when chunks or rows are missing; errors of [`Folds::decide`].
    pub(super) fn submit(&mut self, ticket: u64, decoded: Decoded) -> Result<Vec<(u64, Judged)>> {
        self.order.put(ticket, decoded);
        let mut judged = Vec::new();
        while let Some((ticket, decoded)) = self.order.pop() {
            judged.push((ticket, self.judge(decoded)?));
        }
        Ok(judged)
    }

    /// Returns the earliest arrival, in microseconds since 1970, that counts for any shard.
    pub(super) fn horizon_micros(&self) -> i64 {
        self.folds.dedup.horizons_micros().iter().copied().min().unwrap_or(i64::MIN)
    }

    /// Takes note of rows that others have put into `events`.
    ///
    /// # Errors
    /// Those of [`Dedup::remember`](crate::Dedup::remember).
    pub(super) fn learn(&mut self, rows: &[ForeignRow]) -> Result<()> {
        rows.iter().try_for_each(|row| self.folds.dedup.learn(&row.shard, row.message, row.arrival_micros))
    }

    /// Returns what is remembered of the stream.
    pub(super) fn state(&self) -> StateSizes {
        self.folds.sizes()
    }

    fn judge(&mut self, Decoded { place, enriched, keys, epoch }: Decoded) -> Result<Judged> {
        self.continuity.advance(&place)?;
        let rows = &enriched.rows;
        check(rows)?;
        let folded = self.folds.decide(rows, &keys, 0, 0)?;
        Ok(Judged { place, enriched, epoch, folded })
    }
}

/// Every row in is an event or quarantined (W2), and every event has its hash.
fn check(rows: &DecodedChunk) -> Result<()> {
    let (raw, events, quarantined) = (rows.raw.num_rows(), rows.events.num_rows(), rows.quarantine.num_rows());
    if raw != events + quarantined {
        return Err(Error::bug(format!(
            "the decoder made {events} events and {quarantined} quarantined rows out of {raw} rows of shard `{}`",
            rows.shard
        )));
    }
    if events != rows.message_hashes.len() {
        return Err(Error::bug(format!("the decoder hashed {} of {events} events", rows.message_hashes.len())));
    }
    Ok(())
}

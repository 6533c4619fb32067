//! The first ordered step: are the chunks complete, which events are duplicates, and to which session and person does
//! each belong? Cheap, since it is done under a lock, one chunk after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use icefold_core::{Error, Offset, Parent, Result, ShardId};

use super::epoch::Epoch;
use super::order::InOrder;
use super::parents::Parents;
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
    parents: Parents,
    /// Where shards stand that the run does not read, but others continue.
    elsewhere: BTreeMap<ShardId, Offset>,
}

impl Judge {
    /// Decides on top of `folds`; `starts` says where each shard goes on, `elsewhere` where the shards stand that the run does not
    /// read, but others are to continue.
    pub(super) fn new(
        folds: Folds,
        starts: impl IntoIterator<Item = (ShardId, Offset)>,
        parents: Parents,
        elsewhere: BTreeMap<ShardId, Offset>,
    ) -> Self {
        let mut continuity = Continuity::default();
        for (shard, start) in starts {
            continuity.expect(shard, start);
        }
        Judge { order: InOrder::new(), folds, continuity, parents, elsewhere }
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

    /// Returns the earliest `stream_time`, in microseconds since 1970, that counts for any shard.
    pub(super) fn horizon_micros(&self) -> i64 {
        self.folds.horizon_micros()
    }

    /// Takes note of rows that others have put into `events`.
    ///
    /// # Errors
    /// Those of [`Folds::learn`].
    pub(super) fn learn(&mut self, rows: &[ForeignRow]) -> Result<()> {
        self.folds.learn(rows)
    }

    /// Returns the shards that something is remembered of.
    pub(super) fn shards(&self) -> Vec<ShardId> {
        self.folds.shards().cloned().collect()
    }

    /// Takes over sessions and identities that were made anew.
    pub(super) fn replace(&mut self, refolded: Folds) {
        self.folds.replace(refolded);
    }

    /// Returns what is remembered of the stream.
    pub(super) fn state(&self) -> StateSizes {
        self.folds.sizes()
    }

    fn judge(&mut self, Decoded { mut place, enriched, keys, epoch }: Decoded) -> Result<Judged> {
        self.continuity.advance(&place)?;
        place.to.parents = self.parents_of(&place)?;
        let rows = &enriched.rows;
        check(rows)?;
        let folded = self.folds.decide(rows, &keys)?;
        Ok(Judged { place, enriched, epoch, folded })
    }

    /// Returns the shards that a chunk's shard continues. Its first chunk takes over their state.
    fn parents_of(&mut self, place: &Place) -> Result<Vec<Parent>> {
        if let Some(parents) = self.parents.of_begun(&place.shard) {
            return Ok(parents.to_vec());
        }
        let stands = |shard: &ShardId| self.continuity.at(shard).or_else(|| self.elsewhere.get(shard));
        let until = |shard: &ShardId| stands(shard).cloned().unwrap_or_else(Offset::start);
        let parents = self.parents.begin(&place.shard, |shard| Parent { shard: shard.clone(), until: until(shard) });
        if parents.is_empty() {
            return Ok(parents);
        }
        let latest = parents.iter().filter_map(|parent| self.folds.stream_time_micros(&parent.shard)).max();
        if place.to.stream_time_micros < latest {
            return Err(Error::bug(format!(
                "the source of shard `{}` begins before the `stream_time` of the shards that it continues",
                place.shard
            )));
        }
        self.folds.begin(&place.shard, &parents)?;
        let awaited = self.parents.awaited();
        for parent in parents.iter().filter(|parent| !awaited.contains(&parent.shard)) {
            self.folds.end(&parent.shard);
        }
        Ok(parents)
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

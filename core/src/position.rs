//! Places in the stream.
//!
//! A source is read in shards. Inside a shard records are ordered by [`Offset`]; offsets point *between* records, so
//! that a [`Checkpoint`] (shard to next offset) cuts the stream into "in the table" and "still to come".
//! A [`Delta`] is the piece of stream between two checkpoints, `[from, to)` in every shard that it names.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Part of a source with an order of its own: a folder or file of events, a Kinesis shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(Arc<str>);

impl ShardId {
    /// Names a shard, for example `file:///data/events` or `kinesis/clicks/shardId-000000000003`.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        ShardId(id.into())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place between two records of one shard, ordered by segment, then by position.
///
/// | source | segment | position |
/// |---|---|---|
/// | files | file name below the source, `/`-separated | byte in the uncompressed content |
/// | Kinesis | sequence number, zero-padded to 56 digits | sub-sequence number |
///
/// The order of the derived `Ord` is the order of the stream: it depends on the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Offset {
    /// What the position counts in.
    pub segment: Arc<str>,
    /// Where in the segment the next record starts.
    pub position: u64,
}

impl Offset {
    /// Makes an offset.
    pub fn new(segment: impl Into<Arc<str>>, position: u64) -> Self {
        Offset { segment: segment.into(), position }
    }

    /// Returns the offset before every record of a shard.
    pub fn start() -> Self {
        Offset::new("", 0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segment.is_empty() && self.position == 0 {
            f.write_str("start")
        } else {
            write!(f, "{}@{}", self.segment, self.position)
        }
    }
}

/// How far a shard is in a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardPosition {
    /// The first offset that is not in the table.
    pub next: Offset,
    /// What the source looked like behind `next`, written and checked by the source alone: it refuses to continue
    /// when what was already read has changed. Not part of the position: two positions with another witness are equal
    /// for the commit protocol.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub witness: String,
    /// The `stream_time` of the last record before `next`, in microseconds since 1970: the greatest time of the source so far,
    /// parents included. It never goes back inside a shard. `None` before the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_time_micros: Option<i64>,
    /// The shards that this one continues: its state began as theirs were then. Empty for a shard without an ancestor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
}

/// A shard that another one continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The shard that came before.
    pub shard: ShardId,
    /// Where it stood when the other one began: its records before this offset count as the child's past.
    pub until: Offset,
}

impl ShardPosition {
    /// Makes a position without a witness, a time and parents.
    pub fn at(next: Offset) -> Self {
        ShardPosition { next, witness: String::new(), stream_time_micros: None, parents: Vec::new() }
    }
}

/// How far a table is: shard to next offset. A shard that is absent has not been read at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checkpoint {
    shards: BTreeMap<ShardId, ShardPosition>,
}

impl Checkpoint {
    /// Returns the position of `shard`, if any of it was read.
    pub fn get(&self, shard: &ShardId) -> Option<&ShardPosition> {
        self.shards.get(shard)
    }

    /// Returns the next offset of `shard`, [`Offset::start`] if nothing of it was read.
    pub fn next(&self, shard: &ShardId) -> Offset {
        self.shards.get(shard).map_or_else(Offset::start, |p| p.next.clone())
    }

    /// Iterates over shards and positions in the order of shard ids.
    pub fn iter(&self) -> impl Iterator<Item = (&ShardId, &ShardPosition)> {
        self.shards.iter()
    }

    /// Returns whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Sets the position of one shard.
    pub fn set(&mut self, shard: ShardId, position: ShardPosition) {
        self.shards.insert(shard, position);
    }

    /// Tells how `delta` relates to this checkpoint (see [`Fit`]).
    pub fn fit(&self, delta: &Delta) -> Fit {
        match delta.shards.iter().find(|(shard, d)| self.next(shard) != d.from) {
            None => Fit::Continues,
            Some((shard, d)) => {
                Fit::Elsewhere { shard: shard.clone(), expected: d.from.clone(), found: self.next(shard) }
            }
        }
    }

    /// Returns the checkpoint after `delta`.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced) when `delta` does not start where this checkpoint stands.
    pub fn advance(&self, delta: &Delta) -> Result<Checkpoint> {
        if let Fit::Elsewhere { shard, expected, found } = self.fit(delta) {
            return Err(Error::new(
                crate::ErrorKind::Fenced,
                format!(
                    "shard `{shard}` stands at `{found}`, not at `{expected}`: reload the position and continue there"
                ),
            ));
        }
        let mut next = self.clone();
        for (shard, d) in &delta.shards {
            next.shards.insert(shard.clone(), d.to.clone());
        }
        Ok(next)
    }
}

/// How a delta relates to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// The checkpoint stands at `from` in every shard of the delta.
    Continues,
    /// At least one shard (the first one is named) stands elsewhere, be it behind, inside or beyond the delta.
    Elsewhere {
        /// The shard.
        shard: ShardId,
        /// Where the delta starts.
        expected: Offset,
        /// Where the checkpoint stands.
        found: Offset,
    },
}

/// A piece of one shard: `[from, to)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardDelta {
    /// The first offset inside.
    pub from: Offset,
    /// The first offset after it, with the witness that goes into the checkpoint.
    pub to: ShardPosition,
}

/// A piece of the stream, `[from, to)` in each of its shards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Delta {
    shards: BTreeMap<ShardId, ShardDelta>,
}

impl Delta {
    /// Adds one shard.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](crate::ErrorKind::Bug) when `to` lies before `from`: progress never goes back (K3).
    pub fn insert(&mut self, shard: ShardId, from: Offset, to: ShardPosition) -> Result<()> {
        if to.next < from {
            return Err(Error::bug(format!("a delta of shard `{shard}` would go back from `{from}` to `{}`", to.next)));
        }
        self.shards.insert(shard, ShardDelta { from, to });
        Ok(())
    }

    /// Iterates over the shards in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&ShardId, &ShardDelta)> {
        self.shards.iter()
    }

    /// Returns whether the delta names no shard (maintenance work has none).
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(from: u64, to: u64) -> Delta {
        let mut d = Delta::default();
        d.insert(ShardId::new("s"), Offset::new("f", from), ShardPosition::at(Offset::new("f", to))).expect("forward");
        d
    }

    #[test]
    fn a_delta_continues_only_where_the_checkpoint_stands() {
        let mut at = Checkpoint::default();
        at.set(ShardId::new("s"), ShardPosition::at(Offset::new("f", 5)));
        assert_eq!(at.fit(&delta(5, 9)), Fit::Continues);
        for from in [0, 4, 6] {
            assert!(matches!(at.fit(&delta(from, 9)), Fit::Elsewhere { .. }), "from {from}");
        }
        assert_eq!(at.advance(&delta(5, 9)).expect("fits").next(&ShardId::new("s")), Offset::new("f", 9));
    }

    #[test]
    fn a_shard_never_seen_stands_at_start() {
        let mut d = Delta::default();
        d.insert(ShardId::new("new"), Offset::start(), ShardPosition::at(Offset::new("a", 1))).expect("forward");
        assert_eq!(Checkpoint::default().fit(&d), Fit::Continues);
    }

    #[test]
    fn k3_a_delta_cannot_go_back() {
        let back =
            Delta::default().insert(ShardId::new("s"), Offset::new("f", 9), ShardPosition::at(Offset::new("f", 8)));
        assert_eq!(back.expect_err("goes back").kind(), crate::ErrorKind::Bug);
    }

    #[test]
    fn offsets_order_by_segment_then_position() {
        assert!(Offset::start() < Offset::new("a", 0));
        assert!(Offset::new("a", 99) < Offset::new("b", 0));
    }

    #[test]
    fn a_checkpoint_survives_json() {
        let at = Checkpoint::default().advance(&{
            let mut d = Delta::default();
            let to = ShardPosition {
                witness: "w".into(),
                stream_time_micros: Some(7),
                ..ShardPosition::at(Offset::new("f", 3))
            };
            d.insert(ShardId::new("s"), Offset::start(), to).expect("forward");
            d
        });
        let at = at.expect("fits");
        let text = serde_json::to_string(&at).expect("json");
        assert_eq!(serde_json::from_str::<Checkpoint>(&text).expect("json"), at);
    }
}

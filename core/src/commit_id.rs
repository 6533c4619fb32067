//! The identity of a piece of work: of a batch, and of a commit to one table.
//!
//! Both are hashes of what is done, not of who does it or when. A batch is what its object says, so its id is the hash of
//! that; the commit of a batch to a table has an id of batch and table. So a commit whose reply was lost is recognised when the
//! work comes back (invariant K1), and two batches over the same piece of stream are never taken for one another (W3).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::{Delta, Error, Result};

/// 128-bit identity of a commit, printed as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(u128);

/// 128-bit identity of a batch, printed as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(u128);

impl BatchId {
    /// Returns the id of the batch that `content`, the bytes of its object, describes.
    pub fn of(content: &[u8]) -> Self {
        BatchId(xxh3_128(content))
    }
}

impl CommitId {
    /// Returns the id of writing `delta` to the table `table_uuid`. Witnesses do not count: they describe the source,
    /// not the range.
    pub fn for_delta(table_uuid: Uuid, kind: &str, delta: &Delta) -> Self {
        let mut hash = Hasher::new(table_uuid, kind);
        for (shard, d) in delta.iter() {
            hash.text(shard.as_str());
            for offset in [&d.from, &d.to.next] {
                hash.text(&offset.segment);
                hash.0.update(&offset.position.to_le_bytes());
            }
        }
        hash.finish()
    }

    /// Returns the id of what the batch `batch` does to the table `table_uuid`.
    pub fn for_batch(table_uuid: Uuid, batch: BatchId) -> Self {
        let mut hash = Hasher::new(table_uuid, "batch");
        hash.0.update(&batch.0.to_le_bytes());
        hash.finish()
    }

    /// Returns the id of work on the table `table_uuid` that is described by `inputs` (for example the files that a
    /// rewrite replaces). The order of `inputs` counts: sort what has no order of its own.
    pub fn for_inputs<'a>(table_uuid: Uuid, kind: &str, inputs: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Hasher::new(table_uuid, kind);
        for input in inputs {
            hash.text(input);
        }
        hash.finish()
    }
}

/// Feeds length-prefixed fields, so that no two different lists of fields hash the same bytes.
struct Hasher(Xxh3);

impl Hasher {
    fn new(table_uuid: Uuid, kind: &str) -> Self {
        let mut hash = Hasher(Xxh3::new());
        hash.0.update(table_uuid.as_bytes());
        hash.text(kind);
        hash
    }

    fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn finish(self) -> CommitId {
        CommitId(self.0.digest128())
    }
}

/// Gives an id its text, as which it stands in objects, summaries and messages.
macro_rules! as_text {
    ($id:ident, $what:literal) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl FromStr for $id {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                match u128::from_str_radix(text, 16) {
                    Ok(id) if text.len() == 32 => Ok($id(id)),
                    _ => Err(Error::invalid(format!("`{text}` is not {}: expected 32 hexadecimal digits", $what))),
                }
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(CommitId, "a commit id");
as_text!(BatchId, "a batch id");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Offset, ShardId, ShardPosition};

    fn delta(to: u64, witness: &str) -> Delta {
        let mut d = Delta::default();
        let to = ShardPosition { witness: witness.into(), ..ShardPosition::at(Offset::new("f", to)) };
        d.insert(ShardId::new("s"), Offset::start(), to).expect("forward");
        d
    }

    #[test]
    fn same_work_has_the_same_id_and_other_work_another() {
        let table = Uuid::from_u128(1);
        let id = CommitId::for_delta(table, "append", &delta(5, "x"));
        assert_eq!(id, CommitId::for_delta(table, "append", &delta(5, "y")), "the witness does not count");
        assert_ne!(id, CommitId::for_delta(table, "append", &delta(6, "x")));
        assert_ne!(id, CommitId::for_delta(table, "rewrite", &delta(5, "x")));
        assert_ne!(
            id,
            CommitId::for_delta(Uuid::from_u128(2), "append", &delta(5, "x")),
            "table dropped and made anew"
        );
        assert_ne!(CommitId::for_inputs(table, "k", ["ab", "c"]), CommitId::for_inputs(table, "k", ["a", "bc"]));
    }

    #[test]
    fn w3_other_batches_over_the_same_range_have_other_ids() {
        let table = Uuid::from_u128(1);
        let [one, two] = [b"{1}", b"{2}"].map(|content| CommitId::for_batch(table, BatchId::of(content)));
        assert_ne!(one, two);
        assert_eq!(one, CommitId::for_batch(table, BatchId::of(b"{1}")), "the same work comes back");
        assert_ne!(one, CommitId::for_batch(Uuid::from_u128(2), BatchId::of(b"{1}")), "another table");
    }

    #[test]
    fn an_id_survives_its_text() {
        let id = CommitId::for_inputs(Uuid::nil(), "k", []);
        assert_eq!(id.to_string().parse::<CommitId>().expect("own text"), id);
        assert!("12".parse::<CommitId>().is_err());
    }
}

//! The identity of a piece of work.
//!
//! A commit id is a hash of what is done, not of who does it or when: the same delta on the same table has the same id
//! in every process, so a commit whose reply was lost is recognised when the work comes back (invariant K1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use crate::{Delta, Error, Result};

/// 128-bit identity of a commit, printed as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(u128);

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

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for CommitId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match u128::from_str_radix(text, 16) {
            Ok(id) if text.len() == 32 => Ok(CommitId(id)),
            _ => Err(Error::invalid(format!("`{text}` is not a commit id: expected 32 hexadecimal digits"))),
        }
    }
}

impl Serialize for CommitId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CommitId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

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
    fn an_id_survives_its_text() {
        let id = CommitId::for_inputs(Uuid::nil(), "k", []);
        assert_eq!(id.to_string().parse::<CommitId>().expect("own text"), id);
        assert!("12".parse::<CommitId>().is_err());
    }
}

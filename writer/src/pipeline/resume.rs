//! Where reading goes on, and that the chunks of a shard follow one another without a gap.

use std::collections::BTreeMap;

use icefold_core::tables::TableKind;
use icefold_core::{Error, Offset, Result, ShardId, ShardPosition};

use crate::chunk::Chunk;

/// The number of tables that are written.
pub(crate) const TABLES: usize = TableKind::ALL.len();

/// Returns the place of a table in [`TableKind::ALL`].
pub(crate) fn index_of(table: TableKind) -> usize {
    TableKind::ALL.iter().position(|t| *t == table).unwrap_or(TABLES - 1)
}

/// Where a chunk lies in its shard.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) shard: ShardId,
    pub(crate) from: Offset,
    pub(crate) to: ShardPosition,
    pub(crate) bytes: u64,
}

impl Place {
    pub(crate) fn of(chunk: &Chunk) -> Self {
        Place {
            shard: chunk.shard.clone(),
            from: chunk.from.clone(),
            to: chunk.to.clone(),
            bytes: chunk.bytes.len() as u64,
        }
    }
}

/// Checks that the chunks of every shard follow one another without a gap (W1).
#[derive(Debug, Default)]
pub(crate) struct Continuity(BTreeMap<ShardId, Offset>);

impl Continuity {
    pub(crate) fn expect(&mut self, shard: ShardId, start: Offset) {
        self.0.insert(shard, start);
    }

    /// Returns where a shard of the run stands.
    pub(crate) fn at(&self, shard: &ShardId) -> Option<&Offset> {
        self.0.get(shard)
    }

    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when `place` does not start where its shard stands.
    pub(crate) fn advance(&mut self, place: &Place) -> Result<()> {
        let Some(at) = self.0.get_mut(&place.shard) else {
            return Err(Error::bug(format!("a chunk of shard `{}`, which was not announced", place.shard)));
        };
        if *at != place.from || place.to.next < place.from {
            return Err(Error::bug(format!(
                "the source of shard `{}` went from `{at}` to [`{}`, `{}`): records would be lost or read twice",
                place.shard, place.from, place.to.next
            )));
        }
        *at = place.to.next.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(from: u64, to: u64) -> Place {
        let to = ShardPosition::at(Offset::new("f", to));
        Place { shard: ShardId::new("s"), from: Offset::new("f", from), to, bytes: 1 }
    }

    #[test]
    fn w1_a_gap_between_chunks_is_refused() {
        let mut continuity = Continuity::default();
        continuity.expect(ShardId::new("s"), Offset::new("f", 0));
        continuity.advance(&place(0, 3)).expect("continues");
        for (from, to) in [(4, 5), (2, 5), (3, 1)] {
            let error = continuity.advance(&place(from, to)).expect_err("gap, overlap or back");
            assert_eq!(error.kind(), icefold_core::ErrorKind::Bug);
        }
        continuity.advance(&place(3, 5)).expect("continues");
    }
}

//! Which rows of a chunk a table does not have yet.
//!
//! Each table has its own checkpoint. After a crash between the commits of two tables one of them is ahead, so reading
//! starts at the table that is furthest behind, and the others leave out what they have: a crash is healed by reading.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::chunk::Chunk;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use icefold_core::tables::TableKind;
use icefold_core::{Checkpoint, Error, Offset, Result, ShardId, ShardPosition};

/// The number of tables that are written.
pub(crate) const TABLES: usize = TableKind::ALL.len();

/// Returns the place of a table in [`TableKind::ALL`].
pub(crate) fn index_of(table: TableKind) -> usize {
    TableKind::ALL.iter().position(|t| *t == table).unwrap_or(TABLES - 1)
}

/// Where one shard stands in each table, in the order of [`TableKind::ALL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing(pub(crate) [Offset; TABLES]);

impl Standing {
    pub(crate) fn of(shard: &ShardId, checkpoints: [&Checkpoint; TABLES]) -> Self {
        Standing(checkpoints.map(|checkpoint| checkpoint.next(shard)))
    }

    /// Returns whether all tables stand at the same place.
    pub(crate) fn is_even(&self) -> bool {
        self.0.iter().all(|offset| *offset == self.0[0])
    }

    /// Where reading starts: where the table stands that is furthest behind.
    pub(crate) fn start(&self) -> &Offset {
        self.0.iter().min().expect("there are tables")
    }
}

/// Returns the position, with witness, of the table that is furthest behind; `None` when one has nothing of the shard.
pub(crate) fn start_position(shard: &ShardId, checkpoints: [&Checkpoint; TABLES]) -> Option<ShardPosition> {
    let positions: Option<Vec<_>> = checkpoints.iter().map(|checkpoint| checkpoint.get(shard)).collect();
    positions?.into_iter().min_by(|a, b| a.next.cmp(&b.next)).cloned()
}

/// Where a chunk lies in its shard.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) shard: ShardId,
    pub(crate) segment: Arc<str>,
    pub(crate) from: Offset,
    pub(crate) to: ShardPosition,
    pub(crate) bytes: u64,
}

impl Place {
    pub(crate) fn of(chunk: &Chunk) -> Self {
        Place {
            shard: chunk.shard.clone(),
            segment: chunk.segment.clone(),
            from: chunk.from.clone(),
            to: chunk.to.clone(),
            bytes: chunk.bytes.len() as u64,
        }
    }

    /// Returns how many of the chunk's first rows, in stream order, lie before `checkpoint`.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the rows have no offsets.
    pub(crate) fn rows_before(&self, checkpoint: &Offset, table: TableKind, rows: &RecordBatch) -> Result<usize> {
        if *checkpoint <= self.from {
            return Ok(0);
        }
        if *checkpoint >= self.to.next {
            return Ok(rows.num_rows());
        }
        let column = rows.columns().get(table.index_of("source_offset"));
        let offsets = column
            .and_then(|c| c.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| Error::bug("decoded rows have no `source_offset`"))?;
        let before = |offset: &i64| {
            let at = Offset { segment: self.segment.clone(), position: u64::try_from(*offset).unwrap_or(0) };
            at < *checkpoint
        };
        Ok(offsets.values().partition_point(before))
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
    use crate::encode::file::tests::quarantine_rows;

    fn place(from: u64, to: u64) -> Place {
        let to = ShardPosition::at(Offset::new("f", to));
        Place { shard: ShardId::new("s"), segment: "f".into(), from: Offset::new("f", from), to, bytes: 1 }
    }

    #[test]
    fn rows_before_a_checkpoint_are_left_out_also_in_the_middle_of_a_chunk() {
        // Rows at offsets 0, 1, 2.
        let rows = quarantine_rows(&[5, 5, 5]);
        let before =
            |checkpoint| place(0, 3).rows_before(&checkpoint, TableKind::Quarantine, &rows).expect("rows have offsets");
        assert_eq!(before(Offset::start()), 0);
        assert_eq!(before(Offset::new("f", 0)), 0);
        assert_eq!(before(Offset::new("f", 2)), 2);
        assert_eq!(before(Offset::new("f", 3)), 3);
        assert_eq!(before(Offset::new("g", 0)), 3);
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

    #[test]
    fn reading_starts_where_the_last_table_stands() {
        let shard = ShardId::new("s");
        let at = |position| {
            let mut checkpoint = Checkpoint::default();
            checkpoint.set(
                shard.clone(),
                ShardPosition { witness: "w".into(), ..ShardPosition::at(Offset::new("f", position)) },
            );
            checkpoint
        };
        let (ahead, behind) = (at(9), at(4));
        let start = start_position(&shard, [&ahead, &behind, &behind, &ahead]).expect("all have the shard");
        assert_eq!((start.next, start.witness.as_str()), (Offset::new("f", 4), "w"));
        assert_eq!(start_position(&shard, [&ahead, &Checkpoint::default(), &behind, &ahead]), None);
        assert_eq!(*Standing::of(&shard, [&ahead, &behind, &behind, &ahead]).start(), Offset::new("f", 4));
    }
}

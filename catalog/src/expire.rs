//! Removing snapshots from a table's history, by the retention rule or by id.
//!
//! Only metadata changes: what no snapshot reaches any more is left for a later clean-up, because a reader may be at work
//! on it. What pins a snapshot (current, tags and branches, what proves the newest
//! checkpoint) is refused, not skipped.

use std::collections::BTreeSet;

use iceberg::spec::TableMetadata;
use icefold_core::{Error, Result};

use crate::amend::Amendment;
use crate::keys;
use crate::lineage;
use crate::table::LoadedTable;
use crate::warehouse::Warehouse;

impl Warehouse {
    /// Removes snapshots by id; ids that are gone already are no error. Returns the ids that this call removed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) for a pinned snapshot; as [`Warehouse::commit`]
    /// otherwise.
    pub async fn expire(&self, table: &str, ids: &[i64]) -> Result<Vec<i64>> {
        let mut removed = Vec::new();
        let planned = self.amend(table, |base| {
            removed = ids.iter().copied().filter(|id| base.metadata().snapshot_by_id(*id).is_some()).collect();
            without_snapshots(base, &removed)
        });
        planned.await?;
        Ok(removed)
    }
}

fn without_snapshots(base: &LoadedTable, ids: &[i64]) -> Result<Option<Amendment>> {
    if ids.is_empty() {
        return Ok(None);
    }
    refuse_pinned(base, ids)?;
    let ids = ids.to_vec();
    Ok(Some(Box::new(move |builder| {
        let builder = ids.iter().fold(builder, |b, id| b.remove_statistics(*id).remove_partition_statistics(*id));
        Ok(builder.remove_snapshots(&ids))
    })))
}

fn refuse_pinned(base: &LoadedTable, ids: &[i64]) -> Result<()> {
    let pinned: BTreeSet<i64> = base.refs().values().copied().chain(proof(base.metadata())).collect();
    match ids.iter().find(|id| pinned.contains(id)) {
        None => Ok(()),
        Some(id) => Err(Error::invalid(format!(
            "snapshot `{id}` cannot expire: a branch, a tag or the proof of the newest checkpoint needs it; drop the tag first, or \
             expire it after the next commit"
        ))),
    }
}

/// The snapshot of the newest checkpoint, and those that lead from it to the current one: without them nothing tells that
/// rows are where the checkpoint says.
fn proof(metadata: &TableMetadata) -> Vec<i64> {
    let own = |id: &i64| metadata.properties().get(keys::CHECKPOINT_SNAPSHOT_ID) == Some(&id.to_string());
    let chain: Vec<i64> =
        lineage::ancestors(metadata, metadata.current_snapshot_id()).map(|s| s.snapshot_id()).collect();
    let length = chain.iter().position(own).map_or(chain.len(), |at| at + 1);
    chain[..length].to_vec()
}

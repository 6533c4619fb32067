//! What holds from one place in the stream to another: the contracts that decide, and the columns that are written.
//!
//! A chunk belongs to the epoch in which it was read. A batch holds chunks of one epoch, so that its rows, its files and the
//! contracts that its summary names belong together.

use std::collections::BTreeMap;
use std::sync::Arc;

use icefold_catalog::{LoadedTable, Warehouse, keys};
use icefold_core::tables::TableKind;
use icefold_core::{Error, Result, ShardId};

use super::encoding::Encoders;
use super::resume::{Standing, TABLES, index_of};
use crate::contracts::Active;
use crate::encode::TableEncoder;
use crate::publish::TableState;

/// One epoch.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) contracts: Option<Arc<Active>>,
    pub(crate) encoders: Encoders,
}

impl Epoch {
    /// Returns the epoch that a run begins with. Where a run ended between two tables, what it had committed to the first ones
    /// was decided by the contracts of then, so the other tables get their rows by these, too, whatever is in force by now.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when different contracts had decided about such
    /// shards; those of [`Warehouse::contracts_at`].
    pub(super) async fn first(
        warehouse: &Warehouse,
        tables: &[TableState; TABLES],
        standings: &BTreeMap<ShardId, Standing>,
        compression_level: i32,
    ) -> Result<Self> {
        let in_force = in_force(&tables[index_of(TableKind::Events)].table);
        let uneven: Vec<&ShardId> =
            standings.iter().filter(|(_, standing)| !standing.is_even()).map(|(shard, _)| shard).collect();
        let mut encoders = tables.each_ref().map(|state| state.encoder.clone());
        if uneven.is_empty() {
            return Ok(Epoch { contracts: compiled(warehouse, in_force).await?, encoders });
        }
        let raw = &tables[index_of(TableKind::RawEvents)].table;
        let contracts = compiled(warehouse, decided_by(raw, &uneven, in_force).await?).await?;
        if let Some(active) = &contracts {
            let events = &tables[index_of(TableKind::Events)];
            let columns: Vec<&str> = active.compiled.columns().iter().map(|column| column.name.as_str()).collect();
            let encoder = TableEncoder::for_columns(events.kind, events.table.metadata(), &columns, compression_level)?;
            encoders[index_of(TableKind::Events)] = Arc::new(encoder);
        }
        Ok(Epoch { contracts, encoders })
    }

    /// Returns the epoch after this one, if the tables have other columns or name other contracts.
    ///
    /// # Errors
    /// Those of [`Warehouse::contracts_at`].
    pub(super) async fn next(&self, warehouse: &Warehouse, tables: &[TableState; TABLES]) -> Result<Option<Self>> {
        let encoders = tables.each_ref().map(|state| state.encoder.clone());
        let same_columns = encoders.iter().zip(&self.encoders).all(|(new, old)| Arc::ptr_eq(new, old));
        let uri = in_force(&tables[index_of(TableKind::Events)].table);
        let same_contracts = self.contracts.as_ref().and_then(|active| active.uri.clone()) == uri;
        if same_columns && same_contracts {
            return Ok(None);
        }
        let contracts = if same_contracts { self.contracts.clone() } else { compiled(warehouse, uri).await? };
        Ok(Some(Epoch { contracts, encoders }))
    }
}

/// The contracts that `events` names.
fn in_force(events: &LoadedTable) -> Option<String> {
    events.metadata().properties().get(keys::CONTRACTS).cloned()
}

/// The contracts that decided about the newest rows of shards.
async fn decided_by(raw: &LoadedTable, shards: &[&ShardId], in_force: Option<String>) -> Result<Option<String>> {
    let progress = raw.progress().await?;
    let of = |shard: &ShardId| match progress.decided_by.get(shard) {
        Some(decided) => decided.clone(),
        // An earlier version moved it, or the table is new.
        None => summary_of_newest(raw).unwrap_or_else(|| in_force.clone()),
    };
    let Some((first, others)) = shards.split_first() else { return Ok(in_force) };
    let decided = of(first);
    match others.iter().find(|shard| of(shard) != decided) {
        None => Ok(decided),
        Some(other) => Err(Error::invalid(format!(
            "runs ended between two tables, of `{first}` and of `{other}`, while different contracts were in force: ingest \
             each of them alone once, then together again"
        ))),
    }
}

/// What the snapshot of the newest checkpoint says about contracts, if it has not expired.
fn summary_of_newest(table: &LoadedTable) -> Option<Option<String>> {
    let metadata = table.metadata();
    let id = metadata.properties().get(keys::CHECKPOINT_SNAPSHOT_ID).and_then(|id| id.parse().ok())?;
    let snapshot = metadata.snapshot_by_id(id)?;
    Some(icefold_catalog::lineage::summary(snapshot, keys::CONTRACTS).map(str::to_owned))
}

async fn compiled(warehouse: &Warehouse, uri: Option<String>) -> Result<Option<Arc<Active>>> {
    let Some(uri) = uri else { return Ok(None) };
    let set = warehouse.contracts_at(&uri).await?;
    let active = Active::compile(&set, Some(uri))?;
    tracing::info!(contracts = active.label.as_ref(), "contracts decide from here on");
    Ok(Some(Arc::new(active)))
}

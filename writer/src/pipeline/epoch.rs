//! What holds from one place in the stream to another: the contracts that decide, and the columns that are written.
//!
//! A chunk belongs to the epoch in which it was read. A batch holds chunks of one epoch, so that its rows, its files and the
//! contracts that its summary names belong together.

use std::sync::Arc;

use icefold_catalog::{LoadedTable, Warehouse, keys};
use icefold_core::Result;
use icefold_core::tables::TableKind;

use super::encoding::Encoders;
use super::recover::Recovers;
use super::resume::{TABLES, index_of};
use crate::contracts::Active;
use crate::publish::TableState;

/// One epoch.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) contracts: Option<Arc<Active>>,
    pub(crate) encoders: Encoders,
}

impl Epoch {
    /// Returns the epoch that a run begins with: what is in force, or what a recovery says.
    ///
    /// # Errors
    /// Those of [`Warehouse::contracts_at`].
    pub(super) async fn first(
        warehouse: &Warehouse,
        tables: &[TableState; TABLES],
        recovers: Option<&Recovers>,
        compression_level: i32,
    ) -> Result<Self> {
        let events = &tables[index_of(TableKind::Events)].table;
        let mut encoders = tables.each_ref().map(|state| state.encoder.clone());
        if let Some(recovers) = recovers {
            let (contracts, encoder) = recovers.decides(warehouse, events, compression_level).await?;
            if let Some(encoder) = encoder {
                encoders[index_of(TableKind::Events)] = encoder;
            }
            return Ok(Epoch { contracts, encoders });
        }
        let uri = in_force(events);
        Ok(Epoch { contracts: compiled(warehouse, uri).await?, encoders })
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

async fn compiled(warehouse: &Warehouse, uri: Option<String>) -> Result<Option<Arc<Active>>> {
    let Some(uri) = uri else { return Ok(None) };
    let set = warehouse.contracts_at(&uri).await?;
    let active = Active::compile(&set, Some(uri))?;
    tracing::info!(contracts = active.label.as_ref(), "contracts decide from here on");
    Ok(Some(Arc::new(active)))
}

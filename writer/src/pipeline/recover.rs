//! Recovery: what `raw_events` has and another table cannot get by rolling forward is derived from `raw_events`, by the contracts
//! and the format that decided about it then.
//!
//! Needed when the object of an open batch is gone, when files of it are, when a table was made anew or a person has adopted an
//! older checkpoint. Each step brings the tables that are furthest behind to where the next one stands, in batches written ahead
//! of their own, so that a recovery may be interrupted anywhere, and run by several at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use icefold_catalog::{LoadedTable, Progress, Warehouse, keys, lineage};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, CommitId, Counts, Error, Offset, Result, ShardId, ShardPosition};
use serde::Serialize;

use super::{Crew, Ingest, TABLES, index_of, states};
use crate::contracts::Active;
use crate::decode::{ACCESS_LOG_CONTRACT, DecodeSettings, Decoder, InputFormat};
use crate::encode::TableEncoder;
use crate::enrich::Enrichment;
use crate::failpoint::FailPoints;
use crate::publish::forward::{self, Blocked, Level};
use crate::publish::{CONTRACT, Targets};
use crate::settings::Settings;
use crate::source::RawSource;

/// Steps of a recovery; each levels at least one table of a shard, so more mean that others undo them.
const MAX_STEPS: usize = 100_000;

/// What a run of recovery brings to which tables, and by which contracts.
#[derive(Debug, Clone)]
pub(super) struct Recovers {
    pub(super) targets: Targets,
    /// The object with the contracts that decide.
    pub(super) contracts: Option<String>,
}

/// What one step has brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// The shard.
    pub shard: String,
    /// The tables that it was missing in.
    pub tables: Vec<&'static str>,
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// What became of the rows.
    pub counts: Counts,
    /// Contract and version of the format that the rows were read as.
    pub contract: String,
    /// Object with the data contracts that decided, if there were any.
    pub contracts: Option<String>,
    /// Whether nothing tells any more what had decided then, so that what is in force now has.
    pub by_what_is_in_force: bool,
}

/// Levels the tables of a warehouse.
pub struct Recovery {
    warehouse: Warehouse,
    settings: Settings,
    decode: DecodeSettings,
    enrichment: Enrichment,
    fail_points: FailPoints,
    crew: Crew,
}

/// What decided about the newest rows of a shard.
struct Decided {
    contract: String,
    contracts: Option<String>,
    is_known: bool,
}

/// One step: a shard, what it lacks where.
struct Step {
    shard: ShardId,
    targets: Targets,
    from: ShardPosition,
    to: ShardPosition,
}

impl Recovery {
    /// Prepares a recovery of the tables of `warehouse`.
    pub fn new(warehouse: &Warehouse, settings: Settings, decode: DecodeSettings, enrichment: Enrichment) -> Self {
        let (warehouse, fail_points, crew) = (warehouse.clone(), FailPoints::default(), Crew::default());
        Recovery { warehouse, settings, decode, enrichment, fail_points, crew }
    }

    /// Arms a fail point, for crash tests.
    #[must_use]
    pub fn fail_points(self, fail_points: FailPoints) -> Self {
        Recovery { fail_points, ..self }
    }

    /// Sets who decodes and encodes. Default: threads.
    #[must_use]
    pub fn crew(self, crew: Crew) -> Self {
        Recovery { crew, ..self }
    }

    /// Rolls forward what can be, and derives what cannot. Returns what was derived, step by step.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when a table stands ahead of `raw_events` or cannot prove where it
    /// stands; those of [`Ingest::run`]. What was brought before stays; running again continues.
    pub async fn run(&self) -> Result<Vec<Recovered>> {
        self.settings.validate()?;
        let mut recovered = Vec::new();
        for _ in 0..MAX_STEPS {
            let level = forward::roll_forward(&self.warehouse).await?;
            let Some(step) = step(&level) else { return Ok(recovered) };
            recovered.push(self.take(level, step).await?);
        }
        Err(Error::bug(format!("a recovery is not done after {MAX_STEPS} steps")))
    }

    async fn take(&self, level: Level, step: Step) -> Result<Recovered> {
        let Level { tables, closes, .. } = level;
        let (raw, progress) = &tables[index_of(TableKind::RawEvents)];
        let decided = self.decided(raw, progress, &step.shard).await?;
        let source = RawSource::open(raw, &step.shard, step.from.next.clone(), step.to.clone()).await?;
        let mut tables = states(tables, self.settings.compression_level)?;
        for state in &mut tables {
            state.checkpoint.set(step.shard.clone(), step.from.clone());
        }
        let format = match decided.contract.as_str() {
            ACCESS_LOG_CONTRACT => InputFormat::Combined,
            _ => InputFormat::Segment,
        };
        let decode = self.decode.clone();
        let ingest = Ingest {
            tables,
            closes,
            blocked: BTreeMap::new(),
            recovers: Some(Recovers { targets: step.targets, contracts: decided.contracts.clone() }),
            ..Ingest::over(&self.warehouse, self.settings.clone()).await?
        };
        let ingest = ingest.source(Box::new(source)).contract(decided.contract.clone()).crew(self.crew.clone());
        let ingest = ingest.enrichment(self.enrichment.clone()).fail_points(self.fail_points.clone());
        let report = Box::pin(ingest.decoder(move || Decoder::new(decode.clone(), format)).run()).await?;
        let tables = TableKind::ALL.into_iter().zip(step.targets).filter(|(_, is_target)| *is_target);
        Ok(Recovered {
            shard: step.shard.to_string(),
            tables: tables.map(|(kind, _)| kind.name()).collect(),
            from: step.from.next.to_string(),
            to: step.to.next.to_string(),
            counts: report.counts,
            contract: decided.contract,
            contracts: decided.contracts,
            by_what_is_in_force: !decided.is_known,
        })
    }

    /// Finds out what decided about the newest rows of a shard: its batch says so, else the snapshot that the batch made.
    async fn decided(&self, raw: &LoadedTable, progress: &Progress, shard: &ShardId) -> Result<Decided> {
        let facts = match progress.moved_by.get(shard) {
            Some(id) => match self.warehouse.read_batch(*id).await? {
                Some(batch) => Some(batch.summary),
                None => of_snapshot(raw, *id),
            },
            None => None,
        };
        if let Some(facts) = &facts
            && let Some(contract) = facts.get(CONTRACT)
        {
            let contracts = facts.get(keys::CONTRACTS).cloned();
            return Ok(Decided { contract: contract.clone(), contracts, is_known: true });
        }
        let events = self.warehouse.load(TableKind::Events.name()).await?;
        let contracts = events.metadata().properties().get(keys::CONTRACTS).cloned();
        let contract = icefold_core::tables::BUILT_IN_CONTRACT.to_owned();
        Ok(Decided { contract, contracts, is_known: false })
    }
}

/// What the summary of the snapshot says that a batch made of `raw_events`.
fn of_snapshot(raw: &LoadedTable, id: BatchId) -> Option<BTreeMap<String, String>> {
    let metadata = raw.metadata();
    let snapshot = lineage::find_commit(metadata, CommitId::for_batch(metadata.uuid(), id))?;
    Some(lineage::properties(metadata.snapshot_by_id(snapshot)?).collect())
}

/// Finds the next step: of a shard that is not level, the tables that are furthest behind, up to where the next one stands.
fn step(level: &Level) -> Option<Step> {
    let (shard, _) = level.blocked.iter().find(|(_, why)| matches!(why, Blocked::Stuck(_)))?;
    let start = || ShardPosition::at(Offset::start());
    let positions: [ShardPosition; TABLES] =
        level.tables.each_ref().map(|(_, progress)| progress.checkpoint.get(shard).cloned().unwrap_or_else(start));
    let mut from = positions.iter().min_by(|a, b| a.next.cmp(&b.next))?.clone();
    let to = positions.iter().filter(|position| position.next > from.next).min_by(|a, b| a.next.cmp(&b.next))?.clone();
    if from.parents.is_empty() {
        from.parents.clone_from(&to.parents);
    }
    let targets = positions.each_ref().map(|position| position.next == from.next);
    Some(Step { shard: shard.clone(), targets, from, to })
}

impl Recovers {
    /// Returns the contracts that decide, and the encoder for `events` that has the columns which they promote, under whatever
    /// names these have now.
    pub(super) async fn decides(
        &self,
        warehouse: &Warehouse,
        events: &LoadedTable,
        compression_level: i32,
    ) -> Result<(Option<Arc<Active>>, Option<Arc<TableEncoder>>)> {
        let Some(uri) = &self.contracts else { return Ok((None, None)) };
        let set = warehouse.contracts_at(uri).await?;
        let active = Arc::new(Active::compile(&set, Some(uri.clone()))?);
        let columns: Vec<&str> = active.compiled.columns().iter().map(|column| column.name.as_str()).collect();
        let encoder = TableEncoder::for_columns(TableKind::Events, events.metadata(), &columns, compression_level)?;
        Ok((Some(active), Some(Arc::new(encoder))))
    }
}

//! Recovery: what `raw_events` has and another table cannot get by rolling forward is derived from `raw_events`, by the contracts
//! and the format that decided about it then.
//!
//! Needed when the object of an open batch is gone, when files of it are, when a table was made anew or a person has adopted an
//! older checkpoint. Each step brings the tables that are furthest behind to where the next one stands, in batches written ahead
//! of their own, so that a recovery may be interrupted anywhere, and run by several at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use icefold_catalog::{LoadedTable, Warehouse, keys, lineage};
use icefold_core::tables::TableKind;
use icefold_core::{Counts, Error, ErrorKind, Offset, Result, ShardId, ShardPosition};
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

/// Steps of a recovery; each brings a shard over a batch or levels a table of it, so more mean that others undo them.
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
    /// How it is known that these had decided then.
    pub decided_by: Evidence,
}

/// How it is known what had decided about rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The snapshot of `raw_events` that the rows came with says so.
    Snapshot,
    /// The snapshots before have expired: the rows may have come with an earlier one than the one that was asked.
    LaterSnapshot,
    /// No snapshot tells: what is in force now decides.
    InForce,
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

/// What decided about the first rows of a stretch, and up to where.
struct Decided {
    contract: String,
    contracts: Option<String>,
    evidence: Evidence,
    to: ShardPosition,
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
    /// [`ErrorKind::Corrupt`] when a table stands ahead of `raw_events` or cannot prove where it
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
        let (raw, _) = &tables[index_of(TableKind::RawEvents)];
        let decided = self.decided(raw, &step).await?;
        let source = RawSource::open(raw, &step.shard, step.from.next.clone(), decided.to.clone()).await?;
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
            to: decided.to.next.to_string(),
            counts: report.counts,
            contract: decided.contract,
            contracts: decided.contracts,
            decided_by: decided.evidence,
        })
    }

    /// Finds out what decided about the first rows of a step: the first snapshot of `raw_events` that holds them says so, and how
    /// far it reaches.
    async fn decided(&self, raw: &LoadedTable, step: &Step) -> Result<Decided> {
        let metadata = raw.metadata();
        let mut decided = None;
        let mut evidence = Evidence::LaterSnapshot;
        for snapshot in lineage::ancestors(metadata, metadata.current_snapshot_id()) {
            // What others and rewrites commit moves no shard.
            let Some(contract) = lineage::summary(snapshot, CONTRACT) else { continue };
            let progress = match raw.progress_at(snapshot.snapshot_id()).await {
                Ok(progress) => progress,
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => break,
                Err(e) => return Err(e),
            };
            let stands = progress.checkpoint.get(&step.shard).cloned();
            let Some(to) = stands.filter(|to| to.next > step.from.next) else {
                evidence = Evidence::Snapshot;
                break;
            };
            if snapshot.parent_snapshot_id().is_none() {
                evidence = Evidence::Snapshot;
            }
            decided = Some((contract.to_owned(), lineage::summary(snapshot, keys::CONTRACTS).map(str::to_owned), to));
        }
        let nearer = |to: ShardPosition| if to.next < step.to.next { to } else { step.to.clone() };
        if let Some((contract, contracts, to)) = decided {
            return Ok(Decided { contract, contracts, evidence, to: nearer(to) });
        }
        let events = self.warehouse.load(TableKind::Events.name()).await?;
        let contracts = events.metadata().properties().get(keys::CONTRACTS).cloned();
        let contract = icefold_core::tables::BUILT_IN_CONTRACT.to_owned();
        Ok(Decided { contract, contracts, evidence: Evidence::InForce, to: step.to.clone() })
    }
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

//! Quarantined events that pass now are let in beside the writers, as `icefold quarantine redrive` does it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use icefold_catalog::{LiveFile, LoadedTable, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{Result, ShardId};
use icefold_writer::enrich::Enrichment;
use icefold_writer::redrive::{Admitted, Choice, EventPlace, Fate, Judged, Passing, Redrive, Related};

use super::content::{Reader, Row};
use super::lives::Deciding;
use crate::sim::faults::turns;

/// How often a file is judged again because a table has changed meanwhile: as often as the command does.
const MAX_ATTEMPTS: u32 = 20;
/// How many turns of the scheduler longer each pause before that is than the one before.
const PAUSE_TURNS: u32 = 4;

/// One run of the command.
struct Redriving<'a> {
    warehouse: &'a Warehouse,
    redrive: Redrive,
    reader: Reader,
    window_micros: i64,
    /// Rows are in files that were not there when the files were listed.
    moved: bool,
    /// Rows that have left the quarantine.
    left: u64,
}

/// How a run of the command ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Redriven {
    /// All that passes was let in: so many rows.
    All(u64),
    /// The writers were faster each time.
    Starved,
}

/// Lets in all that passes.
///
/// # Errors
/// Errors of store and catalog; running again continues.
pub async fn redrive(warehouse: &Warehouse, deciding: &Deciding) -> Result<Redriven> {
    let (settings, decode) = (deciding.settings.clone(), deciding.decode.clone());
    let window_micros = settings.dedup_window_seconds as i64 * 1_000_000;
    let redrive = Redrive::open(warehouse, settings, decode, &Enrichment::default()).await?;
    Redriving { warehouse, redrive, reader: Reader::default(), window_micros, moved: false, left: 0 }.all_files().await
}

impl Redriving<'_> {
    async fn all_files(&mut self) -> Result<Redriven> {
        let mut seen = HashSet::new();
        loop {
            self.moved = false;
            for live in self.redrive.files().await? {
                if seen.insert(live.file.file_path().to_owned()) {
                    match self.file(live).await? {
                        Some(rest) => seen.extend(rest),
                        None => return Ok(Redriven::Starved),
                    }
                }
            }
            if !self.moved {
                return self.redrive.settled().await.map(|()| Redriven::All(self.left));
            }
        }
    }

    /// Redrives one file; returns the files that its other rows are in, `None` when it never came to it.
    async fn file(&mut self, live: LiveFile) -> Result<Option<Vec<String>>> {
        for attempt in 0..MAX_ATTEMPTS {
            turns(attempt * PAUSE_TURNS).await;
            let path = live.file.file_path();
            if attempt > 0 && !self.redrive.files().await?.iter().any(|now| now.file.file_path() == path) {
                self.moved = true;
                return Ok(Some(Vec::new()));
            }
            let events = self.warehouse.load(TableKind::Events.name()).await?;
            let checkpoint = events.progress().await?.checkpoint;
            let judged = self.redrive.judge(live.clone(), &Choice::default(), &checkpoint).await?;
            if let Admitted::Yes(rest) = self.once(&judged, &events, &Related::of(&checkpoint)).await? {
                self.left += judged.passing.len() as u64;
                return Ok(Some(rest));
            }
        }
        Ok(None)
    }

    async fn once(&mut self, judged: &Judged, events: &LoadedTable, related: &Related) -> Result<Admitted> {
        let there = self.redrive.left_behind(judged);
        if !there.is_empty() {
            self.moved = true;
            return self.redrive.finish(judged, &there).await;
        }
        if judged.passing.is_empty() {
            return Ok(Admitted::Yes(Vec::new()));
        }
        let rows = self.reader.table(events).await?.rows;
        let mut known = Known::of(&rows);
        let fates: Vec<Fate> = judged.passing.iter().map(|p| known.fate(p, related, self.window_micros)).collect();
        self.redrive.admit(judged, &fates, events, related).await
    }
}

/// What is in `events`.
struct Known {
    places: BTreeSet<(ShardId, i64, i32)>,
    /// By `messageId`.
    events: BTreeMap<String, Vec<(ShardId, i64)>>,
}

impl Known {
    fn of(rows: &[Row]) -> Self {
        let mut known = Known { places: BTreeSet::new(), events: BTreeMap::new() };
        for row in rows {
            let (shard, offset, sub_offset) = row.place();
            let id = row.text("message_id").unwrap_or_default().to_owned();
            known.events.entry(id).or_default().push((shard.clone(), row.stream_time_micros()));
            known.places.insert((shard, offset.position as i64, sub_offset));
        }
        known
    }

    fn fate(&mut self, passing: &Passing, related: &Related, window_micros: i64) -> Fate {
        let EventPlace { shard, source_offset, sub_offset, .. } = &passing.place;
        if self.places.contains(&(shard.clone(), *source_offset, *sub_offset)) {
            return Fate::AlreadyIn;
        }
        let at = passing.stream_time_micros;
        let events = self.events.entry(passing.message_id.clone()).or_default();
        let repeats = |(other, time): &(ShardId, i64)| related.are(shard, other) && (time - at).abs() <= window_micros;
        if events.iter().any(repeats) {
            return Fate::Duplicate;
        }
        events.push((shard.clone(), at));
        Fate::Accept
    }
}

//! `icefold quarantine redrive`: quarantined events that pass now, into `events`, once.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use icefold_catalog::{LoadedTable, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{Error, ErrorKind, Result};
use icefold_sql::QuerySession;
use icefold_writer::redrive::{Choice, Fate, Judged, Passing, Redrive};
use serde::Serialize;

use super::query;
use crate::arguments::RedriveArguments;
use crate::config;
use crate::enrichment;
use crate::exit::Exit;
use crate::figures;
use crate::session::Session;

/// Ids that one query asks for.
const IDS_OF_A_QUERY: usize = 2_000;

/// How often a file is judged again because a table has changed meanwhile.
const MAX_ATTEMPTS: u32 = 20;

/// What a redrive does, or would do.
#[derive(Debug, Default, Serialize)]
struct Report {
    dry_run: bool,
    /// Rows that were looked at.
    looked_at: u64,
    accepted: u64,
    duplicate: u64,
    /// Rows that still do not pass.
    still_refused: u64,
    /// Rows that pass now, by the reason for which they had not.
    passing_by_reason: BTreeMap<String, u64>,
}

/// A run of the command.
struct Run<'a> {
    session: &'a Session,
    warehouse: Warehouse,
    redrive: Redrive,
    choice: Choice,
    report: Report,
    known: Known,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, arguments: &RedriveArguments) -> Result<Exit> {
    let warehouse = session.warehouse().await?;
    let loaded = enrichment::load(session, &warehouse).await?;
    let settings = session.settings();
    let (writer, decode) = (settings.writer.clone(), settings.decode.clone());
    let redrive = Redrive::open(&warehouse, writer, decode, &loaded.enrichment).await?;
    let redrive = redrive.fail_points(config::fail_points()?);
    let choice = Choice { reason: arguments.reason.clone(), contract: arguments.contract.clone() };
    let report = Report { dry_run: arguments.dry_run, ..Report::default() };
    let mut run = Run { session, warehouse, redrive, choice, report, known: Known::default() };
    let paths = run.redrive.files().await?.into_iter().map(|live| live.file.file_path().to_owned());
    for path in paths.collect::<Vec<_>>() {
        run.file(&path).await?;
    }
    session.output.result(&run.report, || text(&run.report))?;
    Ok(Exit::Done)
}

impl Run<'_> {
    /// Redrives one file of the quarantine.
    async fn file(&mut self, path: &str) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            // Gone: another redrive or a compaction was faster, and has put its rows elsewhere.
            let Some(live) = self.redrive.files().await?.into_iter().find(|live| live.file.file_path() == path) else {
                return Ok(());
            };
            let judged = self.redrive.judge(live, &self.choice).await?;
            let events = self.warehouse.load(TableKind::Events.name()).await?;
            let fates = self.fates(&events, &judged.passing).await?;
            if self.report.dry_run || fates.is_empty() || self.redrive.admit(&judged, &fates, &events).await? {
                self.report.account(&judged, &fates);
                return Ok(());
            }
        }
        let message =
            format!("the tables change faster than `{path}` can be redriven: run again when ingest is calmer");
        Err(Error::new(ErrorKind::Transient, message))
    }

    /// Finds out which of the events that pass are in `events` already, or repeat one that is, by the rule of
    /// deduplication: the same `messageId` within the window of arrival.
    async fn fates(&mut self, events: &LoadedTable, passing: &[Passing]) -> Result<Vec<Fate>> {
        let seconds = self.session.settings().writer.dedup_window_seconds;
        let window = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let pinned = events.metadata().current_snapshot_id().map(|id| (events.name().to_owned(), id));
        let tables = query::open(self.session, &self.warehouse, pinned.into_iter().collect()).await?;
        // What a dry run would have let in is in no table: later files may repeat it.
        if !self.report.dry_run {
            self.known = Known::default();
        }
        for passing in passing.chunks(IDS_OF_A_QUERY) {
            self.known.read(&tables, passing, window).await?;
        }
        Ok(passing.iter().map(|passing| self.known.fate(passing, window)).collect())
    }
}

/// Place in the stream.
type EventPlace = (String, String, i64, i32);

/// Events of `events`, by what they are recognised by.
#[derive(Default)]
struct Known {
    places: HashSet<EventPlace>,
    arrivals: HashMap<String, Vec<i64>>,
}

impl Known {
    async fn read(&mut self, tables: &QuerySession, passing: &[Passing], window_micros: i64) -> Result<()> {
        let arrivals = passing.iter().map(|passing| passing.arrival_micros);
        let (Some(first), Some(last)) = (arrivals.clone().min(), arrivals.max()) else { return Ok(()) };
        let ids: Vec<String> =
            passing.iter().map(|passing| format!("'{}'", passing.message_id.replace('\'', "''"))).collect();
        // The bounds spare all files of `events` that cannot matter.
        let sql = format!(
            "SELECT message_id, shard, segment, source_offset, sub_offset, arrival_time FROM events \
             WHERE arrival_time BETWEEN {} AND {} AND message_id IN ({})",
            sql_time(first.saturating_sub(window_micros)),
            sql_time(last.saturating_add(window_micros)),
            ids.join(", ")
        );
        let odd = || Error::bug("`events` was read with other columns");
        for rows in query::rows(tables, &sql).await? {
            let text = |column: usize| rows.column(column).as_string_view_opt().ok_or_else(odd);
            let (ids, shards, segments) = (text(0)?, text(1)?, text(2)?);
            let offsets = rows.column(3).as_primitive_opt::<Int64Type>().ok_or_else(odd)?;
            let subs = rows.column(4).as_primitive_opt::<Int32Type>().ok_or_else(odd)?;
            let arrivals = rows.column(5).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(odd)?;
            for row in 0..rows.num_rows() {
                let text = |column: &arrow::array::StringViewArray| column.value(row).to_owned();
                self.places.insert((text(shards), text(segments), offsets.value(row), subs.value(row)));
                self.arrivals.entry(text(ids)).or_default().push(arrivals.value(row));
            }
        }
        Ok(())
    }

    /// Says what becomes of an event, and remembers it if it is let in: the next one may repeat it.
    fn fate(&mut self, passing: &Passing, window_micros: i64) -> Fate {
        if self.places.contains(&passing.place) {
            return Fate::AlreadyIn;
        }
        let arrivals = self.arrivals.entry(passing.message_id.clone()).or_default();
        if arrivals.iter().any(|arrival| arrival.abs_diff(passing.arrival_micros) <= window_micros.unsigned_abs()) {
            return Fate::Duplicate;
        }
        arrivals.push(passing.arrival_micros);
        Fate::Accept
    }
}

fn sql_time(micros: i64) -> String {
    format!("arrow_cast({micros}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
}

impl Report {
    fn account(&mut self, judged: &Judged, fates: &[Fate]) {
        self.looked_at += judged.chosen;
        self.still_refused += judged.chosen - judged.passing.len() as u64;
        for (passing, fate) in judged.passing.iter().zip(fates) {
            *self.passing_by_reason.entry(passing.reason.clone()).or_default() += 1;
            match fate {
                Fate::Duplicate => self.duplicate += 1,
                Fate::Accept | Fate::AlreadyIn => self.accepted += 1,
            }
        }
    }
}

fn text(report: &Report) -> String {
    let verb = if report.dry_run { "would be" } else { "were" };
    let mut text = format!(
        "of {} quarantined events {} {verb} accepted, {} {verb} left out as duplicates, {} still do not pass\n",
        figures::count(report.looked_at),
        figures::count(report.accepted),
        figures::count(report.duplicate),
        figures::count(report.still_refused)
    );
    for (reason, count) in &report.passing_by_reason {
        text.push_str(&format!("  {count} of {reason}\n"));
    }
    text
}

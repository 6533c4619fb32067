//! `icefold quarantine redrive`: quarantined events that pass now, into `events`, once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use icefold_catalog::{LiveFile, LoadedTable, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{Error, ErrorKind, Result, ShardId};
use icefold_sql::QuerySession;
use icefold_writer::redrive::{Admitted, Choice, EventPlace, Fate, Judged, Passing, Redrive, Related};
use serde::Serialize;

use super::quarantine::check_reason;
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

/// How much longer each pause before such an attempt is than the one before.
const PAUSE: Duration = Duration::from_millis(20);

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
    /// Rows to which `events` has not come, since ingest was interrupted.
    waiting: u64,
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
    /// Whether rows are in files that were not there when the files were listed.
    moved: bool,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, arguments: &RedriveArguments) -> Result<Exit> {
    check_reason(arguments.reason.as_deref())?;
    check_contract(arguments.contract.as_deref())?;
    let warehouse = session.existing_warehouse().await?;
    let loaded = enrichment::load(session, &warehouse).await?;
    let settings = session.settings();
    let (writer, decode) = (settings.writer.clone(), settings.decode.clone());
    let redrive = Redrive::open(&warehouse, writer, decode, &loaded.enrichment).await?;
    let redrive = redrive.fail_points(config::fail_points()?);
    let (reason, contract) = (arguments.reason.clone(), arguments.contract.clone());
    let choice = Choice { reason, contract, format: arguments.format.map(Into::into) };
    let report = Report { dry_run: arguments.dry_run, ..Report::default() };
    let mut run = Run { session, warehouse, redrive, choice, report, known: Known::default(), moved: false };
    run.all_files().await?;
    session.output.result(&run.report, || text(&run.report))?;
    if run.report.looked_at == 0 {
        session.output.remark(&run.what_there_is().await?);
    }
    Ok(Exit::Done)
}

/// Refuses what cannot be the label of a contract.
fn check_contract(label: Option<&str>) -> Result<()> {
    let Some(label) = label else { return Ok(()) };
    match label.split_once('/') {
        Some((id, version)) if !id.is_empty() && !version.is_empty() && !version.contains('/') => Ok(()),
        _ => Err(Error::invalid(format!(
            "--contract `{label}` is no ID/VERSION: write for example commerce/1.0.0 or access-log/1"
        ))),
    }
}

impl Run<'_> {
    /// Tells what the quarantine holds, for who has chosen nothing of it.
    async fn what_there_is(&self) -> Result<String> {
        let tables = query::open(self.session, &self.warehouse, BTreeMap::new()).await?;
        let sql = "SELECT contract, reason, count(*) AS events FROM quarantine GROUP BY 1, 2 ORDER BY 1, 2";
        let held = query::objects(&query::rows(&tables, sql).await?)?;
        if held.is_empty() {
            return Ok("the quarantine is empty".to_owned());
        }
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let count = |value: &serde_json::Value| figures::count(value.as_u64().unwrap_or_default());
        let rows = held.iter().map(|row| vec![text(&row["contract"]), text(&row["reason"]), count(&row["events"])]);
        let rows = figures::columns(&["contract", "reason", "events"], &rows.collect::<Vec<_>>());
        Ok(format!("none of these is what was asked for:\n{}", rows.trim_end()))
    }

    /// Redrives each file of the quarantine. What ingest adds meanwhile is left to the next run.
    async fn all_files(&mut self) -> Result<()> {
        let mut seen = HashSet::new();
        loop {
            self.moved = false;
            let files = self.redrive.files().await?;
            let unseen: Vec<LiveFile> =
                files.into_iter().filter(|live| seen.insert(live.file.file_path().to_owned())).collect();
            for live in unseen {
                seen.extend(self.file(live).await?);
            }
            if !self.moved {
                return if self.report.dry_run { Ok(()) } else { self.redrive.settled().await };
            }
        }
    }

    /// Redrives one file; returns the files that its other rows are in, which nothing is left to be done about.
    async fn file(&mut self, live: LiveFile) -> Result<Vec<String>> {
        for attempt in 0..MAX_ATTEMPTS {
            tokio::time::sleep(PAUSE * attempt).await;
            // Another redrive or a compaction was faster: its rows are in a file that was not seen yet.
            if attempt > 0
                && !self.redrive.files().await?.iter().any(|now| now.file.file_path() == live.file.file_path())
            {
                self.moved = true;
                return Ok(Vec::new());
            }
            let events = self.warehouse.load(TableKind::Events.name()).await?;
            let checkpoint = events.progress().await?.checkpoint;
            self.known.related = Related::of(&checkpoint);
            let judged = self.redrive.judge(live.clone(), &self.choice, &checkpoint).await?;
            if let Admitted::Yes(rest) = self.redrive_once(&judged, &events).await? {
                return Ok(rest);
            }
        }
        let path = live.file.file_path();
        let message =
            format!("the tables change faster than `{path}` can be redriven: run again when ingest is calmer");
        Err(Error::new(ErrorKind::Transient, message))
    }

    async fn redrive_once(&mut self, judged: &Judged, events: &LoadedTable) -> Result<Admitted> {
        let pinned = events.metadata().current_snapshot_id().map(|id| (events.name().to_owned(), id));
        let tables = query::open(self.session, &self.warehouse, pinned.into_iter().collect()).await?;
        let there = self.redrive.left_behind(judged);
        if !there.is_empty() {
            return self.finish(judged, &there).await;
        }
        let fates = self.fates(&tables, &judged.passing).await?;
        let admitted = match self.report.dry_run || fates.is_empty() {
            true => Admitted::Yes(Vec::new()),
            false => self.redrive.admit(judged, &fates, events, &self.known.related).await?,
        };
        if matches!(admitted, Admitted::Yes(_)) {
            self.report.account(judged, &fates);
        }
        Ok(admitted)
    }

    /// Takes out of the quarantine what a run that was interrupted has let in. The rest of the file is a new one then.
    async fn finish(&mut self, judged: &Judged, there: &HashSet<usize>) -> Result<Admitted> {
        if !self.report.dry_run && self.redrive.finish(judged, there).await? == Admitted::No {
            return Ok(Admitted::No);
        }
        self.report.looked_at += there.len() as u64;
        self.report.accepted += there.len() as u64;
        // Nobody has looked at the rest of the file.
        self.moved = true;
        Ok(Admitted::Yes(Vec::new()))
    }

    /// Finds out which of the events that pass are in `events` already, or repeat one that is, by the rule of
    /// deduplication: the same `messageId` in a related shard, within the window of `stream_time`.
    async fn fates(&mut self, tables: &QuerySession, passing: &[Passing]) -> Result<Vec<Fate>> {
        let seconds = self.session.settings().writer.dedup_window_seconds;
        let window = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        // What a dry run would have let in is in no table: later files may repeat it.
        if !self.report.dry_run {
            self.known.forget();
        }
        for passing in passing.chunks(IDS_OF_A_QUERY) {
            self.known.read(tables, passing, window).await?;
        }
        Ok(passing.iter().map(|passing| self.known.fate(passing, window)).collect())
    }
}

/// Reads places from four columns, the first of which is the one numbered `first`.
fn event_places(rows: &RecordBatch, first: usize) -> Result<Vec<EventPlace>> {
    let odd = || Error::bug("`events` was read with other columns");
    let text = |column: usize| rows.column(column).as_string_view_opt().ok_or_else(odd);
    let (shards, segments) = (text(first)?, text(first + 1)?);
    let offsets = rows.column(first + 2).as_primitive_opt::<Int64Type>().ok_or_else(odd)?;
    let subs = rows.column(first + 3).as_primitive_opt::<Int32Type>().ok_or_else(odd)?;
    let place = |row: usize| EventPlace {
        shard: ShardId::new(shards.value(row)),
        segment: segments.value(row).to_owned(),
        source_offset: offsets.value(row),
        sub_offset: subs.value(row),
    };
    Ok((0..rows.num_rows()).map(place).collect())
}

/// Events of `events`, by what they are recognised by.
#[derive(Default)]
struct Known {
    places: HashSet<EventPlace>,
    /// By `messageId`, the shard and the `stream_time` of each event.
    events: HashMap<String, Vec<(ShardId, i64)>>,
    related: Related,
}

impl Known {
    async fn read(&mut self, tables: &QuerySession, passing: &[Passing], window_micros: i64) -> Result<()> {
        let times = passing.iter().map(|passing| passing.stream_time_micros);
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return Ok(()) };
        let ids: Vec<String> = passing.iter().map(|passing| query::literal(&passing.message_id)).collect();
        // The bounds spare all files of `events` that cannot matter.
        let sql = format!(
            "SELECT message_id, shard, segment, source_offset, sub_offset, stream_time FROM events \
             WHERE stream_time BETWEEN {} AND {} AND message_id IN ({})",
            sql_time(first.saturating_sub(window_micros)),
            sql_time(last.saturating_add(window_micros)),
            ids.join(", ")
        );
        let odd = || Error::bug("`events` was read with other columns");
        for rows in query::rows(tables, &sql).await? {
            let ids = rows.column(0).as_string_view_opt().ok_or_else(odd)?;
            let times = rows.column(5).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(odd)?;
            for (row, place) in event_places(&rows, 1)?.into_iter().enumerate() {
                let event = (place.shard.clone(), times.value(row));
                self.events.entry(ids.value(row).to_owned()).or_default().push(event);
                self.places.insert(place);
            }
        }
        Ok(())
    }

    /// Says what becomes of an event, and remembers it if it is let in: the next one may repeat it.
    fn fate(&mut self, passing: &Passing, window_micros: i64) -> Fate {
        if self.places.contains(&passing.place) {
            return Fate::AlreadyIn;
        }
        let events = self.events.entry(passing.message_id.clone()).or_default();
        let (shard, at) = (&passing.place.shard, passing.stream_time_micros);
        let is_near = |time: i64| time.abs_diff(at) <= window_micros.unsigned_abs();
        if events.iter().any(|(other, time)| self.related.are(shard, other) && is_near(*time)) {
            return Fate::Duplicate;
        }
        events.push((shard.clone(), at));
        Fate::Accept
    }

    fn forget(&mut self) {
        self.places.clear();
        self.events.clear();
    }
}

fn sql_time(micros: i64) -> String {
    format!("arrow_cast({micros}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
}

impl Report {
    fn account(&mut self, judged: &Judged, fates: &[Fate]) {
        self.looked_at += judged.chosen;
        self.still_refused += judged.chosen - judged.passing.len() as u64;
        self.waiting += judged.waiting;
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
    if report.waiting > 0 {
        let count = figures::count(report.waiting);
        text.push_str(&format!(
            "{count} more wait until `events` has come to them: run this again later, or `icefold batch recover` where nothing \
             is being ingested\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_is_named_by_id_and_version() {
        for right in ["commerce/1.0.0", "segment-envelope/1", "access-log/1"] {
            check_contract(Some(right)).expect(right);
        }
        for wrong in ["commerce", "commerce/", "/1.0.0", "commerce/1.0.0/x", ""] {
            let error = check_contract(Some(wrong)).expect_err(wrong);
            assert!(error.message().contains("is no ID/VERSION"), "{error}");
        }
    }
}

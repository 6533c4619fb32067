//! `icefold verify`: invariants W1, W2, W3, T1, T2 and K3 on the real tables, from metadata and from the rows themselves.

use icefold_catalog::verify::{self, Check};
use icefold_catalog::{Progress, Warehouse, level};
use icefold_core::tables::TableKind;
use icefold_core::{Error, ErrorKind, Invariant, Result};
use icefold_sql::QuerySession;

use crate::arguments::VerifyArguments;
use crate::commands::query;
use crate::exit::Exit;
use crate::figures;
use crate::session::Session;

/// What identifies a row in every table: its place in the stream.
const PLACE: &str = "shard, segment, source_offset, sub_offset";

/// A row of `identities` also by its device: an alias call shows two.
const SIGHTING: &str = "shard, segment, source_offset, sub_offset, known_id";

/// Runs the command.
pub(crate) async fn run(session: &Session, arguments: &VerifyArguments) -> Result<Exit> {
    let checks = checks(session, &arguments.tables).await?;
    let broken: usize = checks.iter().map(|check| check.broken.len()).sum();
    session.output.result(&checks, || text(&checks))?;
    Ok(if broken == 0 { Exit::Done } else { Exit::Broken })
}

/// Checks the named tables, all of them when none is named.
///
/// # Errors
/// When tables cannot be read, `NotFound` when there are none; what can be read and is wrong is a broken check.
pub(crate) async fn checks(session: &Session, names: &[String]) -> Result<Vec<Check>> {
    let warehouse = session.existing_warehouse().await?;
    let is_whole = names.is_empty() || TableKind::ALL.iter().all(|kind| names.iter().any(|name| name == kind.name()));
    let names = if names.is_empty() { warehouse.tables().await? } else { names.to_vec() };
    if names.is_empty() {
        return Err(no_tables(&warehouse));
    }
    let mut checks = Vec::new();
    for name in &names {
        checks.extend(verify::verify(&warehouse.load(name).await?).await?);
    }
    if is_whole {
        checks.extend(level::verify(&warehouse).await?);
    }
    // Rows can only be read where metadata and files are as they should be.
    if checks.iter().all(Check::holds) {
        checks.extend(row_checks(session, &warehouse, &names).await?);
    }
    checks.sort_by(|a, b| (&a.table, a.invariant).cmp(&(&b.table, b.invariant)));
    Ok(checks)
}

/// A proof of nothing would let a mistyped warehouse pass.
fn no_tables(warehouse: &Warehouse) -> Error {
    let message = format!(
        "no tables in `{}`, namespace `{}`: check --warehouse and --catalog, or run `icefold ingest PATH` first",
        warehouse.location(),
        warehouse.settings().namespace
    );
    Error::new(ErrorKind::NotFound, message)
}

/// Checks that need the rows of icefold's own tables at their current snapshots.
async fn row_checks(session: &Session, warehouse: &Warehouse, names: &[String]) -> Result<Vec<Check>> {
    let own: Vec<&str> =
        TableKind::ALL.iter().map(|kind| kind.name()).filter(|name| names.iter().any(|n| n == name)).collect();
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let tables = query::open(session, warehouse, Default::default()).await?;
    let mut checks = Vec::new();
    for name in &own {
        checks.push(places_are_unique(&tables, name).await?);
    }
    if own.len() == TableKind::ALL.len() {
        checks.push(no_repeat_was_accepted(&tables).await?);
        let own = Own::load(warehouse).await?;
        checks.push(every_row_was_received(&tables, &own).await?);
        checks.push(sessions_are_numbered_without_gaps(&tables, &own).await?);
        checks.push(sightings_are_of_accepted_calls(&tables, &own).await?);
        checks.push(positions_account_for_rows(&tables, &own).await?);
    }
    Ok(checks)
}

async fn places_are_unique(tables: &QuerySession, table: &str) -> Result<Check> {
    let rows = query::number(tables, &format!("SELECT count(*) FROM {table}")).await?;
    let identity = if table == TableKind::Identities.name() { SIGHTING } else { PLACE };
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {table} GROUP BY {identity} HAVING count(*) > 1)");
    let doubled = query::number(tables, &sql).await?;
    let broken =
        (doubled > 0).then(|| format!("{} places in the stream have more than one row", figures::count(doubled)));
    Ok(check(Invariant::W1, table, rows, "each place in the stream once", broken))
}

/// Every event and every quarantined event is a row of `raw_events`, and none is both.
async fn every_row_was_received(tables: &QuerySession, own: &Own) -> Result<Check> {
    let mut broken = Vec::new();
    let note = own.note(&[TableKind::RawEvents], "which rows were received is not compared");
    let results = format!("(SELECT {PLACE} FROM events UNION ALL SELECT {PLACE} FROM quarantine)");
    let rows = query::number(tables, &format!("SELECT count(*) FROM {results}")).await?;
    let unknown = format!("SELECT count(*) FROM {results} AS r LEFT ANTI JOIN raw_events USING ({PLACE})");
    let both = format!("SELECT count(*) FROM events LEFT SEMI JOIN quarantine USING ({PLACE})");
    let unknown = note.is_none().then_some((unknown, "rows are not in `raw_events`"));
    for (sql, what) in unknown.into_iter().chain([(both, "rows are in `events` and in `quarantine`")]) {
        let found = query::number(tables, &sql).await?;
        broken.extend((found > 0).then(|| format!("{} {what}", figures::count(found))));
    }
    let made = check(Invariant::W1, "events", rows, "each received, none both accepted and quarantined", broken);
    Ok(Check { note, ..made })
}

/// What a shard repeats at the same moment of its stream is a repeat, however short the window of deduplication is.
async fn no_repeat_was_accepted(tables: &QuerySession) -> Result<Check> {
    let rows = query::number(tables, "SELECT count(*) FROM events").await?;
    let sql = "SELECT count(*) FROM (SELECT 1 FROM events GROUP BY shard, stream_time, message_id HAVING count(*) > 1)";
    let repeated = query::number(tables, sql).await?;
    let broken = (repeated > 0).then(|| format!("{} messages were accepted more than once", figures::count(repeated)));
    Ok(check(Invariant::W2, "events", rows, "each message of a moment accepted once", broken))
}

/// Event numbers of a session are 1, 2, 3 and so on: no event that was folded is missing.
async fn sessions_are_numbered_without_gaps(tables: &QuerySession, own: &Own) -> Result<Check> {
    const WHAT: &str = "no number of a session missing";
    if let Some(note) = own.note(&[TableKind::Events], "numbers of sessions are not compared") {
        return Ok(not_compared(Invariant::W1, "events", WHAT, note));
    }
    let rows = query::number(tables, "SELECT count(*) FROM events WHERE session_id IS NOT NULL").await?;
    // A source that is read again under another name, long after, makes the same session once more: repeats are no mistake.
    let sql = "SELECT count(*) FROM (SELECT 1 FROM events WHERE session_id IS NOT NULL GROUP BY session_id \
               HAVING max(session_event_number) <> count(DISTINCT session_event_number))";
    let gaps = query::number(tables, sql).await?;
    let broken = (gaps > 0).then(|| format!("{} sessions have gaps", figures::count(gaps)));
    Ok(check(Invariant::W1, "events", rows, WHAT, broken))
}

/// Every row of `identities` comes from a call that was accepted.
async fn sightings_are_of_accepted_calls(tables: &QuerySession, own: &Own) -> Result<Check> {
    const WHAT: &str = "each of an accepted call";
    if let Some(note) = own.note(&[TableKind::Events, TableKind::Identities], "they are not compared with their calls")
    {
        return Ok(not_compared(Invariant::W1, "identities", WHAT, note));
    }
    let rows = query::number(tables, "SELECT count(*) FROM identities").await?;
    let sql = "SELECT count(*) FROM identities LEFT ANTI JOIN (SELECT message_id FROM events WHERE event_type IN \
               ('identify', 'alias')) AS calls USING (message_id)";
    let strays = query::number(tables, sql).await?;
    let broken = (strays > 0).then(|| format!("{} rows are of no accepted call", figures::count(strays)));
    Ok(check(Invariant::W1, "identities", rows, WHAT, broken))
}

/// How far icefold's own tables are, and which of them not only the stream has changed.
struct Own {
    progress: Vec<Progress>,
    changed: Vec<TableKind>,
}

impl Own {
    async fn load(warehouse: &Warehouse) -> Result<Self> {
        let (mut progress, mut changed) = (Vec::new(), Vec::new());
        for kind in TableKind::ALL {
            let table = warehouse.load(kind.name()).await?;
            let is_ours = |s: &iceberg::spec::SnapshotRef| {
                icefold_catalog::lineage::summary(s, icefold_catalog::keys::COMMIT_ID).is_some()
            };
            let stands = table.progress().await?;
            if stands.changed_by_others || !table.metadata().snapshots().all(is_ours) {
                changed.push(kind);
            }
            progress.push(stands);
        }
        Ok(Own { progress, changed })
    }

    /// Says that something cannot be compared, where others may have deleted rows of one of these tables: what is left does not
    /// add up, and need not.
    fn note(&self, needed: &[TableKind], what: &str) -> Option<String> {
        let changed = needed.iter().find(|kind| self.changed.contains(kind))?;
        Some(format!("not only the stream changed `{}`: {what}", changed.name()))
    }
}

/// Where the tables stand at the same position, what came in is what was accepted, left out or quarantined.
async fn positions_account_for_rows(tables: &QuerySession, own: &Own) -> Result<Check> {
    const WHAT: &str = "all accounted for";
    let counted = [TableKind::RawEvents, TableKind::Events, TableKind::Quarantine];
    if let Some(note) = own.note(&counted, "rows are not counted") {
        return Ok(not_compared(Invariant::W2, "raw_events", WHAT, note));
    }
    let progress = &own.progress;
    if progress.iter().any(|p| p.checkpoint != progress[0].checkpoint) {
        let note = "a run ended between two tables: their rows are compared after the next one".to_owned();
        return Ok(not_compared(Invariant::W2, "raw_events", WHAT, note));
    }
    // The quarantine has the last word on duplicates: a redrive finds more among its rows.
    let quarantine = TableKind::ALL.iter().position(|kind| *kind == TableKind::Quarantine).unwrap_or(0);
    let duplicates = progress[quarantine].totals.duplicate;
    let sql = "SELECT (SELECT count(*) FROM raw_events) AS raw, (SELECT count(*) FROM events) AS accepted, \
               (SELECT count(*) FROM quarantine) AS quarantined";
    let batches = query::rows(tables, sql).await?;
    let counts: Vec<u64> = (0..3).map(|column| query::cell(&batches, column)).collect::<Result<_>>()?;
    let broken = (counts[0] != counts[1] + counts[2] + duplicates).then(|| {
        format!(
            "{} rows in, but {} accepted + {duplicates} duplicate + {} quarantined",
            counts[0], counts[1], counts[2]
        )
    });
    Ok(check(Invariant::W2, "raw_events", counts[0], WHAT, broken))
}

fn not_compared(invariant: Invariant, table: &str, what: &str, note: String) -> Check {
    Check { note: Some(note), ..check(invariant, table, 0, what, None) }
}

fn check(invariant: Invariant, table: &str, rows: u64, what: &str, broken: impl IntoIterator<Item = String>) -> Check {
    Check {
        invariant: invariant.name(),
        table: table.to_owned(),
        looked_at: format!("{} rows: {what}", figures::count(rows)),
        broken: broken.into_iter().collect(),
        note: None,
    }
}

/// Returns the checks for people.
pub(crate) fn text(checks: &[Check]) -> String {
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let verdict = if check.holds() { "holds" } else { "BROKEN" };
            let facts = [verdict, check.invariant, &check.table, &check.looked_at, check.note.as_deref().unwrap_or("")];
            facts.map(str::to_owned).to_vec()
        })
        .collect();
    let mut text = figures::columns(&["", "", "", "", ""], &rows);
    for check in checks {
        for what in &check.broken {
            text.push_str(&format!("{} broken in {}: {what}\n", check.invariant, check.table));
        }
    }
    let broken = checks.iter().filter(|check| !check.holds()).count();
    match broken {
        0 => text.push_str(&format!("all {} checks hold\n", checks.len())),
        broken => text.push_str(&format!("{broken} of {} checks are broken\n", checks.len())),
    }
    text
}

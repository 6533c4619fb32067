//! What must hold whatever decided: the oracle of runs in which settings, contracts and people change what becomes of events.
//!
//! At every version a table has the lines up to its checkpoint once, or what became of them, and its counts say so (W1, W2).
//! What a batch brings to each table is what it stated when it was written ahead (W3). Where all tables stand at one
//! place, each line is an event, or quarantined, or repeats an event; sessions are numbered without gaps, and
//! who an event belongs to was told before it in its shard or an ancestor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use icefold_catalog::Batch;
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Invariant, ShardId};

use super::content::{Place, Row, Version, key, place};
use super::lives::WINDOWS_SECONDS;
use super::stream::{Line, Stream};
use crate::sim::oracle::Violation;

/// Batches as their objects stated them.
#[derive(Debug, Clone, Default)]
pub struct Stated(Arc<Mutex<BTreeMap<BatchId, Batch>>>);

impl Stated {
    /// Takes note of a batch that is written ahead.
    pub fn note(&self, id: BatchId, batch: Batch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, batch);
    }

    /// Returns the files that a batch states for a table.
    fn files(&self, id: BatchId, table: &str) -> Option<BTreeSet<String>> {
        let batches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let part = batches.get(&id)?.tables.iter().find(|part| part.table == table)?;
        Some(part.add.iter().map(|file| file.path.clone()).collect())
    }
}

/// Checks versions one after another.
pub struct Accounts {
    lines: Vec<Line>,
    /// Of each shard, the shards whose records are its past, itself among them.
    past: BTreeMap<ShardId, BTreeSet<ShardId>>,
    stated: Stated,
    /// The newest version of each table.
    newest: BTreeMap<String, Version>,
    /// Events that were quarantined in some version.
    quarantined: BTreeSet<Place>,
    /// Rows of each table that somebody has deleted, as of each snapshot.
    deleted: BTreeMap<(TableKind, i64), BTreeSet<String>>,
}

impl Accounts {
    /// Begins with the tables as yet unmade.
    pub fn of(stream: &Stream, stated: Stated) -> Self {
        let mut past: BTreeMap<ShardId, BTreeSet<ShardId>> = BTreeMap::new();
        let lines = stream.lines();
        for line in &lines {
            past.entry(line.shard.clone()).or_default().insert(line.shard.clone());
        }
        for (shard, parents) in stream.continued() {
            past.entry(shard.clone()).or_default().extend(parents);
        }
        Accounts {
            lines,
            past,
            stated,
            newest: BTreeMap::new(),
            quarantined: BTreeSet::new(),
            deleted: BTreeMap::new(),
        }
    }

    /// Takes note that another engine has deleted rows by a version's snapshot.
    pub fn delete(&mut self, kind: TableKind, snapshot_id: Option<i64>, rows: &BTreeSet<String>) {
        self.take_over_deletes(kind, snapshot_id);
        if let Some(id) = snapshot_id {
            self.deleted.entry((kind, id)).or_default().extend(rows.iter().cloned());
        }
    }

    /// What is deleted stays deleted in the next snapshot.
    fn take_over_deletes(&mut self, kind: TableKind, snapshot_id: Option<i64>) {
        let Some(id) = snapshot_id.filter(|id| !self.deleted.contains_key(&(kind, *id))) else { return };
        let before = self.newest.get(kind.name()).and_then(|version| version.snapshot_id);
        let before = before.and_then(|before| self.deleted.get(&(kind, before))).cloned().unwrap_or_default();
        self.deleted.insert((kind, id), before);
    }

    /// Returns the rows that were deleted from a version.
    fn deleted_from(&self, kind: TableKind, version: &Version) -> BTreeSet<String> {
        let deleted = version.snapshot_id.and_then(|id| self.deleted.get(&(kind, id)));
        deleted.cloned().unwrap_or_default()
    }

    /// Whether somebody has deleted rows of any table: folds and accounts between tables need not agree any more.
    fn has_deletes(&self) -> bool {
        self.deleted.values().any(|rows| !rows.is_empty())
    }

    /// Checks the next version of a table; `at` names it.
    pub fn check(&mut self, kind: TableKind, version: Version, at: &str) -> Vec<Violation> {
        self.take_over_deletes(kind, version.snapshot_id);
        let mut found = Vec::new();
        let mut tell = |invariant, what: Option<String>| {
            found.extend(what.map(|what| Violation { invariant, what: format!("{at}: {what}") }));
        };
        tell(Invariant::W1, self.each_place_once(kind, &version));
        tell(Invariant::W1, self.every_line(kind, &version));
        tell(Invariant::W2, self.counts(kind, &version));
        tell(Invariant::W3, self.as_stated(kind, &version));
        if kind == TableKind::Quarantine {
            self.quarantined.extend(version.rows.iter().map(Row::place));
        }
        self.newest.insert(kind.name().to_owned(), version);
        if let Some(level) = self.level().filter(|_| !self.has_deletes()) {
            tell(Invariant::W2, level.each_line_in_one_table(self, false));
            tell(Invariant::W2, level.repeats_are_left_out(self));
            tell(Invariant::W1, level.sessions(self));
            tell(Invariant::W1, level.people(self));
        }
        found
    }

    /// Checks that the whole stream is in, and nothing half.
    pub fn finish(&self) -> Vec<Violation> {
        let of = |what: String| vec![Violation { invariant: Invariant::W1, what: format!("in the end: {what}") }];
        let Some(level) = self.level() else { return of("the tables stand at different places".to_owned()) };
        let deleted = self.deleted_from(TableKind::RawEvents, level.raw).len();
        if level.raw.rows.len() + deleted != self.lines.len() {
            return of(format!("{} raw rows of {} lines, {deleted} deleted", level.raw.rows.len(), self.lines.len()));
        }
        if self.has_deletes() {
            return Vec::new();
        }
        level.each_line_in_one_table(self, true).map_or_else(Vec::new, of)
    }

    fn each_place_once(&self, kind: TableKind, version: &Version) -> Option<String> {
        let deleted = self.deleted_from(kind, version);
        let mut keys: Vec<String> = version.rows.iter().map(key).collect();
        keys.sort_unstable();
        let doubled = keys.windows(2).find(|pair| pair[0] == pair[1]);
        let doubled = doubled.map(|pair| format!("the row of {} is there twice", pair[0]));
        let back = || keys.iter().find(|key| deleted.contains(*key));
        doubled.or_else(|| back().map(|key| format!("the row of {key} was deleted and is back")))
    }

    /// Raw rows are the lines up to the checkpoint; no other row is of a line that is none, or behind it.
    fn every_line(&self, kind: TableKind, version: &Version) -> Option<String> {
        let checkpoint = &version.progress.checkpoint;
        if let Some(ahead) = version.rows.iter().find(|row| !row.is_before(checkpoint)) {
            return Some(format!("the row of {} lies behind the checkpoint", place(ahead)));
        }
        let before = |line: &&Line| line.position < checkpoint.next(&line.shard).position;
        let deleted = self.deleted_from(kind, version);
        let is_deleted = |line: &&Line| kind == TableKind::RawEvents && deleted.contains(&line.key());
        let lines: Vec<&Line> = self.lines.iter().filter(before).filter(|line| !is_deleted(line)).collect();
        let rows: Vec<Line> = version.rows.iter().map(Row::line).collect();
        if kind == TableKind::RawEvents {
            let same = rows.len() == lines.len() && rows.iter().zip(&lines).all(|(row, line)| row == *line);
            return (!same).then(|| format!("{} raw rows for {} lines, or other ones", rows.len(), lines.len()));
        }
        let lines: BTreeMap<_, i64> = lines.iter().map(|l| ((&l.shard, l.position), l.stream_time_micros)).collect();
        let odd = rows.iter().find(|row| lines.get(&(&row.shard, row.position)) != Some(&row.stream_time_micros))?;
        Some(format!("the row of {}@{} has no line, or another time", odd.shard, odd.position))
    }

    fn counts(&self, kind: TableKind, version: &Version) -> Option<String> {
        let (totals, checkpoint) = (version.progress.totals, &version.progress.checkpoint);
        let before = |line: &&Line| line.position < checkpoint.next(&line.shard).position;
        let lines = self.lines.iter().filter(before).count() as u64;
        let counted = match kind {
            TableKind::RawEvents => totals.rows_in,
            TableKind::Events => totals.accepted,
            TableKind::Quarantine => totals.quarantined,
            TableKind::Identities => 0,
        };
        let rows = (version.rows.len() + self.deleted_from(kind, version).len()) as u64;
        let counted = if kind == TableKind::Identities { rows } else { counted };
        let right = totals.balance() && totals.rows_in == lines && counted == rows;
        (!right).then(|| format!("{rows} rows, {lines} lines and {totals:?}"))
    }

    /// The files that a batch brings are those that it stated when it was written ahead.
    fn as_stated(&self, kind: TableKind, version: &Version) -> Option<String> {
        let before = self.newest.get(kind.name());
        let is_new = |id: &&BatchId| before.is_none_or(|b| !b.progress.moved_by.values().any(|known| known == *id));
        let id = *version.progress.moved_by.values().find(is_new)?;
        let known = before.map(|before| before.files.clone()).unwrap_or_default();
        let brought: BTreeSet<String> = version.files.difference(&known).cloned().collect();
        match self.stated.files(id, kind.name()) {
            Some(stated) if stated == brought => None,
            Some(stated) => Some(format!("batch `{id}` stated {stated:?} and brought {brought:?}")),
            None => Some(format!("batch `{id}` was never written ahead")),
        }
    }

    fn level(&self) -> Option<Level<'_>> {
        let of = |kind: TableKind| self.newest.get(kind.name());
        let raw = of(TableKind::RawEvents)?;
        let (events, quarantine) = (of(TableKind::Events)?, of(TableKind::Quarantine)?);
        let identities = of(TableKind::Identities)?;
        let others = [events, quarantine, identities];
        let is_level = others.iter().all(|table| table.progress.checkpoint == raw.progress.checkpoint);
        is_level.then_some(Level { raw, events, quarantine, identities })
    }

    /// Returns whether a row of the shard `earlier` is the past of the shard `later`.
    fn is_past(&self, earlier: &ShardId, later: &ShardId) -> bool {
        self.past.get(later).is_some_and(|past| past.contains(earlier))
    }

    /// Returns the rows of `rows` that come before `row` in its shard, or are of an ancestor.
    fn before<'a>(&'a self, row: &'a Row, rows: &'a [Row]) -> impl Iterator<Item = &'a Row> {
        rows.iter().filter(move |other| {
            self.is_past(other.shard(), row.shard()) && (other.shard() != row.shard() || other.place() < row.place())
        })
    }
}

/// All tables at one place of the stream.
struct Level<'a> {
    raw: &'a Version,
    events: &'a Version,
    quarantine: &'a Version,
    identities: &'a Version,
}

impl Level<'_> {
    /// Each line is an event, or quarantined, or counted as a duplicate. Only a redrive that is under way may have an event in
    /// both tables.
    fn each_line_in_one_table(&self, accounts: &Accounts, is_end: bool) -> Option<String> {
        let events: BTreeSet<Place> = self.events.rows.iter().map(Row::place).collect();
        let quarantine: BTreeSet<Place> = self.quarantine.rows.iter().map(Row::place).collect();
        let both = events.intersection(&quarantine).count() as u64;
        let is_open = !is_end && !self.events.progress.open.is_empty();
        if both > 0 && !is_open {
            return Some(format!("{both} lines are events and quarantined"));
        }
        let neither =
            self.raw.rows.iter().filter(|row| !events.contains(&row.place()) && !quarantine.contains(&row.place()));
        let (neither, totals) = (neither.count() as u64, self.quarantine.progress.totals);
        if !is_open && neither != totals.duplicate {
            return Some(format!("{neither} lines are in neither table, and {} are counted so", totals.duplicate));
        }
        // What a redrive moves is counted by the tables that have it.
        let once = &accounts.quarantined;
        let was_redriven = !once.is_subset(&quarantine) || !once.is_disjoint(&events);
        let tables = [self.raw, self.events, self.identities].map(|table| table.progress.totals);
        if !was_redriven && tables.iter().any(|table| *table != totals) {
            return Some(format!("the tables count {tables:?} and {totals:?} at one place"));
        }
        None
    }

    /// A line that is in no table repeats an event of its shard or an ancestor, inside the window; no event does. Which event a
    /// redrive lets in late is decided by what is there then.
    fn repeats_are_left_out(&self, accounts: &Accounts) -> Option<String> {
        let [shortest, .., longest] = WINDOWS_SECONDS.map(|seconds| seconds as i64 * 1_000_000);
        let known: BTreeSet<Place> = self.events.rows.iter().chain(&self.quarantine.rows).map(Row::place).collect();
        let message = |row: &Row| row.text("payload").map(message_of).unwrap_or_default();
        for row in self.raw.rows.iter().filter(|row| !known.contains(&row.place())) {
            let id = message(row);
            let is_near =
                |event: &&Row| (row.stream_time_micros() - event.stream_time_micros()).abs() <= longest + 1_000_000;
            // A redrive looks into all related shards, whichever came first.
            let was_quarantined = accounts.quarantined.contains(&row.place());
            let related = |event: &&Row| was_quarantined || accounts.is_past(event.shard(), row.shard());
            let repeated = |event: &&Row| event.text("message_id") == Some(id.as_str());
            if !self.events.rows.iter().any(|event| repeated(&event) && is_near(&event) && related(&event)) {
                return Some(format!("the line of {} is in no table, and repeats no event", place(row)));
            }
        }
        let folded = |row: &&Row| !accounts.quarantined.contains(&row.place());
        for row in self.events.rows.iter().filter(folded) {
            let since = row.stream_time_micros() - shortest;
            let same = |earlier: &&Row| earlier.text("message_id") == row.text("message_id");
            let mut earlier = accounts.before(row, &self.events.rows).filter(folded).filter(same);
            if let Some(earlier) = earlier.find(|earlier| earlier.stream_time_micros() >= since) {
                return Some(format!("the event of {} repeats that of {}", place(row), place(earlier)));
            }
        }
        None
    }

    /// Events of a session are numbered without gaps, in each shard once. A session whose first event was accepted again, long
    /// after, may be there twice.
    fn sessions(&self, accounts: &Accounts) -> Option<String> {
        let session = |row: &Row| Some((row.text("session_id")?.to_owned(), row.number("session_event_number")?));
        let mut seen = BTreeSet::new();
        let mut begun: BTreeMap<_, u32> = BTreeMap::new();
        for row in &self.events.rows {
            *begun.entry((row.text("session_id"), row.text("message_id"))).or_default() += 1;
        }
        let again: BTreeSet<_> = begun.into_iter().filter(|(_, times)| *times > 1).map(|((id, _), _)| id).collect();
        for row in &self.events.rows {
            let Some((id, number)) = session(row) else { continue };
            if !seen.insert((row.shard(), id.clone(), number)) && !again.contains(&row.text("session_id")) {
                return Some(format!("{}: number {number} of session {id} is there twice", place(row)));
            }
            let wanted = Some((id, number - 1));
            if number > 1 && !accounts.before(row, &self.events.rows).any(|earlier| session(earlier) == wanted) {
                return Some(format!("{}: number {} of its session is missing", place(row), number - 1));
            }
        }
        None
    }

    /// Each sighting is of an event; bindings are numbered without gaps; whom an event belongs to it says itself, or the last binding
    /// of its device before it.
    fn people(&self, accounts: &Accounts) -> Option<String> {
        let events: BTreeSet<Place> = self.events.rows.iter().map(Row::place).collect();
        let known = |row: &Row| row.text("known_id").map(str::to_owned);
        for row in &self.identities.rows {
            let number = row.number("binding_number").unwrap_or_default();
            let before =
                |earlier: &Row| known(earlier) == known(row) && earlier.number("binding_number") == Some(number - 1);
            if !events.contains(&row.place()) {
                return Some(format!("the sighting of {} is of no event", place(row)));
            }
            if number > 1 && !accounts.before(row, &self.identities.rows).any(before) {
                return Some(format!("{}: binding {} of `{:?}` is missing", place(row), number - 1, known(row)));
            }
        }
        for row in self.events.rows.iter().filter(|row| !accounts.quarantined.contains(&row.place())) {
            let device = row.text("anonymous_id").map(str::to_owned);
            let bindings = accounts.before(row, &self.identities.rows).filter(|binding| known(binding) == device);
            let bindings: Vec<&Row> = bindings.collect();
            let greatest = bindings.iter().filter_map(|binding| binding.number("binding_number")).max();
            let last = |binding: &&Row| {
                binding.number("binding_number") == greatest
                    && (binding.text("user_id"), binding.text("kind"))
                        == (row.text("resolved_user_id"), row.text("resolved_by"))
            };
            let right = match row.text("resolved_by") {
                Some("event") => row.text("resolved_user_id") == row.text("user_id"),
                Some(_) => bindings.iter().any(last),
                None => greatest.is_none() && row.text("resolved_user_id").is_none() || device.is_none(),
            };
            if !right {
                return Some(format!(
                    "{} belongs to {:?}, and nothing said so",
                    place(row),
                    row.text("resolved_user_id")
                ));
            }
        }
        None
    }
}

/// Returns the `messageId` of a payload in hexadecimal digits.
fn message_of(payload: &str) -> String {
    let digits = payload.as_bytes().chunks_exact(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Vec<u8> = digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
    String::from_utf8_lossy(&bytes).split('"').nth(3).unwrap_or_default().to_owned()
}

//! `icefold contract try`: real events of `raw_events` through proposed contracts, beside those in force: whose events would
//! be accepted or refused from now on.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use bytes::Bytes;
use icefold_catalog::contracts::ContractSet;
use icefold_core::tables::TableKind;
use icefold_core::{Error, Offset, Result, ShardId, ShardPosition};
use icefold_writer::Chunk;
use icefold_writer::contracts::Active;
use icefold_writer::decode::{Decoder, InputFormat};
use icefold_writer::redrive::record;
use serde::Serialize;

use super::query;
use crate::arguments::TryArguments;
use crate::exit::Exit;
use crate::figures;
use crate::session::Session;

/// Events that are decoded together.
const EVENTS_OF_A_CHUNK: usize = 2_000;

/// Whose events they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Producer {
    event: String,
    library: String,
}

/// What becomes of events.
#[derive(Debug, Clone, Default, Serialize)]
struct Tally {
    accepted: u64,
    /// By reason and place.
    refused: BTreeMap<String, u64>,
}

impl Tally {
    fn refused(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// One producer's events, now and as proposed.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    producer: Producer,
    now: Tally,
    proposed: Tally,
}

#[derive(Debug, Serialize)]
struct Report {
    events: u64,
    lines: Vec<Line>,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, arguments: &TryArguments, proposed: ContractSet) -> Result<Exit> {
    let warehouse = session.existing_warehouse().await?;
    let events = warehouse.load(TableKind::Events.name()).await?;
    let current = warehouse.contracts(&events).await?.unwrap_or_default();
    let proposed = current.with(&proposed)?;
    let (mut now, mut then) = (Judge::new(session, &current)?, Judge::new(session, &proposed)?);
    let tables = query::open(session, &warehouse, BTreeMap::new()).await?;
    let seconds = arguments.last.as_secs();
    // By the stream's own time: the newest is "now", whenever the events were ingested.
    let sql = format!(
        "SELECT payload, batch_envelope, stream_time FROM raw_events WHERE stream_time >= (SELECT max(stream_time) FROM \
         raw_events) - INTERVAL '{seconds} seconds' LIMIT {}",
        arguments.limit
    );
    let mut count = 0;
    for rows in query::rows(&tables, &sql).await? {
        for start in (0..rows.num_rows()).step_by(EVENTS_OF_A_CHUNK) {
            let chunk = chunk(&rows.slice(start, EVENTS_OF_A_CHUNK.min(rows.num_rows() - start)))?;
            now.judge(&chunk)?;
            then.judge(&chunk)?;
        }
        count += rows.num_rows() as u64;
    }
    let report = Report { events: count, lines: lines(now.tallies, then.tallies) };
    session.output.result(&report, || text(&report))?;
    Ok(Exit::Done)
}

/// Puts events back into the records that they came in.
fn chunk(rows: &RecordBatch) -> Result<Chunk> {
    let odd = || Error::bug("`raw_events` was read with other columns");
    let payloads = rows.column(0).as_binary_view_opt().ok_or_else(odd)?;
    let envelopes = rows.column(1).as_binary_view_opt().ok_or_else(odd)?;
    let times = rows.column(2).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(odd)?;
    let mut bytes = Vec::new();
    for row in 0..rows.num_rows() {
        let envelope = (!envelopes.is_null(row)).then(|| envelopes.value(row));
        bytes.extend(record(payloads.value(row), envelope));
    }
    let (from, to) = (Offset::start(), ShardPosition::at(Offset::new("trial", bytes.len() as u64)));
    Ok(Chunk {
        shard: ShardId::new("trial"),
        segment: "trial".into(),
        start: 0,
        bytes: Bytes::from(bytes),
        stream_time_micros: arrow::compute::max(times).unwrap_or_default(),
        oversized: None,
        sub_offsets: None,
        from,
        to,
    })
}

/// Decodes events by one set of contracts and counts.
struct Judge {
    decoder: Decoder,
    tallies: BTreeMap<Producer, Tally>,
}

impl Judge {
    fn new(session: &Session, set: &ContractSet) -> Result<Self> {
        let mut decoder = Decoder::new(session.settings().decode.clone(), InputFormat::Segment)?;
        decoder.set_contracts(Some(&Arc::new(Active::compile(set, None)?)))?;
        Ok(Judge { decoder, tallies: BTreeMap::new() })
    }

    fn judge(&mut self, chunk: &Chunk) -> Result<()> {
        let decoded = self.decoder.decode(chunk)?;
        for row in 0..decoded.events.num_rows() {
            self.tallies.entry(producer(&decoded.events, row)).or_default().accepted += 1;
        }
        for row in 0..decoded.quarantine.num_rows() {
            let why = format!(
                "{} at {}",
                text_of(&decoded.quarantine, "reason", row),
                text_of(&decoded.quarantine, "json_pointer", row)
            );
            let tally = self.tallies.entry(producer(&decoded.quarantine, row)).or_default();
            *tally.refused.entry(why).or_default() += 1;
        }
        Ok(())
    }
}

fn producer(rows: &RecordBatch, row: usize) -> Producer {
    let of = |column| text_of(rows, column, row);
    let name = of("event_name");
    let event = if name.is_empty() { of("event_type") } else { format!("{}: {name}", of("event_type")) };
    Producer { event, library: format!("{} {}", of("library_name"), of("library_version")).trim().to_owned() }
}

fn text_of(rows: &RecordBatch, column: &str, row: usize) -> String {
    let column = rows.column_by_name(column).and_then(|column| column.as_binary_opt::<i32>().cloned());
    let value = column.filter(|column| !column.is_null(row)).map(|column| column.value(row).to_vec());
    String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
}

fn lines(mut now: BTreeMap<Producer, Tally>, proposed: BTreeMap<Producer, Tally>) -> Vec<Line> {
    let mut lines: Vec<Line> = proposed
        .into_iter()
        .map(|(producer, proposed)| Line { now: now.remove(&producer).unwrap_or_default(), proposed, producer })
        .collect();
    lines.extend(now.into_iter().map(|(producer, now)| Line { producer, now, proposed: Tally::default() }));
    let change = |line: &Line| line.proposed.refused().abs_diff(line.now.refused());
    lines.sort_by(|a, b| change(b).cmp(&change(a)).then_with(|| a.producer.cmp(&b.producer)));
    lines
}

fn text(report: &Report) -> String {
    let mut text = format!("{} events of raw_events\n\n", figures::count(report.events));
    let share = |tally: &Tally| {
        let all = tally.accepted + tally.refused();
        format!("{:.1} %", 100.0 * tally.accepted as f64 / all.max(1) as f64)
    };
    let changed: Vec<&Line> = report.lines.iter().filter(|line| line.now.refused != line.proposed.refused).collect();
    if changed.is_empty() {
        text.push_str("nothing would change\n");
        return text;
    }
    let rows: Vec<Vec<String>> = changed
        .iter()
        .map(|line| {
            let fresh = line.proposed.refused.iter().filter(|(why, _)| !line.now.refused.contains_key(*why));
            let why = fresh.max_by_key(|(_, count)| **count).map(|(why, _)| why.clone()).unwrap_or_default();
            vec![
                line.producer.event.clone(),
                line.producer.library.clone(),
                figures::count(line.proposed.accepted + line.proposed.refused()),
                share(&line.now),
                share(&line.proposed),
                why,
            ]
        })
        .collect();
    text.push_str(&figures::columns(
        &["event", "producer", "events", "accepted now", "as proposed", "most frequent new reason"],
        &rows,
    ));
    text
}

//! `icefold bench ingest`: events per CPU-second for the whole path, beside the roofline.
//!
//! The roofline is what nobody can avoid: parse every event once and compress its raw bytes once (zstd level 1). It is
//! measured in the same run on the same bytes. Unless told otherwise everything is on: data contracts, device rules, geo
//! database, sessions, identities, reference data. The whole path is this very binary, run as `icefold ingest` on files, once
//! with one core and once with two or more, so that its processor time and memory are those of ingest alone. All of its
//! threads, also those that read and write, stay on that many cores.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use icefold_core::{Error, ErrorKind, Result};
use serde::Serialize;
use sonic_rs::JsonValueTrait;

use super::everything::Everything;
use super::median;
use crate::exit::Exit;
use crate::figures;
use crate::generate::{Compression, Destination, Plan, write};
use crate::output::Output;
use crate::process;

/// Runs of each measurement; the median counts.
const RUNS: usize = 3;
/// Events that the roofline is measured on.
const ROOFLINE_EVENTS: u64 = 100_000;
/// Raw bytes are compressed in blocks of this size.
const BLOCK_BYTES: usize = 1 << 20;
/// Seed of the events.
const SEED: u64 = 7;

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    events: u64,
    bytes_per_event: f64,
    /// Parse once and compress once.
    roofline_events_per_cpu_second: f64,
    runs: Vec<Run>,
    /// Wall time with one core over wall time with two.
    speedup_of_two_cores: Option<f64>,
    /// Best share of the roofline.
    share_of_roofline: f64,
}

/// One number of cores.
#[derive(Debug, Clone, Serialize)]
struct Run {
    cores: u64,
    seconds: f64,
    events_per_second: f64,
    events_per_cpu_second: f64,
    peak_memory_bytes: u64,
    /// Time of the worker threads in each stage, for each event.
    stage_nanos_per_event: BTreeMap<String, f64>,
    /// Memory of the folds' state for a million devices, sessions and message ids.
    state_bytes_per_million: BTreeMap<String, f64>,
}

/// Runs the command.
pub(crate) fn run(events: u64, plain: bool, output: Output) -> Result<Exit> {
    let folder = tempfile::tempdir().map_err(|e| refused(e, "a temporary folder cannot be made"))?;
    let plan = Plan { events, seed: SEED, duplicates: 0.01, malformed: 0.005, late: 0.01 };
    output.remark("generating events");
    let source = folder.path().join("events");
    let files = events.div_ceil(25_000).max(1);
    let expectation = write(plan, Compression::None, &Destination::Folder(source.clone(), files), |_| {})?;
    let everything = if plain { None } else { Some(Everything::write(folder.path(), plan)?) };
    output.remark("measuring the roofline: parse once, compress once");
    let roofline = median((0..RUNS).map(|_| roofline(events.min(ROOFLINE_EVENTS))).collect::<Result<_>>()?);
    let mut runs = Vec::new();
    for cores in core_counts() {
        output.remark(&format!("ingesting with {cores} of the cores, {RUNS} times"));
        runs.push(measure(folder.path(), &source, everything.as_ref(), cores, events)?);
    }
    let report = Report {
        events,
        bytes_per_event: expectation.bytes as f64 / events.max(1) as f64,
        roofline_events_per_cpu_second: roofline,
        speedup_of_two_cores: runs.get(1).map(|two| runs[0].seconds / two.seconds),
        share_of_roofline: runs.iter().map(|run| run.events_per_cpu_second / roofline).fold(0.0, f64::max),
        runs,
    };
    output.result(&report, || text(&report))?;
    Ok(Exit::Done)
}

/// One core, two, and all of them.
fn core_counts() -> Vec<u64> {
    let all = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let mut counts = vec![1, 2.min(all), all];
    counts.dedup();
    counts
}

/// Returns events per CPU-second of one thread that parses and compresses.
fn roofline(events: u64) -> Result<f64> {
    let plan = Plan { events, seed: SEED, duplicates: 0.0, malformed: 0.0, late: 0.01 };
    let mut generator = crate::generate::Generator::new(plan);
    let mut bytes = Vec::new();
    while generator.next_line(&mut bytes) {}
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let mut compressor = zstd::bulk::Compressor::new(1).map_err(|e| refused(e, "a compressor cannot be started"))?;
    // The work is on this thread alone, so its wall time is its processor time unless others take the core away.
    let (cpu, wall) = (process::cpu_seconds(), Instant::now());
    let mut parsed = 0_u64;
    for line in lines {
        parsed += u64::from(sonic_rs::from_slice::<sonic_rs::Value>(line).is_ok_and(|event| event.is_object()));
    }
    let mut compressed = 0;
    for block in bytes.chunks(BLOCK_BYTES) {
        compressed += compressor.compress(block).map_err(|e| refused(e, "a block cannot be compressed"))?.len();
    }
    let seconds = match (cpu, process::cpu_seconds()) {
        (Some(before), Some(after)) => after - before,
        _ => wall.elapsed().as_secs_f64(),
    };
    if parsed != events || compressed == 0 {
        return Err(Error::bug(format!("the roofline parsed {parsed} of {events} events")));
    }
    Ok(events as f64 / seconds.max(1e-9))
}

fn measure(folder: &Path, source: &Path, everything: Option<&Everything>, cores: u64, events: u64) -> Result<Run> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let warehouse = folder.join("warehouse");
        runs.push(ingest(&warehouse, source, everything, cores)?);
        std::fs::remove_dir_all(&warehouse).map_err(|e| refused(e, "the temporary warehouse cannot be removed"))?;
    }
    let of = |get: fn(&Ingested) -> f64| median(runs.iter().map(get).collect());
    let (seconds, cpu_seconds) = (of(|run| run.seconds), of(|run| run.cpu_seconds.unwrap_or(f64::NAN)));
    Ok(Run {
        cores,
        seconds,
        events_per_second: events as f64 / seconds,
        events_per_cpu_second: events as f64 / cpu_seconds,
        peak_memory_bytes: runs.iter().filter_map(|run| run.peak_memory_bytes).max().unwrap_or(0),
        stage_nanos_per_event: stages(&runs, events),
        state_bytes_per_million: runs.first().map(|run| run.state.per_million()).unwrap_or_default(),
    })
}

fn stages(runs: &[Ingested], events: u64) -> BTreeMap<String, f64> {
    let names = runs.iter().flat_map(|run| run.stage_nanos.keys());
    let nanos = |name: &String| {
        let of = |run: &Ingested| run.stage_nanos.get(name).copied().unwrap_or(0) as f64;
        median(runs.iter().map(of).collect()) / events.max(1) as f64
    };
    names.map(|name| (name.clone(), nanos(name))).collect()
}

/// What `icefold ingest --json` tells about itself.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Ingested {
    seconds: f64,
    cpu_seconds: Option<f64>,
    peak_memory_bytes: Option<u64>,
    stage_nanos: BTreeMap<String, u64>,
    state: State,
}

/// What the folds remembered at the end.
#[derive(Debug, serde::Deserialize)]
struct State {
    dedup_ids: u64,
    dedup_bytes: u64,
    sessions: u64,
    session_bytes: u64,
    identified_devices: u64,
    identity_bytes: u64,
}

impl State {
    fn per_million(&self) -> BTreeMap<String, f64> {
        let of = |name: &str, count: u64, bytes: u64| (name.to_owned(), bytes as f64 / count.max(1) as f64 * 1e6);
        BTreeMap::from([
            of("message ids", self.dedup_ids, self.dedup_bytes),
            of("sessions", self.sessions, self.session_bytes),
            of("identified devices", self.identified_devices, self.identity_bytes),
        ])
    }
}

/// Ingests with this very binary, as a process of its own.
pub(super) fn ingest(warehouse: &Path, source: &Path, everything: Option<&Everything>, cores: u64) -> Result<Ingested> {
    let binary = std::env::current_exe().map_err(|e| refused(e, "the program cannot find itself"))?;
    let mut command = Command::new(&binary);
    if let Some(everything) = everything {
        let mut apply = Command::new(&binary);
        apply.args(["contract", "apply"]).arg(&everything.contracts).arg("--warehouse").arg(warehouse);
        said(&apply.output().map_err(|e| refused(e, "the program cannot start itself"))?)?;
        command.args(everything.settings().iter().flat_map(|setting| ["--set", setting]));
    }
    command.arg("ingest").arg(source).arg("--warehouse").arg(warehouse);
    command.args(["--json", "--cores", &cores.to_string()]);
    let output =
        process::confined(cores, || command.output()).map_err(|e| refused(e, "the program cannot start itself"))?;
    said(&output)?;
    serde_json::from_slice(&output.stdout).map_err(|e| Error::bug("ingest printed something else").because(e))
}

fn said(output: &std::process::Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::new(ErrorKind::Bug, format!("a run ended with {}", output.status)).with("said", said.trim()))
}

fn text(report: &Report) -> String {
    let count = |number: f64| figures::count(number as u64);
    let mut text = format!(
        "{} events of {:.0} bytes, median of {RUNS} runs\nroofline (parse once, compress once): {} events per CPU-second\n\n",
        figures::count(report.events),
        report.bytes_per_event,
        count(report.roofline_events_per_cpu_second)
    );
    let rows: Vec<Vec<String>> = report
        .runs
        .iter()
        .map(|run| {
            vec![
                run.cores.to_string(),
                format!("{:.2}", run.seconds),
                count(run.events_per_second),
                count(run.events_per_cpu_second),
                format!("{:.0} %", 100.0 * run.events_per_cpu_second / report.roofline_events_per_cpu_second),
                figures::bytes(run.peak_memory_bytes),
            ]
        })
        .collect();
    let header = ["cores", "seconds", "events/s", "events/CPU-s", "of roofline", "peak memory"];
    text.push_str(&figures::columns(&header, &rows));
    if let Some(speedup) = report.speedup_of_two_cores {
        text.push_str(&format!("\ntwo cores are {speedup:.2} times as fast as one\n"));
    }
    if let Some(run) = report.runs.first() {
        let listed = |figures: &BTreeMap<String, f64>, shown: fn(f64) -> String| -> String {
            let each = figures.iter().map(|(name, figure)| format!("{name} {}", shown(*figure)));
            each.collect::<Vec<_>>().join(", ")
        };
        let stages = listed(&run.stage_nanos_per_event, |nanos| format!("{nanos:.0}"));
        text.push_str(&format!("\nns of the worker for each event, one core: {stages}\n"));
        let state = listed(&run.state_bytes_per_million, |bytes| figures::bytes(bytes as u64));
        text.push_str(&format!("memory of the state for a million each: {state}\n"));
    }
    text
}

fn refused(error: std::io::Error, what: &str) -> Error {
    Error::new(ErrorKind::Refused, what.to_owned()).because(error)
}

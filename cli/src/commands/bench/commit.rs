//! `icefold bench commit`: whether a commit costs the same after thousands of commits.
//!
//! Each commit adds one data file to `events` through the whole protocol: durable local storage, SQLite pointer, checkpoint,
//! manifest merging, thinning of snapshots. The data files are empty but for their entries in the manifests, which carry
//! bounds for every column as real ones do. Storage requests of the commit are counted.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, PrimitiveType, Struct,
};
use icefold_catalog::pointer::sql::SqlPointers;
use icefold_catalog::store::{counting::Counting, open_root};
use icefold_catalog::{CommitOutcome, Intent, LoadedTable, Settings, TableDefinition, Warehouse, verify};
use icefold_core::clock::SystemClock;
use icefold_core::tables::TableKind;
use icefold_core::{Counts, Delta, Error, ErrorKind, Offset, Result, ShardId, ShardPosition};
use serde::Serialize;

use super::median;
use crate::exit::Exit;
use crate::figures;
use crate::progress;
use crate::session::Session;

/// Days over which the files are spread, as late events spread them.
const DAYS: u64 = 3;
/// First day, in days since 1970: 2026-01-15.
const FIRST_DAY: u64 = 20_468;
/// Rows that each file claims to have.
const ROWS: u64 = 1_000;
/// Commits in each group that is compared.
const GROUP: usize = 100;
/// Content of the data files, which nobody reads.
const CONTENT: &[u8] = b"PAR1";

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    commits: u64,
    groups: Vec<Group>,
    /// Last group over the second one (commits 100 to 200).
    time_ratio: f64,
    requests_ratio: f64,
    broken_invariants: usize,
}

/// A hundred commits.
#[derive(Debug, Clone, Serialize)]
struct Group {
    from: usize,
    to: usize,
    median_ms: f64,
    median_requests: f64,
    manifests: usize,
    snapshots: usize,
}

/// One commit.
struct Sample {
    ms: f64,
    requests: f64,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, commits: u64) -> Result<Exit> {
    let least = 3 * GROUP as u64;
    if commits < least {
        return Err(Error::invalid(format!("--commits {commits} is too few to compare: at least {least}")));
    }
    let folder = tempfile::tempdir()
        .map_err(|e| Error::new(ErrorKind::Refused, "a temporary folder cannot be made").because(e))?;
    let bench = Bench::open(folder.path(), &session.settings().catalog).await?;
    let bar = progress::bar(session.output, Some(commits), "committing");
    let mut table = bench.warehouse.create_table(&TableDefinition::built_in(TableKind::Events)?).await?;
    let (mut samples, mut groups) = (Vec::new(), Vec::new());
    for number in 0..commits {
        let (next, sample) = bench.commit(&table, number).await?;
        table = next;
        samples.push(sample);
        bar.inc(1);
        if samples.len() == GROUP {
            groups.push(group(&table, number as usize + 1, &samples).await?);
            samples.clear();
        }
    }
    bar.finish_and_clear();
    let broken = verify::verify(&table).await?.iter().filter(|check| !check.holds()).count();
    let (early, late) = (groups[1].clone(), groups[groups.len() - 1].clone());
    let report = Report {
        commits,
        time_ratio: late.median_ms / early.median_ms,
        requests_ratio: late.median_requests / early.median_requests,
        broken_invariants: broken,
        groups,
    };
    session.output.result(&report, || text(&report))?;
    Ok(if broken == 0 { Exit::Done } else { Exit::Broken })
}

/// A warehouse in a temporary folder whose storage requests are counted.
struct Bench {
    warehouse: Warehouse,
    requests: Arc<AtomicU64>,
}

impl Bench {
    async fn open(folder: &Path, settings: &Settings) -> Result<Bench> {
        let requests = Arc::new(AtomicU64::new(0));
        let place = folder.join("warehouse").display().to_string();
        let root = open_root(&place, &settings.s3)?;
        let counter = requests.clone();
        let store = root.store.wrapped(|inner| Arc::new(Counting::new(inner, counter)));
        let pointers = SqlPointers::open(&format!("sqlite:{}", folder.join("catalog.db").display())).await?;
        let settings = Settings { warehouse: place, catalog: None, ..settings.clone() };
        let warehouse = Warehouse::from_parts(store, root.uri, Arc::new(pointers), settings, Arc::new(SystemClock));
        Ok(Bench { warehouse, requests })
    }

    async fn commit(&self, table: &LoadedTable, number: u64) -> Result<(LoadedTable, Sample)> {
        let file = data_file(table, number).await?;
        let counts = Counts { rows_in: ROWS, accepted: ROWS, ..Counts::default() };
        let intent = Intent::append(table, delta(number)?, counts, vec![file]);
        let (requests, started) = (self.requests.load(Ordering::Relaxed), Instant::now());
        let outcome = self.warehouse.commit(table.name(), &intent).await?;
        let sample = Sample {
            ms: started.elapsed().as_secs_f64() * 1_000.0,
            requests: (self.requests.load(Ordering::Relaxed) - requests) as f64,
        };
        match outcome {
            CommitOutcome::Committed { table, .. } => Ok((table, sample)),
            other => Err(Error::bug(format!("the only writer was not let in: {other:?}"))),
        }
    }
}

fn delta(number: u64) -> Result<Delta> {
    let offset = |n: u64| if n == 0 { Offset::start() } else { Offset::new("bench", n) };
    let mut delta = Delta::default();
    delta.insert(ShardId::new("bench"), offset(number), ShardPosition::at(offset(number + 1)))?;
    Ok(delta)
}

async fn data_file(table: &LoadedTable, number: u64) -> Result<DataFile> {
    let day = (FIRST_DAY + number % DAYS) as i32;
    let path = table.new_data_path(&format!("event_time_day={day}"), &format!("bench-{number:08}"));
    table.store().write_new(&path, vec![CONTENT.into()]).await?;
    let bounds = bounds(table, number);
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(path)
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::date(day))]))
        .partition_spec_id(table.metadata().default_partition_spec_id())
        .record_count(ROWS)
        .file_size_in_bytes(CONTENT.len() as u64)
        .lower_bounds(bounds.clone())
        .upper_bounds(bounds)
        .build()
        .map_err(|e| Error::bug("a data file of the benchmark is refused").because(e))
}

/// Bounds of the length that real ones have after truncation.
fn bounds(table: &LoadedTable, number: u64) -> HashMap<i32, Datum> {
    let fields = table.metadata().current_schema().as_struct().fields().iter();
    let bound = |kind: Option<&PrimitiveType>| match kind? {
        PrimitiveType::String => Some(Datum::string(format!("bound-{number:010}"))),
        PrimitiveType::Int => Some(Datum::int(number as i32)),
        PrimitiveType::Long => Some(Datum::long(number as i64)),
        PrimitiveType::Timestamptz => Some(Datum::timestamptz_micros(number as i64)),
        _ => None,
    };
    fields.filter_map(|field| Some((field.id, bound(field.field_type.as_primitive_type())?))).collect()
}

async fn group(table: &LoadedTable, to: usize, samples: &[Sample]) -> Result<Group> {
    let manifests = match table.snapshot(None)? {
        Some(snapshot) => table.manifests(&snapshot).await?.len(),
        None => 0,
    };
    Ok(Group {
        from: to - samples.len(),
        to,
        median_ms: median(samples.iter().map(|sample| sample.ms).collect()),
        median_requests: median(samples.iter().map(|sample| sample.requests).collect()),
        manifests,
        snapshots: table.metadata().snapshots().len(),
    })
}

fn text(report: &Report) -> String {
    // The second group, the last one, and about five between tell the course.
    let step = (report.groups.len() / 6).max(1);
    let last = report.groups.len() - 1;
    let shown = report.groups.iter().enumerate().filter(|(i, _)| *i == last || i % step == 1 % step);
    let rows: Vec<Vec<String>> = shown
        .map(|(_, group)| {
            vec![
                format!("{} to {}", group.from, group.to),
                format!("{:.1}", group.median_ms),
                format!("{:.0}", group.median_requests),
                group.manifests.to_string(),
                group.snapshots.to_string(),
            ]
        })
        .collect();
    let mut text = figures::columns(&["commits", "median ms", "requests", "manifests", "snapshots"], &rows);
    text.push_str(&format!(
        "\nlast {GROUP} against commits {GROUP} to {}: {:.2} times the time, {:.2} times the requests\n",
        2 * GROUP,
        report.time_ratio,
        report.requests_ratio
    ));
    if report.broken_invariants > 0 {
        text.push_str(&format!("{} invariants are BROKEN\n", report.broken_invariants));
    }
    text
}

//! `icefold ingest`: records of files, folders, S3 prefixes and standard input into the tables.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use icefold_catalog::Warehouse;
use icefold_catalog::store::open_foreign;
use icefold_core::{Counts, Error, Result, ShardId};
use icefold_writer::decode::{Decoder, InputFormat};
use icefold_writer::source::{OpenSource, SourceName, SourceSettings, open_source};
use icefold_writer::{Ingest, IngestProgress, IngestReport};
use object_store::ObjectStore;
use serde::Serialize;
use tokio::sync::watch;

use crate::arguments::IngestArguments;
use crate::config;
use crate::enrichment;
use crate::exit::Exit;
use crate::figures;
use crate::metrics_file::MetricsFile;
use crate::process;
use crate::progress;
use crate::session::Session;

/// Name of standard input when none is given.
pub(crate) const DEFAULT_STDIN_NAME: &str = "stdin";

/// What to ingest.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Sources as typed.
    pub(crate) sources: Vec<String>,
    /// What a line is.
    pub(crate) format: InputFormat,
    /// Whether to wait for more.
    pub(crate) follow: bool,
    /// Names of the shards that the sources go on from.
    pub(crate) continues: Vec<ShardId>,
    /// Name of standard input.
    pub(crate) stdin_name: String,
}

impl Request {
    fn names(&self) -> Result<Vec<SourceName>> {
        let names = self.sources.iter().map(|typed| SourceName::parse(typed, &self.stdin_name));
        let names = names.collect::<Result<Vec<_>>>()?;
        match names.iter().find(|name| self.continues.contains(name.shard())) {
            None => Ok(names),
            Some(name) => Err(Error::invalid(format!(
                "`{}` is read and continued at once: ingest it to its end first, then what continues it",
                name.shard()
            ))),
        }
    }
}

/// What a run did, and what it took.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    /// Sources as typed.
    pub(crate) sources: Vec<String>,
    /// The writer's report.
    #[serde(flatten)]
    pub(crate) report: IngestReport,
    /// Wall time.
    pub(crate) seconds: f64,
    /// Processor time of the whole process, where the system tells it.
    pub(crate) cpu_seconds: Option<f64>,
    /// Peak of resident memory, where the system tells it.
    pub(crate) peak_memory_bytes: Option<u64>,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, arguments: &IngestArguments) -> Result<Exit> {
    let request = Request {
        sources: arguments.sources.clone(),
        format: arguments.format.into(),
        follow: arguments.follow,
        continues: arguments.continues.iter().map(|name| ShardId::new(name.as_str())).collect(),
        stdin_name: arguments.name.clone().unwrap_or_else(|| DEFAULT_STDIN_NAME.to_owned()),
    };
    // Before anything is created: a source that does not exist must leave no trace.
    request.names()?;
    let done = measured(session, &request, arguments.metrics_file.as_deref()).await?;
    session.output.result(&done, || text(&done))?;
    if let Some(remark) = all_quarantined(&done.report.counts, request.format) {
        session.output.remark(&remark);
    }
    Ok(Exit::Done)
}

/// Ingests, with the run's metrics in a file if one is named: a run that cannot even begin is told there, too.
async fn measured(session: &Session, request: &Request, file: Option<&Path>) -> Result<Done> {
    let (told, progress) = watch::channel(IngestProgress::default());
    let metrics = file.map(|file| MetricsFile::follow(file, progress)).transpose()?;
    let ended = match session.warehouse().await {
        Ok(warehouse) => ingest(session, &warehouse, request, told).await,
        Err(error) => Err(error),
    };
    if let Some(metrics) = metrics {
        metrics.end(ended.as_ref().map_or_else(|error| Exit::of(error.kind()), |_| Exit::Done));
    }
    ended
}

/// Tells what to look at when nothing of what came in was an event; most likely it was read as the other format.
fn all_quarantined(counts: &Counts, read_as: InputFormat) -> Option<String> {
    let (other, what) = match read_as {
        InputFormat::Combined => (InputFormat::Segment, "JSON events"),
        _ => (InputFormat::Combined, "an access log"),
    };
    (counts.rows_in > 0 && counts.quarantined == counts.rows_in).then(|| {
        format!(
            "all of it was quarantined: `icefold quarantine` says why; if it is {what}, `icefold quarantine redrive \
             --format {}` lets it in",
            other.as_str()
        )
    })
}

/// Reads every source to its end (or until interrupted, when following) and commits everything; `told` hears how it goes.
///
/// # Errors
/// As [`Ingest::run`] and [`open_source`].
pub(crate) async fn ingest(
    session: &Session,
    warehouse: &Warehouse,
    request: &Request,
    told: watch::Sender<IngestProgress>,
) -> Result<Done> {
    let started = Instant::now();
    let names = request.names()?;
    let mut ingest = Ingest::open(warehouse, session.settings().writer.clone()).await?;
    let stop = stop_on_interrupt(session);
    for name in &names {
        ingest = ingest.continues(name.shard(), &request.continues);
        let position = ingest.position(name.shard());
        let with = OpenSource {
            store: bucket_store(session, name)?,
            position: position.as_ref(),
            floor_micros: ingest.floor_micros(name.shard()),
            settings: SourceSettings {
                follow: request.follow,
                time_pattern: session.settings().source.time_pattern.clone(),
                ..SourceSettings::default()
            },
            stop: stop.clone(),
            clock: warehouse.clock().clone(),
        };
        ingest = ingest.source(open_source(name, with).await?);
    }
    let (decode, format) = (session.settings().decode.clone(), request.format);
    let make_decoder = move || Decoder::new(decode.clone(), format);
    let loaded = enrichment::load(session, warehouse).await?;
    let ingest = ingest.contract(format.contract()).enrichment(loaded.enrichment.clone());
    let progress = told.subscribe();
    let ingest = ingest.progress(told).fail_points(config::fail_points()?).decoder(make_decoder);
    let watcher = tokio::spawn(show(progress, progress::bar(session.output, None, "rows")));
    let ended = ingest.run().await;
    watcher.abort();
    Ok(Done {
        sources: request.sources.clone(),
        report: ended?,
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: process::cpu_seconds(),
        peak_memory_bytes: process::peak_memory_bytes(),
    })
}

/// Returns a flag that the first Ctrl-C raises: sources then end, and what was read is committed. The second one ends
/// the program at once, which loses nothing either.
fn stop_on_interrupt(session: &Session) -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    let output = session.output;
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            output.remark("stopping: what was read is being committed; Ctrl-C again ends at once");
            stop.send_replace(true);
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    stopped
}

fn bucket_store(session: &Session, name: &SourceName) -> Result<Option<Arc<dyn ObjectStore>>> {
    let Some(bucket) = name.bucket() else { return Ok(None) };
    let root = open_foreign(&format!("s3://{bucket}"), &session.settings().catalog.s3)?;
    Ok(Some(root.store.object_store()))
}

async fn show(mut progress: watch::Receiver<IngestProgress>, bar: indicatif::ProgressBar) {
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        bar.set_position(now.read_rows);
        bar.set_message(format!("{} committed of rows read", figures::count(now.committed.rows_in)));
    }
    bar.finish_and_clear();
}

/// Returns the report for people.
pub(crate) fn text(done: &Done) -> String {
    let report = &done.report;
    let sources = done.sources.join(", ");
    if report.nothing_new {
        return format!("nothing new: the tables hold everything in {sources} already\n");
    }
    let took = Duration::from_secs_f64(done.seconds);
    let counts = &report.counts;
    let mut text = format!(
        "read {} records ({}) from {sources} in {}, {} rows/s\n",
        figures::count(report.records),
        figures::bytes(report.bytes),
        figures::duration(took),
        figures::count(figures::rate(counts.rows_in, took) as u64),
    );
    let row =
        |name: &str, number: u64, meaning: &str| vec![name.to_owned(), figures::count(number), meaning.to_owned()];
    text.push_str(&figures::columns(
        &["", "", ""],
        &[
            row("  rows in", counts.rows_in, "rows of `raw_events`"),
            row("  accepted", counts.accepted, "rows of `events`"),
            row("  duplicate", counts.duplicate, "left out"),
            row("  quarantined", counts.quarantined, "rows of `quarantine`"),
        ],
    ));
    text.push_str(&format!(
        "{} commits, {} files ({})\n",
        figures::count(report.commits),
        figures::count(report.files),
        figures::bytes(report.file_bytes)
    ));
    if report.unavailable_enrichments > 0 {
        text.push_str(&format!(
            "{} of device rules, geo databases and reference data could not be used: their columns are null\n",
            figures::count(report.unavailable_enrichments)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_was_forgotten_is_told_with_its_remedy() {
        let counts = |rows_in, quarantined| Counts { rows_in, quarantined, ..Counts::default() };
        let told = |counts: &Counts, format| all_quarantined(counts, format).unwrap_or_default();
        assert!(told(&counts(3, 3), InputFormat::Segment).contains("redrive --format combined`"));
        assert!(told(&counts(3, 3), InputFormat::Combined).contains("redrive --format segment`"));
        assert_eq!(told(&counts(3, 2), InputFormat::Segment), "");
        assert_eq!(told(&counts(0, 0), InputFormat::Segment), "", "nothing new is no mistake");
    }
}

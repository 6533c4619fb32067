//! `icefold demo`: the main job, narrated: a real log and generated events in, again for nothing, then questions, time
//! travel and proof.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use icefold_core::{Error, ErrorKind, Result};
use icefold_writer::IngestProgress;
use icefold_writer::decode::InputFormat;
use tokio::sync::watch;

use crate::arguments::{DemoArguments, Global};
use crate::commands::ingest::{self, Request};
use crate::commands::{explain, quarantine, query, verify};
use crate::exit::Exit;
use crate::figures;
use crate::generate::{self, Compression, Destination, Expectation, Plan};
use crate::session::Session;

/// 10,000 real lines of a public web server's access log of May 2015, published by Elastic in its `examples` repository
/// under Apache-2.0.
const REAL_LOG: &[u8] = include_bytes!("../../../integration/data/web-access-2015.log.gz");
/// When its last line was written, since 1970: the file gets the time that it had on its server.
const REAL_LOG_END: Duration = Duration::from_secs(1_432_155_959);
/// The countries of the log's addresses; integration/data/README.md tells from which database, and whom to credit.
pub(crate) const COUNTRIES: &[u8] = include_bytes!("../../../integration/data/web-access-2015-countries.mmdb");
/// Where the demonstration lives unless told otherwise.
const FOLDER: &str = "icefold-data/demo";
/// What is ingested lies there, inside a local warehouse.
const SOURCES: &str = "demo-sources";
/// Seed of the generated events.
const SEED: u64 = 7;
/// Files of generated events.
const FILES: u64 = 4;

const TOP_PAGES: &str = "SELECT page_path, count(*) AS views, count(DISTINCT ip) AS visitors FROM events \
                         WHERE event_time < '2016-01-01T00:00:00Z' AND strpos(page_path, '.') = 0 \
                         GROUP BY page_path ORDER BY views DESC, page_path LIMIT 5";
const BY_DAY: &str = "SELECT CAST(date_trunc('day', event_time) AS DATE) AS day, count(*) AS events, \
                      count(DISTINCT coalesce(anonymous_id, user_id)) AS visitors FROM events \
                      GROUP BY 1 ORDER BY events DESC, day LIMIT 6";
const BY_COUNTRY: &str = "SELECT geo_country, count(DISTINCT session_id) AS sessions, count(*) AS events FROM events \
                          WHERE geo_country IS NOT NULL GROUP BY 1 ORDER BY sessions DESC, 1 LIMIT 5";
const PEOPLE: &str = "SELECT CASE WHEN is_bot THEN 'bots' ELSE 'people' END AS who, device_class, count(*) AS sessions, \
                      round(avg(pages), 1) AS pages, round(avg(duration_seconds)) AS seconds, \
                      round(100.0 * count(*) FILTER (WHERE is_bounce) / count(*)) AS bounce_percent FROM sessions \
                      GROUP BY 1, 2 ORDER BY sessions DESC, 2 LIMIT 6";
const BROWSERS: &str = "SELECT browser_name, browser_os_name, count(DISTINCT session_id) AS sessions FROM events \
                        WHERE NOT is_bot GROUP BY 1, 2 ORDER BY sessions DESC, 1, 2 LIMIT 5";
const PERSONS: &str = "SELECT resolved_by, count(*) AS events, count(DISTINCT resolved_user_id) AS persons FROM events \
                       WHERE segment LIKE 'events-%' GROUP BY 1 ORDER BY events DESC";
const COUNT: &str = "SELECT count(*) AS events FROM events";

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &DemoArguments) -> Result<Exit> {
    let session = begin(global)?;
    let sources = Sources::prepare(&session, arguments.events)?;
    let session = with_countries(global, session)?;
    session.block_on(show(&session, &sources))
}

/// The demonstration has a warehouse of its own, unless one is named.
fn begin(global: &Global) -> Result<Session> {
    let session = Session::begin(global, vec![])?;
    if !session.config.is_default("warehouse") {
        return Ok(session);
    }
    Session::begin(global, vec![("warehouse", format!("./{FOLDER}"), "demo")])
}

/// The demonstration brings a small geo database, unless one is named.
fn with_countries(global: &Global, session: Session) -> Result<Session> {
    if !session.config.is_default("enrich.geo_database") {
        return Ok(session);
    }
    let file = sources_folder(&session)?.join("countries.mmdb");
    fs::write(&file, COUNTRIES).map_err(|e| refused(e, &file))?;
    let warehouse = session.settings().catalog.warehouse.clone();
    let geo = ("enrich.geo_database", file.display().to_string(), "demo");
    Session::begin(global, vec![("warehouse", warehouse, "demo"), geo])
}

fn sources_folder(session: &Session) -> Result<PathBuf> {
    let warehouse = icefold_catalog::store::local_path(&session.settings().catalog.warehouse)?;
    Ok(warehouse.unwrap_or_else(|| PathBuf::from(FOLDER)).join(SOURCES))
}

/// The files that are ingested.
struct Sources {
    log: PathBuf,
    events: PathBuf,
    expectation: Expectation,
}

impl Sources {
    /// Writes the files, unless an earlier run has: what was ingested must not change.
    fn prepare(session: &Session, events: u64) -> Result<Sources> {
        let folder = sources_folder(session)?;
        let log = folder.join("web");
        fs::create_dir_all(&log).map_err(|e| refused(e, &log))?;
        let file = log.join("web-access-2015.log.gz");
        if fs::metadata(&file).map_or(0, |metadata| metadata.len()) != REAL_LOG.len() as u64 {
            fs::write(&file, REAL_LOG).map_err(|e| refused(e, &file))?;
            let log = fs::File::options().append(true).open(&file);
            log.and_then(|log| log.set_modified(UNIX_EPOCH + REAL_LOG_END)).map_err(|e| refused(e, &file))?;
        }
        let plan = Plan { events, seed: SEED, duplicates: 0.01, malformed: 0.005, late: 0.01 };
        let folder = folder.join(format!("events-{events}"));
        let expectation = match fs::read(folder.join(generate::EXPECTATION_FILE)) {
            Ok(text) => serde_json::from_slice(&text).map_err(|e| {
                Error::invalid(format!("`{}` is damaged: remove the folder and run again", folder.display())).because(e)
            })?,
            Err(_) => {
                remove_unfinished(&folder)?;
                generate::write(plan, Compression::Zstd, &Destination::Folder(folder.clone(), FILES), |_| {})?
            }
        };
        Ok(Sources { log, events: folder, expectation })
    }
}

/// A folder without an expectation is what an interrupted run has left.
fn remove_unfinished(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(refused(e, folder)),
    }
}

async fn show(session: &Session, sources: &Sources) -> Result<Exit> {
    let steps = Narrator { session };
    steps.print(&format!(
        "Everything happens in {0}: try the commands yourself with --warehouse {0}\n",
        session.settings().catalog.warehouse
    ))?;
    steps.title("A real access log becomes `page` events");
    steps.say(&format!("icefold ingest {} --format combined", shown(&sources.log)));
    steps.ingest(&sources.log, InputFormat::Combined).await?;

    steps.title("Generated events, with duplicates, mistakes and late ones");
    steps.say(&format!("icefold ingest {}", shown(&sources.events)));
    steps.ingest(&sources.events, InputFormat::Segment).await?;
    steps.say("again:");
    steps.ingest(&sources.events, InputFormat::Segment).await?;

    steps.title("Questions");
    steps.query(TOP_PAGES, None).await?;
    steps.query(BY_DAY, None).await?;

    steps.title("Who, where, on what, in which session: enriched while it was folded");
    for question in [BY_COUNTRY, PEOPLE, BROWSERS, PERSONS] {
        steps.query(question, None).await?;
    }
    steps.explain().await?;

    steps.title("What did not pass, grouped by the same mistake");
    steps.print(&quarantine::summary_text(&quarantine::groups(session, 8).await?))?;

    steps.title("Time travel: a snapshot is a place in the stream");
    let first = oldest_snapshot(session).await?;
    steps.query(COUNT, None).await?;
    steps.query(COUNT, first).await?;
    steps.checkpoint(first).await?;

    steps.title("Proof");
    let right = steps.compare(&sources.expectation).await?;
    let checks = verify::checks(session, &[]).await?;
    steps.print(&verify::text(&checks))?;
    let holds = right && checks.iter().all(icefold_catalog::verify::Check::holds);
    Ok(if holds { Exit::Done } else { Exit::Broken })
}

/// Tells what happens, step by step.
struct Narrator<'a> {
    session: &'a Session,
}

impl Narrator<'_> {
    fn print(&self, text: &str) -> Result<()> {
        self.session.output.text(text)
    }

    fn title(&self, text: &str) {
        let _ = self.print(&format!("\n── {text}\n"));
    }

    fn say(&self, text: &str) {
        let _ = self.print(&format!("$ {text}\n"));
    }

    async fn ingest(&self, folder: &Path, format: InputFormat) -> Result<()> {
        let request = Request {
            sources: vec![folder.display().to_string()],
            format,
            follow: false,
            continues: Vec::new(),
            stdin_name: String::new(),
        };
        let warehouse = self.session.warehouse().await?;
        let done =
            ingest::ingest(self.session, &warehouse, &request, watch::channel(IngestProgress::default()).0).await?;
        self.print(&ingest::text(&done))
    }

    async fn query(&self, sql: &str, snapshot: Option<i64>) -> Result<()> {
        let at = snapshot.map_or_else(String::new, |id| format!(" --snapshot events={id}"));
        self.say(&format!("icefold query \"{sql}\"{at}"));
        let pinned = snapshot.map(|id| ("events".to_owned(), id)).into_iter().collect();
        let tables = query::open(self.session, &self.session.warehouse().await?, pinned).await?;
        let batches = query::rows(&tables, sql).await?;
        self.print(&format!("{}\n", query::table(&batches)?))
    }

    async fn checkpoint(&self, snapshot: Option<i64>) -> Result<()> {
        let Some(id) = snapshot else { return Ok(()) };
        self.say(&format!("icefold checkpoint events --snapshot {id}"));
        let progress = self.session.warehouse().await?.load("events").await?.progress_at(id).await?;
        for (shard, position) in progress.checkpoint.iter() {
            self.print(&format!("{shard} up to {}\n", position.next))?;
        }
        Ok(())
    }

    /// Explains the first event of the log.
    async fn explain(&self) -> Result<()> {
        let warehouse = self.session.warehouse().await?;
        let tables = query::open(self.session, &warehouse, Default::default()).await?;
        let first = "SELECT message_id FROM events ORDER BY segment LIKE 'events-%', source_offset LIMIT 1";
        let found = query::objects(&query::rows(&tables, first).await?)?;
        let Some(id) = found.first().and_then(|row| row["message_id"].as_str()) else { return Ok(()) };
        self.say(&format!("icefold explain --event-id {id}"));
        self.print(&explain::text(&explain::explain(self.session, &warehouse, id).await?))
    }

    /// Compares the tables with what the generator has promised.
    async fn compare(&self, expected: &Expectation) -> Result<bool> {
        let tables = query::open(self.session, &self.session.warehouse().await?, Default::default()).await?;
        let of_generated = "segment LIKE 'events-%'";
        let mut right = true;
        for (what, sql, expected) in [
            ("rows of raw_events", format!("SELECT count(*) FROM raw_events WHERE {of_generated}"), expected.events),
            ("rows of events", format!("SELECT count(*) FROM events WHERE {of_generated}"), expected.unique_valid),
            ("rows of quarantine", format!("SELECT count(*) FROM quarantine WHERE {of_generated}"), expected.malformed),
            (
                "distinct users",
                format!("SELECT count(DISTINCT user_id) FROM events WHERE {of_generated}"),
                expected.distinct_users,
            ),
        ] {
            let found = query::number(&tables, &sql).await?;
            right &= found == expected;
            let found_text = figures::count(found);
            self.print(&match found == expected {
                true => format!("{found_text} {what}, as generated\n"),
                false => format!("{found_text} {what}, NOT as generated: {}\n", figures::count(expected)),
            })?;
        }
        Ok(right)
    }
}

/// Returns a path as one would type it here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

async fn oldest_snapshot(session: &Session) -> Result<Option<i64>> {
    let table = session.warehouse().await?.load("events").await?;
    let metadata = table.metadata();
    let ancestors = icefold_catalog::lineage::ancestors(metadata, metadata.current_snapshot_id());
    Ok(ancestors.last().map(|snapshot| snapshot.snapshot_id()))
}

fn refused(error: std::io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Refused, format!("`{}` cannot be written", path.display())).because(error)
}

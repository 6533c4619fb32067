//! The whole warehouse on S3: the same tables as on disk, through kills, and through a server that goes away.

#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use icefold_integration::program::{binary, content, content_by, fail, icefold, run, succeed};
use icefold_integration::s3::{BUCKET, S3, SECRET_KEY};
use serde_json::Value;
use tempfile::TempDir;

const EVENTS: usize = 20_000;
const FILES: usize = 4;
/// Small enough for many snapshots.
const COMMIT_BYTES: &str = "100000";
/// Exit codes of docs/cli.md.
const REFUSED: i32 = 5;
/// Time in which a run must have committed something.
const FIRST_COMMIT_TIME: Duration = Duration::from_secs(60);
/// Runs that are killed, each a little later than the one before.
const KILLS: u64 = 10;

/// Generated events on disk, a warehouse on disk that holds them, and an S3 server.
struct Scene {
    folder: TempDir,
    s3: S3,
}

impl Scene {
    fn new() -> Self {
        let scene = Scene { folder: TempDir::new().expect("temporary folder"), s3: S3::start() };
        let (events, files) = (EVENTS.to_string(), FILES.to_string());
        let mut generate = icefold(&scene.on_disk());
        succeed(generate.args(["generate", &events, "--seed", "11", "--files", &files, "--out"]).arg(scene.source()));
        scene
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn on_disk(&self) -> PathBuf {
        self.folder.path().join("warehouse")
    }

    /// Runs icefold on the warehouse in the bucket; its catalog lies in the folder.
    fn icefold(&self) -> Command {
        let mut command = Command::new(binary());
        command.args(["--warehouse", &format!("s3://{BUCKET}/warehouse"), "--quiet"]).stdin(Stdio::null());
        command.arg("--catalog").arg(format!("sqlite:{}", self.folder.path().join("catalog.db").display()));
        self.s3.tell(&mut command, SECRET_KEY);
        command.current_dir(self.folder.path());
        command
    }

    fn ingest(&self) -> Command {
        let mut command = self.icefold();
        command.arg("ingest").arg(self.source()).args(["--commit-bytes", COMMIT_BYTES]);
        command
    }

    fn query(&self, sql: &str, options: &[&str]) -> Value {
        let printed = succeed(self.icefold().args(["query", "--format", "json", sql]).args(options));
        serde_json::from_str(printed.lines().next().unwrap_or("null")).expect("a JSON row")
    }

    /// Returns how many rows of `events`, the table that is committed last, are in; none while there is no table.
    fn committed(&self) -> u64 {
        let output = run(self.icefold().args(["query", "--format", "json", "SELECT count(*) AS n FROM events"]));
        serde_json::from_slice::<Value>(&output.stdout).map_or(0, |row| row["n"].as_u64().unwrap_or(0))
    }

    /// Checks that the tables in the bucket are those of an undisturbed run on disk.
    fn assert_whole(&self) {
        succeed(icefold(&self.on_disk()).arg("ingest").arg(self.source()));
        let (disk, s3) = (content(&self.on_disk()), content_by(|| self.icefold()));
        for (table, (disk, s3)) in ["raw_events", "quarantine", "identities", "events"].iter().zip(disk.iter().zip(&s3))
        {
            assert!(
                disk == s3,
                "`{table}` differs: {} rows on disk, {} on S3",
                disk.lines().count(),
                s3.lines().count()
            );
        }
        succeed(self.icefold().arg("verify"));
    }
}

fn event_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "ndjson")).collect()
}

#[test]
fn a_warehouse_on_s3_holds_what_one_on_disk_holds_and_travels_in_time() {
    let scene = Scene::new();
    succeed(&mut scene.ingest());
    scene.assert_whole();
    let again: Value = serde_json::from_str(&succeed(scene.ingest().arg("--json"))).expect("a JSON report");
    assert_eq!(again["nothing_new"], true);

    let oldest =
        scene.query("SELECT snapshot_id, total_records FROM snapshots('events') ORDER BY committed_at LIMIT 1", &[]);
    let id = format!("events={}", oldest["snapshot_id"]);
    let then = scene.query("SELECT count(*) AS n FROM events", &["--snapshot", &id]);
    assert_eq!(then["n"], oldest["total_records"]);
    assert!(then["n"].as_u64() < scene.query("SELECT count(*) AS n FROM events", &[])["n"].as_u64());
}

#[test]
fn a_source_on_s3_is_read_whole_and_once() {
    let scene = Scene::new();
    for file in event_files(&scene.source()) {
        let name = file.file_name().expect("name").to_string_lossy().into_owned();
        scene.s3.put(&format!("source/{name}"), &fs::read(&file).expect("reads"));
    }
    for _ in 0..2 {
        succeed(scene.icefold().args(["ingest", &format!("s3://{BUCKET}/source")]));
        let rows = scene.query("SELECT count(*) AS n, count(DISTINCT segment) AS files FROM raw_events", &[]);
        assert_eq!((rows["n"].as_u64(), rows["files"].as_u64()), (Some(EVENTS as u64), Some(FILES as u64)));
    }
    succeed(scene.icefold().arg("verify"));
}

#[test]
fn w1_kills_while_it_writes_to_s3_lose_and_double_nothing() {
    let scene = Scene::new();
    for kill in 0..KILLS {
        let mut run = started(&mut scene.ingest());
        std::thread::sleep(Duration::from_millis(100 + 60 * kill));
        run.kill().expect("kill");
        run.wait().expect("wait");
    }
    succeed(&mut scene.ingest());
    scene.assert_whole();
}

#[test]
fn a_server_that_goes_away_stops_the_reading_until_it_is_back() {
    let mut scene = Scene::new();
    let mut run = started(&mut scene.ingest());
    let started = Instant::now();
    while scene.committed() == 0 {
        assert!(started.elapsed() < FIRST_COMMIT_TIME, "nothing is committed");
        std::thread::sleep(Duration::from_millis(20));
    }
    scene.s3.stop();
    std::thread::sleep(Duration::from_secs(2));
    let ended = run.try_wait().expect("status");
    assert!(ended.is_none(), "it waits, and neither ends nor fails: {ended:?}");
    scene.s3.resume();
    assert!(run.wait().expect("wait").success(), "it went on");
    scene.assert_whole();
}

#[test]
fn a_wrong_secret_is_told_and_nothing_is_done() {
    let scene = Scene::new();
    let mut ingest = scene.ingest();
    scene.s3.tell(&mut ingest, "another secret");
    let (code, said) = fail(&mut ingest);
    assert_eq!(code, REFUSED, "{said}");
    assert!(said.contains("s3://lake") && said.contains("credentials"), "names place and remedy: {said}");
    succeed(&mut scene.ingest());
    scene.assert_whole();
}

fn started(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
}

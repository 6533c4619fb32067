//! Crash tests of the real binary: killed with -9 at random moments and at named points, and two at once; what is in the
//! tables in the end must be what an undisturbed run puts there, row by row and column by column.

#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use icefold_integration::program::{content, icefold, run, succeed};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

/// Kills per test.
const KILLS: u32 = 50;
/// Lines of input; large enough that an undisturbed run takes several of the pauses before a kill.
const EVENTS: &str = "60000";
/// Small, so that there are many commits to be killed in.
const COMMIT_BYTES: &str = "400000";
/// Longest life of a process before it is killed, in milliseconds.
const LONGEST_LIFE_MS: u64 = 450;
/// Points of the writer at which it can be made to die (`ICEFOLD_FAIL_POINT`).
const FAIL_POINTS: [&str; 6] =
    ["after-announce", "mid-upload", "after-upload", "after-batch", "between-tables", "after-commit"];
/// Exit code of a run that another writer fenced (docs/cli.md).
const FENCED: i32 = 4;

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new(events: &str) -> Self {
        let scene = Scene { folder: TempDir::new().expect("temporary folder") };
        let out = scene.path("source");
        succeed(icefold(&scene.path("none")).args(["generate", events, "--seed", "7", "--out"]).arg(&out));
        succeed(&mut scene.ingest("undisturbed"));
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ingest(&self, warehouse: &str) -> std::process::Command {
        let mut command = icefold(&self.path(warehouse));
        command.arg("ingest").arg(self.path("source")).args(["--commit-bytes", COMMIT_BYTES]);
        command
    }

    fn start(&self, warehouse: &str) -> Child {
        let mut command = self.ingest(warehouse);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start")
    }

    fn count(&self, warehouse: &str, table: &str) -> Option<u64> {
        let sql = format!("SELECT count(*) AS n FROM {table}");
        let output = run(icefold(&self.path(warehouse)).args(["query", "--format", "csv", &sql]));
        String::from_utf8_lossy(&output.stdout).lines().nth(1)?.parse().ok()
    }

    /// The tables hold exactly what an undisturbed run put there, and every invariant that `verify` checks holds.
    fn assert_as_undisturbed(&self, warehouse: &str) {
        succeed(icefold(&self.path(warehouse)).arg("verify"));
        for (ours, theirs) in content(&self.path(warehouse)).iter().zip(content(&self.path("undisturbed"))) {
            assert_eq!(ours.lines().count(), theirs.lines().count(), "number of rows");
            let differs = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
            assert_eq!(differs, None, "first row that differs");
        }
    }
}

fn kill(mut child: Child) {
    child.kill().expect("kill -9");
    child.wait().expect("reap");
}

#[test]
fn a_run_killed_fifty_times_ends_with_the_same_tables() {
    let scene = Scene::new(EVENTS);
    let seed: u64 =
        std::env::var("ICEFOLD_CRASH_SEED").ok().map_or_else(rand::random, |s| s.parse().expect("a number"));
    println!("ICEFOLD_CRASH_SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let (mut unfinished, mut warehouse_number, mut kills) = (0, 0, 0);
    while kills < KILLS {
        // A warehouse that is finished before all kills are used is compared, and the next one begins.
        let warehouse = format!("killed-{warehouse_number}");
        warehouse_number += 1;
        let whole = scene.count("undisturbed", "events");
        while kills < KILLS && scene.count(&warehouse, "events") != whole {
            let child = scene.start(&warehouse);
            std::thread::sleep(Duration::from_millis(rng.random_range(0..LONGEST_LIFE_MS)));
            kill(child);
            kills += 1;
            unfinished += u32::from(scene.count(&warehouse, "events") != whole);
        }
        succeed(&mut scene.ingest(&warehouse));
        scene.assert_as_undisturbed(&warehouse);
    }
    println!("{kills} kills, {unfinished} of them before the end, {warehouse_number} warehouses");
    assert!(unfinished >= KILLS / 2, "only {unfinished} kills met an unfinished run: lengthen the input");
}

#[test]
fn a_run_that_dies_at_a_named_point_is_healed_by_the_next() {
    let scene = Scene::new("12000");
    for point in FAIL_POINTS {
        for hit in 1..=4 {
            let warehouse = format!("{point}-{hit}");
            let died = run(scene.ingest(&warehouse).env("ICEFOLD_FAIL_POINT", format!("{point}:{hit}")));
            assert!(!died.status.success(), "{point}:{hit} was not reached");
            succeed(&mut scene.ingest(&warehouse));
            scene.assert_as_undisturbed(&warehouse);
        }
    }
}

#[test]
fn two_runs_at_once_on_one_source_write_everything_once() {
    let scene = Scene::new("30000");
    for round in 0..3 {
        let warehouse = format!("raced-{round}");
        let racers = [scene.ingest(&warehouse), scene.ingest(&warehouse)]
            .map(|mut c| c.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start"));
        for racer in racers {
            let output = racer.wait_with_output().expect("end");
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => {}
                Some(FENCED) => assert!(said.contains("run again"), "who is fenced says what to do: {said}"),
                other => panic!("a racer ended with {other:?}: {said}"),
            }
        }
        succeed(&mut scene.ingest(&warehouse));
        scene.assert_as_undisturbed(&warehouse);
    }
}

#[test]
fn a_second_run_adds_nothing_and_says_so() {
    let scene = Scene::new("5000");
    let (before, snapshots_before) = (content(&scene.path("undisturbed")), snapshots(&scene.path("undisturbed")));
    let mut command = icefold(&scene.path("undisturbed"));
    let said = run(command.arg("ingest").arg(scene.path("source")).arg("--json"));
    assert!(said.status.success());
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).expect("JSON");
    assert_eq!(report["nothing_new"], true, "{report}");
    assert_eq!(content(&scene.path("undisturbed")), before);
    assert_eq!(snapshots(&scene.path("undisturbed")), snapshots_before, "no snapshot was made for nothing");
}

fn snapshots(warehouse: &Path) -> [String; 4] {
    ["raw_events", "quarantine", "identities", "events"].map(|table| {
        let sql = format!("SELECT snapshot_id FROM snapshots('{table}') ORDER BY sequence_number");
        succeed(icefold(warehouse).args(["query", "--format", "json", &sql]))
    })
}

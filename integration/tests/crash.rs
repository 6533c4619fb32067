//! Crash tests of the real binary: killed with -9 at random moments and at named points, and two at once; what is in the
//! tables in the end must be what an undisturbed run puts there, row by row and column by column. Where every restart has other
//! settings, contracts and data, each event is in one table all the same, and what the change left alone is as undisturbed.

#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use icefold_integration::program::{content, icefold, run, succeed};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

/// Kills per test.
const KILLS: u32 = 50;
/// Lines of input; large enough that an undisturbed run takes several of the pauses before a kill.
const EVENTS: &str = "60000";
/// Lines where more is compared than rows; enough for a deploy to see no more than a part.
const CHANGED_EVENTS: &str = "30000";
/// Small, so that there are many commits to be killed in.
const COMMIT_BYTES: &str = "400000";
/// Longest life of a process before it is killed, in milliseconds.
const LONGEST_LIFE_MS: u64 = 450;
/// Points of the writer at which it can be made to die (`ICEFOLD_FAIL_POINT`).
const FAIL_POINTS: [&str; 6] =
    ["after-announce", "mid-upload", "after-upload", "after-batch", "between-tables", "after-commit"];
/// Exit code of a run that another writer fenced (docs/cli.md).
const FENCED: i32 = 4;

/// They are applied one after another while runs are killed.
const CONTRACTS: [&str; 5] = ["account", "navigation", "engagement", "commerce", "fulfilment"];
/// It knows the addresses that `generate` makes.
const CITIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../writer/tests/data/geo-city.mmdb");
/// Rules that know no device.
const NO_DEVICES: &str = "user_agent_parsers: []\nos_parsers: []\ndevice_parsers: []\n";
/// Columns of `events` in which a row may differ though the same events were accepted: contracts, geo data and device rules
/// make them.
const OF_WHAT_CHANGES: [&str; 5] = ["contract", "geo_", "browser_", "device_", "is_bot"];

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

    fn ingest(&self, warehouse: &str) -> Command {
        let mut command = icefold(&self.path(warehouse));
        command.arg("ingest").arg(self.path("source")).args(["--commit-bytes", COMMIT_BYTES]);
        command
    }

    /// As [`ingest`](Scene::ingest), after another deploy for each restart: settings that decide and settings that cut, data of
    /// enrichment, and now and then one more contract.
    fn changed(&self, warehouse: &str, restart: u32) -> Command {
        if restart % 7 == 3 && self.count(warehouse, "events").is_some() {
            let name = CONTRACTS[(restart / 7) as usize % CONTRACTS.len()];
            let contract = format!("{}/../contracts/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            succeed(icefold(&self.path(warehouse)).args(["contract", "apply", &contract]));
        }
        let rules = self.path("no-devices.yaml");
        fs::write(&rules, NO_DEVICES).expect("write");
        let settings = match restart % 6 {
            0 => vec![],
            1 => vec!["decode.max_event_bytes=2500".to_owned(), "writer.cores=1".to_owned()],
            2 => vec![format!("enrich.geo_database={CITIES}")],
            3 => vec!["decode.max_past_seconds=86400".to_owned(), "writer.cores=2".to_owned()],
            4 => vec![format!("enrich.device_rules={}", rules.display()), "decode.max_future_seconds=60".to_owned()],
            _ => vec!["decode.max_depth=5".to_owned(), "writer.row_group_bytes=100000".to_owned()],
        };
        let mut command = icefold(&self.path(warehouse));
        let commit_bytes = ["400000", "250000", "900000", "400000"][restart as usize % 4];
        command.arg("ingest").arg(self.path("source")).args(["--commit-bytes", commit_bytes]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        command
    }

    /// Rows of a query as CSV has them, without its head.
    fn csv(&self, warehouse: &str, sql: &str) -> Vec<String> {
        let text = succeed(icefold(&self.path(warehouse)).args(["query", "--format", "csv", sql]));
        text.lines().skip(1).map(str::to_owned).collect()
    }

    fn count(&self, warehouse: &str, table: &str) -> Option<u64> {
        let sql = format!("SELECT count(*) AS n FROM {table}");
        let output = run(icefold(&self.path(warehouse)).args(["query", "--format", "csv", &sql]));
        String::from_utf8_lossy(&output.stdout).lines().nth(1)?.parse().ok()
    }

    /// How many versions of `raw_events` there are. Looking costs next to nothing, so a run that is watched is not slowed down.
    fn commits(&self, warehouse: &str) -> usize {
        fs::read_dir(self.path(warehouse).join("icefold/raw_events/metadata")).map_or(0, |entries| {
            entries.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(".metadata.json")).count()
        })
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

/// A place in the source: file and offset. Each of its lines is one event.
type Place = (String, u64);

/// What the source says, read without icefold, and what an undisturbed run made of it.
struct Source {
    /// The `messageId` of each line, if it has one that can be read.
    ids: BTreeMap<Place, Option<String>>,
    /// Lines that `generate` has spoiled.
    malformed: usize,
    received: Vec<String>,
    devices: BTreeMap<String, Vec<Event>>,
}

/// How a warehouse differs from the undisturbed one.
#[derive(Debug, Default)]
struct Seen {
    otherwise_decided: usize,
    contracts: usize,
    places_known: usize,
    places_unknown: usize,
    as_undisturbed: usize,
}

impl Source {
    fn read(scene: &Scene) -> Self {
        let folder = scene.path("source");
        let expectation = fs::read(folder.join("_expectation.json")).expect("expectation");
        let expectation: serde_json::Value = serde_json::from_slice(&expectation).expect("JSON");
        let malformed = expectation["malformed"].as_u64().and_then(|n| usize::try_from(n).ok()).expect("malformed");
        let mut ids = BTreeMap::new();
        for entry in fs::read_dir(&folder).expect("source") {
            let path = entry.expect("entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if name.starts_with('_') {
                continue;
            }
            let mut offset = 0;
            for line in fs::read(&path).expect("read").split_inclusive(|byte| *byte == b'\n') {
                let event: Option<serde_json::Value> = serde_json::from_slice(line).ok();
                ids.insert((name.clone(), offset), event.and_then(|e| e["messageId"].as_str().map(str::to_owned)));
                offset += line.len() as u64;
            }
        }
        let (received, devices) = (scene.received("undisturbed"), scene.devices("undisturbed"));
        Source { ids, malformed, received, devices }
    }

    /// Each line is in `raw_events` once, and either an event, or in quarantine, or repeats an event before it; what depends on
    /// nothing that changed is as in the undisturbed run.
    fn assert_decided_once(&self, scene: &Scene, warehouse: &str) -> Seen {
        succeed(icefold(&scene.path(warehouse)).arg("verify"));
        let columns = "segment, source_offset, sub_offset";
        let raw = scene.csv(warehouse, &format!("SELECT {columns} FROM raw_events"));
        let received: BTreeSet<Place> = raw.iter().map(|row| place(row).0).collect();
        assert_eq!((raw.len(), received.len()), (self.ids.len(), self.ids.len()), "rows and places of `raw_events`");
        assert!(received.iter().eq(self.ids.keys()), "other places than the source has");
        let quarantined = scene.csv(warehouse, &format!("SELECT {columns} FROM quarantine"));
        let quarantined: BTreeSet<Place> = quarantined.iter().map(|row| place(row).0).collect();
        assert!(quarantined.len() >= self.malformed, "{} of {}", quarantined.len(), self.malformed);

        let accepted = scene.csv(warehouse, &format!("SELECT {columns}, message_id FROM events"));
        let accepted: BTreeMap<Place, String> = accepted.iter().map(|row| place(row)).collect();
        let (mut known, mut duplicates) = (BTreeSet::new(), 0);
        for (place, id) in &self.ids {
            match (accepted.get(place), quarantined.contains(place)) {
                (Some(_), true) => panic!("{place:?} is in `events` and in `quarantine`"),
                (Some(event), false) => {
                    assert_eq!(Some(event), id.as_ref(), "{place:?}");
                    assert!(known.insert(event.clone()), "`{event}` of {place:?} was accepted before");
                }
                (None, true) => {}
                (None, false) => {
                    assert!(id.as_ref().is_some_and(|id| known.contains(id)), "{place:?} is lost: {id:?}");
                    duplicates += 1;
                }
            }
        }
        let counted = succeed(icefold(&scene.path(warehouse)).args(["checkpoint", "quarantine", "--json"]));
        let counted: serde_json::Value = serde_json::from_str(&counted).expect("JSON");
        assert_eq!(counted["totals"]["duplicate"], duplicates, "repeats, as counted");
        self.compare(scene, warehouse)
    }

    /// Compares with the undisturbed run what no change has touched: `raw_events`, and the events of devices of which the same
    /// events were accepted.
    fn compare(&self, scene: &Scene, warehouse: &str) -> Seen {
        assert!(scene.received(warehouse) == self.received, "`raw_events` differs");
        let mut seen = Seen::default();
        for (device, rows) in &scene.devices(warehouse) {
            let undisturbed = self.devices.get(device).map(Vec::as_slice).unwrap_or_default();
            let ids = |rows: &[Event]| rows.iter().map(|row| row["message_id"].clone()).collect::<Vec<_>>();
            if ids(rows) != ids(undisturbed) {
                seen.otherwise_decided += 1;
                continue;
            }
            for (row, expected) in rows.iter().zip(undisturbed) {
                let differs = expected.iter().find(|(column, value)| row.get(*column) != Some(*value));
                let ours = differs.and_then(|(column, _)| row.get(column));
                assert_eq!(differs, None, "{ours:?} in {} of {device}", row["message_id"]);
                seen.as_undisturbed += 1;
            }
        }
        let number = |sql: &str| scene.csv(warehouse, sql)[0].parse().expect("a number");
        seen.contracts = number("SELECT count(DISTINCT contract) AS n FROM events");
        seen.places_known = number("SELECT count(geo_country) AS n FROM events");
        seen.places_unknown = number("SELECT count(*) - count(geo_country) AS n FROM events");
        seen
    }
}

/// Reads the first columns of a row, which say where it was read, and the rest.
fn place(row: &str) -> (Place, String) {
    let mut columns = row.splitn(4, ',');
    let mut next = || columns.next().unwrap_or_default().to_owned();
    let (segment, offset, sub_offset) = (next(), next(), next());
    assert_eq!(sub_offset, "0", "a line is one event");
    ((segment, offset.parse().expect("an offset")), next())
}

impl Scene {
    /// The rows of `raw_events`, which nothing but the source decides about.
    fn received(&self, warehouse: &str) -> Vec<String> {
        let sql = "SELECT segment, source_offset, stream_time, payload FROM raw_events ORDER BY 1, 2";
        self.csv(warehouse, sql)
    }

    /// The events of each device, in stream order, in the columns that are compared.
    fn devices(&self, warehouse: &str) -> BTreeMap<String, Vec<Event>> {
        let sql = "SELECT * FROM events WHERE anonymous_id IS NOT NULL ORDER BY segment, source_offset";
        let text = succeed(icefold(&self.path(warehouse)).args(["query", "--format", "json", sql]));
        let mut devices: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for line in text.lines() {
            let mut row: Event = serde_json::from_str(line).expect("a row a line");
            row.retain(|column, _| !OF_WHAT_CHANGES.iter().any(|of| column.starts_with(of)));
            let device = row["anonymous_id"].as_str().expect("a device").to_owned();
            devices.entry(device).or_default().push(row);
        }
        devices
    }
}

/// A row of `events`.
type Event = serde_json::Map<String, serde_json::Value>;

impl Seen {
    fn add(&mut self, other: Seen) {
        self.otherwise_decided += other.otherwise_decided;
        self.contracts = self.contracts.max(other.contracts);
        self.places_known += other.places_known;
        self.places_unknown += other.places_unknown;
        self.as_undisturbed += other.as_undisturbed;
    }

    /// A test in which no change decides anything would prove nothing.
    fn assert_changes_were_felt(&self) {
        println!("{self:?}");
        assert!(self.otherwise_decided > 20 && self.contracts > 1, "{self:?}");
        assert!(self.places_known > 0 && self.places_unknown > 0, "{self:?}");
        assert!(self.as_undisturbed > 1_000, "{self:?}");
    }
}

fn kill(mut child: Child) {
    child.kill().expect("kill -9");
    child.wait().expect("reap");
}

#[test]
fn a_run_killed_fifty_times_ends_with_the_same_tables() {
    let scene = Scene::new(EVENTS);
    kill_fifty_times(
        &scene,
        |warehouse, _| scene.ingest(warehouse),
        |warehouse| scene.assert_as_undisturbed(warehouse),
    );
}

#[test]
fn a_run_killed_fifty_times_with_other_settings_each_time_decides_each_event_once() {
    let scene = Scene::new(CHANGED_EVENTS);
    let source = Source::read(&scene);
    let mut seen = Seen::default();
    kill_fifty_times(
        &scene,
        |warehouse, restart| scene.changed(warehouse, restart),
        |warehouse| seen.add(source.assert_decided_once(&scene, warehouse)),
    );
    seen.assert_changes_were_felt();
}

#[test]
fn a_run_that_dies_between_tables_is_healed_with_other_settings() {
    let scene = Scene::new("6000");
    let source = Source::read(&scene);
    for hit in 1..=6 {
        let (warehouse, restart) = (format!("between-{hit}"), hit * 7);
        let mut dies = scene.changed(&warehouse, restart);
        let died = run(dies.env("ICEFOLD_FAIL_POINT", format!("between-tables:{hit}")));
        assert!(!died.status.success(), "between-tables:{hit} was not reached");
        succeed(&mut scene.changed(&warehouse, restart + 1));
        source.assert_decided_once(&scene, &warehouse);
    }
}

/// Starts runs and kills them, every other one before it has committed anything, as a rule, the others after. `start` is told of
/// the warehouse and how many kills there were; a warehouse that is finished before all are used is handed to `assert`, and the
/// next one begins.
fn kill_fifty_times(scene: &Scene, start: impl Fn(&str, u32) -> Command, mut assert: impl FnMut(&str)) {
    let seed: u64 =
        std::env::var("ICEFOLD_CRASH_SEED").ok().map_or_else(rand::random, |s| s.parse().expect("a number"));
    println!("ICEFOLD_CRASH_SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let whole = scene.count("undisturbed", "raw_events");
    let (mut unfinished, mut warehouse_number, mut kills) = (0, 0, 0);
    while kills < KILLS {
        let warehouse = format!("killed-{warehouse_number}");
        warehouse_number += 1;
        let mut is_whole = false;
        while kills < KILLS && !is_whole {
            let commits = scene.commits(&warehouse);
            let mut child =
                start(&warehouse, kills).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start");
            while kills % 2 == 1 && scene.commits(&warehouse) == commits && child.try_wait().expect("alive?").is_none()
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(rng.random_range(0..LONGEST_LIFE_MS)));
            kill(child);
            kills += 1;
            is_whole = scene.count(&warehouse, "raw_events") == whole;
            unfinished += u32::from(!is_whole);
        }
        succeed(&mut start(&warehouse, kills));
        assert(&warehouse);
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

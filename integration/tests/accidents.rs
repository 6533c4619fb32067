//! Ordinary accidents of operation, played with the real binary: clocks that are off, a deploy between a crash and the restart,
//! events from the future, other engines that delete, rewrite, roll back and expire, two writers at once, absurd settings.
//!
//! Each ends with the rows that are right, and with a `verify` that says so; where icefold cannot do the damage itself any
//! more, `integration/accidents/accident.py` does it, and `verify` has to name it. Events are dated, files too: nothing depends
//! on when the test runs.

#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use icefold_integration::equality::delete_where_equal;
use icefold_integration::program::{engines, fail, icefold, run, succeed};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Exit codes of docs/cli.md.
const INVALID: i32 = 2;
const BROKEN: i32 = 3;
const FENCED: i32 = 4;
const CORRUPT: i32 = 6;
/// 2026-03-01T12:00:00Z, from which the times of files and events are counted in seconds.
const NOON: u64 = 1_772_366_400;
const HOUR: i64 = 3_600;
const CONTRACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts");
const SKEW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/accidents/skew.c");
const ACCIDENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/accidents/accident.py");
const TABLES: [&str; 4] = ["raw_events", "quarantine", "identities", "events"];
/// What is waited for comes within seconds; a machine may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_clock_that_is_off_leaves_every_table_readable_and_in_use() {
    let (account, commerce) = (format!("{CONTRACTS}/account.yaml"), format!("{CONTRACTS}/commerce.yaml"));
    // Each clock has the next step, in this order: ingest, an amendment, an amendment, ingest.
    for clocks in [[0, 300, 0, 0], [300, 0, 0, 0], [7_200, -7_200, 300, -300]] {
        let scene = Scene::new();
        let skew = scene.skewed_clock();
        let on = |clock: i64, command: &mut Command| {
            succeed(command.env("LD_PRELOAD", &skew).env("SKEW_SECONDS", clock.to_string()))
        };
        scene.offer("source", "1", 0, &clicks("a", 1));
        on(clocks[0], &mut scene.ingest("source"));
        on(clocks[1], scene.icefold().args(["contract", "apply", &account]));
        on(clocks[2], scene.icefold().args(["contract", "apply", &commerce]));
        scene.offer("source", "2", 0, &clicks("b", 1));
        on(clocks[3], &mut scene.ingest("source"));
        assert_eq!(TABLES.map(|table| scene.rows(table)), [2, 0, 0, 2], "{clocks:?}");
        scene.assert_sound();
        // The clocks were off indeed, and what is older is not dated later.
        let fastest = clocks.into_iter().max().unwrap_or_default();
        let ahead = scene.metadata("events")["last-updated-ms"].as_i64().expect("milliseconds") - milliseconds_now();
        assert!(ahead > (fastest - 120) * 1_000 && ahead < (fastest + 1) * 1_000, "{ahead} ms for {clocks:?}");
    }
}

#[test]
fn settings_that_change_between_the_tables_leave_each_event_in_one_table() {
    for (crashed_with, goes_on_with, quarantined) in [(1_048_576, 1_024, 0), (1_024, 1_048_576, 1)] {
        for hit in 1..=3 {
            let scene = Scene::new();
            let long = with(click("long", "phone", 0), "properties", json!({ "pad": "x".repeat(3_000) }));
            scene.offer("source", "1", 0, &[click("short", "phone", 0), long]);
            let limit = |bytes: i32| format!("decode.max_event_bytes={bytes}");
            let mut dies = scene.ingest("source");
            dies.args(["--set", &limit(crashed_with)]).env("ICEFOLD_FAIL_POINT", format!("between-tables:{hit}"));
            assert!(!run(&mut dies).status.success(), "the fail point was not passed");
            succeed(scene.ingest("source").args(["--set", &limit(goes_on_with)]));
            // The batch was decided before the crash: what is finished later follows from that decision.
            let rows = TABLES.map(|table| scene.rows(table));
            assert_eq!(rows, [2, quarantined, 0, 2 - quarantined], "{crashed_with}, then {goes_on_with}, at {hit}");
            scene.assert_sound();
        }
    }
}

#[test]
fn an_event_from_the_future_ends_neither_deduplication_nor_sessions() {
    let scene = Scene::new();
    let ahead = with(click("ahead", "tablet", 0), "receivedAt", json!(time(23 * HOUR)));
    let visit = (0..5).map(|n| click(&format!("page-{n}"), "phone", n));
    let repeats = [click("page-0", "phone", 0), click("page-1", "phone", 1)];
    let events: Vec<Value> = [ahead].into_iter().chain(visit).chain(repeats).collect();
    scene.offer("source", "1", 60, &events);
    succeed(&mut scene.ingest("source"));
    assert_eq!(scene.visits("phone"), (5, 1));
    assert_eq!(scene.rows("quarantine") + scene.rows("events"), 6, "one more, wherever it is");
    scene.assert_sound();
}

#[test]
fn files_out_of_the_order_of_their_times_end_neither_deduplication_nor_sessions() {
    let scene = Scene::new();
    // As logrotate names them: the newest comes first, and a device has its visit in the older one.
    scene.offer("source", "access.log", 8 * HOUR, &[click("late", "tablet", 8 * HOUR)]);
    let visit: Vec<Value> = (0..5).map(|n| click(&format!("page-{n}"), "phone", n)).collect();
    scene.offer("source", "access.log.1", 60, &[visit.clone(), visit].concat());
    succeed(&mut scene.ingest("source"));
    assert_eq!(scene.visits("phone"), (5, 1));
    scene.assert_sound();
}

#[test]
fn a_process_needs_memory_for_its_own_shards_and_decides_by_them_alone() {
    let scene = Scene::new();
    scene.offer("one", "1", 0, &clicks("one", 900));
    scene.offer("other", "1", 0, &[clicks("other", 850), clicks("one", 50)].concat());
    for source in ["one", "other"] {
        succeed(scene.ingest(source).args(["--set", "writer.dedup_max_ids=1000"]));
    }
    // Which of them was first does not matter: overlap of unrelated sources is no repeat.
    assert_eq!(TABLES.map(|table| scene.rows(table)), [1_800, 0, 0, 1_800]);
    scene.assert_sound();
}

#[test]
fn a_table_whose_properties_were_dropped_is_not_read_twice() {
    let scene = Scene::new();
    scene.offer("source", "1", 0, &clicks("a", 5));
    succeed(&mut scene.ingest("source"));
    scene.accident(&["forget:raw_events", "rewrite:raw_events", "expire:raw_events"]);
    succeed(&mut scene.ingest("source"));
    assert_eq!(scene.rows("raw_events"), 5, "nothing new was offered");
    scene.offer("source", "2", 0, &clicks("b", 5));
    succeed(&mut scene.ingest("source"));
    assert_eq!(scene.rows("raw_events"), 10);
    scene.assert_sound();
}

#[test]
fn a_roll_back_that_expiry_has_hidden_stops_everybody_until_it_is_adopted() {
    let scene = Scene::new();
    for file in ["1", "2"] {
        scene.offer("source", file, 0, &clicks(file, 5));
        succeed(&mut scene.ingest("source"));
    }
    scene.accident(&["roll-back:events", "rewrite:events", "expire:events"]);
    let (code, said) = fail(&mut scene.ingest("source"));
    assert_eq!(code, CORRUPT, "{said}");
    assert!(said.contains("rolled back") && said.contains("icefold checkpoint adopt events"), "{said}");
    assert_eq!(scene.broken(), ["K3 events"]);

    // It says what it assumes; then the stream goes on, and what is gone stays gone.
    let assumed = succeed(scene.icefold().args(["checkpoint", "adopt", "events"]));
    assert!(assumed.contains("this assumes that"), "{assumed}");
    fail(&mut scene.ingest("source"));
    succeed(scene.icefold().args(["checkpoint", "adopt", "events", "--yes"]));
    scene.offer("source", "3", 0, &clicks("3", 5));
    succeed(&mut scene.ingest("source"));
    assert_eq!(TABLES.map(|table| scene.rows(table)), [15, 0, 0, 10]);
    scene.assert_sound();
}

#[test]
fn deletes_with_an_expired_snapshot_between_them_are_no_roll_back() {
    let scene = Scene::new();
    scene.offer("source", "1", 0, &clicks("a", 5));
    succeed(&mut scene.ingest("source"));
    scene.accident(&["delete:events:message_id=a-0", "delete:events:message_id=a-1", "expire-parent:events"]);
    scene.offer("source", "2", 0, &clicks("b", 5));
    succeed(&mut scene.ingest("source"));
    assert_eq!(scene.rows("events"), 8, "what was deleted does not come back");
    scene.assert_sound();
}

#[test]
fn who_was_deleted_by_copy_on_write_is_forgotten() {
    assert_forgotten(|scene, table, column, value| scene.accident(&[&format!("delete:{table}:{column}={value}")]));
}

#[test]
fn who_was_deleted_by_position_is_forgotten() {
    assert_forgotten(|scene, table, column, value| {
        scene.accident(&[&format!("delete-by-position:{table}:{column}={value}")]);
    });
}

#[test]
fn who_was_deleted_by_equality_is_forgotten() {
    assert_forgotten(|scene, table, column, value| {
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let warehouse = scene.path("warehouse");
        runtime.block_on(delete_where_equal(&warehouse, table, column, value)).expect("deleted");
    });
}

/// Deletes a person and a device while a writer runs: neither it nor the next one remembers them. `delete` is told of table,
/// column and value.
fn assert_forgotten(delete: impl Fn(&Scene, &str, &str, &str)) {
    let scene = Scene::new();
    // Others are in the same files, so that these are not dropped as a whole.
    let first =
        [click("before", "phone", 0), identify("call", "phone", "alice", 1), identify("neighbour", "laptop", "bob", 1)];
    scene.offer("source", "1", 0, &first);
    let metrics = scene.path("metrics.prom");
    let mut follow = scene.follow("source");
    follow.arg("--metrics-file").arg(&metrics);
    let writer = Running::start(follow);
    scene.wait_for("events", 3);
    scene.wait_for("identities", 2);
    delete(&scene, "identities", "user_id", "alice");
    delete(&scene, "events", "anonymous_id", "phone");
    // A writer hears of deletes at its next commit, or when it looks; what it has decided until then stays.
    scene.offer("source", "2", 30, &[click("meanwhile", "tablet", 30)]);
    scene.wait_for("events", 2);
    wait_until("a refold", || {
        let told = fs::read_to_string(&metrics).unwrap_or_default();
        told.lines().any(|line| line.starts_with("icefold_writer_refolds_total ") && !line.ends_with(" 0"))
    });
    scene.offer("source", "3", 60, &[click("after", "phone", 60), click("bobs", "laptop", 60)]);
    scene.wait_for("events", 4);
    writer.stop();
    let person = |id: &str| {
        scene.text(&format!("SELECT coalesce(resolved_user_id, 'nobody') AS who FROM events WHERE message_id = '{id}'"))
    };
    assert_eq!((person("after"), person("bobs")), ("nobody".to_owned(), "bob".to_owned()), "the same run");
    let session = "SELECT session_event_number AS n FROM events WHERE message_id = 'after'";
    assert_eq!(scene.number(session), 1, "the deleted visit is not continued");

    // A producer's retry of a deleted event brings nothing back.
    scene.offer("source", "4", 90, &[click("again", "phone", 90), first[0].clone()]);
    succeed(&mut scene.ingest("source"));
    assert_eq!(person("again"), "nobody", "the next run");
    assert_eq!(scene.rows("events"), 5, "`before` stays deleted");
    scene.assert_sound();
}

/// Waits for what a running writer does by itself.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} is waited for");
        std::thread::yield_now();
    }
}

#[test]
fn every_file_of_a_race_is_in_a_table_or_announced() {
    let scene = Scene::new();
    for round in 0..6 {
        scene.offer("source", &round.to_string(), 0, &clicks(&round.to_string(), 200));
        let racers = [scene.ingest("source"), scene.ingest("source")]
            .map(|mut racer| racer.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start"));
        for racer in racers {
            let ended = racer.wait_with_output().expect("end");
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!([Some(0), Some(FENCED)].contains(&ended.status.code()), "{said}");
        }
    }
    succeed(&mut scene.ingest("source"));
    let announced = scene.announcements();
    let live: BTreeSet<String> = TABLES.iter().flat_map(|table| scene.live_files(table)).collect();
    let unknown: Vec<String> = scene
        .files("icefold", "parquet")
        .into_iter()
        .filter(|file| !live.contains(file) && !announced.contains(file.as_str()))
        .collect();
    assert_eq!(unknown, Vec::<String>::new(), "nobody would ever remove them");
    assert_eq!(TABLES.map(|table| scene.rows(table)), [1_200, 0, 0, 1_200]);
    scene.assert_sound();
}

#[test]
fn the_ends_of_what_a_setting_can_say_are_obeyed_or_refused_by_name() {
    let scene = Scene::new();
    scene.offer("source", "1", 0, &clicks("a", 1));
    let known: BTreeMap<String, Value> =
        serde_json::from_str(&succeed(scene.icefold().args(["config", "--json"]))).expect("JSON");
    let numbers: Vec<&String> =
        known.iter().filter(|(_, setting)| setting["value"].is_u64()).map(|(key, _)| key).collect();
    assert!(numbers.len() > 20, "{numbers:?}");
    for key in numbers {
        for end in ["0", "9223372036854775807", "18446744073709551615"] {
            let warehouse = scene.path(&format!("{key}-{end}"));
            let mut ingest = icefold(&warehouse);
            let ended = run(ingest.arg("ingest").arg(scene.path("source")).args(["--set", &format!("{key}={end}")]));
            let said = String::from_utf8_lossy(&ended.stderr);
            match ended.status.code() {
                Some(0) => _ = succeed(icefold(&warehouse).arg("verify")),
                Some(INVALID) => assert!(said.contains(key.as_str()), "{key}={end}: {said}"),
                other => panic!("{key}={end} ended with {other:?}: {said}"),
            }
        }
    }
}

#[test]
fn verify_names_metadata_that_is_older_than_its_snapshots() {
    let scene = Scene::new();
    scene.offer("source", "1", 0, &clicks("a", 1));
    succeed(&mut scene.ingest("source"));
    scene.accident(&["set-back:events:300"]);
    assert_eq!(scene.broken(), ["K3 events"], "other engines refuse it");
    // Nothing but its times is wrong: icefold reads it, and its next commit sets them right.
    scene.offer("source", "2", 0, &clicks("b", 1));
    succeed(&mut scene.ingest("source"));
    assert_eq!(scene.rows("events"), 2);
    scene.assert_sound();
}

#[test]
fn verify_names_events_that_are_in_two_tables_or_in_none() {
    // Of two warehouses that decided differently about one event, one table changes places.
    for (takes, broken) in [("events", "W1 events"), ("quarantine", "W2 raw_events")] {
        let scene = Scene::new();
        let long = with(click("long", "phone", 0), "properties", json!({ "pad": "x".repeat(3_000) }));
        scene.offer("source", "1", 0, &[click("short", "phone", 0), long]);
        succeed(&mut scene.ingest("source"));
        fs::rename(scene.path("warehouse"), scene.path("lenient")).expect("move");
        succeed(scene.ingest("source").args(["--set", "decode.max_event_bytes=1024"]));
        assert_eq!(TABLES.map(|table| scene.rows(table)), [2, 1, 0, 1]);
        assert_eq!(scene.broken(), Vec::<String>::new());
        scene.accident(&[&format!("graft:{takes}:{}", scene.text_path("lenient"))]);
        assert!(scene.broken().contains(&broken.to_owned()), "{:?}", scene.broken());
    }
}

#[test]
fn verify_names_rows_that_are_there_twice() {
    for (table, broken) in [("raw_events", "W1 raw_events"), ("events", "W1 events")] {
        let scene = Scene::new();
        scene.offer("source", "1", 0, &clicks("a", 5));
        succeed(&mut scene.ingest("source"));
        scene.accident(&[&format!("repeat:{table}")]);
        assert!(scene.broken().contains(&broken.to_owned()), "{:?}", scene.broken());
    }
}

#[test]
fn verify_names_a_repeat_that_was_accepted() {
    let scene = Scene::new();
    let (once, more) = (click("once", "phone", 0), click("once", "phone", 1));
    let next_line = once.to_string().len() + 1;
    scene.offer("source", "1", 0, &[once, more]);
    succeed(&mut scene.ingest("source"));
    assert_eq!(TABLES.map(|table| scene.rows(table)), [2, 0, 0, 1]);
    scene.accident(&[&format!("accept:events:{next_line}")]);
    assert_eq!(scene.broken(), ["W2 events"]);
}

/// A warehouse and sources in a temporary folder.
struct Scene(TempDir);

impl Scene {
    fn new() -> Self {
        Scene(TempDir::new().expect("temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().expect("temporary folders have UTF-8 names").to_owned()
    }

    /// Puts a file into a source folder, whole and modified at `seconds` after noon.
    fn offer(&self, source: &str, name: &str, seconds: i64, events: &[Value]) {
        fs::create_dir_all(self.path(source)).expect("folder");
        let unseen = self.path("unseen");
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        fs::write(&unseen, lines).expect("write");
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(NOON.saturating_add_signed(seconds));
        File::options().write(true).open(&unseen).and_then(|file| file.set_modified(modified)).expect("date");
        fs::rename(unseen, self.path(source).join(name)).expect("move");
    }

    fn icefold(&self) -> Command {
        icefold(&self.path("warehouse"))
    }

    fn ingest(&self, source: &str) -> Command {
        let mut command = self.icefold();
        command.arg("ingest").arg(self.path(source));
        command
    }

    /// Reads on as the source grows, and commits every second.
    fn follow(&self, source: &str) -> Command {
        let mut command = self.ingest(source);
        command.args(["--follow", "--commit-interval", "1"]).stdout(Stdio::null());
        command
    }

    /// Does what `integration/accidents/accident.py` says.
    fn accident(&self, acts: &[&str]) {
        let mut python = Command::new(engines());
        succeed(python.args(["-W", "ignore", ACCIDENT]).arg(self.path("warehouse")).args(acts));
    }

    /// Builds what makes clocks wrong.
    fn skewed_clock(&self) -> PathBuf {
        let library = self.path("skew.so");
        succeed(Command::new("cc").args(["-shared", "-fPIC", SKEW, "-ldl", "-o"]).arg(&library));
        library
    }

    /// The only value of the only row, as CSV has it; `None` where the table is not there yet.
    fn cell(&self, sql: &str) -> Option<String> {
        let output = run(self.icefold().args(["query", "--format", "csv", sql]));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().nth(1).map(str::to_owned)
    }

    fn text(&self, sql: &str) -> String {
        self.cell(sql).unwrap_or_else(|| panic!("no row: {sql}"))
    }

    fn number(&self, sql: &str) -> u64 {
        self.text(sql).parse().unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    fn rows(&self, table: &str) -> u64 {
        self.number(&format!("SELECT count(*) AS n FROM {table}"))
    }

    /// How many rows a device has in `events`, and in how many sessions.
    fn visits(&self, device: &str) -> (u64, u64) {
        let of = |what: &str| format!("SELECT {what} AS n FROM events WHERE anonymous_id = '{device}'");
        (self.number(&of("count(*)")), self.number(&of("count(DISTINCT session_id)")))
    }

    /// Waits until a table has as many rows.
    fn wait_for(&self, table: &str, rows: u64) {
        let (sql, rows) = (format!("SELECT count(*) AS n FROM {table}"), rows.to_string());
        let end = Instant::now() + DEADLINE;
        while self.cell(&sql).as_ref() != Some(&rows) {
            assert!(Instant::now() < end, "`{table}` has {:?} rows, {rows} are waited for", self.cell(&sql));
        }
    }

    fn assert_sound(&self) {
        succeed(self.icefold().arg("verify"));
    }

    /// What `verify` finds broken: invariant and table, each once.
    fn broken(&self) -> Vec<String> {
        let output = run(self.icefold().args(["verify", "--json"]));
        let checks: Vec<Value> = serde_json::from_slice(&output.stdout).expect("checks");
        let broken = checks.iter().filter(|check| check["broken"].as_array().is_some_and(|found| !found.is_empty()));
        let named =
            broken.map(|check| [&check["invariant"], &check["table"]].map(|v| v.as_str().unwrap_or("?")).join(" "));
        let named: BTreeSet<String> = named.collect();
        assert_eq!(output.status.code(), Some(if named.is_empty() { 0 } else { BROKEN }));
        named.into_iter().collect()
    }

    /// The metadata that the catalog points to: nothing else has been written last.
    fn metadata(&self, table: &str) -> Value {
        let folder = self.path("warehouse/icefold").join(table).join("metadata");
        let entries = fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
        let newest = entries.filter(|path| path.to_string_lossy().ends_with(".metadata.json")).max().expect("metadata");
        serde_json::from_slice(&fs::read(newest).expect("read")).expect("JSON")
    }

    fn live_files(&self, table: &str) -> Vec<String> {
        let listed = succeed(self.icefold().args([
            "query",
            "--format",
            "json",
            &format!("SELECT file_path FROM files('{table}')"),
        ]));
        let paths = listed.lines().map(|line| serde_json::from_str::<Value>(line).expect("a row a line"));
        paths.map(|row| file_name(Path::new(row["file_path"].as_str().expect("a path")))).collect()
    }

    /// Names of the files below a folder of the warehouse.
    fn files(&self, folder: &str, extension: &str) -> Vec<String> {
        let paths = below(&self.path("warehouse").join(folder));
        paths
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == extension))
            .map(|path| file_name(path))
            .collect()
    }

    /// The text of everything that announces files.
    fn announcements(&self) -> String {
        let paths = below(&self.path("warehouse/_icefold"));
        let announcements = paths.iter().filter(|path| path.to_string_lossy().contains("/intents/"));
        announcements.map(|path| fs::read_to_string(path).expect("read")).collect()
    }
}

/// A process that runs until it is told to stop.
struct Running(Option<Child>);

impl Running {
    fn start(mut command: Command) -> Self {
        Running(Some(command.spawn().expect("start")))
    }

    /// Asks it to end, as Ctrl-C does, and waits for a good end.
    fn stop(mut self) {
        let Some(mut child) = self.0.take() else { return };
        succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
        assert!(child.wait().expect("end").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A track call of a device, made and received `seconds` after noon.
fn click(id: &str, device: &str, seconds: i64) -> Value {
    let at = time(seconds);
    json!({ "type": "track", "event": "Clicked", "messageId": id, "anonymousId": device, "timestamp": at, "receivedAt": at })
}

/// Calls of as many messages, each of a device of its own.
fn clicks(prefix: &str, count: u32) -> Vec<Value> {
    (0..count).map(|n| click(&format!("{prefix}-{n}"), &format!("device-{n}"), 0)).collect()
}

fn identify(id: &str, device: &str, user: &str, seconds: i64) -> Value {
    with(with(click(id, device, seconds), "type", json!("identify")), "userId", json!(user))
}

fn with(mut event: Value, key: &str, value: Value) -> Value {
    event[key] = value;
    event
}

/// A time of March 2026, `seconds` after noon of the first.
fn time(seconds: i64) -> String {
    let seconds = 12 * HOUR + seconds;
    let (day, second) = (1 + seconds.div_euclid(24 * HOUR), seconds.rem_euclid(24 * HOUR));
    format!("2026-03-{day:02}T{:02}:{:02}:{:02}.000Z", second / HOUR, second / 60 % 60, second % 60)
}

fn milliseconds_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("this era")
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

//! Other engines read icefold's tables and commit on top of them: DuckDB, PyIceberg and Spark with Iceberg Java. And the
//! enriched columns of access logs are compared with a computation that shares nothing with icefold but the rules.
//!
//! The engines live behind scripts in `integration/readers`; `setup` installs them the first time (see `docs/readers.md`).
//! icefold takes part as its real binary, which must have been built: `cargo build --release --workspace`. Nothing is
//! skipped: what is missing fails the test and says how to get it.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use icefold_integration::program::{binary, engines, icefold, run, succeed};
use serde_json::{Value, json};
use tempfile::TempDir;

const EVENTS: u64 = 20_000;
const FILES: usize = 4;
/// Small enough for several snapshots of each table.
const COMMIT_BYTES: &str = "2000000";
/// The number inside `properties` that engines add up; `generate` says what comes out.
const JSON_NUMBER: &str = "events.properties.revenue";
const TABLES: [&str; 4] = ["raw_events", "events", "quarantine", "identities"];
/// It knows the addresses that `generate` makes, some of them with coordinates.
const CITIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../writer/tests/data/geo-city.mmdb");
/// They promote `order_id`, `revenue` and others to columns of `events`.
const CONTRACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts");
const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/web-access-2015.log.gz");
/// It knows the addresses of the log.
const COUNTRIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/web-access-2015-countries.mmdb");

#[test]
fn other_engines_agree_with_icefold_now_and_at_older_snapshots() {
    let scene = Scene::new();
    scene.offer(0..FILES / 2);
    scene.ingest();
    // What icefold says of these snapshots now is what everybody must say of them later.
    let then = scene.agreed(&["--engine", "duckdb"]);
    let mut expect = then["icefold"].clone();
    for column in ["is_bot", "geo_country", "geo_latitude", "user_signup_date", "resolved_user_id"] {
        let rows = only_snapshot(&expect["events"])["non_null"][column].as_u64();
        assert!(rows > Some(0), "`{column}` would not be tested");
    }

    let now = scene.agreed_after_the_rest(&mut expect);
    for table in TABLES {
        let asked = now["spark"][table].as_object().expect("figures by snapshot").len();
        assert!(asked >= 2, "`{table}` was read at {asked} snapshot, an older one too was meant");
    }
}

#[test]
fn other_engines_read_rows_from_before_and_after_a_change_of_contracts() {
    let scene = Scene::new();
    scene.offer(0..FILES / 2);
    scene.ingest();
    let mut expect = scene.agreed(&["--engine", "duckdb"])["icefold"].clone();
    let before = only_snapshot(&expect["events"]).clone();
    assert_eq!(before["non_null"].get("order_id"), None, "no contract has promoted it yet");

    // The snapshot stays, the table has the columns already: there is no file that holds them.
    scene.icefold(["contract", "apply", CONTRACTS]);
    let applied = scene.agreed(&["--table", "events"]);
    let applied = only_snapshot(&applied["icefold"]["events"]);
    for column in ["order_id", "revenue"] {
        assert_eq!(applied["filtered"][format!("{column} is null")], before["rows"], "{column}");
    }

    let now = scene.agreed_after_the_rest(&mut expect);
    let by_snapshot = now["spark"]["events"].as_object().expect("figures by snapshot");
    let after: Vec<&Value> = by_snapshot.values().filter(|f| f["non_null"].get("order_id").is_some()).collect();
    assert_eq!(after.len(), 1, "older snapshots have no promoted columns");
    assert!(by_snapshot.len() >= 2, "an older snapshot too was meant");

    let after = after[0];
    let (rows, orders) = (after["rows"].as_u64(), after["non_null"]["order_id"].as_u64());
    assert!(orders > Some(0) && orders < rows, "{orders:?} of {rows:?} rows have an order");
    for column in ["order_id", "revenue"] {
        let promoted = &after["promoted"][column];
        assert_eq!(promoted["segment-envelope/1"], 0, "rows from before have no `{column}`: {promoted}");
        assert!(promoted["commerce/1.0.0"].as_u64() > Some(0), "rows from after have `{column}`: {promoted}");
    }
    // The JSON of all rows has the revenue, the column only that of the rows from after.
    let in_json = |figures: &Value| figures["json_number"].as_str().map(hundredths).expect("revenue");
    assert!(in_json(&before) > 0, "rows from before have a revenue, though not in the column");
    assert_eq!(after["sums"]["revenue"].as_u64(), Some(in_json(after) - in_json(&before)));
}

#[test]
fn other_engines_agree_on_a_log_of_robots_and_countries() {
    let scene = LogScene::new(Path::new(LOG));
    scene.ingest(&[&scene.countries()]);
    let all = agreed(&scene.python, &scene.warehouse(), &[]);
    let events = only_snapshot(&all["icefold"]["events"]);
    assert_eq!(events["filtered"]["is_bot is true"], events["sums"]["is_bot"]);
    assert!(events["sums"]["is_bot"].as_u64() > Some(2_000), "{}", events["sums"]);
    assert!(events["non_null"]["geo_country"].as_u64() > Some(9_000), "{}", events["non_null"]);
}

#[test]
fn enriched_columns_of_a_real_log_are_those_of_an_independent_computation() {
    let scene = LogScene::new(Path::new(LOG));
    scene.ingest(&[&scene.countries()]);
    let report = scene.compare().unwrap_or_else(|differences| panic!("{differences}"));
    assert!(report["rows"]["compared"].as_u64() >= Some(9_999), "{}", report["rows"]);
    assert_eq!(report["unexplained"]["differences"], 0);
    assert_eq!(report["totals"]["countries"]["found"]["US"], 3_895, "there is a database");
}

#[test]
fn sessions_of_a_disordered_log_are_those_of_an_independent_computation() {
    let scene = LogScene::disordered();
    scene.ingest(&[&scene.countries()]);
    let report = scene.compare().unwrap_or_else(|differences| panic!("{differences}"));
    assert!(report["rows"]["compared"].as_u64() >= Some(20_000), "{}", report["rows"]);
    for column in ["session_id", "session_start", "session_latest", "session_event_number"] {
        assert_eq!(report["columns"][column]["different"], 0, "{column}");
    }
}

#[test]
fn a_gap_that_is_a_second_shorter_is_noticed_by_the_independent_computation() {
    let scene = LogScene::disordered();
    scene.ingest(&[&scene.countries(), "writer.sessions.gap_seconds=1799"]);
    let differences = scene.compare().expect_err("sessions are others");
    for column in ["session_id", "session_start", "session_latest", "session_event_number"] {
        assert!(first_line(&differences).contains(column), "{column}: {differences}");
    }
    assert!(!first_line(&differences).contains("geo_country"), "{differences}");
}

#[test]
fn a_database_that_is_missing_is_noticed_by_the_independent_computation() {
    let scene = LogScene::new(Path::new(LOG));
    scene.ingest(&[]);
    let differences = scene.compare().expect_err("there are no countries");
    assert!(first_line(&differences).ends_with("are unexplained: geo_country 9979"), "{differences}");
}

#[test]
fn a_figure_that_differs_is_reported() {
    let scene = Scene::new();
    scene.offer(0..1);
    scene.ingest();
    let rows = scene.count("events");
    let expect = scene.write("expect.json", &json!({ "events": { "current": { "rows": rows + 1 } } }));
    let differences =
        scene.compare(&["--engine", "duckdb", "--expect", &expect]).expect_err("one row too many is asked");
    assert!(
        differences.contains(&format!("rows: expected {}, icefold {rows}, duckdb {rows}", rows + 1)),
        "{differences}"
    );
}

#[test]
fn a_table_of_format_1_without_a_partition_column_that_it_had_is_read() {
    let folder = TempDir::new().expect("temporary folder");
    let warehouse = folder.path().join("warehouse");
    succeed(Command::new(engines()).arg(scripts().join("dropped_partition.py")).arg(&warehouse));
    for (condition, ids) in [
        ("true", "1 2 3 4 5"),
        ("kind = 'a'", "1"),
        ("kind IS NULL", "3 5"),
        ("kind = 'c' AND day = DATE '2026-01-02'", "4"),
        ("day < DATE '2026-01-02' AND kind <> 'a'", "2"),
    ] {
        let sql = format!("SELECT id FROM dropped WHERE {condition} ORDER BY id");
        let answer = succeed(icefold(&warehouse).args(["query", "--format", "csv", &sql]));
        assert_eq!(answer.lines().skip(1).collect::<Vec<_>>().join(" "), ids, "{condition}");
    }
}

#[test]
fn ingest_continues_exactly_once_on_top_of_commits_of_other_engines() {
    let scene = Scene::new();
    scene.offer(0..FILES / 2);
    scene.ingest();
    let before = scene.counts();

    // Snapshots of PyIceberg and Spark come on top, then every snapshot of ours is expired.
    scene.foreign(&["set-properties", "append-and-delete", "compact"]);
    let on_top = scene.foreign(&["expire"]);
    assert_eq!(scene.counts(), before, "rows as they were");
    scene.ingest();
    assert_eq!(scene.counts(), before, "nothing new was offered");
    assert_eq!(scene.foreign(&["check-properties"]), on_top, "nothing new makes no snapshot");

    scene.offer(FILES / 2..FILES);
    scene.ingest();
    let expected = scene.expectation().into_iter().map(|(table, figures)| (table, figures["rows"].as_u64()));
    let counted = scene.counts().into_iter().map(|(table, rows)| (table, Some(rows)));
    assert_eq!(counted.collect::<BTreeMap<_, _>>(), expected.collect());
    scene.icefold(["verify"]);
    scene.foreign(&["check-properties"]);

    // Position deletes of Spark: everybody sees the same rows, and the stream goes on behind them.
    scene.foreign(&["delete-rows"]);
    let all = scene.agreed(&[]);
    let left = only_snapshot(&all["icefold"]["events"]);
    assert_eq!(left["by_group"].get("identify"), None, "deleted by Spark");
    scene.ingest();
    scene.icefold(["verify"]);
    assert_eq!(json!(scene.count("events")), left["rows"], "what another engine deleted does not come back");
}

/// A warehouse, a source folder that files are offered in, and the launcher of the engines.
struct Scene {
    folder: TempDir,
    python: PathBuf,
}

impl Scene {
    /// Generates the events and data about their people; no file is offered yet.
    fn new() -> Self {
        let scene = Scene { folder: TempDir::new().expect("temporary folder"), python: engines() };
        fs::create_dir(scene.path("source")).expect("source folder");
        let (events, files) = (EVENTS.to_string(), FILES.to_string());
        scene.icefold(["generate", &events, "--seed", "7", "--files", &files, "--out", &scene.text("generated")]);
        let mut reference = Command::new(&scene.python);
        reference.arg(scripts().join("reference.py")).arg(scene.path("generated")).arg(scene.path("people.parquet"));
        succeed(&mut reference);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("temporary folders have UTF-8 names").to_owned()
    }

    /// Puts generated files, by their place in name order, into the source folder.
    fn offer(&self, places: Range<usize>) {
        let entries = fs::read_dir(self.path("generated")).expect("generated folder");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
        files.retain(|path| !file_name(path).starts_with('_'));
        files.sort();
        assert_eq!(files.len(), FILES, "{files:?}");
        for file in &files[places] {
            fs::copy(file, self.path("source").join(file_name(file))).expect("copy");
        }
    }

    /// Runs icefold on the warehouse; it must succeed. Returns what it printed.
    fn icefold<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        succeed(icefold(&self.path("warehouse")).args(arguments))
    }

    fn ingest(&self) {
        let geo = format!("enrich.geo_database={CITIES}");
        let reference = format!("enrich.reference={}", self.text("people.parquet"));
        let settings = ["--commit-bytes", COMMIT_BYTES, "--set", &geo, "--set", &reference];
        self.icefold(["ingest", &self.text("source")].into_iter().chain(settings));
    }

    fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT count(*) AS n FROM {table}");
        let row: Value =
            serde_json::from_str(&self.icefold(["query", "--format", "json", &sql])).expect("one JSON row");
        row["n"].as_u64().expect("a count")
    }

    fn counts(&self) -> BTreeMap<&'static str, u64> {
        TABLES.iter().map(|table| (*table, self.count(table))).collect()
    }

    /// What `generate` promised, in the words of `compare.py`.
    fn expectation(&self) -> BTreeMap<&'static str, Value> {
        let text = fs::read(self.path("generated/_expectation.json")).expect("expectation");
        let of: Value = serde_json::from_slice(&text).expect("JSON");
        let cents = of["revenue_cents"].as_u64().expect("revenue");
        // A record is a line without its end.
        let payload_bytes = of["bytes"].as_u64().expect("bytes") - of["events"].as_u64().expect("events");
        // Each of these calls shows one device's person: an `alias` replaces the device's own id.
        let calls = ["identify", "alias"].map(|kind| (kind, of["by_type"][kind].as_u64().expect("calls")));
        let sightings: u64 = calls.iter().map(|(_, calls)| calls).sum();
        let events = json!({
            "rows": of["unique_valid"],
            "distinct_ids": of["unique_valid"],
            "by_group": of["by_type"],
            "json_number": format!("{}.{:02}0000", cents / 100, cents % 100),
        });
        BTreeMap::from([
            ("events", events),
            ("raw_events", json!({ "rows": of["events"], "bytes": { "payload": payload_bytes } })),
            ("quarantine", json!({ "rows": of["malformed"] })),
            (
                "identities",
                json!({
                    "rows": sightings,
                    "distinct_ids": sightings,
                    "sums": { "sightings": sightings },
                    "by_group": BTreeMap::from(calls),
                }),
            ),
        ])
    }

    /// Asks icefold and the other engines; `Err` holds the differences.
    fn compare(&self, options: &[&str]) -> Result<Value, String> {
        compare(&self.python, &self.path("warehouse"), options)
    }

    /// Asks icefold and the other engines, who must agree.
    fn agreed(&self, options: &[&str]) -> Value {
        agreed(&self.python, &self.path("warehouse"), options)
    }

    /// Ingests the files that are left and asks all engines, now and at the snapshots of `expect`, which must say what it says.
    fn agreed_after_the_rest(&self, expect: &mut Value) -> Value {
        self.offer(FILES / 2..FILES);
        self.ingest();
        self.icefold(["verify"]);
        let older: Vec<String> = TABLES.iter().flat_map(|t| snapshot_options(&expect[t], t)).collect();
        for (table, figures) in self.expectation() {
            expect[table]["current"] = figures;
        }
        let file = self.write("expect.json", expect);
        let options = ["--oldest", "--expect", &file].into_iter().chain(older.iter().map(String::as_str));
        self.agreed(&options.collect::<Vec<_>>())
    }

    /// Lets other engines commit; returns the tables' current snapshots.
    fn foreign(&self, acts: &[&str]) -> Value {
        let mut command = Command::new(&self.python);
        let printed = succeed(command.arg(scripts().join("foreign.py")).arg(self.path("warehouse")).args(acts));
        serde_json::from_str(&printed).expect("snapshot ids as JSON")
    }

    /// Writes JSON beside the warehouse and returns its path.
    fn write(&self, name: &str, value: &Value) -> String {
        fs::write(self.path(name), value.to_string()).expect("write");
        self.text(name)
    }
}

/// A warehouse of an access log, and the launcher of the engines.
struct LogScene {
    folder: TempDir,
    python: PathBuf,
    log: PathBuf,
}

impl LogScene {
    /// Takes a log; it is not ingested yet.
    fn new(log: &Path) -> Self {
        LogScene { folder: TempDir::new().expect("temporary folder"), python: engines(), log: log.into() }
    }

    /// Makes a log out of order, in which many events are a second more or less than the gap apart: in the real one all
    /// are in minute 5 of their hour.
    fn disordered() -> Self {
        let mut scene = LogScene::new(Path::new(LOG));
        let made = scene.folder.path().join("made.log.gz");
        let mut make = Command::new(&scene.python);
        succeed(make.arg(scripts().join("enrichment/made_log.py")).arg(LOG).arg(&made).args(["--seed", "7"]));
        scene.log = made;
        scene
    }

    fn warehouse(&self) -> PathBuf {
        self.folder.path().join("warehouse")
    }

    /// The setting that names the database.
    fn countries(&self) -> String {
        format!("enrich.geo_database={COUNTRIES}")
    }

    fn ingest(&self, settings: &[&str]) {
        let mut command = icefold(&self.warehouse());
        command.arg("ingest").arg(&self.log).args(["--format", "combined"]);
        succeed(command.args(settings.iter().flat_map(|setting| ["--set", setting])));
    }

    /// Compares with the independent computation: its report, or `Err` with the differences that nothing explains.
    fn compare(&self) -> Result<Value, String> {
        let mut command = Command::new(&self.python);
        command.arg(scripts().join("compare_enrichment.py")).arg(self.warehouse()).arg("--log").arg(&self.log);
        compared(command.args(["--geo", COUNTRIES]))
    }
}

/// Asks icefold and the other engines about a warehouse; `Err` holds the differences.
fn compare(python: &Path, warehouse: &Path, options: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(python);
    command.arg(scripts().join("compare.py")).arg(warehouse).arg("--icefold").arg(binary());
    compared(command.args(["--json-number", JSON_NUMBER]).args(options))
}

/// Asks icefold and the other engines about a warehouse; they must agree.
fn agreed(python: &Path, warehouse: &Path, options: &[&str]) -> Value {
    compare(python, warehouse, options).unwrap_or_else(|differences| panic!("engines differ:\n{differences}"))
}

/// Runs a script that compares: what it printed as JSON, or `Err` with the differences that it found.
fn compared(command: &mut Command) -> Result<Value, String> {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => Ok(serde_json::from_slice(&output.stdout).expect("JSON")),
        Some(1) => Err(said),
        _ => panic!("{command:?} failed:\n{said}"),
    }
}

/// Options that ask for the snapshots for which there are figures.
fn snapshot_options(figures: &Value, table: &str) -> Vec<String> {
    let ids = figures.as_object().into_iter().flat_map(|snapshots| snapshots.keys());
    ids.flat_map(|id| ["--snapshot".to_owned(), format!("{table}={id}")]).collect()
}

/// The figures of the only snapshot that was asked for.
fn only_snapshot(figures: &Value) -> &Value {
    figures.as_object().and_then(|snapshots| snapshots.values().next()).expect("the current snapshot")
}

/// Reads a decimal as `compare.py` writes it, of which no more than two places are in use.
fn hundredths(decimal: &str) -> u64 {
    let (whole, fraction) = decimal.split_once('.').expect("a decimal point");
    let (cents, rest) = fraction.split_at(2);
    assert!(rest.bytes().all(|digit| digit == b'0'), "{decimal}");
    format!("{whole}{cents}").parse().expect("digits")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("readers")
}

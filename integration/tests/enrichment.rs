//! Enrichment by the real binary: sessions and identities over a reshard, data that is replaced or broken, and what each
//! commit says about it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use icefold_integration::program::{icefold, run, succeed};
use serde_json::{Value, json};
use tempfile::TempDir;

const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/web-access-2015.log.gz");
const COUNTRIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/web-access-2015-countries.mmdb");
/// What must not depend on the shards: all that was decided about an event.
const DECIDED: &str = "message_id, session_id, session_start, session_latest, session_event_number, resolved_user_id, \
                       resolved_by, device_class";

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        Scene { folder: TempDir::new().expect("temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn icefold(&self, warehouse: &str) -> Command {
        icefold(&self.path(warehouse))
    }

    fn ingest(&self, warehouse: &str, sources: &[&str], options: &[&str]) -> Command {
        let mut command = self.icefold(warehouse);
        command.env("ICEFOLD_LOG", "warn");
        command.arg("ingest").args(sources.iter().map(|source| self.path(source))).args(options);
        command
    }

    fn ingest_log(&self, warehouse: &str, settings: &[String]) -> Command {
        let mut command = self.icefold(warehouse);
        command.env("ICEFOLD_LOG", "warn");
        command.args(["ingest", LOG, "--format", "combined"]);
        command.args(settings.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]));
        command
    }

    fn rows(&self, warehouse: &str, sql: &str) -> Vec<Value> {
        let text = succeed(self.icefold(warehouse).args(["query", "--format", "json", sql]));
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn count(&self, warehouse: &str, sql: &str) -> u64 {
        self.rows(warehouse, &format!("SELECT count(*) AS n FROM ({sql})"))[0]["n"].as_u64().expect("a count")
    }

    /// The summary of the newest snapshot of `events`.
    fn summary(&self, warehouse: &str) -> Value {
        let sql = "SELECT summary FROM snapshots('events') ORDER BY sequence_number DESC LIMIT 1";
        let summary = self.rows(warehouse, sql).remove(0)["summary"].take();
        serde_json::from_str(summary.as_str().expect("JSON in text")).expect("an object")
    }

    fn generate(&self, events: &str, name: &str) {
        let mut command = self.icefold("none");
        succeed(command.args(["generate", events, "--seed", "11", "--files", "2", "--out"]).arg(self.path(name)));
    }
}

/// Deals the lines of a folder's second file out to two folders, by device, as a split of a shard does.
fn split_second_half(whole: &Path, parent: &Path, children: [&Path; 2]) {
    let mut files: Vec<PathBuf> = fs::read_dir(whole)
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"))
        .collect();
    files.sort();
    let [first, second] = &files[..] else { panic!("two files: {files:?}") };
    for folder in [parent, children[0], children[1]] {
        fs::create_dir_all(folder).expect("folder");
    }
    fs::copy(first, parent.join("first.ndjson")).expect("copy");
    let mut outs = children.map(|folder| File::create(folder.join("second.ndjson")).expect("create"));
    for line in fs::read(second).expect("read").split_inclusive(|byte| *byte == b'\n') {
        let event: Value = serde_json::from_slice(line).unwrap_or_default();
        let device = event["anonymousId"].as_str().or(event["userId"].as_str()).unwrap_or("").to_owned();
        let child = device.bytes().map(usize::from).sum::<usize>() % 2;
        outs[child].write_all(line).expect("write");
    }
}

#[test]
fn a_reshard_in_mid_stream_changes_neither_sessions_nor_identities_nor_what_is_a_duplicate() {
    let scene = Scene::new();
    scene.generate("40000", "whole");
    split_second_half(&scene.path("whole"), &scene.path("parent"), [&scene.path("left"), &scene.path("right")]);
    succeed(&mut scene.ingest("one-shard", &["whole"], &[]));
    succeed(&mut scene.ingest("resharded", &["parent"], &[]));
    // A restart in the middle, and small commits.
    succeed(&mut scene.ingest("resharded", &["left", "right"], &["--commit-bytes", "3000000"]));

    let by_id = |warehouse: &str| -> HashMap<String, Value> {
        let rows = scene.rows(warehouse, &format!("SELECT {DECIDED} FROM events"));
        rows.into_iter().map(|row| (row["message_id"].as_str().expect("an id").to_owned(), row)).collect()
    };
    let (whole, resharded) = (by_id("one-shard"), by_id("resharded"));
    assert_eq!(whole.len(), resharded.len(), "events that were accepted");
    let differing: Vec<_> = whole.iter().filter(|(id, row)| resharded.get(*id) != Some(row)).take(3).collect();
    assert!(differing.is_empty(), "{} events, first {differing:?}", differing.len());
    assert!(whole.values().any(|row| row["resolved_by"] == "identify"), "identities are used");
    let edges = "SELECT known_id, user_id, first_seen, last_seen, sightings FROM identity_edges ORDER BY 1, 2";
    assert_eq!(scene.rows("one-shard", edges), scene.rows("resharded", edges));
    succeed(scene.icefold("resharded").arg("verify"));
}

#[test]
fn broken_enrichment_data_never_stops_good_events_and_every_commit_says_so() {
    let scene = Scene::new();
    fs::write(scene.path("corrupt.mmdb"), b"\xab\xcd\xefMaxMind.com, but nothing behind it").expect("write");
    fs::write(scene.path("empty.yaml"), b"").expect("write");
    fs::write(scene.path("no.parquet"), b"PAR1 or rather not").expect("write");
    let settings = [
        format!("enrich.geo_database={}", scene.text("corrupt.mmdb")),
        format!("enrich.device_rules={}", scene.text("empty.yaml")),
        format!("enrich.reference={}", scene.text("no.parquet")),
    ];
    let output = run(&mut scene.ingest_log("broken", &settings));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(scene.count("broken", "SELECT 1 FROM events"), 9_999);
    let enriched = "SELECT 1 FROM events WHERE geo_country IS NOT NULL OR browser_name IS NOT NULL OR is_bot IS NOT NULL \
                    OR user_plan IS NOT NULL";
    assert_eq!(scene.count("broken", enriched), 0);
    let summary = scene.summary("broken");
    for key in ["icefold.geo-database", "icefold.device-rules", "icefold.reference"] {
        assert_eq!(summary[key], "unavailable", "{key}");
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for file in ["corrupt.mmdb", "empty.yaml", "no.parquet"] {
        assert!(said.contains(file), "`{file}` is named: {said}");
    }
    // Sessions need no data but the stream.
    assert_eq!(scene.count("broken", "SELECT 1 FROM events WHERE session_id IS NULL"), 0);
    succeed(scene.icefold("broken").arg("verify"));
}

#[test]
fn a_reference_table_that_lacks_its_key_is_told_and_others_are_joined() {
    let scene = Scene::new();
    scene.generate("3000", "ev");
    succeed(&mut scene.ingest("lake", &["ev"], &[]));
    // `quarantine` has a user_id but no attributes, `raw_events` neither plan nor consent.
    scene.generate("5000", "more");
    let more = |warehouse| scene.ingest(warehouse, &["more"], &["--set", "enrich.reference=table:quarantine"]);
    let output = run(&mut more("lake"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("none of the columns `plan`, `signup_date`, `consent`"), "{said}");
    assert_eq!(scene.summary("lake")["icefold.reference"], "unavailable");
}

#[test]
fn every_commit_names_the_versions_that_its_rows_were_made_with() {
    let scene = Scene::new();
    succeed(&mut scene.ingest_log("log", &[format!("enrich.geo_database={COUNTRIES}")]));
    let summary = scene.summary("log");
    assert_eq!(summary["icefold.device-rules"], "uap-core/0.18.0");
    let geo = summary["icefold.geo-database"].as_str().expect("a version");
    assert!(geo.starts_with("icefold-demo-country/"), "{geo}");
    assert!(scene.count("log", "SELECT 1 FROM events WHERE geo_country IS NOT NULL") > 9_000);

    let id = scene.rows("log", "SELECT message_id FROM events ORDER BY source_offset LIMIT 1").remove(0);
    let id = id["message_id"].as_str().expect("an id").to_owned();
    let told = succeed(scene.icefold("log").args(["explain", "--event-id", &id, "--json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["outcome"], "accepted");
    assert_eq!(told["rows"][0]["columns"]["source_offset"], json!(0));
    let place = &told["rows"][0]["files"][0];
    assert_eq!(place["summary"]["icefold.geo-database"], geo);
    let file = place["file"].as_str().expect("a file").trim_start_matches("file://");
    assert!(Path::new(file).exists(), "{file}");
}

#[test]
fn addresses_are_kept_truncated_or_dropped_by_setting() {
    let scene = Scene::new();
    for (policy, kept) in [("truncate", "83.149.9.0"), ("keep", "83.149.9.216"), ("drop", "")] {
        succeed(&mut scene.ingest_log(policy, &[format!("enrich.ip={policy}")]));
        let first = scene.rows(policy, "SELECT ip FROM events ORDER BY source_offset LIMIT 1").remove(0);
        assert_eq!(first["ip"].as_str().unwrap_or(""), kept, "{policy}");
    }
}

//! Enrichment by the real binary: sessions and identities over a reshard, data that is replaced or broken, and what each
//! commit says about it.

#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use icefold_integration::program::{icefold, run, succeed};
use serde_json::{Value, json};
use tempfile::TempDir;

const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/web-access-2015.log.gz");
const COUNTRIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/web-access-2015-countries.mmdb");
const NETWORKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../writer/tests/data/geo-asn.mmdb");
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

    /// The shard that a source is.
    fn shard(&self, name: &str) -> String {
        format!("file://{}", fs::canonicalize(self.path(name)).expect("exists").display())
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

/// Deals the lines of a folder's second file out to two folders, by device, as a split of a shard does. Files keep their times.
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
    let written = |file: &Path| fs::metadata(file).and_then(|of| of.modified()).expect("a time");
    fs::copy(first, parent.join("first.ndjson")).expect("copy");
    File::options()
        .write(true)
        .open(parent.join("first.ndjson"))
        .and_then(|f| f.set_modified(written(first)))
        .expect("time");
    let mut outs = children.map(|folder| File::create(folder.join("second.ndjson")).expect("create"));
    for line in fs::read(second).expect("read").split_inclusive(|byte| *byte == b'\n') {
        let event: Value = serde_json::from_slice(line).unwrap_or_default();
        let device = event["anonymousId"].as_str().or(event["userId"].as_str()).unwrap_or("").to_owned();
        let child = device.bytes().map(usize::from).sum::<usize>() % 2;
        outs[child].write_all(line).expect("write");
    }
    outs.iter().for_each(|out| out.set_modified(written(second)).expect("time"));
}

#[test]
fn a_reshard_in_mid_stream_changes_neither_sessions_nor_identities_nor_what_is_a_duplicate() {
    let scene = Scene::new();
    scene.generate("40000", "whole");
    split_second_half(&scene.path("whole"), &scene.path("parent"), [&scene.path("left"), &scene.path("right")]);
    succeed(&mut scene.ingest("one-shard", &["whole"], &[]));
    succeed(&mut scene.ingest("resharded", &["parent"], &[]));
    // A restart in the middle, and small commits.
    let parent = scene.shard("parent");
    let options = ["--continues", &parent, "--commit-bytes", "3000000"];
    succeed(&mut scene.ingest("resharded", &["left", "right"], &options));
    // What a shard continues need not be said again.
    succeed(&mut scene.ingest("resharded", &["left", "right"], &[]));

    let by_id = |warehouse: &str| -> HashMap<String, Value> {
        let rows = scene.rows(warehouse, &format!("SELECT {DECIDED} FROM events"));
        rows.into_iter().map(|row| (row["message_id"].as_str().expect("an id").to_owned(), row)).collect()
    };
    let (whole, resharded) = (by_id("one-shard"), by_id("resharded"));
    assert_eq!(whole.len(), resharded.len(), "events that were accepted");
    let differing: Vec<_> = whole.iter().filter(|(id, row)| resharded.get(*id) != Some(row)).take(3).collect();
    assert!(differing.is_empty(), "{} events, first {differing:?}", differing.len());
    assert!(whole.values().any(|row| row["resolved_by"] == "identify"), "identities are used");
    let edges = "SELECT known_id, user_id, first_seen, last_seen, sightings, binding_number, last_stream_time \
                 FROM identity_edges ORDER BY 1, 2";
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
    let mut ingest = scene.ingest_log("broken", &settings);
    let output = run(ingest.arg("--metrics-file").arg(scene.path("icefold.prom")));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metrics = fs::read_to_string(scene.path("icefold.prom")).expect("metrics");
    assert!(metrics.contains("\nicefold_writer_unavailable_enrichments 3\n"), "{metrics}");
    assert!(metrics.contains("\nicefold_writer_accepted_rows_total 9999\n"), "{metrics}");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(report.contains("3 of device rules, geo databases and reference data could not be used"), "{report}");
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
fn a_reference_table_without_attributes_is_told() {
    let scene = Scene::new();
    scene.generate("3000", "ev");
    succeed(&mut scene.ingest("lake", &["ev"], &[]));
    // `quarantine` has a user_id but no attributes.
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
    let databases = [format!("enrich.geo_database={COUNTRIES}"), format!("enrich.geo_asn_database={NETWORKS}")];
    succeed(&mut scene.ingest_log("log", &databases));
    let summary = scene.summary("log");
    assert_eq!(summary["icefold.device-rules"], "uap-core/0.18.0");
    assert_eq!(summary["icefold.contract"], "access-log/1");
    let geo = summary["icefold.geo-database"].as_str().expect("a version");
    let types: Vec<_> = geo.split(',').filter_map(|version| version.split('/').next()).collect();
    assert_eq!(types, ["Test-ASN", "icefold-demo-country"], "{geo}");
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

/// Writes a file that was last modified at ten o'clock on a day of November 2026.
fn write_at_ten(file: &Path, day: u32, content: &str) {
    let noon_of_the_22nd = UNIX_EPOCH + Duration::from_secs(1_795_348_800);
    let modified = noon_of_the_22nd - Duration::from_secs(u64::from(22 - day) * 86_400 + 7_200);
    fs::write(file, content).expect("write");
    File::options().write(true).open(file).and_then(|file| file.set_modified(modified)).expect("time");
}

/// Fifty events of one device, a minute apart, on a day of November 2026.
fn write_minutes(folder: &Path, day: u32, name: &str) {
    fs::create_dir_all(folder).expect("folder");
    let line = |minute: u32| {
        let time = format!("2026-11-{day:02}T09:{minute:02}:00Z");
        json!({ "type": "track", "event": "Seen", "messageId": format!("{name}-{minute}"), "anonymousId": "device",
                "timestamp": time, "sentAt": time, "receivedAt": time })
        .to_string()
    };
    let lines: Vec<String> = (0..50).map(line).collect();
    write_at_ten(&folder.join("events.ndjson"), day, &lines.join("\n"));
}

#[test]
fn a_shard_that_lies_days_behind_has_the_same_sessions_in_whatever_order_it_comes() {
    let scene = Scene::new();
    write_minutes(&scene.path("today"), 12, "today");
    write_minutes(&scene.path("yesterday"), 11, "yesterday");
    succeed(&mut scene.ingest("together", &["today", "yesterday"], &[]));
    succeed(&mut scene.ingest("reversed", &["yesterday", "today"], &[]));
    succeed(&mut scene.ingest("backfilled", &["today"], &[]));
    succeed(&mut scene.ingest("backfilled", &["yesterday"], &[]));
    let sessions = "SELECT session_id, started_at, ended_at, events FROM sessions ORDER BY started_at";
    let together = scene.rows("together", sessions);
    assert_eq!(together.len(), 2, "{together:?}");
    assert!(together.iter().all(|session| session["events"] == json!(50)), "{together:?}");
    assert_eq!(scene.rows("reversed", sessions), together);
    assert_eq!(scene.rows("backfilled", sessions), together);
}

/// How many events there are, and how many of them began a session.
fn events_and_sessions(scene: &Scene, warehouse: &str) -> (u64, u64) {
    let begun = "SELECT 1 FROM events WHERE session_event_number = 1";
    (scene.count(warehouse, "SELECT 1 FROM events"), scene.count(warehouse, begun))
}

#[test]
fn a_folder_that_continues_the_last_one_finds_repeats_and_open_sessions_and_one_that_does_not_finds_none() {
    let scene = Scene::new();
    write_minutes(&scene.path("june"), 12, "visit");
    write_minutes(&scene.path("july"), 12, "visit");
    let more = json!({ "type": "track", "event": "Seen", "messageId": "more", "anonymousId": "device",
                       "timestamp": "2026-11-12T09:55:00Z", "receivedAt": "2026-11-12T09:55:00Z" });
    write_at_ten(&scene.path("july").join("more.ndjson"), 12, &more.to_string());
    for (warehouse, options, expected) in
        [("continued", vec!["--continues".to_owned(), scene.shard("june")], (51, 1)), ("unrelated", vec![], (101, 2))]
    {
        succeed(&mut scene.ingest(warehouse, &["june"], &[]));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        succeed(&mut scene.ingest(warehouse, &["july"], &options));
        assert_eq!(events_and_sessions(&scene, warehouse), expected, "{warehouse}");
        succeed(scene.icefold(warehouse).arg("verify"));
    }
}

#[test]
fn a_source_that_continues_what_is_unknown_read_at_once_or_too_late_is_refused() {
    let scene = Scene::new();
    write_minutes(&scene.path("june"), 12, "june");
    write_minutes(&scene.path("july"), 13, "july");
    let refused = |sources: &[&str], parent: &str| {
        let output = run(&mut scene.ingest("lake", sources, &["--continues", parent]));
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let june = scene.shard("june");
    let told = refused(&["july"], &june);
    assert!(told.contains("icefold checkpoint events") && told.contains(&june), "{told}");
    let told = refused(&["june", "july"], &june);
    assert!(told.contains("ingest it to its end first"), "{told}");
    succeed(&mut scene.ingest("lake", &["june"], &[]));
    succeed(&mut scene.ingest("lake", &["july"], &[]));
    let told = refused(&["july"], &june);
    assert!(told.contains("has begun on its own"), "{told}");
}

#[test]
fn a_geo_database_that_appears_under_a_running_ingest_is_taken_up() {
    let scene = Scene::new();
    let place = scene.text("later.mmdb");
    // By another name first: a file that is being written is no database yet.
    let appear = || {
        fs::copy(COUNTRIES, scene.path("new.mmdb")).expect("copy");
        fs::rename(scene.path("new.mmdb"), &place).expect("rename");
    };
    ingest_until_places_are_known(&scene, &place, appear, || false);
}

#[test]
fn a_geo_database_behind_a_url_is_taken_up_and_not_fetched_twice() {
    let scene = Scene::new();
    let server = FileServer::start(fs::read(COUNTRIES).expect("database"));
    let appear = || server.is_there.store(true, Ordering::SeqCst);
    ingest_until_places_are_known(&scene, &server.url(), appear, || server.asked.load(Ordering::SeqCst) < 3);
    assert!(server.asked.load(Ordering::SeqCst) >= 3);
    assert_eq!(server.served.load(Ordering::SeqCst), 1, "what has not changed is not fetched again");
}

#[test]
fn the_key_in_a_url_that_is_refused_is_not_told() {
    let scene = Scene::new();
    let server = FileServer::start(Vec::new());
    let place = format!("{}?license_key=very-secret", server.url());
    let output = run(&mut scene.ingest_log("lake", &[format!("enrich.geo_database={place}")]));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("404") && told.contains("correct the URL") && !told.contains("very-secret"), "{told}");
    // Nor to whom the server sends us on to.
    let place = place.replace("/countries.mmdb", "/moved");
    run(&mut scene.ingest_log("moved", &[format!("enrich.geo_database={place}")]));
    let request = server.request.lock().expect("not poisoned").clone();
    assert!(request.starts_with("GET /countries.mmdb") && !request.contains("very-secret"), "{request}");

    let summary = scene.rows("lake", "SELECT summary FROM snapshots('events') LIMIT 1");
    assert!(summary[0].to_string().contains("unavailable") && !summary[0].to_string().contains("very-secret"));
}

/// A web server with one file, which is there once it is told so; who asks for `/moved` is sent on to it.
#[derive(Clone, Default)]
struct FileServer {
    port: u16,
    is_there: Arc<AtomicBool>,
    /// How often the file was sent.
    served: Arc<AtomicU32>,
    /// How often it was asked for since it is there.
    asked: Arc<AtomicU32>,
    /// The last request.
    request: Arc<Mutex<String>>,
}

impl FileServer {
    fn start(file: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = FileServer { port, ..FileServer::default() };
        let shared = server.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = shared.answer(stream.expect("a connection"), &file);
            }
        });
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/countries.mmdb", self.port)
    }

    fn answer(&self, mut stream: TcpStream, file: &[u8]) -> std::io::Result<()> {
        let mut request = String::new();
        let mut reader = BufReader::new(stream.try_clone()?);
        while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request)? > 0 {}
        let is_known = request.contains("\"the-version\"");
        let (status, body) = match self.is_there.load(Ordering::SeqCst) {
            _ if request.starts_with("GET /moved") => ("302 Found", &[][..]),
            false => ("404 Not Found", &[][..]),
            true if is_known => ("304 Not Modified", &[][..]),
            true => ("200 OK", file),
        };
        if self.is_there.load(Ordering::SeqCst) {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        if status.starts_with("200") {
            self.served.fetch_add(1, Ordering::SeqCst);
        }
        *self.request.lock().expect("not poisoned") = request;
        let head = format!(
            "HTTP/1.1 {status}\r\nETag: \"the-version\"\r\nLocation: /countries.mmdb\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)
    }
}

/// Ingests lines of many days until rows have places; lets the database at `place` appear when some are written.
/// Goes on as long as `more` says.
fn ingest_until_places_are_known(scene: &Scene, place: &str, appear: impl Fn(), more: impl Fn() -> bool) {
    let mut command = scene.icefold("lake");
    command.args(["ingest", "-", "--format", "combined", "--name", "log", "--commit-interval", "1"]);
    command.args(["--set", &format!("enrich.geo_database={place}"), "--set", "enrich.reload_seconds=1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("start");
    let mut input = child.stdin.take().expect("standard input");
    // Lines of many days at once, so that late ones wait together whatever columns they have.
    let line = |day: u32, number: u32| {
        format!(
            "83.149.9.{} - - [{day:02}/May/2015:10:05:03 +0000] \"GET /{number} HTTP/1.1\" 200 1 \"-\" \"curl/7\"\n",
            number % 250
        )
    };
    let found = "SELECT 1 FROM events WHERE geo_country = 'RU'";
    let started = std::time::Instant::now();
    let (mut number, mut appeared) = (0, false);
    while started.elapsed().as_secs() < 60 {
        for day in 1..=9 {
            input.write_all(line(day, number).as_bytes()).expect("write");
            number += 1;
        }
        input.flush().expect("flush");
        if number > 100 && !appeared {
            appear();
            appeared = true;
        }
        std::thread::sleep(Duration::from_millis(100));
        let count = format!("SELECT count(*) FROM ({found})");
        let output = run(scene.icefold("lake").args(["query", "--format", "csv", &count]));
        let count = String::from_utf8_lossy(&output.stdout).lines().nth(1).and_then(|n| n.parse::<u32>().ok());
        if count > Some(20) && !more() {
            break;
        }
    }
    drop(input);
    assert!(child.wait().expect("ends").success(), "a database that appears stops nothing");
    assert!(scene.count("lake", found) > 20);
    assert_eq!(scene.count("lake", "SELECT 1 FROM raw_events"), u64::from(number));
    succeed(scene.icefold("lake").arg("verify"));
}

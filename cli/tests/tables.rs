//! From events to tables and back, and what happens when the environment or the stored state is not as it should be.

mod program;

use program::Place;

const EVENTS: &str = "3000";

/// A folder with generated events, ingested.
fn ingested() -> (Place, serde_json::Value) {
    let place = Place::new();
    place.icefold(&["generate", EVENTS, "--seed", "3", "--out", "ev", "--malformed", "0.02"]).exits(0);
    let done = place.icefold(&["ingest", "ev", "--json"]).exits(0).json();
    (place, done)
}

#[test]
fn what_was_generated_is_what_is_found_and_the_second_run_adds_nothing() {
    let place = Place::new();
    let generate =
        ["generate", EVENTS, "--seed", "7", "--out", "ev", "--files", "3", "--compression", "zstd", "--json"];
    let expected = place.icefold(&generate).exits(0).json();
    let done = place.icefold(&["ingest", "ev", "--json"]).exits(0).json();
    assert_eq!(done["counts"]["accepted"], expected["unique_valid"]);
    assert_eq!(done["counts"]["duplicate"], expected["duplicates"]);
    assert_eq!(done["counts"]["quarantined"], expected["malformed"]);
    assert_eq!(place.count("SELECT count(DISTINCT message_id) FROM events"), expected["unique_valid"]);
    assert_eq!(place.count("SELECT count(*) FROM quarantine"), expected["malformed"]);
    assert_eq!(place.count("SELECT count(*) FROM raw_events"), expected["events"]);
    assert_eq!(place.count("SELECT count(DISTINCT user_id) FROM events"), expected["distinct_users"]);
    assert_eq!(place.count("SELECT count(DISTINCT anonymous_id) FROM events"), expected["distinct_devices"]);
    let cents = "SELECT CAST(round(sum(CAST((regexp_match(properties, '\"revenue\": *([0-9.]+)'))[1] AS DOUBLE)) * 100) \
                 AS BIGINT) FROM events";
    assert_eq!(place.count(cents), expected["revenue_cents"]);

    let again = place.icefold(&["ingest", "ev"]).exits(0);
    assert_eq!(again.stdout, "nothing new: the tables hold everything in ev already\n");
    assert_eq!(place.icefold(&["snapshots", "events", "--json"]).exits(0).json().as_array().map(Vec::len), Some(1));
    let verified = place.icefold(&["verify"]).exits(0).stdout;
    assert!(verified.ends_with("checks hold\n"), "{verified}");
}

#[test]
fn every_generated_mistake_is_one_group_or_few() {
    let (place, done) = ingested();
    let groups = place.icefold(&["quarantine", "--json"]).exits(0).json();
    let groups = groups.as_array().expect("groups");
    assert!(groups.len() <= 30, "{} groups for 21 mistakes: {groups:#?}", groups.len());
    let events: u64 = groups.iter().filter_map(|group| group["events"].as_u64()).sum();
    assert_eq!(done["counts"]["quarantined"], events);
    let all = place.icefold(&["quarantine"]).exits(0).stdout;
    assert_eq!(all.lines().count(), groups.len() + 1, "a header and all groups: {all}");
    let few = place.icefold(&["quarantine", "summary", "--limit", "3"]).exits(0).stdout;
    let footer = format!("3 of {} groups, ", groups.len());
    assert!(few.lines().last().is_some_and(|line| line.starts_with(&footer) && line.contains("--limit")), "{few}");
    let shown = place.icefold(&["quarantine", "show", "--reason", "unknown_type", "--limit", "1"]).exits(0).stdout;
    assert!(
        shown.starts_with("unknown_type at /type in events-000000.ndjson") && shown.contains("pageview"),
        "{shown}"
    );

    for command in ["show", "redrive"] {
        let said = place.icefold(&["quarantine", command, "--reason", "unknown_tpe"]).exits(2).stderr;
        assert!(said.contains("did you mean `unknown_type`?"), "{said}");
    }
    let said = place.icefold(&["quarantine", "redrive", "--contract", "commerce"]).exits(2).stderr;
    assert!(said.contains("is no ID/VERSION"), "{said}");
    let none = place.icefold(&["quarantine", "redrive", "--contract", "commerce/9.0.0"]).exits(0);
    assert!(none.stdout.starts_with("of 0 quarantined events"), "{}", none.stdout);
    assert!(none.stderr.contains("segment-envelope/1  unknown_type"), "{}", none.stderr);
}

#[test]
fn lines_in_no_log_format_are_grouped_by_their_mistake() {
    let place = Place::new();
    let lines: Vec<String> = (0..70).map(|n| format!("line {n} of another program")).collect();
    place.write("access.log", lines.join("\n") + "\n");
    place.icefold(&["ingest", "access.log", "--format", "combined"]).exits(0);
    let groups = place.icefold(&["quarantine", "--json"]).exits(0).json();
    assert_eq!(groups.as_array().map(Vec::len), Some(1), "{groups:#}");
    assert_eq!(groups[0]["reason"], "malformed_log_line");
    assert_eq!(groups[0]["events"], 70);
    assert!(groups[0].get("all_groups").is_none(), "the JSON is what it was: {groups:#}");
}

#[test]
fn an_access_log_that_was_read_as_json_is_let_in_by_a_redrive() {
    let place = Place::new();
    let lines = (10..40).map(|n| format!("10.0.0.{n} - - [10/Oct/2015:13:55:{n} +0000] \"GET /{n} HTTP/1.1\" 200 7\n"));
    place.write("access.log", lines.collect::<String>());
    place.icefold(&["ingest", "access.log", "--format", "combined", "--warehouse", "right"]).exits(0);
    let forgotten = place.icefold(&["ingest", "access.log"]).exits(0);
    assert!(forgotten.stderr.contains("`icefold quarantine redrive --format combined`"), "{}", forgotten.stderr);
    assert_eq!(place.count("SELECT count(*) FROM events"), 0);

    let redrive = || place.icefold(&["quarantine", "redrive", "--format", "combined", "--json"]).exits(0).json();
    assert_eq!(redrive()["accepted"], 30);
    let ids = "SELECT message_id, segment, source_offset, sub_offset, stream_time, event_time, arrival_time, contract FROM \
               events ORDER BY source_offset";
    let ids_in =
        |warehouse: &str| place.icefold(&["query", ids, "--format", "csv", "--warehouse", warehouse]).exits(0).stdout;
    assert_eq!(ids_in("icefold-data"), ids_in("right"), "as if it had been read rightly");
    assert_eq!(redrive()["looked_at"], 0, "nothing is left");
    assert!(place.icefold(&["ingest", "access.log", "--format", "combined"]).exits(0).stdout.contains("nothing new"));
    place.icefold(&["verify"]).exits(0);
}

#[test]
fn events_that_were_read_as_an_access_log_are_let_in_but_for_batches() {
    let place = Place::new();
    let event = |n: u32| {
        format!(r#"{{"type":"track","event":"e","messageId":"m{n}","userId":"u","receivedAt":"2024-01-01T00:00:00Z"}}"#)
    };
    let batch = format!("[{},{}]", event(3), event(4));
    place.write("events.ndjson", [event(1), event(2), batch].join("\n") + "\n");
    place.icefold(&["ingest", "events.ndjson", "--format", "combined"]).exits(0);
    let redrive = |format: &str| {
        place.icefold(&["quarantine", "redrive", "--format", format, "--json"]).exits(0).json()["accepted"].clone()
    };
    assert_eq!(redrive("combined"), 0, "they are none");
    assert_eq!(redrive("segment"), 2);
    assert_eq!(place.count("SELECT count(*) FROM events WHERE message_id IN ('m1', 'm2')"), 2);
    assert_eq!(place.count("SELECT count(*) FROM quarantine"), 1, "the batch is one row of `raw_events`");
    place.icefold(&["verify"]).exits(0);
}

/// Three files in the order of their times by name, whose modification times go back by an hour each.
fn files_copied_in_another_order(place: &Place) {
    std::fs::create_dir(place.path("logs")).expect("folder");
    for hour in 10..13 {
        let name = format!("logs/web-20261122-{hour}.log");
        place.write(&name, format!("10.0.0.1 - - [22/Nov/2026:{hour}:30:00 +0000] \"GET / HTTP/1.1\" 200 7\n"));
        let file = std::fs::File::options().append(true).open(place.path(&name)).expect("opens");
        let copied = std::time::Duration::from_secs(1_795_430_000 - 3_600 * hour);
        file.set_modified(std::time::UNIX_EPOCH + copied).expect("set");
    }
}

#[test]
fn files_out_of_the_order_of_their_times_are_told_of_once_with_the_remedy() {
    let place = Place::new();
    files_copied_in_another_order(&place);
    let ended = place.icefold(&["ingest", "logs", "--format", "combined"]).exits(0);
    assert_eq!(ended.stderr.matches("files are not read in the order of their times").count(), 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("--time-pattern") && ended.stderr.contains("web-20261122-11.log"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.count("SELECT count(DISTINCT stream_time) FROM raw_events"), 1, "it does not go back");
    assert_eq!(place.count("SELECT count(DISTINCT arrival_time) FROM raw_events"), 3);
}

#[test]
fn a_time_pattern_reads_the_time_of_a_file_in_its_name() {
    let place = Place::new();
    files_copied_in_another_order(&place);
    let mistaken = place.icefold(&["ingest", "logs", "--format", "combined", "--time-pattern", "%Y%m"]).exits(2).stderr;
    assert!(mistaken.contains("does not say the day") && mistaken.contains("%Y-%m-%d/%H"), "{mistaken}");
    assert!(!place.path("icefold-data").exists(), "nothing was created");
    let ended = place.icefold(&["ingest", "logs", "--format", "combined", "--time-pattern", "%Y%m%d-%H"]).exits(0);
    assert_eq!(ended.stderr, "");
    let hours = "SELECT count(*) FROM events WHERE stream_time = date_trunc('hour', event_time)";
    assert_eq!(place.count(hours), 3);
}

#[test]
fn every_row_has_the_time_of_the_file_that_the_generator_has_written() {
    let place = Place::new();
    place.icefold(&["generate", EVENTS, "--out", "ev", "--files", "2"]).exits(0);
    place.icefold(&["ingest", "ev"]).exits(0);
    for table in ["raw_events", "events", "quarantine", "identities"] {
        let times = format!(
            "SELECT count(DISTINCT stream_time) FROM {table} WHERE CAST(stream_time AS DATE) = DATE '2026-01-15'"
        );
        assert_eq!(place.count(&times), 2, "{table}");
        let later = format!("SELECT count(*) FROM {table} WHERE arrival_time > stream_time");
        assert_eq!(place.count(&later), 0, "{table}");
    }
    assert_eq!(place.files("icefold-data/icefold/raw_events", ".parquet").len(), 1);
}

#[test]
fn an_older_snapshot_returns_what_it_returned_and_names_its_place_in_the_stream() {
    let place = Place::new();
    place.icefold(&["generate", EVENTS, "--out", "ev", "--files", "2"]).exits(0);
    std::fs::create_dir(place.path("in")).expect("folder");
    let offer = |name: &str| std::fs::copy(place.path("ev").join(name), place.path("in").join(name)).expect("copied");
    offer("events-000000.ndjson");
    place.icefold(&["ingest", "in"]).exits(0);
    let then = place.count("SELECT count(*) FROM events");
    let snapshot = place.icefold(&["snapshots", "events", "--json"]).exits(0).json()[0]["snapshot"].to_string();
    let end = std::fs::metadata(place.path("ev/events-000000.ndjson")).expect("file").len();
    offer("events-000001.ndjson");
    place.icefold(&["ingest", "in"]).exits(0);

    let pinned = format!("events={snapshot}");
    let ended = place.icefold(&["query", "SELECT count(*) FROM events", "--snapshot", &pinned, "--format", "csv"]);
    assert_eq!(ended.exits(0).stdout, format!("count(*)\n{then}\n"));
    assert!(place.count("SELECT count(*) FROM events") > then);
    let checkpoint = place.icefold(&["checkpoint", "events", "--snapshot", &snapshot, "--json"]).exits(0).json();
    assert_eq!(checkpoint["shards"][0]["segment"], "events-000000.ndjson");
    assert_eq!(checkpoint["shards"][0]["position"], end);
}

#[test]
fn standard_input_is_a_source_that_is_known_by_its_name() {
    let place = Place::new();
    place.icefold(&["generate", "500", "--out", "ev", "--files", "1"]).exits(0);
    let from_stdin = |name: &str| {
        let file = std::fs::File::open(place.path("ev/events-000000.ndjson")).expect("file");
        let mut command = place.command(&["ingest", "-", "--name", name, "--json"]);
        let output = command.stdin(file).output().expect("starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    assert_eq!(from_stdin("one")["counts"]["rows_in"], 500);
    assert_eq!(from_stdin("one")["nothing_new"], true);
    assert_eq!(from_stdin("two")["counts"]["rows_in"], 500, "another name is another stream");
}

#[test]
fn rows_are_printed_as_table_json_or_csv() {
    let (place, _) = ingested();
    let sql = "SELECT event_type, count(*) AS n FROM events WHERE event_type = 'alias' GROUP BY 1";
    let n = place.count(&sql.replace("event_type, ", "").replace("GROUP BY 1", "GROUP BY event_type"));
    let json = place.icefold(&["query", sql, "--json"]).exits(0).stdout;
    assert_eq!(json, format!("{{\"event_type\":\"alias\",\"n\":{n}}}\n"));
    let csv = place.icefold(&["query", sql, "--format", "csv"]).exits(0).stdout;
    assert_eq!(csv, format!("event_type,n\nalias,{n}\n"));
    let table = place.icefold(&["query", sql]).exits(0).stdout;
    assert!(table.contains("| event_type | n "), "{table}");
    let nothing = place.icefold(&["query", "SELECT 1 AS one WHERE false", "--format", "csv"]).exits(0).stdout;
    assert_eq!(nothing, "one\n");
}

#[test]
fn views_are_named_beside_the_tables() {
    let (place, _) = ingested();
    let said = place.icefold(&["query", "SELECT * FROM session"]).exits(2).stderr;
    assert!(said.contains("`raw_events`, the views `identity_edges`, `sessions`"), "{said}");
    let shown = place.icefold(&["query", "SHOW TABLES", "--format", "csv"]).exits(0).stdout;
    for line in ["icefold,icefold,events,BASE TABLE", "icefold,icefold,sessions,VIEW"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    place.icefold(&["query", "SELECT count(*) FROM information_schema.columns"]).exits(0);
}

#[test]
fn events_do_not_drive_the_terminal_of_who_looks_at_them() {
    let place = Place::new();
    let hostile = r#""\u001b[31mRED\u001b]0;pwn\u0007\u009b1m\ttab""#;
    let track = format!(
        r#"{{"type":"track","event":{hostile},"messageId":"m-1","userId":"u","receivedAt":"2024-01-01T00:00:00Z"}}"#
    );
    // One that passes, one that does not, and one whose own bytes are what a terminal obeys.
    let lines = [track.clone(), track.replace("\"track\"", hostile), "\u{1b}[31m no JSON".to_owned()];
    place.write("events.ndjson", lines.join("\n") + "\n");
    place.icefold(&["ingest", "events.ndjson"]).exits(0);
    let harmless = |arguments: &[&str]| {
        let shown = place.icefold(arguments).exits(0).stdout;
        assert!(shown.contains(r"\u{1b}"), "{arguments:?}: {shown:?}");
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{arguments:?}: {shown:?}");
    };
    harmless(&["query", "SELECT event_name FROM events"]);
    harmless(&["explain", "--event-id", "m-1"]);
    harmless(&["quarantine"]);
    harmless(&["quarantine", "show"]);
    let json = place.icefold(&["query", "SELECT event_name FROM events", "--json"]).exits(0).json();
    assert_eq!(json["event_name"], "\u{1b}[31mRED\u{1b}]0;pwn\u{7}\u{9b}1m\ttab", "programs read what was sent");
}

#[test]
fn a_lost_data_file_is_a_broken_invariant_and_exits_3() {
    let (place, _) = ingested();
    std::fs::remove_file(&place.files("icefold-data/icefold/events", ".parquet")[0]).expect("removed");
    let ended = place.icefold(&["verify"]).exits(3);
    assert!(ended.stdout.contains("BROKEN  T2") && ended.stdout.contains("does not exist"), "{}", ended.stdout);
}

#[test]
fn corrupt_metadata_exits_6_and_a_repair_continues() {
    let (place, _) = ingested();
    for file in place.files("icefold-data/icefold/events", ".metadata.json") {
        let good = std::fs::read(&file).expect("read");
        std::fs::write(&file, &good[..good.len() / 2]).expect("damaged");
        std::fs::write(file.with_extension("good"), &good).expect("kept");
    }
    let ended = place.icefold(&["ingest", "ev"]).exits(6);
    assert!(ended.stderr.contains("unreadable") && ended.stderr.contains("help: "), "{}", ended.stderr);
    for file in place.files("icefold-data/icefold/events", ".metadata.good") {
        std::fs::rename(&file, file.with_extension("json")).expect("repaired");
    }
    place.icefold(&["ingest", "ev"]).exits(0);
}

/// Does what another engine does that makes the oldest snapshot of `events` the current one again.
fn rolled_back(place: &Place) {
    let files = place.files("icefold-data/icefold/events", ".metadata.json");
    let newest = files.iter().max_by_key(|file| file.file_name().map(std::ffi::OsStr::to_owned)).expect("metadata");
    let text = std::fs::read_to_string(newest).expect("read");
    let mut metadata: serde_json::Value = serde_json::from_str(&text).expect("json");
    let oldest =
        metadata["snapshots"].as_array().expect("snapshots").iter().min_by_key(|s| s["sequence-number"].as_i64());
    let (id, time) = (oldest.expect("snapshot")["snapshot-id"].clone(), metadata["last-updated-ms"].clone());
    metadata["current-snapshot-id"] = id.clone();
    metadata["refs"]["main"]["snapshot-id"] = id.clone();
    let entry = serde_json::json!({"snapshot-id": id, "timestamp-ms": time});
    metadata["snapshot-log"].as_array_mut().expect("log").push(entry);
    std::fs::write(newest, metadata.to_string()).expect("written");
}

#[test]
fn a_roll_back_halts_until_a_person_adopts_a_checkpoint() {
    let (place, _) = ingested();
    let first = place.count("SELECT count(*) FROM events");
    place.icefold(&["generate", "500", "--seed", "4", "--out", "ev/more"]).exits(0);
    place.icefold(&["ingest", "ev"]).exits(0);
    rolled_back(&place);
    let halted = place.icefold(&["ingest", "ev"]).exits(6);
    assert!(halted.stderr.contains("icefold checkpoint adopt events"), "{}", halted.stderr);
    let broken = place.icefold(&["verify", "events"]).exits(3).stdout;
    assert!(broken.contains("BROKEN  K3") && broken.contains("it was rolled back by another engine"), "{broken}");

    let asked = place.icefold(&["checkpoint", "adopt", "events"]).exits(0).stdout;
    for words in
        ["table events would stand at the checkpoint of snapshot", "is not read again", "run it again with --yes"]
    {
        assert!(asked.contains(words), "{asked}");
    }
    place.icefold(&["verify", "events"]).exits(3);
    let unknown = place.icefold(&["checkpoint", "adopt", "events", "--from", "7"]).exits(2).stderr;
    assert!(
        unknown.contains("snapshot `7` of table `events` names no checkpoint") && unknown.contains("--from "),
        "{unknown}"
    );

    let adopted = place.icefold(&["checkpoint", "adopt", "events", "--yes", "--json"]).exits(0).json();
    assert_eq!(adopted["adopted"], true);
    place.icefold(&["verify", "events"]).exits(0);
    place.icefold(&["ingest", "ev"]).exits(0);
    assert_eq!(place.count("SELECT count(*) FROM events"), first, "what was rolled back stays away");
}

#[test]
fn w1_an_older_checkpoint_is_adopted_only_where_the_rows_from_there_on_are_gone() {
    let (place, _) = ingested();
    let first = place.count("SELECT count(*) FROM events");
    place.icefold(&["generate", "500", "--seed", "4", "--out", "ev/more"]).exits(0);
    place.icefold(&["ingest", "ev"]).exits(0);
    let both = place.count("SELECT count(*) FROM events");
    let snapshots = place.icefold(&["snapshots", "events", "--json"]).exits(0).json();
    let oldest = snapshots.as_array().and_then(|all| all.last()).expect("two snapshots")["snapshot"].to_string();
    let adopt = ["checkpoint", "adopt", "events", "--from", &oldest];
    for arguments in [adopt.to_vec(), [&adopt[..], &["--yes"]].concat()] {
        let refused = place.icefold(&arguments).exits(2).stderr;
        assert!(refused.contains(&format!("holds {} rows of the stream from this", both - first)), "{refused}");
    }
    place.icefold(&["ingest", "ev"]).exits(0);
    place.icefold(&["verify"]).exits(0);
    assert_eq!(place.count("SELECT count(*) FROM events"), both);

    rolled_back(&place);
    place.icefold(&[&adopt[..], &["--yes"]].concat()).exits(0);
    place.icefold(&["batch", "recover"]).exits(0);
    assert_eq!(place.count("SELECT count(*) FROM events"), both, "what was rolled back is derived again");
}

#[test]
fn a_warehouse_that_cannot_be_written_exits_5() {
    let place = Place::new();
    place.icefold(&["generate", "100", "--out", "ev"]).exits(0);
    place.write("occupied", "a file, not a folder");
    let ended = place.icefold(&["ingest", "ev", "--warehouse", "occupied"]).exits(5);
    assert!(ended.stderr.contains("error: ") && ended.stderr.contains("help: "), "{}", ended.stderr);
}

#[test]
fn a_truncated_gzip_exits_2_keeps_what_was_readable_and_continues_once_it_is_whole() {
    let place = Place::new();
    let expected =
        place.icefold(&["generate", EVENTS, "--out", "ev", "--files", "1", "--compression", "gzip", "--json"]).exits(0);
    let file = place.path("ev/events-000000.ndjson.gz");
    let whole = std::fs::read(&file).expect("read");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("cut");
    let ended = place.icefold(&["ingest", "ev"]).exits(2);
    assert!(ended.stderr.contains("events-000000.ndjson.gz"), "{}", ended.stderr);
    std::fs::write(&file, &whole).expect("whole again");
    place.icefold(&["ingest", "ev"]).exits(0);
    assert_eq!(place.count("SELECT count(*) FROM events"), expected.json()["unique_valid"]);
    place.icefold(&["verify"]).exits(0);
}

#[test]
fn an_empty_place_says_what_to_do() {
    let place = Place::new();
    let reading: &[&[&str]] = &[
        &["tables"],
        &["verify"],
        &["snapshots", "events"],
        &["checkpoint", "events"],
        &["query", "SELECT 1"],
        &["explain", "--event-id", "x"],
        &["quarantine"],
        &["quarantine", "show"],
        &["quarantine", "redrive"],
        &["contract", "show"],
    ];
    for arguments in reading {
        let said = place.icefold(arguments).exits(2).stderr;
        assert!(said.contains("icefold-data`") && said.contains("run `icefold ingest PATH`"), "{arguments:?}: {said}");
    }
    let left = std::fs::read_dir(place.path("")).expect("folder").count();
    assert_eq!(left, 0, "who only looks creates nothing");
}

#[test]
fn a_proof_of_no_tables_is_no_proof() {
    let place = Place::new();
    place.icefold(&["generate", "10", "--out", "ev"]).exits(0);
    place.icefold(&["ingest", "ev"]).exits(0);
    let mistyped = place.icefold(&["verify", "--set", "namespace=mistyped"]).exits(2);
    assert_eq!(mistyped.stdout, "");
    let said = mistyped.stderr;
    assert!(said.contains("no tables in `file://") && said.contains("`mistyped`"), "{said}");
    assert!(said.contains("--warehouse"), "{said}");
}

#[test]
fn the_demonstration_runs_to_the_end_and_again() {
    let place = Place::new();
    let first = place.icefold(&["demo", "--events", "2000"]).exits(0).stdout;
    assert!(first.contains("as generated") && !first.contains("NOT as generated"), "{first}");
    let second = place.icefold(&["demo", "--events", "2000"]).exits(0).stdout;
    assert_eq!(second.matches("nothing new").count(), 3, "{second}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let mut child = place
        .command(&["generate", "20000", "--out", "-", "--quiet"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

#[test]
fn two_ingests_at_once_leave_what_one_leaves() {
    let place = Place::new();
    let generate = ["generate", "20000", "--out", "ev", "--files", "4", "--json"];
    let expected = place.icefold(&generate).exits(0).json();
    let ingest = ["ingest", "ev", "--commit-bytes", "1000000", "--quiet"];
    let pair = [place.command(&ingest).spawn().expect("starts"), place.command(&ingest).spawn().expect("starts")];
    let codes = pair.map(|mut child| child.wait().expect("ends").code());
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 4))), "done or fenced, not {codes:?}");
    place.icefold(&ingest).exits(0);
    assert_eq!(place.count("SELECT count(*) FROM events"), expected["unique_valid"]);
    assert_eq!(place.count("SELECT count(*) FROM raw_events"), expected["events"]);
    place.icefold(&["verify"]).exits(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_exits_5() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let output = place.command(&["generate", "100", "--out", "-"]).stdout(full).output().expect("starts");
    assert_eq!(output.status.code(), Some(5));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot be written to `standard output`") && said.contains("help: "), "{said}");
}

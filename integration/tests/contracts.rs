//! Data contracts by the real binary: put in force under a running ingest, refused when they would break somebody, tried on
//! real events first.

#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use icefold_integration::program::{fail, icefold, run, succeed};
use serde_json::Value;
use tempfile::TempDir;

const CONTRACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts");
/// Variable with the place at which a run dies.
const FAIL_POINT: &str = "ICEFOLD_FAIL_POINT";
/// Nothing here takes longer than this, or it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Scene { folder: TempDir::new().expect("temporary folder") };
        fs::create_dir(scene.path("source")).expect("folder");
        succeed(
            scene
                .icefold()
                .args(["generate", "20000", "--seed", "5", "--files", "2", "--late", "0.1", "--out"])
                .arg(scene.path("ev")),
        );
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn icefold(&self) -> Command {
        icefold(&self.path("lake"))
    }

    /// Moves the first or second generated file to where it is ingested from, whole at once.
    fn offer(&self, number: usize) {
        let mut files: Vec<PathBuf> =
            fs::read_dir(self.path("ev")).expect("folder").map(|e| e.expect("e").path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "ndjson"));
        files.sort();
        let name = format!("{number}.ndjson");
        fs::copy(&files[0], self.path("copy")).expect("copy");
        fs::rename(self.path("copy"), self.path("source").join(name)).expect("rename");
        fs::remove_file(&files[0]).expect("remove");
    }

    fn ingest(&self) -> Command {
        let mut command = self.icefold();
        command.arg("ingest").arg(self.path("source"));
        command
    }

    fn number(&self, sql: &str) -> u64 {
        let output = run(self.icefold().args(["query", "--format", "csv", sql]));
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        number_in(&output.stdout)
    }

    fn wait_for(&self, what: &str, sql: &str, at_least: u64) {
        let started = Instant::now();
        // There may be no table yet: that is an error, and nothing on standard output.
        while number_in(&run(self.icefold().args(["query", "--format", "csv", sql])).stdout) < at_least {
            assert!(started.elapsed() < PATIENCE, "{what} did not come");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes the shipped contract `commerce` with a change in its text.
    fn changed(&self, from: &str, to: &str) -> PathBuf {
        let text = fs::read_to_string(Path::new(CONTRACTS).join("commerce.yaml")).expect("contract");
        assert!(text.contains(from), "`{from}` is in the contract");
        let file = self.path("commerce.yaml");
        fs::write(&file, text.replacen(from, to, 1)).expect("write");
        file
    }
}

/// The number of a CSV of one column and one row; 0 when there is none.
fn number_in(csv: &[u8]) -> u64 {
    String::from_utf8_lossy(csv).lines().nth(1).map_or(0, |line| line.parse().expect("a number"))
}

impl Scene {
    /// A following ingest that has taken in the first file.
    fn follow_from_the_first_file(&self) -> Following {
        self.offer(1);
        let mut command = self.ingest();
        command.args(["--follow", "--commit-interval", "1"]).stdout(Stdio::null()).stderr(Stdio::null());
        let following = Following(command.spawn().expect("start"));
        self.wait_for("the first file", "SELECT count(*) FROM raw_events", 10_000);
        self.wait_for("its events", "SELECT count(*) FROM events", 9_000);
        following
    }

    /// A lake with events that its contract refused, and beside it `wide`: what the shipped contract makes of the same source
    /// from the start.
    fn strict_and_wide(commit_bytes: &str) -> Self {
        let scene = Scene::new();
        scene.apply_stricter();
        scene.offer(1);
        scene.offer(2);
        succeed(scene.ingest().args(["--commit-bytes", commit_bytes]));
        let wide = || icefold(&scene.path("wide"));
        succeed(wide().args(["contract", "apply"]).arg(Path::new(CONTRACTS).join("commerce.yaml")));
        succeed(wide().arg("ingest").arg(scene.path("source")));
        scene
    }

    fn generate(&self, events: &str, seed: &str, folder: &str) {
        let mut command = self.icefold();
        command.args(["generate", events, "--seed", seed, "--files", "1", "--out"]).arg(self.path(folder));
        succeed(&mut command);
    }

    /// Ingests until `quarantine` is committed and `events` is not.
    fn die_between_tables(&self) {
        let died = run(self.ingest().env(FAIL_POINT, "between-tables:2"));
        assert!(!died.status.success(), "the fail point was reached");
    }

    /// How many events are in `events` and in the quarantine; none is in `events` twice.
    fn in_both_tables(&self) -> u64 {
        assert_eq!(self.number("SELECT count(*) - count(DISTINCT message_id) FROM events"), 0, "nothing is in twice");
        self.number(
            "SELECT count(*) FROM events LEFT SEMI JOIN quarantine USING (shard, segment, source_offset, sub_offset)",
        )
    }

    /// Redrives to the end: all is as in `wide`.
    fn finish_the_redrive(&self) {
        succeed(self.icefold().args(["quarantine", "redrive"]));
        assert_eq!(self.number("SELECT count(*) FROM quarantine WHERE reason = 'not_in_enum'"), 0);
        assert_eq!(outcome(self, "lake"), outcome(self, "wide"), "as if it had not been interrupted");
        succeed(self.icefold().arg("verify"));
        assert!(succeed(&mut self.ingest()).contains("nothing new"));
    }

    /// Puts an earlier version of `commerce` in force that refuses payment by card.
    fn apply_stricter(&self) {
        let stricter = self.changed("version: 1.0.0", "version: 0.9.0");
        let text = fs::read_to_string(&stricter).expect("text");
        fs::write(&stricter, text.replacen("validValues: [card, ", "validValues: [", 1)).expect("write");
        succeed(self.icefold().args(["contract", "apply"]).arg(&stricter));
    }

    /// Puts the shipped `commerce` in force, which takes more.
    fn apply_shipped(&self) {
        succeed(self.icefold().args(["contract", "apply"]).arg(Path::new(CONTRACTS).join("commerce.yaml")));
    }
}

/// A following ingest; ended with the test, whatever happens.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Following {
    /// Asks it to end as Ctrl-C does, and waits until it has.
    fn end(mut self) {
        let id = self.0.id().to_string();
        succeed(Command::new("kill").args(["-INT", &id]));
        assert!(self.0.wait().expect("ends").success(), "it committed what it had read");
    }
}

#[test]
fn a_contract_applied_under_a_running_ingest_takes_effect_without_restart_or_loss() {
    let scene = Scene::new();
    let following = scene.follow_from_the_first_file();
    let before = scene.number("SELECT count(*) FROM events");

    succeed(scene.icefold().args(["contract", "apply", CONTRACTS]));
    scene.offer(2);
    scene.wait_for("the second file", "SELECT count(*) FROM raw_events", 20_000);
    scene.wait_for("its events", "SELECT count(*) FROM events", before + 9_000);
    // A writer takes contracts up at its next commit; what it read before that has the old one. So another file follows.
    scene.generate("6000", "6", "more");
    fs::copy(first_ndjson(&scene.path("more")), scene.path("copy")).expect("copy");
    fs::rename(scene.path("copy"), scene.path("source").join("3.ndjson")).expect("rename");
    scene.wait_for("the third file", "SELECT count(*) FROM raw_events", 26_000);
    scene.wait_for("rows by contract", "SELECT count(*) FROM events WHERE contract = 'commerce/1.0.0'", 500);
    following.end();

    succeed(scene.icefold().arg("verify"));
    assert_eq!(scene.number("SELECT count(*) FROM raw_events"), 26_000, "no event was lost or doubled");
    let old = "SELECT count(*) FROM events WHERE contract = 'segment-envelope/1'";
    assert!(scene.number(old) >= before);
    let odd = "SELECT count(*) FROM events WHERE contract = 'segment-envelope/1' AND order_id IS NOT NULL";
    assert_eq!(scene.number(odd), 0, "old rows have no promoted values");
    let missing = "SELECT count(*) FROM events WHERE contract = 'commerce/1.0.0' AND event_name = 'Order Completed' \
                   AND (order_id IS NULL OR revenue IS NULL)";
    assert_eq!(scene.number(missing), 0, "new rows have all of them");
}

fn first_ndjson(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    files.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "ndjson")).expect("a file")
}

#[test]
fn a_promoted_column_holds_what_the_property_holds() {
    let scene = Scene::new();
    succeed(scene.icefold().args(["contract", "apply", CONTRACTS]));
    scene.offer(1);
    succeed(&mut scene.ingest());
    let orders = succeed(scene.icefold().args([
        "query",
        "--format",
        "json",
        "SELECT properties, order_id, revenue, currency FROM events WHERE event_name = 'Order Completed'",
    ]));
    assert!(orders.lines().count() > 10);
    for line in orders.lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let properties: Value = serde_json::from_str(row["properties"].as_str().expect("text")).expect("JSON");
        assert_eq!(row["order_id"], properties["order_id"]);
        assert_eq!(row["currency"], properties["currency"]);
        assert_eq!(row["revenue"].as_f64(), properties["revenue"].as_f64());
    }
}

#[test]
fn a_change_that_would_break_somebody_is_refused_with_the_reason_and_nothing_changes() {
    let scene = Scene::new();
    scene.offer(1);
    succeed(scene.icefold().args(["contract", "apply", CONTRACTS]));
    succeed(&mut scene.ingest());
    let shown = succeed(scene.icefold().args(["contract", "show"]));
    let narrower = scene.changed("version: 1.0.0", "version: 2.0.0");
    let text = fs::read_to_string(&narrower).expect("text");
    let promoted = text.find("property: promote").expect("a promoted property");
    let value = promoted + text[promoted..].find("value: ").expect("its column") + "value: ".len();
    let end = value + text[value..].find('}').expect("its end");
    let renamed = format!("{}another_column{}", &text[..value], &text[end..]);
    fs::write(&narrower, renamed).expect("write");

    let (code, said) = fail(scene.icefold().args(["contract", "apply"]).arg(&narrower));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("breaks somebody") && said.contains("docs/contract-compatibility.md"), "{said}");
    assert_eq!(succeed(scene.icefold().args(["contract", "show"])), shown, "nothing was applied");
    let (code, told) = fail(
        scene.icefold().args(["contract", "check"]).arg(Path::new(CONTRACTS).join("commerce.yaml")).arg(&narrower),
    );
    assert_eq!(code, 2, "{told}");
}

#[test]
fn other_content_under_the_version_in_force_is_refused_even_when_breaking() {
    let scene = Scene::new();
    succeed(scene.icefold().args(["contract", "apply", CONTRACTS]));
    let stricter = scene.changed("validValues: [card, ", "validValues: [");
    let (code, said) = fail(scene.icefold().args(["contract", "apply", "--breaking"]).arg(&stricter));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("`commerce/1.0.0` is in force and says something else"), "{said}");
}

#[test]
fn a_trial_says_whose_events_a_proposed_contract_would_refuse() {
    let scene = Scene::new();
    scene.offer(1);
    succeed(&mut scene.ingest());
    let nothing = succeed(scene.icefold().args(["contract", "try", CONTRACTS, "--last", "9999d"]));
    assert!(nothing.contains("nothing would change"), "{nothing}");
    let stricter = scene.changed("validValues: [card, ", "validValues: [cash, ");
    let told = succeed(scene.icefold().args(["contract", "try", "--last", "9999d"]).arg(&stricter));
    assert!(told.contains("not_in_enum at /properties/"), "{told}");
    assert!(told.contains("100.0 %"), "{told}");
}

/// Ids of accepted and of quarantined events, as text.
fn outcome(scene: &Scene, warehouse: &str) -> (String, String) {
    let ids = |sql: &str| succeed(icefold(&scene.path(warehouse)).args(["query", "--format", "csv", sql]));
    (
        ids("SELECT message_id, shard, source_offset, sub_offset FROM events ORDER BY 1, 2, 3, 4"),
        ids("SELECT source_offset, sub_offset, reason FROM quarantine ORDER BY 1, 2, 3"),
    )
}

#[test]
fn a_redrive_lets_in_what_passes_now_and_a_second_one_changes_nothing() {
    let scene = Scene::strict_and_wide("4000000");
    let refused = scene.number("SELECT count(*) FROM quarantine WHERE reason = 'not_in_enum'");
    assert!(refused > 10, "{refused} events paid by card");
    let redrive = |options: &[&str]| -> Value {
        let mut command = scene.icefold();
        let text = succeed(command.args(["quarantine", "redrive", "--json"]).args(options));
        serde_json::from_str(&text).expect("JSON")
    };
    assert_eq!(redrive(&["--reason", "not_in_enum"])["accepted"], 0, "nothing passes yet");
    scene.apply_shipped();
    let before = outcome(&scene, "lake");
    assert_eq!(redrive(&["--reason", "not_in_enum", "--dry-run"])["accepted"], refused);
    assert_eq!(outcome(&scene, "lake"), before, "a dry run changes nothing");
    let all = scene.number("SELECT count(*) FROM quarantine");
    let done = redrive(&[]);
    assert_eq!((&done["looked_at"], &done["still_refused"]), (&all.into(), &(all - refused).into()), "{done}");
    assert_eq!(done["accepted"].as_u64().expect("count") + done["duplicate"].as_u64().expect("count"), refused);
    let after = outcome(&scene, "lake");
    assert_eq!(after, outcome(&scene, "wide"), "as if the contract had been wider from the start");
    succeed(scene.icefold().arg("verify"));

    assert_eq!(redrive(&["--reason", "not_in_enum"])["looked_at"], 0);
    assert_eq!(redrive(&[])["accepted"], 0);
    assert_eq!(outcome(&scene, "lake"), after, "a second one changes nothing");
    // And ingest goes on where it stood.
    let again = succeed(&mut scene.ingest());
    assert!(again.contains("nothing new"), "{again}");
    succeed(scene.icefold().arg("verify"));
}

/// Starts a command, kills it after a while, and tells whether it was still running then.
fn kill_after(command: &mut Command, pause: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start");
    std::thread::sleep(pause);
    let was_running = child.try_wait().expect("a state").is_none();
    child.kill().expect("kill");
    child.wait().expect("ends");
    was_running
}

/// Moments from the beginning to the end of what takes `whole`, the early ones first: a late one may leave nothing to do.
fn moments(count: u32, whole: Duration) -> impl Iterator<Item = Duration> {
    (0..count).map(move |number| whole * number / count)
}

#[test]
fn a_redrive_killed_at_any_moment_is_finished_by_the_next() {
    // Many small files, each of which is let in and taken out by commits of its own.
    let scene = Scene::strict_and_wide("150000");
    scene.apply_shipped();
    let started = Instant::now();
    succeed(scene.icefold().args(["quarantine", "redrive", "--dry-run"]));
    let (mut killed, mut interrupted) = (0, 0);
    for pause in moments(40, started.elapsed() * 3 / 2) {
        killed += u64::from(kill_after(scene.icefold().args(["quarantine", "redrive"]), pause));
        interrupted += u64::from(scene.in_both_tables() > 0);
    }
    println!("{killed} kills; {interrupted} times a file was between its two commits");
    scene.finish_the_redrive();
}

#[test]
fn a_redrive_that_dies_between_its_two_commits_is_finished_by_the_next() {
    let scene = Scene::strict_and_wide("150000");
    scene.apply_shipped();
    for hit in [1, 3, 1, 2] {
        let mut redrive = scene.icefold();
        let died = run(redrive.args(["quarantine", "redrive"]).env(FAIL_POINT, format!("between-tables:{hit}")));
        assert!(!died.status.success(), "the {hit}th file was reached");
        assert!(scene.in_both_tables() > 0, "a file is between its two commits");
    }
    // Whatever is asked of it, the next run finishes what this one has begun.
    succeed(scene.icefold().args(["quarantine", "redrive", "--reason", "invalid_json"]));
    assert_eq!(scene.in_both_tables(), 0);
    scene.finish_the_redrive();
    let sql = "SELECT count(*) FROM snapshots('events') WHERE summary LIKE '%icefold.redriven-from%' \
               AND summary LIKE '%icefold.device-rules%' AND summary LIKE '%commerce/1.0.0%'";
    assert!(scene.number(sql) > 3, "commits of a redrive tell where rows came from, and what made them");
}

#[test]
fn contracts_killed_while_they_are_applied_are_in_force_whole_or_not_at_all() {
    let scene = Scene::new();
    scene.offer(1);
    let started = Instant::now();
    succeed(scene.icefold().args(["contract", "apply", CONTRACTS]));
    let whole = started.elapsed();
    let in_force = || succeed(scene.icefold().args(["contract", "show"]));
    let (mut before, mut version) = (in_force(), "1.0.0".to_owned());
    let (mut killed, mut applied) = (0, 0);
    for (number, pause) in moments(20, whole).enumerate() {
        let newer = format!("1.0.{}", number + 1);
        let file = scene.changed("version: 1.0.0", &format!("version: {newer}"));
        killed += u64::from(kill_after(scene.icefold().args(["contract", "apply"]).arg(file), pause));
        let after = before.replace(&format!("commerce/{version}"), &format!("commerce/{newer}"));
        assert!(after != before, "the version is shown: {before}");
        let now = in_force();
        if now != before {
            assert_eq!(now, after, "neither the contracts of before nor those that were applied");
            (before, version) = (now, newer);
            applied += 1;
        }
    }
    println!("{killed} kills, {applied} of 20 applied");
    succeed(&mut scene.ingest());
    succeed(scene.icefold().arg("verify"));
}

#[test]
fn two_redrives_at_once_let_each_event_in_once() {
    let scene = Scene::new();
    scene.apply_stricter();
    scene.offer(1);
    succeed(&mut scene.ingest());
    scene.apply_shipped();
    let started = [0, 1].map(|_| {
        let mut command = scene.icefold();
        command.args(["quarantine", "redrive"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("start")
    });
    for mut redrive in started {
        assert!(redrive.wait().expect("ends").success());
    }
    assert_eq!(scene.number("SELECT count(*) FROM quarantine WHERE reason = 'not_in_enum'"), 0);
    let all = scene.number("SELECT count(*) FROM events");
    assert_eq!(scene.number("SELECT count(DISTINCT message_id) FROM events"), all);
    succeed(scene.icefold().arg("verify"));
}

#[test]
fn what_a_redrive_has_let_in_under_a_running_ingest_is_a_duplicate_from_then_on() {
    let scene = Scene::new();
    scene.apply_stricter();
    let following = scene.follow_from_the_first_file();
    scene.apply_shipped();
    succeed(scene.icefold().args(["quarantine", "redrive"]));
    let redriven = scene.number("SELECT count(*) FROM events");
    // With the commit of another file the writer hears of the contract, and of the rows.
    scene.offer(2);
    scene.wait_for("the second file", "SELECT count(*) FROM raw_events", 20_000);
    scene.wait_for("its events", "SELECT count(*) FROM events", redriven + 9_000);
    // Clients send the first file once more.
    fs::copy(scene.path("source").join("1.ndjson"), scene.path("copy")).expect("copy");
    fs::rename(scene.path("copy"), scene.path("source").join("3.ndjson")).expect("rename");
    scene.wait_for("the third file", "SELECT count(*) FROM raw_events", 30_000);
    following.end();
    let repeated = "SELECT count(*) FROM (SELECT message_id FROM events GROUP BY 1 HAVING count(*) > 1)";
    assert_eq!(scene.number(repeated), 0);
    succeed(scene.icefold().arg("verify"));
}

#[test]
fn what_came_in_a_file_that_was_given_an_older_time_can_be_let_in() {
    let scene = Scene::new();
    let file = scene.path("source/1.ndjson");
    let event =
        r#"{"type":"track","event":"E","messageId":"n1","anonymousId":"d","receivedAt":"2026-11-03T10:00:00Z"}"#;
    fs::write(&file, format!("{event}\n")).expect("write");
    succeed(Command::new("touch").args(["-d", "2026-11-01T10:00:00Z"]).arg(&file));
    succeed(&mut scene.ingest());
    assert_eq!(scene.number("SELECT count(*) FROM quarantine WHERE reason = 'implausible_received_at'"), 1);
    succeed(scene.icefold().args(["quarantine", "redrive"]));
    let times = "SELECT count(*) FROM events WHERE arrival_time = TIMESTAMP '2026-11-03T10:00:00Z' AND stream_time = \
                 TIMESTAMP '2026-11-01T10:00:00Z'";
    assert_eq!(scene.number(times), 1, "the time of the stream is that of the quarantined row");
    succeed(scene.icefold().arg("verify"));
}

#[test]
fn what_is_appended_to_a_file_weeks_later_is_accepted() {
    let scene = Scene::new();
    let file = scene.path("source/1.ndjson");
    let mut lines = String::new();
    for (day, id) in [("2026-10-01", "n1"), ("2026-11-03", "n2")] {
        let time = format!("{day}T10:00:00Z");
        let event = r#"{"type":"track","event":"E","anonymousId":"d""#;
        lines.push_str(&format!("{event},\"messageId\":\"{id}\",\"receivedAt\":\"{time}\"}}\n"));
        fs::write(&file, &lines).expect("write");
        succeed(Command::new("touch").args(["-d", &time]).arg(&file));
        succeed(&mut scene.ingest());
    }
    assert_eq!(scene.number("SELECT count(*) FROM events WHERE stream_time = arrival_time"), 2);
    succeed(scene.icefold().arg("verify"));
}

#[test]
fn contracts_that_change_between_a_crash_and_the_restart_lose_no_row() {
    for others_move_on in [false, true] {
        let scene = Scene::new();
        scene.apply_stricter();
        scene.offer(1);
        succeed(&mut scene.ingest());
        scene.offer(2);
        // The quarantine is in, `events` is not: these rows were decided by the stricter contract.
        scene.die_between_tables();
        scene.apply_shipped();
        if others_move_on {
            scene.generate("3000", "7", "other");
            succeed(scene.icefold().arg("ingest").arg(scene.path("other")));
        }
        let said = succeed(scene.icefold().args(["quarantine", "redrive"]));
        // The redrive brings `events` to the quarantine first: no row has to wait for it.
        assert!(!said.contains("more wait"), "{said}");
        succeed(&mut scene.ingest());
        succeed(scene.icefold().arg("verify"));
        let rows = scene.number("SELECT count(*) FROM raw_events");
        assert_eq!(rows, if others_move_on { 23_000 } else { 20_000 });
        assert_eq!(scene.in_both_tables(), 0);
    }
}

#[test]
fn a_column_renamed_between_a_crash_and_the_restart_keeps_its_values() {
    let scene = Scene::new();
    scene.apply_shipped();
    scene.offer(1);
    succeed(&mut scene.ingest());
    scene.offer(2);
    scene.die_between_tables();
    let renamed = "{property: promote, value: sku}\n          - {property: renamedFrom, value: product_sku}";
    let file = scene.changed("{property: promote, value: product_sku}", renamed);
    let text = fs::read_to_string(&file).expect("text").replacen("version: 1.0.0", "version: 2.0.0", 1);
    fs::write(&file, text).expect("write");
    succeed(scene.icefold().args(["contract", "apply", "--breaking"]).arg(&file));
    succeed(&mut scene.ingest());

    let whole = || icefold(&scene.path("whole"));
    succeed(whole().args(["contract", "apply"]).arg(Path::new(CONTRACTS).join("commerce.yaml")));
    succeed(whole().arg("ingest").arg(scene.path("source")));
    let sql = "SELECT count(product_sku) FROM events";
    let expected = number_in(succeed(whole().args(["query", "--format", "csv", sql])).as_bytes());
    assert!(expected > 100, "{expected} events have one");
    assert_eq!(scene.number("SELECT count(sku) FROM events"), expected);
}

#[test]
fn a_silent_stream_hears_of_contracts_before_its_next_event() {
    let scene = Scene::new();
    scene.offer(1);
    let log = fs::File::create(scene.path("log")).expect("create");
    let mut command = scene.ingest();
    command.args(["--follow", "--commit-interval", "1"]).env("ICEFOLD_LOG", "info");
    let following = Following(command.stdout(Stdio::null()).stderr(log).spawn().expect("start"));
    scene.wait_for("the first file", "SELECT count(*) FROM raw_events", 10_000);
    scene.wait_for("its events", "SELECT count(*) FROM events", 9_000);
    let before = scene.number("SELECT count(*) FROM events");
    scene.apply_shipped();
    let started = Instant::now();
    while !fs::read_to_string(scene.path("log")).expect("log").contains("contracts decide from here on") {
        assert!(started.elapsed() < PATIENCE, "the run did not hear of the contracts");
        std::thread::sleep(Duration::from_millis(50));
    }
    scene.offer(2);
    scene.wait_for("the second file", "SELECT count(*) FROM raw_events", 20_000);
    scene.wait_for("its events", "SELECT count(*) FROM events", before + 9_000);
    following.end();
    let of_commerce = "SELECT count(*) FROM events WHERE event_name = 'Order Completed' AND segment LIKE '%2.ndjson'";
    assert!(scene.number(of_commerce) > 50);
    assert_eq!(scene.number(&format!("{of_commerce} AND contract <> 'commerce/1.0.0'")), 0);
}

#[test]
fn a_redrive_knows_a_repeat_by_the_arrival_that_it_could_not_read_before() {
    let scene = Scene::new();
    let event = |properties: &str| {
        format!(
            r#"{{"type":"track","event":"E","messageId":"n1","anonymousId":"d","properties":{properties},"receivedAt":"2026-11-01T10:00:00Z"}}"#
        )
    };
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(20), "]".repeat(20));
    fs::write(scene.path("source/1.ndjson"), format!("{}\n{}\n", event("{}"), event(&deep))).expect("write");
    succeed(scene.ingest().args(["--set", "decode.max_depth=8"]));
    assert_eq!(scene.number("SELECT count(*) FROM quarantine WHERE reason = 'nesting_too_deep'"), 1);
    let said = succeed(scene.icefold().args(["quarantine", "redrive", "--json"]));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((said["accepted"].as_u64(), said["duplicate"].as_u64()), (Some(0), Some(1)), "{said}");
    assert_eq!(scene.number("SELECT count(*) FROM events"), 1);
    succeed(scene.icefold().arg("verify"));
}

#[test]
fn two_contracts_applied_at_once_are_both_in_force() {
    let scene = Scene::new();
    succeed(scene.icefold().args(["contract", "apply"]).arg(Path::new(CONTRACTS).join("navigation.yaml")));
    for _ in 0..5 {
        let started = ["commerce.yaml", "account.yaml", "engagement.yaml"].map(|file| {
            let mut command = scene.icefold();
            command.args(["contract", "apply"]).arg(Path::new(CONTRACTS).join(file));
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start")
        });
        for mut apply in started {
            assert!(apply.wait().expect("ends").success());
        }
        let shown = succeed(scene.icefold().args(["contract", "show"]));
        for id in ["account/", "commerce/", "engagement/", "navigation/"] {
            assert!(shown.contains(id), "{id} is in force: {shown}");
        }
    }
}

#[test]
fn the_shipped_contracts_pass_the_linter_of_the_standard() {
    let mut files: Vec<PathBuf> = fs::read_dir(CONTRACTS).expect("folder").map(|e| e.expect("entry").path()).collect();
    files.sort();
    let linter = concat!(env!("CARGO_MANIFEST_DIR"), "/contracts/lint");
    succeed(Command::new(linter).args(&files));
    succeed(Scene::new().icefold().args(["contract", "lint"]).args(&files));
}

//! Trouble that a machine gives: each makes a clear error and a non-zero exit, loses nothing, and the next run continues.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use icefold_integration::program::{binary, content, fail, icefold, succeed};
use tempfile::TempDir;

/// Exit codes of docs/cli.md.
const INVALID: i32 = 2;
const REFUSED: i32 = 5;
const CORRUPT: i32 = 6;

struct Scene(TempDir);

impl Scene {
    fn new(events: &str) -> Self {
        let scene = Scene(TempDir::new().expect("temporary folder"));
        let out = scene.path("source");
        succeed(icefold(&scene.path("none")).args(["generate", events, "--files", "2", "--out"]).arg(out));
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn ingest(&self) -> Command {
        let mut command = icefold(&self.path("warehouse"));
        command.arg("ingest").arg(self.path("source"));
        command
    }

    /// Two files: the first is ingested, the second comes later.
    fn hold_back_second_file(&self) -> (PathBuf, PathBuf) {
        let second = files(&self.path("source")).pop().expect("two files");
        let held = self.path("held");
        fs::rename(&second, &held).expect("move");
        (held, second)
    }

    fn assert_whole(&self, events: usize) {
        succeed(icefold(&self.path("warehouse")).arg("verify"));
        assert_eq!(content(&self.path("warehouse"))[0].lines().count(), events);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).expect("folder").map(|e| e.expect("entry").path());
    let mut files: Vec<PathBuf> =
        all.filter(|p| p.is_file() && !p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('_'))).collect();
    files.sort();
    files
}

#[test]
fn a_truncated_gzip_gives_what_is_whole_and_continues_when_it_is_whole() {
    let scene = Scene::new("2");
    let source = scene.path("source");
    fs::remove_dir_all(&source).expect("remove");
    succeed(
        icefold(&scene.path("none"))
            .args(["generate", "4000", "--files", "1", "--compression", "gzip", "--out"])
            .arg(&source),
    );
    let file = files(&source).pop().expect("file");
    let whole = fs::read(&file).expect("read");
    fs::write(&file, &whole[..whole.len() / 2]).expect("truncate");
    let (code, said) = fail(&mut scene.ingest());
    assert_eq!(code, INVALID, "{said}");
    assert!(said.contains(&*file.file_name().expect("name").to_string_lossy()), "names the file: {said}");
    fs::write(&file, &whole).expect("restore");
    succeed(&mut scene.ingest());
    scene.assert_whole(4000);
}

#[test]
fn corrupted_metadata_stops_with_its_name_and_a_restored_one_continues() {
    let scene = Scene::new("2000");
    let (held, second) = scene.hold_back_second_file();
    succeed(&mut scene.ingest());
    let tables: serde_json::Value =
        serde_json::from_str(&succeed(icefold(&scene.path("warehouse")).args(["tables", "--json"]))).expect("JSON");
    let metadata = find_metadata(&scene.path("warehouse/icefold/events/metadata"));
    let good = fs::read(&metadata).expect("read");
    fs::write(&metadata, b"{\"format-version\": 2, ").expect("corrupt");
    fs::rename(&held, &second).expect("move");
    let (code, said) = fail(&mut scene.ingest());
    assert_eq!(code, CORRUPT, "{said}\n{tables}");
    assert!(said.contains("metadata.json") && said.contains("restore"), "{said}");
    fs::write(&metadata, good).expect("restore");
    succeed(&mut scene.ingest());
    scene.assert_whole(2000);
}

/// The newest metadata file of a table.
fn find_metadata(folder: &Path) -> PathBuf {
    files(folder).into_iter().filter(|p| p.to_string_lossy().ends_with(".metadata.json")).max().expect("metadata")
}

#[test]
fn a_copy_of_a_warehouse_does_not_write_into_the_one_that_it_was_made_of() {
    let scene = Scene::new("2000");
    let (held, second) = scene.hold_back_second_file();
    succeed(&mut scene.ingest());
    succeed(Command::new("cp").arg("-r").args([scene.path("warehouse"), scene.path("copy")]));
    fs::rename(&held, &second).expect("move");
    let (code, said) = fail(icefold(&scene.path("copy")).arg("ingest").arg(scene.path("source")));
    assert_eq!(code, INVALID, "{said}");
    assert!(said.contains("outside of the warehouse") && said.contains("copied or moved"), "{said}");
    assert_eq!(content(&scene.path("warehouse"))[0].lines().count(), 1_000, "nothing was written");
    succeed(&mut scene.ingest());
    scene.assert_whole(2_000);
}

#[test]
fn a_locked_database_is_named_and_the_next_run_continues() {
    let scene = Scene::new("2000");
    let (held, second) = scene.hold_back_second_file();
    succeed(&mut scene.ingest());
    fs::rename(&held, &second).expect("move");
    let mut holder = lock(&scene.path("warehouse/catalog.db"));
    let (code, said) = fail(scene.ingest().args(["--set", "commit.timeout_seconds=2"]));
    assert!(said.contains("locked"), "exit {code}: {said}");
    drop(holder.stdin.take());
    holder.wait().expect("lock released");
    succeed(&mut scene.ingest());
    scene.assert_whole(2000);
}

/// Holds SQLite's exclusive lock in another process until its standard input closes.
fn lock(database: &Path) -> std::process::Child {
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\nc.execute('BEGIN EXCLUSIVE')\nprint('locked', flush=True)\nsys.stdin.read()\n";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 holds the lock; install python3 (Debian: apt-get install python3)");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("pipe")).read_line(&mut line).expect("locked");
    assert_eq!(line.trim(), "locked");
    child
}

/// A disk of its own, in a mount namespace of its own: fills up, becomes read-only, and is well again.
#[test]
fn a_full_and_a_read_only_disk_are_named_and_the_next_run_continues() {
    let scene = Scene::new("20000");
    let (source, disk) = (scene.path("source"), scene.path("disk"));
    fs::create_dir(&disk).expect("folder");
    let script = scene.path("run.sh");
    let mut file = fs::File::create(&script).expect("script");
    file.write_all(DISK_SCRIPT.as_bytes()).expect("write");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh"])
        .arg(&script)
        .arg(binary())
        .arg(&source)
        .arg(&disk)
        .output()
        .expect("unshare is part of util-linux");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let codes: Vec<&str> = said.lines().filter_map(|l| l.strip_prefix("exit ")).collect();
    assert_eq!(
        codes,
        ["full 5", "read-only 5", "well 0", "verify 0", "rows 20000"],
        "{said}\nexpected {REFUSED} for refusals"
    );
    assert!(said.contains("disk is full") || said.contains("disk of the catalog database is full"), "{said}");
    assert!(said.contains("read-only"), "{said}");
}

const DISK_SCRIPT: &str = r#"
icefold=$1 source=$2 disk=$3
mount -t tmpfs -o size=3m tmpfs "$disk" || exit 1
ingest() { "$icefold" --quiet --warehouse "$disk/w" ingest "$source" --commit-bytes 500000; }
ingest; echo "exit full $?"
mount -o remount,size=500m,ro "$disk"; ingest; echo "exit read-only $?"
mount -o remount,size=500m,rw "$disk"; ingest; echo "exit well $?"
"$icefold" --quiet --warehouse "$disk/w" verify >/dev/null; echo "exit verify $?"
echo "exit rows $("$icefold" --quiet --warehouse "$disk/w" query --format csv 'SELECT count(*) AS n FROM raw_events' | tail -n 1)"
"#;

//! What is on disk when a commit is acknowledged, told by the order of the real binary's system calls under strace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use icefold_integration::program::{icefold, succeed};
use tempfile::TempDir;

/// Calls by which SQLite ends a transaction. `?` passes over what an architecture does not have.
const CALLS: &str = "trace=?unlink,unlinkat,fsync,fdatasync,fcntl";
/// Least transactions of a first ingest: two make the catalog's tables, then each of four tables is created and swapped.
const MIN_TRANSACTIONS: usize = 10;

/// A step of SQLite on the way to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// What was written to the database is on disk.
    DatabaseSynced,
    /// The journal is removed: from here on the transaction counts.
    JournalRemoved,
    /// The folder is on disk, and with it that the journal is gone.
    FolderSynced,
    /// The lock is given back: from here on others see the transaction, this process among them.
    Unlocked,
}

fn strace() -> PathBuf {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("strace/setup");
    PathBuf::from(succeed(&mut Command::new(setup)).trim())
}

/// Runs `command` to a good end and returns what each of its threads called, in order.
fn traced(command: &Command, folder: &Path) -> Vec<Vec<String>> {
    let mut under = Command::new(strace());
    // A file for each thread: no call is torn apart by another thread's. `-y` names the files behind numbers.
    under.args(["-ff", "-y", "-e", CALLS, "-o"]).arg(folder.join("calls"));
    under.arg(command.get_program()).args(command.get_args());
    under.current_dir(command.get_current_dir().expect("icefold runs beside its warehouse"));
    succeed(&mut under);
    let traces = fs::read_dir(folder).expect("folder of the traces").map(|entry| entry.expect("entry").path());
    traces.map(|file| fs::read_to_string(file).expect("trace").lines().map(str::to_owned).collect()).collect()
}

/// What a successful call was for the catalog in `folder`.
fn step(call: &str, folder: &Path) -> Option<Step> {
    let (folder, done) = (folder.display(), call.ends_with("= 0"));
    let database = format!("<{folder}/catalog.db>");
    let synced = call.starts_with("fsync(") || call.starts_with("fdatasync(");
    match call {
        _ if !done => None,
        _ if synced && call.contains(&database) => Some(Step::DatabaseSynced),
        _ if synced && call.contains(&format!("<{folder}>")) => Some(Step::FolderSynced),
        _ if call.starts_with("unlink") && call.contains("catalog.db-journal\"") => Some(Step::JournalRemoved),
        _ if call.starts_with("fcntl(") && call.contains(&database) && call.contains("F_UNLCK") => Some(Step::Unlocked),
        _ => None,
    }
}

#[test]
fn a_swapped_pointer_is_on_disk_before_anybody_can_see_it() {
    let scene = TempDir::new().expect("temporary folder");
    let root = scene.path().canonicalize().expect("path without links, as strace tells it");
    let (warehouse, traces) = (root.join("warehouse"), root.join("traces"));
    fs::create_dir(&traces).expect("folder of the traces");
    succeed(icefold(&warehouse).args(["generate", "20", "--out"]).arg(root.join("source")));
    let threads = traced(icefold(&warehouse).arg("ingest").arg(root.join("source")), &traces);

    let mut transactions = 0;
    for calls in threads {
        let steps: Vec<Step> = calls.iter().filter_map(|call| step(call, &warehouse)).collect();
        for (at, _) in steps.iter().enumerate().filter(|(_, step)| **step == Step::JournalRemoved) {
            transactions += 1;
            let around = &steps[at.saturating_sub(1)..steps.len().min(at + 3)];
            let expected = [Step::DatabaseSynced, Step::JournalRemoved, Step::FolderSynced, Step::Unlocked];
            assert_eq!(around, expected, "transaction {transactions}");
        }
    }
    assert!(transactions >= MIN_TRANSACTIONS, "{transactions} transactions were seen: is the journal still removed?");
}

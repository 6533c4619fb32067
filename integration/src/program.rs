//! The real binary, run as a process by tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Returns the path of the binary that was built beside the running test.
///
/// # Panics
/// When it was not built, saying how to.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("path of the test");
    let binary = test.ancestors().nth(2).expect("target/release/deps/test").join("icefold");
    assert!(binary.is_file(), "`{}` is missing; run `cargo build --release --workspace` first", binary.display());
    binary
}

/// Returns a command that runs the binary on `warehouse`, untouched by settings of whoever runs the test.
pub fn icefold(warehouse: &Path) -> Command {
    let mut command = Command::new(binary());
    command.arg("--warehouse").arg(warehouse).arg("--quiet").stdin(Stdio::null());
    command.current_dir(warehouse.parent().expect("a warehouse lies in a folder"));
    command
}

/// Installs other engines if need be, and returns the launcher that runs Python with them (`integration/readers/setup`).
///
/// # Panics
/// When they cannot be installed, with all that was said.
pub fn engines() -> PathBuf {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("readers/setup");
    PathBuf::from(succeed(&mut Command::new(setup)).trim())
}

/// Runs to the end and returns what was said.
///
/// # Panics
/// When the program cannot be started.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("cannot start {:?}: {e}", command.get_program()))
}

/// Runs to a good end and returns standard output.
///
/// # Panics
/// When it ends otherwise, with all that was said.
pub fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?} ended with {}\n{}", output.status, said(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs to an end that must not be a good one; returns the exit code and what was said on standard error.
///
/// # Panics
/// When it succeeds or dies by a signal.
pub fn fail(command: &mut Command) -> (i32, String) {
    let output = run(command);
    let code = output.status.code().unwrap_or_else(|| panic!("{command:?} died: {}\n{}", output.status, said(&output)));
    assert_ne!(code, 0, "{command:?} should have failed\n{}", said(&output));
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The tables, and what their rows are ordered by beside their place in the stream.
const TABLES: [(&str, &str); 4] =
    [("raw_events", ""), ("quarantine", ""), ("identities", ", known_id"), ("events", "")];

/// Every row and column of the tables, in stream order: what two warehouses are compared by.
pub fn content(warehouse: &Path) -> [String; 4] {
    content_by(|| icefold(warehouse))
}

/// As [`content`], for a warehouse that `icefold` makes commands for.
pub fn content_by(icefold: impl Fn() -> Command) -> [String; 4] {
    TABLES.map(|(table, then)| {
        let sql = format!("SELECT * FROM {table} ORDER BY shard, segment, source_offset, sub_offset{then}");
        succeed(icefold().args(["query", "--format", "json", &sql]))
    })
}

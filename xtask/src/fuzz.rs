//! Searches for bytes that break a law of the decoder, with coverage as the guide (libFuzzer).
//!
//! No sanitizer is used: the crates hold no unsafe code of their own, and so the pinned compiler will do. Seeds and
//! dictionaries lie in `fuzz/`; what is found on the way is kept beside the build products, so that the next search goes on
//! from there. Input that breaks a law goes into `fuzz/seeds/`, where a unit test keeps it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, cargo, program, root, step};

/// The tool that builds and runs fuzz targets, and its version.
const TOOL: (&str, &str) = ("cargo-fuzz", "0.13.2");
/// Targets, and their shares of the time in percent.
const TARGETS: [(&str, u64); 2] = [("segment", 80), ("log", 20)];
/// How long to search when nobody says.
const DEFAULT_SECONDS: u64 = 600;
/// Longest input tried: a few events.
const MAX_INPUT_BYTES: u32 = 4_096;

/// Runs every target for its share of the time.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let seconds = match arguments.first() {
        None => DEFAULT_SECONDS,
        Some(text) => text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?,
    };
    let products = products().join("fuzz");
    let tool = tool(&products)?;
    for (target, share) in TARGETS {
        search(&tool, &products, target, (seconds * share / 100).max(1))?;
    }
    Ok(())
}

fn search(tool: &Path, products: &Path, target: &str, seconds: u64) -> Outcome {
    let found = products.join("corpus").join(target);
    std::fs::create_dir_all(&found).map_err(|e| format!("{} cannot be made: {e}", found.display()))?;
    let mut command = program(tool);
    // Found inputs first: libFuzzer writes to the first folder.
    command.args(["fuzz", "run", target, "--sanitizer", "none"]).arg(found).arg(format!("fuzz/seeds/{target}"));
    command.args(["--", &format!("-max_total_time={seconds}"), &format!("-max_len={MAX_INPUT_BYTES}")]);
    command.args([&format!("-dict=fuzz/{target}.dict"), "-print_final_stats=1"]);
    command.env("CARGO_TARGET_DIR", products);
    step(&format!("fuzz {target} for {seconds} s"), command)
}

/// Returns where the tool is; installs it beside the build products when it is not there.
fn tool(products: &Path) -> Result<PathBuf, String> {
    let (name, version) = TOOL;
    let place = products.join("tools");
    let tool = place.join("bin").join(name);
    let output = Command::new(&tool).args(["fuzz", "--version"]).output();
    let is_there = output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim_end().ends_with(version));
    if !is_there {
        let mut install = cargo(&["install", name, "--locked", "--version", version, "--root"]);
        install.arg(&place);
        step(&format!("install {name} {version}"), install)?;
    }
    Ok(tool)
}

fn products() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

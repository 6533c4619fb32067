//! The project's recipes: `cargo xtask` lists them.
//!
//! Everything is built for the whole workspace and in the release profile, so that the large dependencies are built once,
//! with the same features, whatever is run. [`config_reference`] writes `docs/config.md`, [`dependencies`] checks licences and
//! what is unused, [`fuzz`] searches for bad input.

#![allow(clippy::disallowed_methods, reason = "recipes run in the real world and tell how long they took")]

mod config_reference;
mod dependencies;
mod fuzz;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// A recipe: name, what it does, how.
struct Recipe {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Outcome,
}

/// Beginnings of the variables by which cargo describes the package that it runs.
const OWN_PACKAGE: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];

/// So many questions at the most in a night, before the seeds of the next one.
const SEEDS_PER_DAY: u64 = 1_000_000;

/// What went wrong, for people.
type Outcome = Result<(), String>;

const RECIPES: &[Recipe] = &[
    Recipe { name: "test", about: "everything that must pass: lint, all tests, docs", run: test },
    Recipe { name: "lint", about: "formatting, dependencies and clippy, warnings are errors", run: lint },
    Recipe { name: "sim", about: "simulate the commit protocol; `sim SEEDS [FIRST]` runs more or others", run: sim },
    Recipe { name: "sim-writer", about: "the same of the whole writer, with its state", run: sim_writer },
    Recipe { name: "crash", about: "kill the real binary, let clocks, deploys and other engines go wrong", run: crash },
    Recipe {
        name: "fuzz",
        about: "search for input that breaks the decoder; `fuzz SECONDS` for how long",
        run: fuzz::run,
    },
    Recipe { name: "s3", about: "a whole warehouse on an S3 server of its own", run: s3 },
    Recipe { name: "readers", about: "ask DuckDB, PyIceberg and Spark the same as icefold", run: readers },
    Recipe {
        name: "sql-differ",
        about: "ask generated questions, and DuckDB the same; `sql-differ COUNT [SEED]`, Spark judges",
        run: sql_differ,
    },
    Recipe { name: "docs", about: "write docs/config.md and build the API documentation", run: docs },
    Recipe { name: "config", about: "write docs/config.md only", run: config },
    Recipe { name: "demo", about: "the main job on a real log and generated events", run: demo },
    Recipe { name: "bench", about: "measure ingest and commits on this machine", run: bench },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name == name) else {
        return usage(&name);
    };
    let started = Instant::now();
    match (recipe.run)(&rest) {
        Ok(()) => {
            eprintln!("xtask: {name} passed in {:.0} s", started.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("xtask: {name} failed: {what}");
            ExitCode::FAILURE
        }
    }
}

fn usage(name: &str) -> ExitCode {
    let asked_for_help = matches!(name, "" | "help" | "-h" | "--help");
    if !asked_for_help {
        eprintln!("xtask: there is no recipe `{name}`\n");
    }
    println!("cargo xtask RECIPE\n");
    for recipe in RECIPES {
        println!("  {:<10} {}", recipe.name, recipe.about);
    }
    if asked_for_help { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

fn test(_: &[String]) -> Outcome {
    lint(&[])?;
    binary()?;
    step("all tests", cargo(&["test", "--release", "--workspace"]))?;
    api_docs()
}

fn lint(_: &[String]) -> Outcome {
    step("formatting", cargo(&["fmt", "--all", "--check"]))?;
    eprintln!("xtask: dependencies");
    dependencies::check()?;
    step("clippy", cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

fn sim(arguments: &[String]) -> Outcome {
    simulate("protocol::", "ICEFOLD_SIM_SEEDS", arguments)
}

fn sim_writer(arguments: &[String]) -> Outcome {
    simulate("writer::", "ICEFOLD_SIM_INGEST_SEEDS", arguments)
}

fn simulate(tests: &str, seeds_variable: &str, arguments: &[String]) -> Outcome {
    let mut command = test_of("simulation");
    command.arg(tests);
    for (variable, value) in [seeds_variable, "ICEFOLD_SIM_FROM"].into_iter().zip(arguments) {
        command.env(variable, value);
    }
    step("simulation", command)
}

fn crash(_: &[String]) -> Outcome {
    binary()?;
    step("crash tests", test_of("crash"))?;
    step("accidents", test_of("accidents"))
}

fn s3(_: &[String]) -> Outcome {
    binary()?;
    step("S3", test_of("object_store"))
}

fn readers(_: &[String]) -> Outcome {
    binary()?;
    step("readers", test_of("readers"))
}

/// Without a seed, the seeds are those of today: each night asks others.
fn sql_differ(arguments: &[String]) -> Outcome {
    let count = arguments.first().map_or("20000", String::as_str);
    let today =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs() / 86_400);
    let from = arguments.get(1).cloned().unwrap_or_else(|| (today * SEEDS_PER_DAY).to_string());
    let mut command = test_of("answers");
    command.env("ICEFOLD_ANSWERS_COUNT", count).env("ICEFOLD_ANSWERS_FROM", from).env("ICEFOLD_ANSWERS_JUDGE", "1");
    step("questions", command)
}

fn docs(_: &[String]) -> Outcome {
    config(&[])?;
    api_docs()
}

fn config(_: &[String]) -> Outcome {
    config_reference::write(&root()).map_err(|e| format!("docs/config.md cannot be written: {e}"))
}

fn demo(arguments: &[String]) -> Outcome {
    icefold("demo", &["demo"], arguments)
}

fn bench(arguments: &[String]) -> Outcome {
    icefold("bench ingest", &["bench", "ingest"], arguments)?;
    icefold("bench commit", &["bench", "commit"], &[])
}

fn api_docs() -> Outcome {
    let mut command = cargo(&["doc", "--release", "--workspace", "--no-deps", "--document-private-items"]);
    command.env("RUSTDOCFLAGS", "--deny warnings");
    step("API documentation", command)
}

/// Tests in `integration/` run the binary, so it must be there and new.
fn binary() -> Outcome {
    step("binary", cargo(&["build", "--release", "--workspace"]))
}

fn test_of(target: &str) -> Command {
    cargo(&["test", "--release", "--workspace", "--test", target, "--", "--nocapture"])
}

fn icefold(title: &str, command: &[&str], arguments: &[String]) -> Outcome {
    let mut run = cargo(&["run", "--release", "--package", "icefold", "--"]);
    run.args(command).args(arguments);
    step(title, run)
}

/// The cargo that runs us, at the root of the workspace.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// A program, at the root of the workspace.
fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    // `cargo run` tells us about our own package. Build scripts that look at such variables (ring's does) would run again,
    // and with them most dependencies would be built again, each time somebody changes between `cargo` and `cargo xtask`.
    let ours = |name: &str| OWN_PACKAGE.iter().any(|prefix| name.starts_with(prefix));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
        command.env_remove(name);
    }
    command
}

fn step(title: &str, mut command: Command) -> Outcome {
    eprintln!("xtask: {title}");
    let started = Instant::now();
    match command.status() {
        Ok(status) if status.success() => {
            eprintln!("xtask: {title}: {:.0} s", started.elapsed().as_secs_f64());
            Ok(())
        }
        Ok(status) => Err(format!("{title} ended with {status}")),
        Err(e) => Err(format!("{title} cannot be started: {e}")),
    }
}

fn root() -> PathBuf {
    // As cargo says when it runs this: clones that share a target directory may share the program.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf)
}

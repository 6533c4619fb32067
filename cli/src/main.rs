//! The command line of icefold, and the only place that reads arguments, environment and settings files.
//!
//! * [`arguments`]: every command and option.
//! * [`commands`]: what each command does.
//! * [`generate`]: realistic events with an exact account of them.
//! * [`config`]: defaults, file, environment and options merged. [`session`]: one run. [`logging`]: the log.
//! * [`exit`], [`failure`]: exit codes and how errors are told.
//! * [`output`], [`progress`], [`figures`]: what is printed. [`watch`]: what ends a query early.

#![allow(clippy::disallowed_methods, reason = "the program owns the real world: its clock, threads and timers")]

mod arguments;
mod commands;
mod config;
mod enrichment;
mod exit;
mod failure;
mod figures;
mod generate;
mod logging;
mod metrics_file;
mod output;
mod process;
mod progress;
mod replaceable;
mod session;
mod watch;

use std::process::ExitCode;

use arguments::{Arguments, BenchCommand, Command};
use clap::Parser;
use exit::Exit;
use icefold_core::{Error, Result};
use output::Output;
use session::Session;

/// Row groups are made by one thread and freed by another, over and over; the system's allocator gives the memory back and
/// takes it anew each time, which costs a tenth of an ingest. Its settings stand in `.cargo/config.toml`.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let output = Output { json: arguments.global.json, quiet: arguments.global.quiet };
    logging::start(&arguments.global);
    match run(&arguments, output) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) if failure::is_closed_pipe(&error) => ExitCode::from(Exit::Done.code()),
        Err(error) => {
            eprint!("{}", if output.json { failure::json(&error) } else { failure::text(&error) });
            ExitCode::from(Exit::of(error.kind()).code())
        }
    }
}

fn run(arguments: &Arguments, output: Output) -> Result<Exit> {
    let begin = |more| Session::begin(&arguments.global, more);
    match &arguments.command {
        Command::Demo(demo) => commands::demo::run(&arguments.global, demo),
        Command::Generate(generate) => commands::generate::run(generate, output),
        Command::Completions { shell } => commands::completions::run(*shell, output),
        Command::Bench(BenchCommand::Ingest { events, plain }) => commands::bench::ingest::run(*events, *plain, output),
        Command::Config => commands::config::run(&begin(vec![])?),
        Command::Ingest(ingest) => {
            let session = begin(ingest.settings())?;
            session.block_on(commands::ingest::run(&session, ingest))
        }
        Command::Query(arguments) => commands::query::run(&begin(arguments.settings())?, arguments),
        other => {
            let session = begin(vec![])?;
            session.block_on(on_tables(&session, other))
        }
    }
}

/// Commands that read tables.
async fn on_tables(session: &Session, command: &Command) -> Result<Exit> {
    match command {
        Command::Tables => commands::tables::list(session).await,
        Command::Snapshots(arguments) => commands::tables::snapshots(session, arguments).await,
        Command::Checkpoint(arguments) => commands::checkpoint::run(session, arguments).await,
        Command::Quarantine(arguments) => commands::quarantine::run(session, arguments.command.as_ref()).await,
        Command::Contract(command) => commands::contract::run(session, command).await,
        Command::Explain(arguments) => commands::explain::run(session, arguments).await,
        Command::Batch(command) => commands::batch::run(session, command).await,
        Command::Verify(arguments) => commands::verify::run(session, arguments).await,
        Command::Bench(BenchCommand::Commit { commits }) => commands::bench::commit::run(session, *commits).await,
        Command::Bench(BenchCommand::Query { events, duckdb }) => {
            commands::bench::query::run(session, *events, duckdb.as_deref()).await
        }
        other => Err(Error::bug(format!("`{other:?}` is no command on tables"))),
    }
}

/// Tells a mistake in the arguments, or the help that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && wants_json {
        let first_line = error.to_string();
        let message = first_line.trim_start_matches("error: ").trim_end().to_owned();
        eprint!("{}", failure::json(&icefold_core::Error::invalid(message)));
        return ExitCode::from(Exit::Invalid.code());
    }
    // A closed standard output is no failure of ours.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { Exit::Invalid.code() } else { Exit::Done.code() })
}

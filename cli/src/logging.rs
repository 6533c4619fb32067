//! The log, on standard error: warnings unless told otherwise.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::arguments::Global;
use crate::config::LOG_VARIABLE;

/// Starts logging. `ICEFOLD_LOG` (for example `icefold_catalog=debug`) wins over `-v`.
pub(crate) fn start(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "warn,icefold=info,icefold_catalog=info,icefold_writer=info,icefold_sql=info",
        (_, 2) => "info,icefold=debug,icefold_catalog=debug,icefold_writer=debug,icefold_sql=debug",
        _ => "debug",
    };
    let filter = std::env::var(LOG_VARIABLE).ok().and_then(|text| EnvFilter::try_new(text).ok());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(level)))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start (there is none outside tests) changes nothing.
    let _ = if global.json { log.json().try_init() } else { log.try_init() };
}

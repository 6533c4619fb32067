//! What every command that touches tables needs: output, settings, threads and the warehouse.

use std::sync::Arc;

use icefold_catalog::Warehouse;
use icefold_core::clock::SystemClock;
use icefold_core::{Error, Result};

use crate::arguments::Global;
use crate::config::{self, Config, GivenOption, Settings};
use crate::output::Output;

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where results go.
    pub(crate) output: Output,
    /// The settings in force.
    pub(crate) config: Config,
}

impl Session {
    /// Reads the settings for `global`, with `more` from the command's own options.
    ///
    /// # Errors
    /// As [`config::load`].
    pub(crate) fn begin(global: &Global, more: Vec<GivenOption>) -> Result<Session> {
        let output = Output { json: global.json, quiet: global.quiet };
        let mut given = more;
        given.extend(global.warehouse.clone().map(|value| ("warehouse", value, "--warehouse")));
        given.extend(global.catalog.clone().map(|value| ("catalog", value, "--catalog")));
        given.extend(global.cores.map(|value| ("writer.cores", value.to_string(), "--cores")));
        let config = config::load(global.config.as_deref(), std::env::vars(), &given, &global.set)?;
        Ok(Session { output, config })
    }

    /// Returns the settings.
    pub(crate) fn settings(&self) -> &Settings {
        &self.config.settings
    }

    /// Opens the warehouse of a command that writes, and makes its catalog when there is none.
    ///
    /// # Errors
    /// As [`Warehouse::open`].
    pub(crate) async fn warehouse(&self) -> Result<Warehouse> {
        Warehouse::open(&self.settings().catalog, Arc::new(SystemClock)).await
    }

    /// Opens the warehouse of a command that works on tables which are there; nothing is created.
    ///
    /// # Errors
    /// As [`Warehouse::open_existing`].
    pub(crate) async fn existing_warehouse(&self) -> Result<Warehouse> {
        Warehouse::open_existing(&self.settings().catalog, Arc::new(SystemClock)).await
    }

    /// Runs `work` to its end on as many threads as the settings say.
    ///
    /// # Errors
    /// Those of `work`; `Refused` when threads cannot be started.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.settings().writer.workers())
            .enable_all()
            .build()
            .map_err(|e| Error::new(icefold_core::ErrorKind::Refused, "threads cannot be started").because(e))?;
        runtime.block_on(work)
    }
}

//! Where the rules come from; they are compiled upon first use, since a run without user agents needs none.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::DeviceRules;
use super::rules::version_of;
use icefold_core::{Error, Result};

/// The built-in rules or those of a file, compiled at most once in a run; a failure is remembered too.
#[derive(Debug, Default)]
pub struct DeviceSource {
    /// A file that replaces the built-in rules.
    path: Option<PathBuf>,
    compiled: OnceLock<Result<Arc<DeviceRules>, String>>,
}

impl DeviceSource {
    /// Makes a source of the built-in rules, or of those in the file at `path`. Nothing is read yet.
    pub fn new(path: Option<PathBuf>) -> Self {
        DeviceSource { path, compiled: OnceLock::new() }
    }

    /// Returns the rules; the first call reads and compiles them (some 0.1 s) while others wait.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when the file cannot be read or used; every
    /// call says so again. The caller decides whether to stop or to go on with null columns.
    pub fn rules(&self) -> Result<Arc<DeviceRules>> {
        let compiled = self.compiled.get_or_init(|| self.compile().map_err(|error| with_causes(&error)));
        compiled.clone().map_err(Error::invalid)
    }

    fn compile(&self) -> Result<Arc<DeviceRules>> {
        match &self.path {
            None => DeviceRules::built_in(),
            Some(path) => from_file(path).map(Arc::new),
        }
    }
}

fn from_file(path: &Path) -> Result<DeviceRules> {
    let bytes = std::fs::read(path).map_err(|e| {
        let message = "the file of device rules cannot be read: correct its path or leave the setting out";
        Error::invalid(message).with("path", path.display()).because(e)
    })?;
    DeviceRules::load(&bytes, &version_of(&bytes)).map_err(|e| e.with("path", path.display()))
}

/// Writes an error and its causes as one text: it is told more than once, and errors cannot be cloned.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(|e| e.to_string()).collect::<Vec<_>>().join(": ")
}

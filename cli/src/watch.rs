//! Ends a question at once: when it is told to stop, and when it takes more memory than it may.
//!
//! Queries only read, so ending the process is safe at any point; what must not stay behind is the folder of their spill files.
//! A thread of its own watches, since those of the query may be busy for long.

use std::path::PathBuf;
use std::time::Duration;

use icefold_core::{Error, ErrorKind, Result};

use crate::exit::Exit;
use crate::failure;
use crate::output::Output;
use crate::process;
use crate::session::Session;

/// How often the memory of the process is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// What each core may hold beyond the limit, which counts only what sorts, groups and joins gather: rows on their way, buffers of
/// the Parquet reader.
const PER_CORE_BYTES: u64 = 128 << 20;

/// The watch over one question; when it ends, so does the folder for spill files.
#[derive(Debug)]
pub(crate) struct Watch {
    /// None where the folder cannot be made: a query that spills then says so.
    spill: Option<PathBuf>,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// `Refused` when there is no thread for it.
    pub(crate) fn begin(session: &Session) -> Result<Watch> {
        let folder = std::env::temp_dir().join(format!("icefold-query-{}", std::process::id()));
        let spill = std::fs::create_dir(&folder).is_ok().then_some(folder);
        let watch = Watch { spill };
        let (output, spill) = (session.output, watch.spill.clone());
        let limit = session.settings().query.memory_limit_bytes as u64;
        let ceiling = ceiling(limit, session.settings().writer.workers() as u64);
        let refused = |e| Error::new(ErrorKind::Refused, "no thread can be started to watch the query").because(e);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let look = move || {
            let exit = runtime.block_on(wait(output, limit, ceiling));
            remove(spill.as_ref());
            std::process::exit(i32::from(exit.code()));
        };
        std::thread::Builder::new().name("watch".to_owned()).spawn(look).map_err(refused)?;
        Ok(watch)
    }

    /// Returns the folder for what does not fit into memory.
    pub(crate) fn spill_folder(&self) -> Option<PathBuf> {
        self.spill.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        remove(self.spill.as_ref());
    }
}

fn remove(folder: Option<&PathBuf>) {
    // What cannot be removed is the business of whoever cleans the temporary folder.
    let _ = folder.map(std::fs::remove_dir_all);
}

/// Returns how much memory the process may have for a query with that limit.
fn ceiling(limit: u64, cores: u64) -> u64 {
    limit.saturating_add(limit / 2).saturating_add(PER_CORE_BYTES.saturating_mul(cores))
}

/// Waits for a reason to end.
async fn wait(output: Output, limit: u64, ceiling: u64) -> Exit {
    let mut glance = tokio::time::interval(GLANCE);
    let mut stop = std::pin::pin!(stop());
    loop {
        tokio::select! {
            stopped = &mut stop => return stopped,
            _ = glance.tick() => {
                if let Some(resident) = process::memory_bytes().filter(|bytes| *bytes > ceiling) {
                    let error = too_large(limit, resident);
                    eprint!("{}", if output.json { failure::json(&error) } else { failure::text(&error) });
                    return Exit::of(error.kind());
                }
            }
        }
    }
}

fn too_large(limit: u64, resident: u64) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!(
            "the query takes {resident} bytes of memory, far more than `query.memory_limit_bytes`, which is {limit}: raise that \
             setting, ask for fewer rows or columns, or gather less in one value"
        ),
    )
}

/// Waits for Ctrl-C or a request to terminate.
#[cfg(unix)]
async fn stop() -> Exit {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
    }
}

#[cfg(not(unix))]
async fn stop() -> Exit {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Exit::Interrupted,
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_too_much_memory_names_the_setting() {
        let text = failure::text(&too_large(1 << 30, 3 << 30));
        assert!(text.contains("`query.memory_limit_bytes`, which is 1073741824"), "{text}");
        assert_eq!(Exit::of(too_large(1, 2).kind()).code(), 5);
    }
}

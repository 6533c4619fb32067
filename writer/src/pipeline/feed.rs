//! From the sources to the work queue, one task for each source.
//!
//! A chunk enters the queue only with a permit, and the permit comes back when the chunk's rows are in the open batch:
//! that bounds everything between source and buffers. A source itself holds one chunk more.

use std::sync::{Arc, Mutex, PoisonError};

use icefold_core::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::floor::Floor;
use crate::source::Source;

/// Reads all sources to their end; dropping it stops reading.
pub(super) struct Feeds {
    tasks: JoinSet<()>,
    error: Arc<Mutex<Option<Error>>>,
}

impl Feeds {
    /// Starts reading. An error of one source ends all of them; what was read before it is committed.
    pub(super) fn start(sources: Vec<Box<dyn Source>>, floor: &Arc<Floor>) -> Self {
        let error = Arc::new(Mutex::new(None));
        let (floor, first_error) = (floor.clone(), error.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (broken, is_broken) = watch::channel(false);
            let mut readers = JoinSet::new();
            for source in sources {
                let (floor, broken, is_broken) = (floor.clone(), broken.clone(), is_broken.clone());
                let first_error = first_error.clone();
                readers.spawn(async move {
                    if let Err(error) = read(source, &floor, is_broken).await {
                        first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        broken.send_replace(true);
                    }
                });
            }
            while let Some(ended) = readers.join_next().await {
                if ended.is_err_and(|e| e.is_panic()) {
                    floor.fail(Error::bug("a source panicked: nothing is lost, report it with the message above"));
                }
            }
            floor.sources_ended();
        });
        Feeds { tasks, error }
    }

    /// Returns the error that ended the reading, if one did.
    pub(super) fn error(&self) -> Option<Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Stops reading and waits until the sources are dropped.
    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

async fn read(mut source: Box<dyn Source>, floor: &Floor, mut is_broken: watch::Receiver<bool>) -> Result<(), Error> {
    loop {
        // In a fixed order, so that a run follows from its input.
        let next = tokio::select! {
            biased;
            _ = is_broken.wait_for(|broken| *broken) => return Ok(()),
            next = source.next() => next?,
        };
        let Some(chunk) = next else { return Ok(()) };
        // Closed permits mean that the run has failed.
        let Ok(permit) = floor.permits.acquire().await else { return Ok(()) };
        permit.forget();
        floor.queue.push_chunk(chunk);
    }
}

//! The threads that decode and encode.

use std::sync::Arc;
use std::thread::JoinHandle;

use icefold_core::{Error, ErrorKind, Result};

use super::MakeDecoder;
use super::floor::Floor;

/// Threads on a [`Floor`]; dropping them sends them home without waiting.
pub(super) struct Workers {
    floor: Arc<Floor>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads, each with a decoder of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the system gives no thread.
    pub(super) fn start(count: usize, floor: &Arc<Floor>, make_decoder: &MakeDecoder) -> Result<Self> {
        let mut workers = Workers { floor: floor.clone(), threads: Vec::with_capacity(count) };
        for number in 0..count {
            let (floor, make_decoder) = (floor.clone(), make_decoder.clone());
            let thread = std::thread::Builder::new().name(format!("icefold-worker-{number}"));
            let started = thread.spawn(move || run(&floor, &make_decoder));
            workers.threads.push(started.map_err(|e| {
                Error::new(ErrorKind::Refused, "the system gives no thread: set `cores` lower").because(e)
            })?);
        }
        Ok(workers)
    }

    /// Waits until all threads have finished what they were at.
    pub(super) async fn join(mut self) {
        self.floor.stop();
        let threads = std::mem::take(&mut self.threads);
        // A thread that panicked has reported it already.
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        drop(joined.await);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.floor.stop();
    }
}

fn run(floor: &Arc<Floor>, make_decoder: &MakeDecoder) {
    let _watch = PanicWatch(floor);
    match make_decoder() {
        Ok(decoder) => floor.work(decoder),
        Err(error) => floor.fail(error),
    }
}

/// Turns a panic of a worker into the failure of the run, instead of a run that waits for ever.
struct PanicWatch<'a>(&'a Floor);

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Error::bug("a worker thread panicked: nothing is lost, report it with the message above"));
        }
    }
}

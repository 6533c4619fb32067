//! Who decodes and encodes: threads, or tasks of the run's own runtime.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use icefold_core::{Error, ErrorKind, Result};
use tokio::task::JoinSet;

use super::MakeDecoder;
use super::floor::Floor;

/// Who does the work that takes processor time.
#[derive(Clone, Default)]
pub enum Crew {
    /// Threads of their own.
    #[default]
    Threads,
    /// Tasks, each of which rests as many turns of the scheduler before a piece of work as the function says. On a runtime of
    /// one thread a run is then decided by what it is given: this is what simulation needs.
    Tasks(Rest),
}

/// Says for how many turns of the scheduler a worker rests.
pub type Rest = Arc<dyn Fn() -> u32 + Send + Sync>;

impl Crew {
    /// Computes something that takes processor time; where there are threads, on one that nobody waits for.
    ///
    /// # Errors
    /// Those of `what`; [`ErrorKind::Bug`] when it panics on a thread of its own.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that owns threads; the simulation's crew are tasks"
    )]
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self {
            Crew::Tasks(_) => what(),
            Crew::Threads => {
                let computed = tokio::task::spawn_blocking(what).await;
                computed.map_err(|e| Error::bug("planning a batch panicked").because(e))?
            }
        }
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Crew::Threads => "threads",
            Crew::Tasks(_) => "tasks",
        })
    }
}

/// Workers on a [`Floor`]; dropping them sends them home without waiting.
pub(super) struct Workers {
    floor: Arc<Floor>,
    threads: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
}

impl Workers {
    /// Starts `count` workers, each with a decoder of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the system gives no thread.
    pub(super) fn start(crew: &Crew, count: usize, floor: &Arc<Floor>, make_decoder: &MakeDecoder) -> Result<Self> {
        let mut workers = Workers { floor: floor.clone(), threads: Vec::new(), tasks: JoinSet::new() };
        for number in 0..count {
            let (floor, make_decoder) = (floor.clone(), make_decoder.clone());
            match crew {
                Crew::Threads => workers.threads.push(thread(number, floor, make_decoder)?),
                Crew::Tasks(rest) => {
                    let rest = rest.clone();
                    workers.tasks.spawn(async move { work(&floor, &make_decoder, Some(&rest)).await });
                }
            }
        }
        Ok(workers)
    }

    /// Waits until all workers have finished what they were at.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that owns threads; the simulation's crew are tasks"
    )]
    pub(super) async fn join(mut self) {
        self.floor.stop();
        let threads = std::mem::take(&mut self.threads);
        while self.tasks.join_next().await.is_some() {}
        // A thread that panicked has reported it already.
        if !threads.is_empty() {
            let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
            drop(tokio::task::spawn_blocking(join).await);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.floor.stop();
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that owns threads; the simulation's crew are tasks")]
fn thread(number: usize, floor: Arc<Floor>, make_decoder: MakeDecoder) -> Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name(format!("icefold-worker-{number}"));
    let started = thread.spawn(move || futures::executor::block_on(work(&floor, &make_decoder, None)));
    started.map_err(|e| Error::new(ErrorKind::Refused, "the system gives no thread: set `cores` lower").because(e))
}

async fn work(floor: &Arc<Floor>, make_decoder: &MakeDecoder, rest: Option<&Rest>) {
    let _watch = PanicWatch(floor);
    match make_decoder() {
        Ok(decoder) => floor.work(decoder, rest).await,
        Err(error) => floor.fail(error),
    }
}

/// Turns a panic of a worker into the failure of the run, instead of a run that waits for ever.
struct PanicWatch<'a>(&'a Floor);

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Error::bug("a worker panicked: nothing is lost, report it with the message above"));
        }
    }
}

//! What the workers have to do: row groups to encode first (they hold the most memory), then chunks to decode.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::encoding::RowGroupJob;
use super::epoch::Epoch;
use crate::chunk::Chunk;

/// A piece of work.
#[derive(Debug)]
pub(super) enum Job {
    Encode(RowGroupJob),
    Decode { ticket: u64, chunk: Chunk, epoch: Arc<Epoch> },
}

/// What a worker finds.
enum Look {
    Job(Box<Job>),
    Nothing,
    Closed,
}

/// Work for the workers. Its length is bounded from outside: chunks by the permits of the feed, row groups because
/// no chunk is handed out while one waits.
#[derive(Debug)]
pub(super) struct WorkQueue {
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Debug)]
struct State {
    /// Of the chunks that are added from now on.
    epoch: Arc<Epoch>,
    row_groups: VecDeque<RowGroupJob>,
    chunks: VecDeque<(u64, Chunk, Arc<Epoch>)>,
    tickets: u64,
    /// Chunks that workers have and that are not in the buffers yet.
    decoding: usize,
    paused: bool,
    closed: bool,
}

impl WorkQueue {
    pub(super) fn new(epoch: Arc<Epoch>) -> Self {
        let (row_groups, chunks) = (VecDeque::new(), VecDeque::new());
        let state = State { epoch, row_groups, chunks, tickets: 0, decoding: 0, paused: false, closed: false };
        WorkQueue { state: Mutex::new(state), ready: Notify::new() }
    }

    /// Begins another epoch with the next chunk.
    pub(super) fn begin(&self, epoch: Arc<Epoch>) {
        self.lock().epoch = epoch;
    }

    /// Waits for work; `None` once the queue is closed.
    pub(super) async fn take(&self) -> Option<Job> {
        loop {
            // In line before the look, so that nothing that is added after it goes unheard.
            let mut ready = pin!(self.ready.notified());
            ready.as_mut().enable();
            match self.look() {
                Look::Job(job) => return Some(*job),
                Look::Closed => return None,
                Look::Nothing => ready.await,
            }
        }
    }

    fn look(&self) -> Look {
        let mut state = self.lock();
        if state.closed {
            return Look::Closed;
        }
        if let Some(job) = state.row_groups.pop_front() {
            return Look::Job(Box::new(Job::Encode(job)));
        }
        match if state.paused { None } else { state.chunks.pop_front() } {
            Some((ticket, chunk, epoch)) => {
                state.decoding += 1;
                Look::Job(Box::new(Job::Decode { ticket, chunk, epoch }))
            }
            None => Look::Nothing,
        }
    }

    /// Adds a chunk behind the others; its place in the order of the run and its epoch are decided here.
    pub(super) fn push_chunk(&self, chunk: Chunk) {
        let mut state = self.lock();
        let ticket = state.tickets;
        state.tickets += 1;
        let epoch = state.epoch.clone();
        state.chunks.push_back((ticket, chunk, epoch));
        self.ready.notify_one();
    }

    pub(super) fn push_row_group(&self, job: RowGroupJob) {
        self.lock().row_groups.push_back(job);
        self.ready.notify_one();
    }

    /// Returns how many chunks were added so far.
    pub(super) fn tickets(&self) -> u64 {
        self.lock().tickets
    }

    /// Says that a chunk which was handed out has been dealt with; returns whether it was the last one before a pause.
    pub(super) fn decoded(&self) -> bool {
        let mut state = self.lock();
        state.decoding -= 1;
        state.paused && state.decoding == 0
    }

    /// Returns whether a worker has a chunk.
    pub(super) fn is_decoding(&self) -> bool {
        self.lock().decoding > 0
    }

    /// While paused, no chunk is handed out.
    pub(super) fn set_paused(&self, paused: bool) {
        let mut state = self.lock();
        if state.paused && !paused {
            self.ready.notify_waiters();
        }
        state.paused = paused;
    }

    /// Drops what waits and lets the threads go.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.row_groups.clear();
        state.chunks.clear();
        self.ready.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

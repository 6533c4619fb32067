//! What the worker threads have to do: row groups to encode first (they hold the most memory), then chunks to decode.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::encoding::RowGroupJob;
use crate::chunk::Chunk;

/// A piece of work.
#[derive(Debug)]
pub(super) enum Job {
    Encode(RowGroupJob),
    Decode { ticket: u64, chunk: Chunk },
}

/// Work for the threads. Its length is bounded from outside: chunks by the permits of the feed, row groups because
/// no chunk is handed out while one waits.
#[derive(Debug)]
pub(super) struct WorkQueue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    row_groups: VecDeque<RowGroupJob>,
    chunks: VecDeque<(u64, Chunk)>,
    tickets: u64,
    paused: bool,
    closed: bool,
}

impl WorkQueue {
    pub(super) fn new() -> Self {
        WorkQueue { state: Mutex::new(State::default()), ready: Condvar::new() }
    }

    /// Waits for work; `None` once the queue is closed.
    pub(super) fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.row_groups.pop_front() {
                return Some(Job::Encode(job));
            }
            if !state.paused
                && let Some((ticket, chunk)) = state.chunks.pop_front()
            {
                return Some(Job::Decode { ticket, chunk });
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds a chunk behind the others; its place in the order of the run is decided here.
    pub(super) fn push_chunk(&self, chunk: Chunk) {
        let mut state = self.lock();
        let ticket = state.tickets;
        state.tickets += 1;
        state.chunks.push_back((ticket, chunk));
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

    /// While paused, no chunk is handed out.
    pub(super) fn set_paused(&self, paused: bool) {
        let mut state = self.lock();
        if state.paused && !paused {
            self.ready.notify_all();
        }
        state.paused = paused;
    }

    /// Drops what waits and lets the threads go.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.row_groups.clear();
        state.chunks.clear();
        self.ready.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The second ordered step: rows into the buffers of the open batch, and the decision when it is closed.
//!
//! At most one closed batch is on its way to the tables while the next one is open. When that one is full too, no chunk
//! is decoded until the first has landed: this is how slow storage stops the reading. When the run needs everything in the
//! tables ([`Batcher::flush`]), no chunk is decoded either, until it lets the stream go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use icefold_core::Result;
use icefold_core::tables::TableKind;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::encoding::{BatchSummary, Encoding, Partition, Ratio, SealedBatch};
use super::epoch::Epoch;
use super::order::InOrder;
use super::queue::WorkQueue;
use super::resume::TABLES;
use super::route::{Piece, Routed};
use crate::encode::RowBuffer;
use crate::encode::partition::split_by_day;
use crate::settings::Settings;

/// When a batch is closed and a row group is cut.
#[derive(Debug, Clone)]
struct Limits {
    commit_bytes: u64,
    commit_interval: Duration,
    row_group_bytes: u64,
    max_buffer_bytes: u64,
}

/// Takes in chunks in the order of their tickets.
#[derive(Debug)]
pub(super) struct Batcher {
    limits: Limits,
    order: InOrder<Routed>,
    open: OpenBatch,
    in_flight: bool,
    /// Everything that was decoded is to land, and nothing is to be decoded.
    flushing: bool,
    /// Number of chunks of the run, once the sources have ended.
    end: Option<u64>,
    ratio: Arc<Ratio>,
    queue: Arc<WorkQueue>,
    done: UnboundedSender<SealedBatch>,
}

#[derive(Debug)]
struct OpenBatch {
    epoch: Arc<Epoch>,
    buffers: BTreeMap<Partition, RowBuffer>,
    /// Of each table, rows that are not sorted into partitions yet.
    stragglers: [RowBuffer; TABLES],
    /// Memory of all rows in the buffers.
    buffered_bytes: u64,
    encoding: Arc<Encoding>,
    summary: BatchSummary,
    opened: Option<Instant>,
}

impl OpenBatch {
    fn new(epoch: Arc<Epoch>, done: UnboundedSender<SealedBatch>) -> Self {
        OpenBatch {
            epoch: epoch.clone(),
            buffers: BTreeMap::new(),
            stragglers: Default::default(),
            buffered_bytes: 0,
            encoding: Encoding::new(epoch, done),
            summary: BatchSummary::default(),
            opened: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.summary.ends.is_empty()
    }
}

impl Batcher {
    pub(super) fn new(
        settings: &Settings,
        ratio: Arc<Ratio>,
        queue: Arc<WorkQueue>,
        epoch: Arc<Epoch>,
        done: UnboundedSender<SealedBatch>,
    ) -> Self {
        let limits = Limits {
            commit_bytes: settings.commit_bytes,
            commit_interval: settings.commit_interval(),
            row_group_bytes: settings.row_group_bytes,
            max_buffer_bytes: settings.max_buffer_bytes,
        };
        let open = OpenBatch::new(epoch, done.clone());
        Batcher {
            limits,
            order: InOrder::new(),
            open,
            in_flight: false,
            flushing: false,
            end: None,
            ratio,
            queue,
            done,
        }
    }

    /// Takes in a chunk; returns how many have had their turn by that.
    ///
    /// # Errors
    /// Those of [`RowBuffer::push`].
    pub(super) fn submit(&mut self, ticket: u64, routed: Routed, now: Instant) -> Result<usize> {
        self.order.put(ticket, routed);
        self.take_in(now)
    }

    /// Takes in what has its turn. A chunk of another epoch than the open batch waits until that is closed, which is when the
    /// one on its way has landed.
    fn take_in(&mut self, now: Instant) -> Result<usize> {
        let before = self.order.next();
        while let Some(next) = self.order.peek() {
            if !Arc::ptr_eq(&next.epoch, &self.open.epoch) {
                let epoch = next.epoch.clone();
                if self.in_flight && !self.open.is_empty() {
                    break;
                }
                self.close()?;
                self.open = OpenBatch::new(epoch, self.done.clone());
            }
            let Some((_, routed)) = self.order.pop() else { break };
            self.add(routed, now)?;
            self.settle(now)?;
        }
        Ok((self.order.next() - before) as usize)
    }

    /// Says that no chunk follows after `tickets` of them.
    ///
    /// # Errors
    /// Those of [`Batcher::settle`].
    pub(super) fn end(&mut self, tickets: u64, now: Instant) -> Result<()> {
        self.end = Some(tickets);
        self.settle(now)
    }

    /// Says that the batch on its way has landed; returns how many chunks have had their turn by that.
    ///
    /// # Errors
    /// Those of [`Batcher::settle`].
    pub(super) fn landed(&mut self, now: Instant) -> Result<usize> {
        self.in_flight = false;
        let turns = self.take_in(now)?;
        self.settle(now)?;
        Ok(turns)
    }

    /// Closes the open batch if it is time, and stops or lets go the decoding.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when rows do not have their table's columns.
    pub(super) fn settle(&mut self, now: Instant) -> Result<()> {
        let is_flushed = self.flushing && !self.queue.is_decoding();
        if !self.in_flight && (self.is_full() || self.is_due(now) || self.is_last() || is_flushed) {
            self.close()?;
        }
        self.queue.set_paused(self.flushing || self.in_flight && self.is_full());
        Ok(())
    }

    /// Brings everything that was decoded into the tables, and stops the decoding until [`Batcher::go_on`].
    ///
    /// # Errors
    /// Those of [`Batcher::settle`].
    pub(super) fn flush(&mut self, now: Instant) -> Result<()> {
        self.flushing = true;
        self.settle(now)
    }

    /// Lets the decoding go on.
    ///
    /// # Errors
    /// Those of [`Batcher::settle`].
    pub(super) fn go_on(&mut self, now: Instant) -> Result<()> {
        self.flushing = false;
        self.settle(now)
    }

    /// Returns whether everything that was decoded has landed, and stays alone until the decoding goes on.
    pub(super) fn is_flushed(&self) -> bool {
        let nothing_left = !self.in_flight && self.open.is_empty() && self.order.is_empty();
        self.flushing && nothing_left && !self.queue.is_decoding()
    }

    /// Returns when the open batch has to be looked at again, if time alone closes it.
    pub(super) fn due_at(&self) -> Option<Instant> {
        match self.open.opened {
            Some(opened) if !self.in_flight => Some(opened + self.limits.commit_interval),
            _ => None,
        }
    }

    /// Returns whether everything that was read has landed, and nothing follows.
    pub(super) fn is_finished(&self) -> bool {
        self.end == Some(self.order.next()) && !self.in_flight && self.open.is_empty()
    }

    fn add(&mut self, routed: Routed, now: Instant) -> Result<()> {
        let summary = &mut self.open.summary;
        summary.ends.insert(routed.place.shard, routed.place.to);
        summary.records += routed.records;
        summary.bytes += routed.place.bytes;
        summary.newest_arrival_micros = summary.newest_arrival_micros.max(routed.newest_arrival_micros);
        summary.versions.merge(routed.versions);
        summary.counts += routed.counts;
        self.open.opened.get_or_insert(now);
        for Piece { table, day, rows } in routed.pieces {
            match day {
                Some(day) => self.push((table, day), rows)?,
                None => self.push_straggler(table, rows)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, partition: Partition, rows: RecordBatch) -> Result<()> {
        let buffer = self.open.buffers.entry(partition).or_default();
        let before = buffer.memory_bytes() as u64;
        buffer.push(rows)?;
        let bytes = buffer.memory_bytes() as u64;
        self.open.buffered_bytes = self.open.buffered_bytes + bytes - before;
        if bytes >= self.limits.row_group_bytes {
            self.open.buffered_bytes -= bytes;
            self.queue.push_row_group(self.open.encoding.job(partition, buffer.take(), bytes));
        }
        Ok(())
    }

    fn push_straggler(&mut self, table: usize, rows: RecordBatch) -> Result<()> {
        let buffer = &mut self.open.stragglers[table];
        let before = buffer.memory_bytes() as u64;
        buffer.push(rows)?;
        let bytes = buffer.memory_bytes() as u64;
        self.open.buffered_bytes = self.open.buffered_bytes + bytes - before;
        if bytes >= self.limits.row_group_bytes { self.sort_stragglers(table) } else { Ok(()) }
    }

    /// Sorts the stragglers of a table into their partitions.
    fn sort_stragglers(&mut self, table: usize) -> Result<()> {
        let buffer = &mut self.open.stragglers[table];
        self.open.buffered_bytes -= buffer.memory_bytes() as u64;
        let Some(rows) = buffer.take_joined()? else { return Ok(()) };
        for (day, rows) in split_by_day(TableKind::ALL[table], &rows)? {
            self.push((table, day), rows)?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let (encoded, pending) = self.open.encoding.progress();
        let staged = encoded + self.ratio.estimate(pending + self.open.buffered_bytes);
        staged >= self.limits.commit_bytes || self.open.buffered_bytes >= self.limits.max_buffer_bytes
    }

    fn is_due(&self, now: Instant) -> bool {
        self.open.opened.is_some_and(|opened| now >= opened + self.limits.commit_interval)
    }

    fn is_last(&self) -> bool {
        self.end == Some(self.order.next()) && !self.open.is_empty()
    }

    fn close(&mut self) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        for table in 0..TABLES {
            self.sort_stragglers(table)?;
        }
        let next = OpenBatch::new(self.open.epoch.clone(), self.done.clone());
        let closed = std::mem::replace(&mut self.open, next);
        for (partition, mut buffer) in closed.buffers {
            let bytes = buffer.memory_bytes() as u64;
            let rows = buffer.take();
            if !rows.is_empty() {
                self.queue.push_row_group(closed.encoding.job(partition, rows, bytes));
            }
        }
        self.in_flight = true;
        closed.encoding.seal(closed.summary);
        Ok(())
    }
}

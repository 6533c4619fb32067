//! The state of one shard: what its records and those of its ancestors have left behind.

use std::collections::BTreeMap;

use icefold_core::{Offset, Parent, Result, ShardId};
use xxhash_rust::xxh3::xxh3_128;

use super::identity::{self, Binds, Identities, Reason};
use super::session::{Campaign, SessionEvent, Sessions};
use super::{Call, Folded, Known, NO_DEVICE, Resolved, Sighting, Stream};
use crate::Dedup;
use crate::settings::Settings;

/// What is remembered for a shard. Nothing of it is known to any other shard, unless that continues this one.
#[derive(Debug)]
pub(crate) struct ShardFolds {
    pub(crate) dedup: Dedup,
    pub(crate) sessions: Sessions,
    pub(crate) identities: Identities,
    /// The shards that it continues, with theirs: their records before these offsets are its past.
    past: BTreeMap<ShardId, Offset>,
    /// Of its newest record; `i64::MIN` before the first.
    stream_time_micros: i64,
}

impl ShardFolds {
    /// # Errors
    /// Those of [`Sessions::new`].
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        Ok(ShardFolds {
            dedup: Dedup::new(settings.dedup_window()),
            sessions: Sessions::new(&settings.sessions)?,
            identities: Identities::default(),
            past: BTreeMap::new(),
            stream_time_micros: i64::MIN,
        })
    }

    /// Says that the shard goes on from here: where it stands in the tables, and whose records are its past.
    pub(super) fn at(mut self, stream_time_micros: Option<i64>, past: BTreeMap<ShardId, Offset>) -> Self {
        self.past = past;
        if let Some(time) = stream_time_micros {
            self.advance(time);
        }
        self
    }

    /// Takes over the state of a shard that this one continues.
    pub(super) fn inherit(&mut self, parent: &ShardFolds, as_parent: &Parent) {
        self.dedup.inherit(&parent.dedup);
        self.sessions.inherit(&parent.sessions);
        self.identities.inherit(&parent.identities);
        self.stream_time_micros = self.stream_time_micros.max(parent.stream_time_micros);
        for (shard, until) in parent.past.iter().chain([(&as_parent.shard, &as_parent.until)]) {
            reaching(&mut self.past, shard, until);
        }
    }

    /// Returns the `stream_time` of the newest record, `i64::MIN` before the first.
    pub(crate) fn stream_time_micros(&self) -> i64 {
        self.stream_time_micros
    }

    /// Returns whether a record of an ancestor is the shard's past.
    pub(super) fn continues_behind(&self, ancestor: &ShardId, at: &Offset) -> bool {
        self.past.get(ancestor).is_some_and(|until| at < until)
    }

    /// Returns the ancestors, and where each stops to be the past.
    pub(super) fn past(&self) -> &BTreeMap<ShardId, Offset> {
        &self.past
    }

    fn advance(&mut self, stream_time_micros: i64) {
        self.stream_time_micros = self.stream_time_micros.max(stream_time_micros);
        self.dedup.advance(stream_time_micros);
        self.sessions.advance(stream_time_micros);
    }

    /// Decides the next event.
    pub(super) fn decide(&mut self, row: usize, stream: &Stream<'_>, folded: &mut Folded) {
        let stream_time = stream.stream_times[row];
        self.stream_time_micros = self.stream_time_micros.max(stream_time);
        let accepted = self.dedup.accepts(stream.messages[row], stream_time);
        folded.accepted.push(accepted);
        if !accepted {
            folded.sessions.push(None);
            folded.resolved.push(Resolved { reason: Reason::None, user: None });
            return;
        }
        let resolved = self.identify(row, stream, folded);
        folded.resolved.push(resolved);
        folded.sessions.push(self.sessions.fold(&SessionEvent {
            device: stream.keys.devices[row].unwrap_or(NO_DEVICE),
            message: stream.messages[row],
            event_time_micros: stream.times[row],
            stream_time_micros: stream_time,
            campaign: stream.keys.campaigns[row].map(Campaign::from_hash),
        }));
    }

    /// Notes whom an event belongs to, by what is known now and never by what comes later, and what it shows itself.
    fn identify(&mut self, row: usize, stream: &Stream<'_>, folded: &mut Folded) -> Resolved {
        let user = stream.user.get(row);
        let call = stream.keys.calls[row];
        if user.is_some() && call == Call::Other {
            return Resolved { reason: Reason::Event, user: None };
        }
        let previous = || stream.previous.get(row).map_or(NO_DEVICE, xxh3_128);
        let found = self.identities.fold(&identity::Call {
            binds: match call {
                Call::Identify => Binds::Device,
                Call::Alias => Binds::Previous { previous: previous() },
                Call::Other => Binds::Nothing,
            },
            device: stream.keys.devices[row].unwrap_or(NO_DEVICE),
            user: user.and_then(|user| std::str::from_utf8(user).ok()),
            stream_time_micros: stream.stream_times[row],
        });
        for (known, edge) in [(Known::Previous, found.edges.previous), (Known::Device, found.edges.device)] {
            folded.sightings.extend(edge.map(|edge| Sighting { row, known, edge }));
        }
        let start = folded.users.len() as u32;
        let text = found.user.filter(|_| found.reason != Reason::Event);
        folded.users.extend_from_slice(text.unwrap_or_default().as_bytes());
        Resolved { reason: found.reason, user: text.map(|_| (start, folded.users.len() as u32)) }
    }
}

/// Adds an ancestor to a past. One that is reached in several ways is the past as far as one of them says.
pub(super) fn reaching(past: &mut BTreeMap<ShardId, Offset>, shard: &ShardId, until: &Offset) {
    match past.get_mut(shard) {
        Some(known) if *known >= *until => {}
        Some(known) => known.clone_from(until),
        None => _ = past.insert(shard.clone(), until.clone()),
    }
}

//! Identities: the person whom a device was known to be, at each point of the stream, for one shard and its ancestors.
//!
//! Two calls *bind* a known id to a person (a `userId`):
//!
//! - `identify` binds the event's device;
//! - `alias` binds the id named by `previousId`, and the event's device if it has one.
//!
//! A device and a `previousId` are the same kind of thing, the hash of a text: whether a `previousId` is the
//! `anonymousId` of a device cannot be seen, and if it is one, its later events are resolved by it.
//!
//! > An event is **resolved** to its own `userId`, if it has one; else to the person that its device was last bound to
//! > before it in the stream, and never to one it was bound to later; else to nobody.
//!
//! Other calls that happen to have both ids bind nothing: a server may send events of anybody with any device.
//!
//! # What stays local
//!
//! Only what was said of the device itself counts. That `alice` and `alice@example.com` are one person is an edge in
//! the table (a `previousId` may be a `userId`), but devices bound to the one are not moved to the other: they live in
//! other shards, and there is no order between their events and the alias. Joining edges to persons is a query over `identities`, and may be a different one next year.
//!
//! One call reaches out of its device all the same: an alias whose `previousId` is another device's `anonymousId`. Where the
//! two are in one shard, that device sees the binding from then on; in different shards, when one continues both.
//!
//! # Numbers, rebuild, inheritance
//!
//! The bindings of a known id are numbered from 1 in a shard, on from its ancestors, and the number is in every row of
//! `identities`. A *binding* is person and kind of call. The same binding again keeps its number: its row is a further
//! sighting. Another person, or the same one by the other kind, takes the next number. So the greatest number of a known id is
//! its state, whichever file or order its rows come in. A child begins with the bindings of all its parents: of two for one
//! known id the one with the greater number counts, of equal ones that which was seen later in `stream_time`. A known id that
//! was bound 2,147,483,647 times keeps its last binding and gets no further edges.
//!
//! Shards without a common ancestor number for themselves. Over all of them a known id belongs to whom it was seen with last,
//! by `stream_time`, then number; inside one shard that is the greatest number.
//!
//! # Cost
//!
//! 36 to 40 bytes a known id and the person's text with 1 to 2 bytes more; nothing is forgotten. Children of one parent that a
//! process reads hold what the parent knew each for itself. The ceiling is `identity_max_devices`, for all shards of a process.

#[cfg(test)]
mod tests;
mod texts;

use texts::Texts;

use super::NO_DEVICE;
use super::device_map::{DeviceMap, PARTS, part_of};
/// Longest `userId` in bytes, as the contract has it; a longer one binds nothing.
const MAX_USER_BYTES: usize = 255;

/// Last number of a binding: numbers fit a column of type int.
const MAX_BINDINGS: u32 = i32::MAX as u32;

/// An accepted event, as far as identities care.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// What it may bind.
    pub binds: Binds,
    /// xxh3-128 of the `anonymousId`, [`NO_DEVICE`] without one.
    pub device: u128,
    /// The `userId`.
    pub user: Option<&'a str>,
    /// `stream_time` of its record, in microseconds since 1970.
    pub stream_time_micros: i64,
}

/// What an event may bind to its `userId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binds {
    /// Any other event: nothing.
    Nothing,
    /// `identify`: the device.
    Device,
    /// `alias`: the earlier identity, and the device.
    Previous {
        /// xxh3-128 of the `previousId`, [`NO_DEVICE`] without one.
        previous: u128,
    },
}

/// Whom an event belongs to, and what it showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The person as known at this point of the stream.
    pub user: Option<&'a str>,
    /// What says so.
    pub reason: Reason,
    /// The edges that the event showed: each is a row of `identities`, or a further sighting of one.
    pub edges: Edges,
}

/// What an event showed of its known ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edges {
    /// That the event's device belongs to its `userId`.
    pub device: Option<Edge>,
    /// That the event's `previousId` does. `None` if it is the device itself.
    pub previous: Option<Edge>,
}

/// A known id belongs to the event's `userId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The call that showed it.
    pub kind: EdgeKind,
    /// Number of the binding among those of the known id, 1 to 2,147,483,647.
    pub binding_number: u32,
    /// Whether the known id was bound otherwise, or not at all, before.
    pub is_new: bool,
}

/// A call that binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EdgeKind {
    /// `identify`.
    Identify,
    /// `alias`.
    Alias,
}

/// What says whom an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its own `userId`.
    Event,
    /// An earlier `identify` bound its device.
    Identify,
    /// An earlier `alias` bound its device.
    Alias,
    /// Nothing: it belongs to nobody known.
    None,
}

/// Whom each known id is bound to.
#[derive(Debug)]
pub struct Identities {
    bindings: DeviceMap<Binding>,
    /// The persons' names, for each part of the map. Each binding has a text of its own: most people have few devices,
    /// so that finding a text again would cost about as much memory as it saves.
    users: Vec<Texts>,
}

/// The last binding of a known id.
#[derive(Debug, Clone, Copy)]
struct Binding {
    user: u32,
    /// The number, doubled, plus 1 for an alias.
    number_and_kind: u32,
    /// When it was seen last, in seconds of `stream_time` since 1970.
    second: u32,
}

/// What a row of `identities` tells of the binding of a known id, or a shard's parent knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBinding<'a> {
    /// The person.
    pub user: &'a str,
    /// The call.
    pub kind: EdgeKind,
    /// `binding_number`.
    pub number: u32,
    /// `stream_time`, in microseconds since 1970.
    pub stream_time_micros: i64,
}

impl EdgeKind {
    /// Returns the word for the column `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            EdgeKind::Identify => "identify",
            EdgeKind::Alias => "alias",
        }
    }
}

impl Reason {
    /// Returns the reason as a stable word, for a column.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Event => "event",
            Reason::Identify => "identify",
            Reason::Alias => "alias",
            Reason::None => "none",
        }
    }
}

impl Default for Identities {
    fn default() -> Self {
        Identities { bindings: DeviceMap::new(), users: (0..PARTS).map(|_| Texts::default()).collect() }
    }
}

impl Identities {
    /// Folds the next accepted event of the shard. An empty `userId` counts as none.
    pub fn fold<'a>(&'a mut self, call: &Call<'a>) -> Resolved<'a> {
        let Some(user) = call.user.filter(|user| !user.is_empty()) else {
            return self.resolve(call.device);
        };
        let second = second_of(call.stream_time_micros);
        let edges = match call.binds {
            Binds::Nothing => Edges::default(),
            Binds::Device => Edges { device: self.bind(call.device, user, EdgeKind::Identify, second), previous: None },
            Binds::Previous { previous } => {
                let device = self.bind(call.device, user, EdgeKind::Alias, second);
                // Often the earlier identity is the device: that is one sighting, not two.
                let other = if previous == call.device { NO_DEVICE } else { previous };
                Edges { device, previous: self.bind(other, user, EdgeKind::Alias, second) }
            }
        };
        Resolved { user: Some(user), reason: Reason::Event, edges }
    }

    /// Remembers a row of `identities`. The order of calls does not matter. A person too long to be bound is none.
    pub fn remember(&mut self, known_id: u128, row: &KnownBinding<'_>) {
        if row.user.len() <= MAX_USER_BYTES {
            let second = second_of(row.stream_time_micros);
            self.take(known_id, row.user, Binding { user: 0, number_and_kind: numbered(row.number, row.kind), second });
        }
    }

    /// Takes over the bindings of a parent of the shard. The order of parents does not matter.
    pub fn inherit(&mut self, parent: &Identities) {
        for (known_id, binding) in parent.bindings.iter() {
            self.take(known_id, parent.user(known_id, binding), binding);
        }
    }

    /// Returns how many known ids are bound.
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Returns whether no known id is bound.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory of bindings and texts in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bindings.memory_bytes() + self.users.iter().map(Texts::memory_bytes).sum::<usize>()
    }

    /// Says whom an event of `device` without a `userId` belongs to.
    fn resolve(&self, device: u128) -> Resolved<'_> {
        let (user, reason) = match self.last_binding(device) {
            Some((_, binding)) => (Some(self.user(device, binding)), binding.kind().reason()),
            None => (None, Reason::None),
        };
        Resolved { user, reason, edges: Edges::default() }
    }

    /// Binds `known_id`; `None` when there is nothing to bind, or no number left.
    fn bind(&mut self, known_id: u128, user: &str, kind: EdgeKind, second: u32) -> Option<Edge> {
        if known_id == NO_DEVICE || user.len() > MAX_USER_BYTES {
            return None;
        }
        let binding_number = match self.last_binding(known_id) {
            Some((place, last)) if last.kind() == kind && self.user(known_id, last) == user => {
                self.bindings.at_mut(known_id, place).second = last.second.max(second);
                return Some(Edge { kind, binding_number: last.number(), is_new: false });
            }
            Some((_, last)) if last.number() == MAX_BINDINGS => return None,
            Some((_, last)) => last.number() + 1,
            None => 1,
        };
        self.put(known_id, user, Binding { user: 0, number_and_kind: numbered(binding_number, kind), second });
        Some(Edge { kind, binding_number, is_new: true })
    }

    /// Remembers what is told of a known id, unless more is known. Of two with the same number and time, which parents that
    /// both saw the device can tell, kind and text decide.
    fn take(&mut self, known_id: u128, user: &str, told: Binding) {
        let worth = |binding: Binding| (binding.number(), binding.second, binding.number_and_kind);
        match self.last_binding(known_id) {
            Some((place, last))
                if last.number_and_kind == told.number_and_kind && self.user(known_id, last) == user =>
            {
                self.bindings.at_mut(known_id, place).second = last.second.max(told.second);
            }
            Some((_, last)) if (worth(last), self.user(known_id, last)) >= (worth(told), user) => {}
            _ => self.put(known_id, user, told),
        }
    }

    fn last_binding(&self, known_id: u128) -> Option<(usize, Binding)> {
        self.bindings.of(known_id).next()
    }

    fn user(&self, known_id: u128, binding: Binding) -> &str {
        self.users[part_of(known_id)].get(binding.user)
    }

    /// Makes `binding`, to the person `user`, the one of a known id.
    fn put(&mut self, known_id: u128, user: &str, binding: Binding) {
        let part = part_of(known_id);
        let last = self.last_binding(known_id);
        let binding = Binding { user: self.users[part].add(user), ..binding };
        match last {
            Some((place, last)) => {
                *self.bindings.at_mut(known_id, place) = binding;
                self.users[part].release(last.user);
                self.tidy(part);
            }
            None => self.bindings.insert(known_id, binding, |_| true),
        }
    }

    /// Moves the texts in use to a new store, when most of a part's texts belong to earlier bindings.
    fn tidy(&mut self, part: usize) {
        if self.users[part].is_wasteful() {
            let old = std::mem::take(&mut self.users[part]);
            for binding in self.bindings.part_mut(part) {
                binding.user = self.users[part].add(old.get(binding.user));
            }
        }
    }
}

impl Binding {
    fn number(self) -> u32 {
        self.number_and_kind >> 1
    }

    fn kind(self) -> EdgeKind {
        if self.number_and_kind & 1 == 1 { EdgeKind::Alias } else { EdgeKind::Identify }
    }
}

fn numbered(number: u32, kind: EdgeKind) -> u32 {
    number << 1 | u32::from(kind == EdgeKind::Alias)
}

/// Whole seconds since 1970; what a `u32` cannot hold is moved to its ends.
fn second_of(micros: i64) -> u32 {
    u32::try_from(micros.div_euclid(1_000_000).max(0)).unwrap_or(u32::MAX)
}

impl EdgeKind {
    fn reason(self) -> Reason {
        match self {
            EdgeKind::Identify => Reason::Identify,
            EdgeKind::Alias => Reason::Alias,
        }
    }
}

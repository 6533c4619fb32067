//! A lean hash table from message hash to the second and the shard it was seen in, which forgets by itself.
//!
//! 20 bytes a slot, linear probing, no tombstones: an entry leaves only when its part of the table is laid out anew.
//! The table is cut into [`PARTS`] by the hash's first byte and each part grows by a quarter, so that growing needs
//! no second copy of the whole and a slot is never emptier than it must be (25 to 32 bytes an id in all).

/// Parts of the table; growing copies one part at a time.
const PARTS: usize = 256;

/// A part is laid out anew when more than this share of its slots (in percent) would be taken.
const MAX_LOAD_PERCENT: usize = 80;

/// Share of the slots (in percent) that is taken right after a part was laid out anew.
const FRESH_LOAD_PERCENT: usize = 64;

/// Slots of the smallest part.
const MIN_SLOTS: usize = 16;

/// A hash without its first byte (which tells the part) and its second one, and where it was seen.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: [u32; 3],
    hash_rest: u16,
    shard: u16,
    /// Since 1970; 0 marks an empty slot.
    second: u32,
}

const EMPTY: Slot = Slot { hash: [0; 3], hash_rest: 0, shard: 0, second: 0 };

/// When and where a hash was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sighting {
    /// Second since 1970, not 0.
    pub(super) second: u32,
    /// Number of the shard.
    pub(super) shard: u16,
}

/// For each shard, by its number, the first second that still counts.
pub(super) type Horizons = [u32];

/// Hashes and where each was seen last.
#[derive(Debug)]
pub(super) struct Slots {
    parts: Vec<Part>,
    stored: usize,
}

#[derive(Debug, Default)]
struct Part {
    slots: Vec<Slot>,
    taken: usize,
}

impl Slots {
    /// Makes an empty table, which needs next to no memory.
    pub(super) fn new() -> Self {
        Slots { parts: (0..PARTS).map(|_| Part::default()).collect(), stored: 0 }
    }

    /// Returns the number of stored hashes, those counted that are already forgotten but still take a slot.
    pub(super) fn stored(&self) -> usize {
        self.stored
    }

    /// Returns the memory of the slots in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.parts.iter().map(|p| p.slots.capacity() * size_of::<Slot>()).sum()
    }

    /// Returns where `hash` was seen last; it may lie before its shard's horizon.
    pub(super) fn last_seen(&self, hash: u128) -> Option<Sighting> {
        let part = &self.parts[part_of(hash)];
        if part.slots.is_empty() {
            return None;
        }
        let slot = part.slots[part.find(words(hash))];
        (slot.second != 0).then_some(Sighting { second: slot.second, shard: slot.shard })
    }

    /// Notes that `hash` was seen; an earlier sighting is replaced. Entries before their horizon may be forgotten to make
    /// room.
    pub(super) fn note(&mut self, hash: u128, sighting: Sighting, horizons: &Horizons) {
        debug_assert!(sighting.second != 0, "0 marks an empty slot");
        let part = &mut self.parts[part_of(hash)];
        if (part.taken + 1) * 100 > part.slots.len() * MAX_LOAD_PERCENT {
            self.stored -= part.lay_out(horizons);
        }
        let (at, key) = (part.find(words(hash)), words(hash));
        let slot = &mut part.slots[at];
        if slot.second == 0 {
            part.taken += 1;
            self.stored += 1;
        } else if sighting < (Sighting { second: slot.second, shard: slot.shard }) {
            return;
        }
        *slot = Slot { hash: key.0, hash_rest: key.1, shard: sighting.shard, second: sighting.second };
    }

    /// Forgets every entry before its horizon and gives its memory back.
    pub(super) fn forget(&mut self, horizons: &Horizons) {
        for part in &mut self.parts {
            self.stored -= part.lay_out(horizons);
        }
    }
}

impl Part {
    /// Returns the index of `key`, or of the empty slot where it belongs. There is always an empty slot.
    fn find(&self, key: Key) -> usize {
        let slots = self.slots.len();
        let mut at = ((u64::from(key.0[0]) * slots as u64) >> 32) as usize;
        while self.slots[at].second != 0 && self.slots[at].key() != key {
            at += 1;
            if at == slots {
                at = 0;
            }
        }
        at
    }

    /// Moves what is not before its horizon into slots of the right number; returns how many entries were forgotten.
    fn lay_out(&mut self, horizons: &Horizons) -> usize {
        let old = std::mem::take(self);
        let live = || old.slots.iter().filter(|s| s.second != 0 && s.second >= horizons[usize::from(s.shard)]);
        let kept = live().count();
        let slots = ((kept + 1) * 100 / FRESH_LOAD_PERCENT).max(MIN_SLOTS);
        *self = Part { slots: vec![EMPTY; slots], taken: kept };
        for slot in live() {
            let at = self.find(slot.key());
            self.slots[at] = *slot;
        }
        old.taken - kept
    }
}

/// What is kept of a hash: 112 bits, beside the 8 that tell its part.
type Key = ([u32; 3], u16);

impl Slot {
    fn key(&self) -> Key {
        (self.hash, self.hash_rest)
    }
}

fn part_of(hash: u128) -> usize {
    (hash >> 120) as usize
}

fn words(hash: u128) -> Key {
    ([hash as u32, (hash >> 32) as u32, (hash >> 64) as u32], (hash >> 96) as u16)
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn hash(i: u32) -> u128 {
        xxh3_128(&i.to_le_bytes())
    }

    fn at(second: u32) -> Sighting {
        Sighting { second, shard: 0 }
    }

    #[test]
    fn what_was_noted_is_found_and_nothing_else() {
        let mut slots = Slots::new();
        for i in 0..50_000 {
            slots.note(hash(i), Sighting { second: i + 1, shard: i as u16 }, &[0; 65_536]);
        }
        assert_eq!(slots.stored(), 50_000);
        let found = |i| slots.last_seen(hash(i));
        assert!((0..50_000).all(|i| found(i) == Some(Sighting { second: i + 1, shard: i as u16 })));
        assert!((50_000..100_000).all(|i| found(i).is_none()));
    }

    #[test]
    fn the_latest_sighting_counts_in_whatever_order_they_come() {
        let mut slots = Slots::new();
        for second in [5, 9, 7] {
            slots.note(hash(1), at(second), &[0]);
        }
        assert_eq!((slots.last_seen(hash(1)), slots.stored()), (Some(at(9)), 1));
    }

    #[test]
    fn what_lies_before_its_shards_horizon_is_forgotten_and_its_memory_comes_back() {
        let mut slots = Slots::new();
        for i in 0..50_000 {
            slots.note(hash(i), Sighting { second: i + 1, shard: (i % 2) as u16 }, &[0, 0]);
        }
        let full = slots.memory_bytes();
        slots.forget(&[49_001, u32::MAX]);
        assert_eq!(slots.stored(), 500);
        assert!(slots.memory_bytes() < full / 10);
        assert!((49_000..50_000).step_by(2).all(|i| slots.last_seen(hash(i)).is_some()));
    }

    #[test]
    fn a_moving_horizon_keeps_memory_flat() {
        let mut slots = Slots::new();
        let mut most = 0;
        for i in 1..1_000_000u32 {
            slots.note(hash(i), at(i), &[i.saturating_sub(10_000)]);
            most = most.max(slots.memory_bytes());
        }
        assert!(most < 10_000 * 45, "{most} bytes for 10,000 live ids");
    }

    #[test]
    fn an_id_costs_at_most_thirty_two_bytes() {
        let mut slots = Slots::new();
        for i in 0..1_000_000 {
            slots.note(hash(i), at(1), &[0]);
            if i % 50_000 == 49_999 {
                let per_id = slots.memory_bytes() as f64 / f64::from(i + 1);
                assert!((24.9..=32.0).contains(&per_id), "{per_id} bytes an id at {i} ids");
            }
        }
    }
}

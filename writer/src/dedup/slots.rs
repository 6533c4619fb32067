//! A lean hash table from message hash to the second it was seen in, which forgets by itself.
//!
//! 16 bytes a slot, linear probing, no tombstones: an entry leaves only when its part of the table is laid out anew.
//! The table is cut into [`PARTS`] by the hash's first byte and each part grows by a quarter, so that growing needs
//! no second copy of the whole and a slot is never emptier than it must be (20 to 26 bytes an id in all).

/// Parts of the table; growing copies one part at a time.
const PARTS: usize = 256;

/// A part is laid out anew when more than this share of its slots (in percent) would be taken.
const MAX_LOAD_PERCENT: usize = 80;

/// Share of the slots (in percent) that is taken right after a part was laid out anew.
const FRESH_LOAD_PERCENT: usize = 64;

/// Slots of the smallest part.
const MIN_SLOTS: usize = 16;

/// What is kept of a hash: 96 bits, beside the 8 that tell its part.
type Key = [u32; 3];

/// A hash and when it was seen.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: Key,
    /// Since 1970; 0 marks an empty slot.
    second: u32,
}

const EMPTY: Slot = Slot { key: [0; 3], second: 0 };

/// Hashes, and when each was seen last. Seconds are counted since 1970 and are not 0.
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

    /// Returns the second in which `hash` was seen last, as far as that is not forgotten.
    #[inline]
    pub(super) fn seen(&self, hash: u128) -> Option<u32> {
        let (part, key) = (&self.parts[part_of(hash)], key_of(hash));
        part.place(key).map(|at| part.slots[at].second).filter(|second| *second != 0)
    }

    /// Notes that `hash` was seen, unless it was seen later. Entries before `horizon` may be forgotten to make room.
    pub(super) fn note(&mut self, hash: u128, second: u32, horizon: u32) {
        self.put(part_of(hash), Slot { key: key_of(hash), second }, horizon);
    }

    /// Notes all that `other` holds from `horizon` on.
    pub(super) fn merge(&mut self, other: &Slots, horizon: u32) {
        for (number, part) in other.parts.iter().enumerate().filter(|(_, part)| part.taken > 0) {
            // Room first: slots come in the order of their hashes, and would crowd at one end of a part that grows.
            self.stored -= self.parts[number].lay_out(horizon, part.taken);
            for slot in part.slots.iter().filter(|slot| slot.is_live(horizon)) {
                self.put(number, *slot, horizon);
            }
        }
    }

    /// Forgets every entry before `horizon` and gives its memory back.
    pub(super) fn forget(&mut self, horizon: u32) {
        for part in &mut self.parts {
            self.stored -= part.lay_out(horizon, 0);
        }
    }

    fn put(&mut self, number: usize, slot: Slot, horizon: u32) {
        debug_assert!(slot.second != 0, "0 marks an empty slot");
        let part = &mut self.parts[number];
        if (part.taken + 1) * 100 > part.slots.len() * MAX_LOAD_PERCENT {
            self.stored -= part.lay_out(horizon, 0);
        }
        let Some(at) = part.place(slot.key) else { return };
        let there = &mut part.slots[at];
        if there.second == 0 {
            part.taken += 1;
            self.stored += 1;
        }
        if there.second < slot.second {
            *there = slot;
        }
    }
}

impl Part {
    /// Returns the place of `key`, or the empty one that it would take. There always is an empty one, unless there are
    /// no slots at all.
    #[inline]
    fn place(&self, key: Key) -> Option<usize> {
        let slots = self.slots.len();
        let home = ((u64::from(key[0]) * slots as u64) >> 32) as usize;
        (home..slots).chain(0..home).find(|at| self.slots[*at].second == 0 || self.slots[*at].key == key)
    }

    /// Moves what is not before `horizon` into slots of the right number, with room for some more; returns how many entries
    /// were forgotten.
    fn lay_out(&mut self, horizon: u32, more: usize) -> usize {
        let old = std::mem::take(self);
        let live = || old.slots.iter().filter(|slot| slot.is_live(horizon));
        let kept = live().count();
        let slots = ((kept + more + 1) * 100 / FRESH_LOAD_PERCENT).max(MIN_SLOTS);
        *self = Part { slots: vec![EMPTY; slots], taken: kept };
        for slot in live() {
            if let Some(at) = self.place(slot.key) {
                self.slots[at] = *slot;
            }
        }
        old.taken - kept
    }
}

impl Slot {
    fn is_live(&self, horizon: u32) -> bool {
        self.second != 0 && self.second >= horizon
    }
}

fn part_of(hash: u128) -> usize {
    (hash >> 120) as usize
}

fn key_of(hash: u128) -> Key {
    [hash as u32, (hash >> 32) as u32, (hash >> 64) as u32]
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn hash(i: u32) -> u128 {
        xxh3_128(&i.to_le_bytes())
    }

    #[test]
    fn what_was_noted_is_found_and_nothing_else() {
        let mut slots = Slots::new();
        for i in 0..50_000 {
            slots.note(hash(i), i + 1, 0);
        }
        assert_eq!(slots.stored(), 50_000);
        assert!((0..50_000).all(|i| slots.seen(hash(i)) == Some(i + 1)));
        assert!((50_000..100_000).all(|i| slots.seen(hash(i)).is_none()));
    }

    #[test]
    fn the_latest_sighting_counts_in_whatever_order_they_come() {
        let mut slots = Slots::new();
        for second in [5, 9, 7] {
            slots.note(hash(1), second, 0);
        }
        assert_eq!((slots.seen(hash(1)), slots.stored()), (Some(9), 1));
    }

    #[test]
    fn two_tables_become_one_with_the_later_sighting_of_each_hash() {
        let (mut one, mut other) = (Slots::new(), Slots::new());
        for i in 0..2_000 {
            one.note(hash(i), 10_000 - i, 0);
            other.note(hash(i + 1_000), 5_000 + i, 0);
        }
        one.merge(&other, 5_500);
        assert!((0..1_000).all(|i| one.seen(hash(i)) == Some(10_000 - i)));
        assert!((1_000..2_000).all(|i| one.seen(hash(i)) == Some((10_000 - i).max(4_000 + i))));
        assert!((2_000..3_000).all(|i| one.seen(hash(i)) == Some(4_000 + i)));
        assert_eq!(one.stored(), 3_000);
    }

    #[test]
    fn what_lies_before_the_horizon_is_forgotten_and_its_memory_comes_back() {
        let mut slots = Slots::new();
        for i in 0..50_000 {
            slots.note(hash(i), i + 1, 0);
        }
        let full = slots.memory_bytes();
        slots.forget(49_001);
        assert_eq!(slots.stored(), 1_000);
        assert!(slots.memory_bytes() < full / 10);
        assert!((49_000..50_000).all(|i| slots.seen(hash(i)).is_some()));
    }

    #[test]
    fn a_moving_horizon_keeps_memory_flat() {
        let mut slots = Slots::new();
        let mut most = 0;
        for i in 1..1_000_000u32 {
            slots.note(hash(i), i, i.saturating_sub(10_000));
            most = most.max(slots.memory_bytes());
        }
        assert!(most < 10_000 * 36, "{most} bytes for 10,000 live ids");
    }

    #[test]
    fn an_id_costs_at_most_twenty_six_bytes() {
        let mut slots = Slots::new();
        for i in 0..1_000_000 {
            slots.note(hash(i), 1, 0);
            if i % 50_000 == 49_999 {
                let per_id = slots.memory_bytes() as f64 / f64::from(i + 1);
                assert!((19.9..=26.0).contains(&per_id), "{per_id} bytes an id at {i} ids");
            }
        }
    }
}

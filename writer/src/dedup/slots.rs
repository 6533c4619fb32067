//! A lean hash table from message hash to the second it was seen in, which forgets by itself.
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

/// A hash and the second since 1970 in which it was seen; second 0 marks an empty slot.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: [u32; 4],
    second: u32,
}

const EMPTY: Slot = Slot { hash: [0; 4], second: 0 };

/// Hashes and the second each was last seen in.
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

    /// Returns the second in which `hash` was last seen, unless that was before `horizon`.
    pub(super) fn seen_since(&self, hash: u128, horizon: u32) -> Option<u32> {
        let part = &self.parts[part_of(hash)];
        if part.slots.is_empty() {
            return None;
        }
        let slot = part.slots[part.find(words(hash))];
        (slot.second != 0 && slot.second >= horizon).then_some(slot.second)
    }

    /// Notes that `hash` was seen in `second` (not 0); an earlier sighting is replaced. Entries before `horizon` may
    /// be forgotten to make room.
    pub(super) fn note(&mut self, hash: u128, second: u32, horizon: u32) {
        debug_assert!(second != 0, "0 marks an empty slot");
        let part = &mut self.parts[part_of(hash)];
        if (part.taken + 1) * 100 > part.slots.len() * MAX_LOAD_PERCENT {
            self.stored -= part.lay_out(horizon);
        }
        let at = part.find(words(hash));
        let slot = &mut part.slots[at];
        if slot.second == 0 {
            *slot = Slot { hash: words(hash), second };
            part.taken += 1;
            self.stored += 1;
        } else {
            slot.second = slot.second.max(second);
        }
    }

    /// Forgets every entry before `horizon` and gives its memory back.
    pub(super) fn forget(&mut self, horizon: u32) {
        for part in &mut self.parts {
            self.stored -= part.lay_out(horizon);
        }
    }
}

impl Part {
    /// Returns the index of `hash`, or of the empty slot where it belongs. There is always an empty slot.
    fn find(&self, hash: [u32; 4]) -> usize {
        let slots = self.slots.len();
        let mut at = ((u64::from(hash[0]) * slots as u64) >> 32) as usize;
        while self.slots[at].second != 0 && self.slots[at].hash != hash {
            at += 1;
            if at == slots {
                at = 0;
            }
        }
        at
    }

    /// Moves what is not before `horizon` into slots of the right number; returns how many entries were forgotten.
    fn lay_out(&mut self, horizon: u32) -> usize {
        let old = std::mem::take(self);
        let live = || old.slots.iter().filter(|s| s.second != 0 && s.second >= horizon);
        let kept = live().count();
        let slots = ((kept + 1) * 100 / FRESH_LOAD_PERCENT).max(MIN_SLOTS);
        *self = Part { slots: vec![EMPTY; slots], taken: kept };
        for slot in live() {
            let at = self.find(slot.hash);
            self.slots[at] = *slot;
        }
        old.taken - kept
    }
}

fn part_of(hash: u128) -> usize {
    (hash >> 120) as usize
}

fn words(hash: u128) -> [u32; 4] {
    [hash as u32, (hash >> 32) as u32, (hash >> 64) as u32, (hash >> 96) as u32]
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
        assert!((0..50_000).all(|i| slots.seen_since(hash(i), 0) == Some(i + 1)));
        assert!((50_000..100_000).all(|i| slots.seen_since(hash(i), 0).is_none()));
    }

    #[test]
    fn what_lies_before_the_horizon_is_not_seen_and_its_memory_comes_back() {
        let mut slots = Slots::new();
        for i in 0..50_000 {
            slots.note(hash(i), i + 1, 0);
        }
        let full = slots.memory_bytes();
        assert_eq!(slots.seen_since(hash(10), 12), None);
        slots.forget(49_001);
        assert_eq!(slots.stored(), 1_000);
        assert!(slots.memory_bytes() < full / 10);
        assert!((49_000..50_000).all(|i| slots.seen_since(hash(i), 0).is_some()));
    }

    #[test]
    fn a_moving_horizon_keeps_memory_flat() {
        let mut slots = Slots::new();
        let mut most = 0;
        for i in 1..1_000_000u32 {
            slots.note(hash(i), i, i.saturating_sub(10_000));
            most = most.max(slots.memory_bytes());
        }
        assert!(most < 10_000 * 45, "{most} bytes for 10,000 live ids");
    }

    #[test]
    fn an_id_costs_at_most_thirty_two_bytes() {
        let mut slots = Slots::new();
        for i in 0..1_000_000 {
            slots.note(hash(i), 1, 0);
            if i % 50_000 == 49_999 {
                let per_id = slots.memory_bytes() as f64 / f64::from(i + 1);
                assert!((24.9..=32.0).contains(&per_id), "{per_id} bytes an id at {i} ids");
            }
        }
    }
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sighting {
    /// Second since 1970, not 0.
    pub(super) second: u32,
    /// Number of the shard.
    pub(super) shard: u16,
}

/// For each shard, by its number, the first second that still counts.
pub(super) type Horizons = [u32];

/// Hashes, and when each was seen last in each shard.
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

    /// Returns where `hash` was seen, the latest sighting in each shard; they may lie before their shard's horizon.
    #[inline]
    pub(super) fn seen(&self, hash: u128) -> impl Iterator<Item = Sighting> {
        let (part, key) = (&self.parts[part_of(hash)], words(hash));
        let taken = part.chain(key).map(|at| part.slots[at]).take_while(|slot| slot.second != 0);
        taken.filter(move |slot| slot.key() == key).map(|slot| slot.sighting())
    }

    /// Notes that `hash` was seen; an earlier sighting in the same shard is replaced, or one that lies before its
    /// shard's horizon. Entries before their horizon may be forgotten to make room.
    pub(super) fn note(&mut self, hash: u128, sighting: Sighting, horizons: &Horizons) {
        debug_assert!(sighting.second != 0, "0 marks an empty slot");
        let (part, key) = (&mut self.parts[part_of(hash)], words(hash));
        if (part.taken + 1) * 100 > part.slots.len() * MAX_LOAD_PERCENT {
            self.stored -= part.lay_out(horizons);
        }
        let mut place = None;
        for at in part.chain(key) {
            let slot = &part.slots[at];
            if slot.second == 0 {
                place = place.or(Some(at));
                break;
            }
            if slot.key() != key {
                continue;
            }
            if slot.shard == sighting.shard {
                if slot.second < sighting.second {
                    part.slots[at].second = sighting.second;
                }
                return;
            }
            if !slot.is_live(horizons) {
                place = place.or(Some(at));
            }
        }
        let Some(at) = place else { return };
        let slot = &mut part.slots[at];
        if slot.second == 0 {
            part.taken += 1;
            self.stored += 1;
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
    /// Returns all places in the order in which entries of `key` are put there: none lies behind the first empty one.
    /// There always is an empty one, unless there are no slots at all.
    #[inline]
    fn chain(&self, key: Key) -> impl Iterator<Item = usize> + use<> {
        let slots = self.slots.len();
        let home = ((u64::from(key.0[0]) * slots as u64) >> 32) as usize;
        (home..slots).chain(0..home)
    }

    /// Returns the first empty slot for `key`.
    fn vacancy(&self, key: Key) -> Option<usize> {
        self.chain(key).find(|at| self.slots[*at].second == 0)
    }

    /// Moves what is not before its horizon into slots of the right number; returns how many entries were forgotten.
    fn lay_out(&mut self, horizons: &Horizons) -> usize {
        let old = std::mem::take(self);
        let live = || old.slots.iter().filter(|slot| slot.is_live(horizons));
        let kept = live().count();
        let slots = ((kept + 1) * 100 / FRESH_LOAD_PERCENT).max(MIN_SLOTS);
        *self = Part { slots: vec![EMPTY; slots], taken: kept };
        for slot in live() {
            if let Some(at) = self.vacancy(slot.key()) {
                self.slots[at] = *slot;
            }
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

    fn sighting(&self) -> Sighting {
        Sighting { second: self.second, shard: self.shard }
    }

    /// Returns whether the entry may still count for some shard.
    fn is_live(&self, horizons: &Horizons) -> bool {
        self.second != 0 && self.second >= horizons[usize::from(self.shard)]
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
        let found = |i| slots.seen(hash(i)).collect::<Vec<_>>();
        assert!((0..50_000).all(|i| found(i) == [Sighting { second: i + 1, shard: i as u16 }]));
        assert!((50_000..100_000).all(|i| found(i).is_empty()));
    }

    #[test]
    fn the_latest_sighting_counts_in_whatever_order_they_come() {
        let mut slots = Slots::new();
        for second in [5, 9, 7] {
            slots.note(hash(1), at(second), &[0]);
        }
        assert_eq!((slots.seen(hash(1)).collect::<Vec<_>>(), slots.stored()), (vec![at(9)], 1));
    }

    #[test]
    fn each_shard_has_its_own_sighting_unless_that_is_dead() {
        let mut slots = Slots::new();
        let seen = |slots: &Slots| slots.seen(hash(1)).collect::<Vec<_>>();
        let [a, b, c] = [(9, 1), (5, 2), (6, 3)].map(|(second, shard)| Sighting { second, shard });
        slots.note(hash(1), a, &[0; 4]);
        slots.note(hash(1), b, &[0; 4]);
        assert_eq!((seen(&slots), slots.stored()), (vec![a, b], 2));
        slots.note(hash(1), c, &[0, 10, 0, 0]);
        assert_eq!((seen(&slots), slots.stored()), (vec![c, b], 2));
        slots.forget(&[0, 0, 6, 0]);
        assert_eq!((seen(&slots), slots.stored()), (vec![c], 1));
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
        assert!((49_000..50_000).step_by(2).all(|i| slots.seen(hash(i)).next().is_some()));
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

//! A set of keys that is looked up by hash: twice as many slots as keys, so that nearly every look-up reads one.

/// Marks a slot without a key.
const EMPTY: u16 = u16::MAX;

/// Keys, fixed when contracts are compiled. A key is known by its place in the list that the table was made of.
#[derive(Debug, Clone)]
pub(super) struct KeyTable {
    /// Place of a key, at its hash or in the next free slot behind; at least half of the slots stay empty.
    slots: Box<[u16]>,
    keys: Box<[Box<[u8]>]>,
}

impl KeyTable {
    /// Makes a table of distinct keys, at most 65,535.
    pub(super) fn of<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> KeyTable {
        let keys: Box<[Box<[u8]>]> = keys.into_iter().map(Box::from).collect();
        let size = (keys.len() * 2).next_power_of_two();
        let mut slots = vec![EMPTY; size].into_boxed_slice();
        for (place, key) in keys.iter().enumerate() {
            let mut slot = hash(key) as usize & (size - 1);
            while slots[slot] != EMPTY {
                slot = (slot + 1) & (size - 1);
            }
            slots[slot] = place as u16;
        }
        KeyTable { slots, keys }
    }

    /// Returns the place of a key.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash(key) as usize & mask;
        loop {
            // A slot that is empty holds no place, which ends the search.
            let place = usize::from(self.slots[slot]);
            if **self.keys.get(place)? == *key {
                return Some(place);
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// Mixes eight bytes at a time; the last eight may overlap those before. Only keys of contracts are in a table, so it need
/// not withstand anybody.
#[inline]
fn hash(key: &[u8]) -> u64 {
    let mut state = key.len() as u64;
    if let Some(last) = key.last_chunk::<8>() {
        for chunk in key.chunks_exact(8) {
            let word = chunk.first_chunk::<8>().map_or(0, |chunk| u64::from_le_bytes(*chunk));
            state = mix(state ^ word);
        }
        return mix(state ^ u64::from_le_bytes(*last));
    }
    let word = match (key.first_chunk::<4>(), key.last_chunk::<4>()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32,
        _ => key.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    mix(state ^ word)
}

#[inline]
fn mix(word: u64) -> u64 {
    let product = u128::from(word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_table_knows_nothing() {
        let table = KeyTable::of([]);
        assert_eq!(table.find(b""), None);
        assert_eq!(table.find(b"a"), None);
    }

    #[test]
    fn keys_that_look_alike_are_told_apart() {
        let keys: Vec<String> = (0..2_000).map(|n| format!("a_rather_long_key_with_number_{n:04}_inside")).collect();
        let table = KeyTable::of(keys.iter().map(|key| key.as_bytes()));
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(table.find(key.as_bytes()), Some(place));
        }
        assert_eq!(table.find(b"a_rather_long_key_with_number_2000_inside"), None);
    }

    proptest! {
        #[test]
        fn a_key_is_found_exactly_when_it_is_there(
            keys in prop::collection::btree_set("[ab]{0,10}", 0..200),
            others in prop::collection::btree_set("[ab]{0,10}", 0..50),
        ) {
            let list: Vec<&String> = keys.iter().collect();
            let table = KeyTable::of(list.iter().map(|key| key.as_bytes()));
            let both: BTreeSet<&String> = keys.union(&others).collect();
            for key in both {
                prop_assert_eq!(table.find(key.as_bytes()), list.iter().position(|k| *k == key), "{}", key);
            }
        }
    }
}

//! A lean map from device to one or several values.
//!
//! Values lie densely, each with its device and the place of the next one in its bucket: 24 bytes and the value. The
//! map is cut into [`PARTS`] by the device's first byte and each part grows by an eighth, so that growing needs no
//! second copy of the whole and little room lies idle. There are no tombstones: values leave only when a part makes
//! room, or all parts by [`DeviceMap::retain`].

use std::iter;

/// Parts of the map; whatever has to touch everything, touches one part at a time.
pub(super) const PARTS: usize = 256;

/// A full part grows by its size divided by this.
const GROWTH_DIVISOR: usize = 8;

/// Values for which the smallest part has room.
const MIN_ROOM: usize = 8;

/// End of a bucket's chain.
const END: u32 = u32::MAX;

/// Values by device. Several values of one device have no order.
#[derive(Debug)]
pub(super) struct DeviceMap<T> {
    parts: Vec<Part<T>>,
    len: usize,
}

/// The values of the devices that share a first byte.
#[derive(Debug)]
struct Part<T> {
    entries: Vec<Entry<T>>,
    /// For each bucket the place of its first entry, or [`END`]; as many buckets as there is room for entries.
    buckets: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Entry<T> {
    /// In words, so that an entry is not padded to the alignment of `u128`.
    device: [u32; 4],
    /// Place of the next entry in the same bucket, or [`END`].
    next: u32,
    value: T,
}

impl<T: Copy> DeviceMap<T> {
    /// Makes an empty map, which needs next to no memory.
    pub(super) fn new() -> Self {
        DeviceMap { parts: (0..PARTS).map(|_| Part { entries: Vec::new(), buckets: Vec::new() }).collect(), len: 0 }
    }

    /// Returns the number of values.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the memory of the map in bytes, idle room included.
    pub(super) fn memory_bytes(&self) -> usize {
        self.parts.iter().map(Part::memory_bytes).sum()
    }

    /// Returns the values of `device` with their places, which hold until the next change other than
    /// [`DeviceMap::at_mut`].
    pub(super) fn of(&self, device: u128) -> impl Iterator<Item = (usize, T)> {
        let (part, key) = (&self.parts[part_of(device)], words(device));
        part.chain(key).filter(move |at| part.entries[*at].device == key).map(|at| (at, part.entries[at].value))
    }

    /// Returns the value of `device` at a place that [`DeviceMap::of`] named.
    pub(super) fn at_mut(&mut self, device: u128, place: usize) -> &mut T {
        &mut self.parts[part_of(device)].entries[place].value
    }

    /// Adds a value to those of `device`. Values that `keep` turns down may be dropped to make room.
    pub(super) fn insert(&mut self, device: u128, value: T, keep: impl Fn(&T) -> bool) {
        let part = &mut self.parts[part_of(device)];
        if part.entries.len() == part.buckets.len() {
            self.len -= part.make_room(keep);
        }
        part.push(words(device), value);
        self.len += 1;
    }

    /// Drops the values that `keep` turns down, and gives their memory back.
    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for part in self.parts.iter_mut().filter(|part| !part.buckets.is_empty()) {
            self.len -= part.make_room(&keep);
        }
    }

    /// Returns all values with their devices.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u128, T)> {
        let entries = self.parts.iter().flat_map(|part| &part.entries);
        entries.map(|entry| (device_of(entry.device), entry.value))
    }

    /// Returns all values of the devices of a part.
    pub(super) fn part_mut(&mut self, part: usize) -> impl Iterator<Item = &mut T> {
        self.parts[part].entries.iter_mut().map(|entry| &mut entry.value)
    }
}

impl<T: Copy> Part<T> {
    fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<T>>() + self.buckets.capacity() * size_of::<u32>()
    }

    /// Returns the places of all entries in the bucket of `key`, those of other devices among them.
    fn chain(&self, key: [u32; 4]) -> impl Iterator<Item = usize> {
        let first = if self.buckets.is_empty() { END } else { self.buckets[bucket_of(key, self.buckets.len())] };
        let place = |at: u32| (at != END).then_some(at as usize);
        iter::successors(place(first), move |at| place(self.entries[*at].next))
    }

    fn push(&mut self, device: [u32; 4], value: T) {
        let bucket = bucket_of(device, self.buckets.len());
        let at = u32::try_from(self.entries.len()).expect("a part never holds four thousand million values");
        self.entries.push(Entry { device, next: self.buckets[bucket], value });
        self.buckets[bucket] = at;
    }

    /// Drops what `keep` turns down and fits the room to the rest, so that some is free; returns how many left.
    fn make_room(&mut self, keep: impl Fn(&T) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(|entry| keep(&entry.value));
        let kept = self.entries.len();
        let room = (kept + kept / GROWTH_DIVISOR).max(MIN_ROOM);
        self.entries.shrink_to(room);
        self.entries.reserve_exact(room - kept);
        self.link(room);
        before - kept
    }

    /// Makes `buckets` buckets and chains every entry anew.
    fn link(&mut self, buckets: usize) {
        self.buckets = vec![END; buckets];
        for (at, entry) in (0..).zip(&mut self.entries) {
            let bucket = bucket_of(entry.device, buckets);
            entry.next = self.buckets[bucket];
            self.buckets[bucket] = at;
        }
    }
}

/// Returns the part that holds the values of `device`.
pub(super) fn part_of(device: u128) -> usize {
    (device >> 120) as usize
}

fn bucket_of(device: [u32; 4], buckets: usize) -> usize {
    ((u64::from(device[0]) * buckets as u64) >> 32) as usize
}

fn device_of([a, b, c, d]: [u32; 4]) -> u128 {
    u128::from(a) | u128::from(b) << 32 | u128::from(c) << 64 | u128::from(d) << 96
}

fn words(device: u128) -> [u32; 4] {
    [device as u32, (device >> 32) as u32, (device >> 64) as u32, (device >> 96) as u32]
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn device(i: u32) -> u128 {
        xxh3_128(&i.to_le_bytes())
    }

    fn values(map: &DeviceMap<u32>, i: u32) -> Vec<u32> {
        let mut values: Vec<u32> = map.of(device(i)).map(|(_, value)| value).collect();
        values.sort_unstable();
        values
    }

    fn filled(devices: u32) -> DeviceMap<u32> {
        let mut map = DeviceMap::new();
        for i in 0..devices {
            map.insert(device(i), i, |_| true);
        }
        map
    }

    #[test]
    fn every_device_finds_its_own_values_and_no_others() {
        let mut map = filled(20_000);
        for i in (0..20_000).step_by(2) {
            map.insert(device(i), i + 1, |_| true);
        }
        assert_eq!(map.len(), 30_000);
        assert!((0..20_000).step_by(2).all(|i| values(&map, i) == [i, i + 1]));
        assert!((1..20_000).step_by(2).all(|i| values(&map, i) == [i]));
        assert!((20_000..40_000).all(|i| values(&map, i).is_empty()));
    }

    #[test]
    fn all_values_come_with_their_devices() {
        let mut all: Vec<(u128, u32)> = filled(1_000).iter().collect();
        all.sort_unstable_by_key(|(_, value)| *value);
        assert_eq!(all, (0..1_000).map(|i| (device(i), i)).collect::<Vec<_>>());
    }

    #[test]
    fn a_value_is_changed_where_it_lies() {
        let mut map = filled(1_000);
        let (place, _) = map.of(device(7)).next().expect("was inserted");
        *map.at_mut(device(7), place) = 99;
        assert_eq!(values(&map, 7), [99]);
    }

    #[test]
    fn what_is_not_kept_leaves_and_its_memory_comes_back() {
        let mut map = filled(50_000);
        let full = map.memory_bytes();
        map.retain(|value| *value % 50 == 0);
        assert_eq!(map.len(), 1_000);
        assert!(map.memory_bytes() < full / 10);
        assert!((0..50_000).all(|i| values(&map, i).len() == usize::from(i % 50 == 0)));
    }

    #[test]
    fn a_full_part_drops_what_is_not_kept_before_it_grows() {
        let mut map = DeviceMap::new();
        for i in 0..1_000_000u32 {
            map.insert(device(i), i, |value| *value + 10_000 > i);
        }
        assert!(map.len() < 20_000, "{} values for 10,000 that count", map.len());
    }

    #[test]
    fn a_value_costs_twenty_four_to_twenty_seven_bytes_more_than_itself() {
        let map = filled(1_000_000);
        let beside = map.memory_bytes() as f64 / 1e6 - size_of::<u32>() as f64;
        assert!((24.0..=27.6).contains(&beside), "{beside} bytes");
    }
}

//! What was read of one file: its length and its two ends, from which a fingerprint is made at any moment.

use xxhash_rust::xxh3::Xxh3;

/// How much of each end goes into a fingerprint.
pub(super) const EDGE_BYTES: usize = 64 << 10;

/// The bytes `[0, length)` of a file or stream, of which the first and the last [`EDGE_BYTES`] are kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Prefix {
    length: u64,
    head: Vec<u8>,
    /// Ends with the last edge; grows to twice that before it is cut, so that small updates stay cheap.
    recent: Vec<u8>,
}

impl Prefix {
    /// Makes the prefix of `length` bytes that begins with `head` and ends with `tail`, each an edge or the whole.
    pub(super) fn from_edges(length: u64, head: Vec<u8>, tail: Vec<u8>) -> Self {
        Prefix { length, head, recent: tail }
    }

    /// Returns the ranges that [`Prefix::from_edges`] wants for a prefix of `length` bytes.
    pub(super) fn edges(length: u64) -> [std::ops::Range<u64>; 2] {
        let edge = length.min(EDGE_BYTES as u64);
        [0..edge, length - edge..length]
    }

    /// Adds what follows.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let missing = (EDGE_BYTES - self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        self.length += bytes.len() as u64;
        if bytes.len() >= EDGE_BYTES {
            self.recent.clear();
            self.recent.extend_from_slice(&bytes[bytes.len() - EDGE_BYTES..]);
            return;
        }
        self.recent.extend_from_slice(bytes);
        if self.recent.len() > 2 * EDGE_BYTES {
            self.recent.drain(..self.recent.len() - EDGE_BYTES);
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the fingerprint of the prefix: xxh3-128 of its first edge, its last edge and its length.
    pub(super) fn fingerprint(&self) -> u128 {
        let mut hasher = Xxh3::new();
        hasher.update(&self.head);
        hasher.update(&self.recent[self.recent.len().saturating_sub(EDGE_BYTES)..]);
        hasher.update(&self.length.to_le_bytes());
        hasher.digest128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_does_not_depend_on_how_the_content_was_cut() {
        let content: Vec<u8> = (0..400_000u32).flat_map(|i| i.to_le_bytes()).collect();
        for length in [0, 1, 1_000, EDGE_BYTES, EDGE_BYTES + 1, 3 * EDGE_BYTES, content.len()] {
            let whole = fed(&content[..length], content.len());
            for cut in [1_usize << 9, 7_777, EDGE_BYTES - 1, EDGE_BYTES, 200_000] {
                assert_eq!(fed(&content[..length], cut), whole, "length {length}, cut {cut}");
            }
            let [head, tail] = Prefix::edges(length as u64).map(|r| content[r.start as usize..r.end as usize].to_vec());
            assert_eq!(Prefix::from_edges(length as u64, head, tail).fingerprint(), whole, "edges of {length}");
        }
    }

    fn fed(content: &[u8], cut: usize) -> u128 {
        let mut prefix = Prefix::default();
        content.chunks(cut).for_each(|part| prefix.update(part));
        prefix.fingerprint()
    }

    #[test]
    fn a_change_at_either_end_changes_the_fingerprint() {
        let content = vec![7u8; 3 * EDGE_BYTES];
        for place in [0, EDGE_BYTES - 1, 2 * EDGE_BYTES, 3 * EDGE_BYTES - 1] {
            let mut changed = content.clone();
            changed[place] = 8;
            assert_ne!(fed(&changed, 1 << 20), fed(&content, 1 << 20), "byte {place}");
        }
        assert_ne!(fed(&content[1..], 1 << 20), fed(&content, 1 << 20), "length");
    }
}

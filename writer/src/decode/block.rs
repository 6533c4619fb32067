//! Sixteen bytes at a time: which of them does a scanner have to stop at?
//!
//! The loops over the bytes of a block have no branches and a fixed length, so that the compiler makes a few vector
//! instructions of each, without unsafe code.

/// Bytes in a block.
pub(super) const BLOCK: usize = 16;

/// Marked bytes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks(u128);

impl Marks {
    /// Marks the bytes that `wanted` says yes to.
    #[inline(always)]
    fn of(block: &[u8; BLOCK], wanted: impl Fn(u8) -> bool) -> Self {
        let mut marks = [0; BLOCK];
        for (mark, byte) in marks.iter_mut().zip(block) {
            *mark = if wanted(*byte) { 0xff } else { 0 };
        }
        Marks(u128::from_le_bytes(marks))
    }

    /// Returns the place of the first marked byte.
    #[inline(always)]
    pub(super) fn first(self) -> Option<usize> {
        let (low, high) = (self.0 as u64, (self.0 >> 64) as u64);
        match (low, high) {
            (0, 0) => None,
            (0, high) => Some(8 + high.trailing_zeros() as usize / 8),
            (low, _) => Some(low.trailing_zeros() as usize / 8),
        }
    }
}

/// Marks what ends or interrupts a string literal: quotation marks, backslashes and control characters.
#[inline(always)]
pub(super) fn string_marks(block: &[u8; BLOCK]) -> Marks {
    Marks::of(block, |b| (b == b'"') | (b == b'\\') | (b < 0x20))
}

/// Marks `" , { } [ ]` and line breaks.
#[inline(always)]
pub(super) fn structure_marks(block: &[u8; BLOCK]) -> Marks {
    // Brackets and braces differ in one bit.
    Marks::of(block, |b| (b | 0x20 == b'{') | (b | 0x20 == b'}') | (b == b'"') | (b == b',') | (b == b'\n'))
}

/// Returns something other than zero if a byte of the block is not ASCII.
#[inline(always)]
pub(super) fn beyond_ascii(block: &[u8; BLOCK]) -> u64 {
    let word = u128::from_le_bytes(*block);
    (word as u64 | (word >> 64) as u64) & 0x8080_8080_8080_8080
}

/// Returns the block at `at`, filled up with zeros behind the end of `bytes`.
#[inline(always)]
pub(super) fn block_at(bytes: &[u8], at: usize) -> [u8; BLOCK] {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(block) => *block,
        None => last_block(bytes, at),
    }
}

#[cold]
fn last_block(bytes: &[u8], at: usize) -> [u8; BLOCK] {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// Returns the place of the first `wanted` at or after `from`. `wanted` is not NUL.
pub(super) fn find_byte(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let mut at = from;
    while at < bytes.len() {
        if let Some(found) = Marks::of(&block_at(bytes, at), |b| b == wanted).first() {
            return Some(at + found);
        }
        at += BLOCK;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(block: &[u8; BLOCK], wanted: impl Fn(u8) -> bool) -> Option<usize> {
        block.iter().position(|b| wanted(*b))
    }

    fn check(block: &[u8; BLOCK]) {
        assert_eq!(string_marks(block).first(), first(block, |b| b == b'"' || b == b'\\' || b < 0x20));
        assert_eq!(structure_marks(block).first(), first(block, |b| b"{}[]\",\n".contains(&b)));
        assert_eq!(beyond_ascii(block) != 0, !block.is_ascii());
    }

    proptest! {
        #[test]
        fn the_first_marked_byte_is_the_first_of_its_kind(block: [u8; BLOCK]) {
            check(&block);
        }
    }

    #[test]
    fn every_byte_is_told_apart_at_every_place() {
        for byte in 0..=255 {
            for place in 0..BLOCK {
                let mut block = [b'x'; BLOCK];
                block[place] = byte;
                check(&block);
            }
        }
    }

    #[test]
    fn a_byte_is_found_in_full_blocks_and_in_the_last_one() {
        let mut bytes = vec![b'a'; 50];
        assert_eq!(find_byte(&bytes, 0, b'\n'), None);
        for place in [49, 33, 16, 0] {
            bytes[place] = b'\n';
            assert_eq!(find_byte(&bytes, 0, b'\n'), Some(place));
        }
        assert_eq!(find_byte(&bytes, 17, b'\n'), Some(33));
        assert_eq!(find_byte(&bytes, 99, b'\n'), None);
    }
}

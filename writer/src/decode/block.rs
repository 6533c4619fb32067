//! Eight bytes at a time: which of them does a scanner have to stop at?
//!
//! A block is a 64-bit word whose lowest byte comes first. Marks are set by arithmetic on the whole word; a borrow may
//! set wrong marks, but only above a right one, so the *first* mark is always right, and no other one is asked for.

/// Bytes in a block.
pub(super) const BLOCK: usize = 8;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marked bytes of a block, of which only the first is to be trusted: the high bit of each is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks(u64);

impl Marks {
    /// Returns the place of the first marked byte.
    #[inline(always)]
    pub(super) fn first(self) -> Option<usize> {
        if self.0 == 0 { None } else { Some(self.0.trailing_zeros() as usize / 8) }
    }
}

/// Sets the high bit of each byte that equals `wanted`.
#[inline(always)]
fn equal(word: u64, wanted: u8) -> u64 {
    let difference = word ^ (ONES * u64::from(wanted));
    difference.wrapping_sub(ONES) & !difference & HIGHS
}

/// Sets the high bit of each byte below `limit`, which is at most 0x80.
#[inline(always)]
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGHS
}

/// Marks what ends or interrupts a string literal: quotation marks, backslashes and control characters.
#[inline(always)]
pub(super) fn string_marks(word: u64) -> Marks {
    Marks(equal(word, b'"') | equal(word, b'\\') | below(word, 0x20))
}

/// Marks `" , { } [ ]` and line breaks.
#[inline(always)]
pub(super) fn structure_marks(word: u64) -> Marks {
    // Brackets and braces differ in one bit.
    let folded = word | (ONES * 0x20);
    let brackets = equal(folded, b'{') | equal(folded, b'}');
    Marks(brackets | equal(word, b'"') | equal(word, b',') | equal(word, b'\n'))
}

/// Returns something other than zero if a byte of the block is not ASCII.
#[inline(always)]
pub(super) fn beyond_ascii(word: u64) -> u64 {
    word & HIGHS
}

/// Returns the block at `at`, filled up with zeros behind the end of `bytes`.
#[inline(always)]
pub(super) fn block_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(block) => u64::from_le_bytes(*block),
        None => last_block(bytes, at),
    }
}

#[cold]
fn last_block(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(block)
}

/// Returns the place of the first `wanted` at or after `from`. `wanted` is not NUL.
pub(super) fn find_byte(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let mut at = from;
    while at < bytes.len() {
        if let Some(found) = Marks(equal(block_at(bytes, at), wanted)).first() {
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
        let word = u64::from_le_bytes(*block);
        assert_eq!(string_marks(word).first(), first(block, |b| b == b'"' || b == b'\\' || b < 0x20));
        assert_eq!(structure_marks(word).first(), first(block, |b| b"{}[]\",\n".contains(&b)));
        assert_eq!(beyond_ascii(word) != 0, !block.is_ascii());
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

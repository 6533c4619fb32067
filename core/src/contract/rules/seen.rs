//! What is remembered of one object while it is read: which properties were there, and the few values that rules over
//! several properties look at. It has a fixed size and no allocation.

use crate::contract::model::MAX_PROPERTIES;
use crate::contract::read::MAX_COMPARED;

const WORDS: usize = MAX_PROPERTIES / 64;

/// A value that passed, read for its column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    /// Nothing was read: the text is what it is, or the contract takes any value.
    AsIs,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Long(i64),
    /// A number.
    Double(f64),
    /// Microseconds since 1970.
    Micros(i64),
    /// Days since 1970.
    Days(i32),
}

impl Scalar {
    /// Returns whether this is not above the other. Two whole numbers are compared exactly, a whole number with
    /// another number as doubles.
    pub(super) fn at_most(self, other: Scalar) -> bool {
        match (self, other) {
            (Scalar::Long(a), Scalar::Long(b)) | (Scalar::Micros(a), Scalar::Micros(b)) => a <= b,
            (Scalar::Days(a), Scalar::Days(b)) => a <= b,
            (Scalar::Double(a), Scalar::Double(b)) => a <= b,
            (Scalar::Long(a), Scalar::Double(b)) => a as f64 <= b,
            (Scalar::Double(a), Scalar::Long(b)) => a <= b as f64,
            // Compiled rules compare values of one kind only.
            _ => true,
        }
    }
}

/// A set of properties of one object, by index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits([u64; WORDS]);

impl Bits {
    pub(super) fn of(indexes: impl IntoIterator<Item = usize>) -> Bits {
        let mut bits = Bits::default();
        indexes.into_iter().for_each(|index| bits.add(index));
        bits
    }

    #[inline]
    pub(super) fn add(&mut self, index: usize) {
        self.0[index / 64 % WORDS] |= 1 << (index % 64);
    }

    #[inline]
    pub(super) fn remove(&mut self, index: usize) {
        self.0[index / 64 % WORDS] &= !(1 << (index % 64));
    }

    #[inline]
    pub(super) fn has(&self, index: usize) -> bool {
        self.0[index / 64 % WORDS] & 1 << (index % 64) != 0
    }

    /// Returns the lowest index that `self` has and `other` has not.
    #[inline]
    pub(super) fn first_beyond(&self, other: &Bits) -> Option<usize> {
        let beyond = |word: usize| self.0[word] & !other.0[word];
        let word = (0..WORDS).find(|word| beyond(*word) != 0)?;
        Some(word * 64 + beyond(word).trailing_zeros() as usize)
    }

    /// Counts the indexes that both have.
    pub(super) fn common(&self, other: &Bits) -> u32 {
        self.0.iter().zip(&other.0).map(|(a, b)| (a & b).count_ones()).sum()
    }
}

/// What was there of one object. Make one for each object that is read, or [clear](Seen::clear) one.
#[derive(Debug, Clone)]
pub struct Seen {
    pub(super) present: Bits,
    pub(super) conditions: u64,
    pub(super) compared: [Scalar; MAX_COMPARED],
}

impl Default for Seen {
    fn default() -> Self {
        Seen { present: Bits::default(), conditions: 0, compared: [Scalar::AsIs; MAX_COMPARED] }
    }
}

impl Seen {
    /// Forgets everything. Compared values need no clearing: they count only where the property was there.
    pub fn clear(&mut self) {
        self.present = Bits::default();
        self.conditions = 0;
    }

    /// Returns whether the property at `index` was there with a value other than null.
    pub fn has(&self, index: usize) -> bool {
        self.present.has(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_index_is_found_in_every_word() {
        for index in [0, 1, 63, 64, 127, 200, 255] {
            let required = Bits::of([index, 255]);
            assert_eq!(required.first_beyond(&Bits::default()), Some(index));
            assert_eq!(required.first_beyond(&Bits::of([index, 255])), None);
            assert_eq!(required.common(&Bits::of(0..256)), if index == 255 { 1 } else { 2 });
        }
    }

    #[test]
    fn numbers_are_compared_by_value() {
        assert!(Scalar::Long(i64::MAX - 1).at_most(Scalar::Long(i64::MAX)));
        assert!(!Scalar::Long(i64::MAX).at_most(Scalar::Long(i64::MAX - 1)));
        assert!(Scalar::Long(1).at_most(Scalar::Double(1.0)));
        assert!(!Scalar::Double(1.5).at_most(Scalar::Long(1)));
    }
}

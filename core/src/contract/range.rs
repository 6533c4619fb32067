//! Ranges of numbers, times and lengths, each side open, included or excluded.

use std::fmt;
use std::ops::Bound;

/// Values between two bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range<T> {
    /// Lower bound.
    pub low: Bound<T>,
    /// Upper bound.
    pub high: Bound<T>,
}

impl<T> Default for Range<T> {
    fn default() -> Self {
        Range { low: Bound::Unbounded, high: Bound::Unbounded }
    }
}

impl<T: PartialOrd> Range<T> {
    /// Returns whether the value lies inside.
    #[inline]
    pub fn contains(&self, value: &T) -> bool {
        let above = match &self.low {
            Bound::Included(low) => value >= low,
            Bound::Excluded(low) => value > low,
            Bound::Unbounded => true,
        };
        above
            && match &self.high {
                Bound::Included(high) => value <= high,
                Bound::Excluded(high) => value < high,
                Bound::Unbounded => true,
            }
    }

    /// Returns whether every value of `other` lies inside.
    pub fn covers(&self, other: &Range<T>) -> bool {
        let low = match (&self.low, &other.low) {
            (Bound::Unbounded, _) => true,
            (_, Bound::Unbounded) => false,
            (Bound::Excluded(ours), Bound::Included(theirs)) => ours < theirs,
            (Bound::Included(ours) | Bound::Excluded(ours), Bound::Included(theirs) | Bound::Excluded(theirs)) => {
                ours <= theirs
            }
        };
        low && match (&self.high, &other.high) {
            (Bound::Unbounded, _) => true,
            (_, Bound::Unbounded) => false,
            (Bound::Excluded(ours), Bound::Included(theirs)) => ours > theirs,
            (Bound::Included(ours) | Bound::Excluded(ours), Bound::Included(theirs) | Bound::Excluded(theirs)) => {
                ours >= theirs
            }
        }
    }

    /// Returns whether no value can lie inside.
    pub fn is_empty(&self) -> bool {
        match (&self.low, &self.high) {
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low >= high,
            _ => false,
        }
    }

    /// Returns whether both sides are open.
    pub fn is_unbounded(&self) -> bool {
        matches!((&self.low, &self.high), (Bound::Unbounded, Bound::Unbounded))
    }
}

impl<T> Range<T> {
    /// Changes both bounds.
    pub fn map<U>(&self, change: impl Fn(&T) -> U) -> Range<U> {
        Range { low: self.low.as_ref().map(&change), high: self.high.as_ref().map(&change) }
    }
}

impl<T: fmt::Display + PartialEq> fmt::Display for Range<T> {
    /// Says it in words that follow a noun: `from 1 to 5`, `above 0`, `of at least 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.low, &self.high) {
            (Bound::Unbounded, Bound::Unbounded) => Ok(()),
            (Bound::Included(low), Bound::Included(high)) if low == high => write!(f, "equal to {low}"),
            (Bound::Included(low), Bound::Included(high)) => write!(f, "from {low} to {high}"),
            (low, Bound::Unbounded) => write_low(f, low),
            (Bound::Unbounded, high) => write_high(f, high),
            (low, high) => {
                write_low(f, low)?;
                f.write_str(" and ")?;
                write_high(f, high)
            }
        }
    }
}

fn write_low<T: fmt::Display>(f: &mut fmt::Formatter<'_>, low: &Bound<T>) -> fmt::Result {
    match low {
        Bound::Included(low) => write!(f, "of at least {low}"),
        Bound::Excluded(low) => write!(f, "above {low}"),
        Bound::Unbounded => Ok(()),
    }
}

fn write_high<T: fmt::Display>(f: &mut fmt::Formatter<'_>, high: &Bound<T>) -> fmt::Result {
    match high {
        Bound::Included(high) => write!(f, "of at most {high}"),
        Bound::Excluded(high) => write!(f, "below {high}"),
        Bound::Unbounded => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound::{Excluded, Included, Unbounded};

    use super::*;

    const SIDES: [Bound<i32>; 7] =
        [Unbounded, Included(1), Included(2), Included(3), Excluded(1), Excluded(2), Excluded(3)];

    fn ranges() -> impl Iterator<Item = Range<i32>> {
        SIDES.into_iter().flat_map(|low| SIDES.into_iter().map(move |high| Range { low, high }))
    }

    /// Halves too, so that there is a value between each two bounds.
    fn values(range: Range<i32>) -> Vec<f64> {
        let range = range.map(|bound| f64::from(*bound));
        (0..=8).map(|n| f64::from(n) / 2.0).filter(|n| range.contains(n)).collect()
    }

    #[test]
    fn a_range_covers_another_when_it_has_all_its_values() {
        for (ours, theirs) in ranges().flat_map(|a| ranges().map(move |b| (a, b))) {
            let all = values(theirs).iter().all(|value| values(ours).contains(value));
            if !theirs.is_empty() {
                assert_eq!(ours.covers(&theirs), all, "{ours:?} {theirs:?}");
            }
        }
    }

    #[test]
    fn a_range_is_empty_when_it_has_no_values() {
        for range in ranges() {
            assert_eq!(range.is_empty(), values(range).is_empty(), "{range:?}");
        }
    }

    #[test]
    fn a_range_reads_well_after_a_noun() {
        let text = |low, high| Range { low, high }.to_string();
        assert_eq!(text(Included(1), Included(5)), "from 1 to 5");
        assert_eq!(text(Included(3), Included(3)), "equal to 3");
        assert_eq!(text(Excluded(0), Unbounded), "above 0");
        assert_eq!(text(Unbounded, Included(9)), "of at most 9");
        assert_eq!(text(Included(1), Excluded(9)), "of at least 1 and below 9");
        assert_eq!(text(Unbounded, Unbounded), "");
    }
}

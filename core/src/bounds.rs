//! Bounds of settings: a number outside is refused with its key, its value and the bound.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer};

use crate::{Error, Result};

/// Seconds of a year, the longest time that most settings say.
pub const YEAR_SECONDS: u64 = 366 * 24 * 60 * 60;
/// A billion, the most of what a setting says to keep in memory: some tens of GB.
pub const BILLION: u64 = 1_000_000_000;
/// Most bytes of what waits in memory, a TiB: more than machines have.
pub const TIB: u64 = 1 << 40;
/// Most bytes of what is one piece in memory, a GiB: places in it stay far from the end of 32 bits.
pub const GIB: u64 = 1 << 30;

/// Checks that `value`, which the setting `key` has, lies in `bounds`. `key` is the whole key, its table included.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming key, value and the bound that it passes.
pub fn check(key: &str, value: u64, bounds: RangeInclusive<u64>) -> Result<()> {
    let (least, most) = bounds.into_inner();
    if value < least {
        return Err(Error::invalid(format!("`{key}` = {value} is too small: set it to {least} or more")));
    }
    if value > most {
        return Err(Error::invalid(format!("`{key}` = {value} is too large: set it to {most} or less")));
    }
    Ok(())
}

/// Checks several settings, as [`check`] does.
///
/// # Errors
/// For the first that lies outside.
pub fn check_all<const N: usize>(settings: [(&str, u64, RangeInclusive<u64>); N]) -> Result<()> {
    settings.into_iter().try_for_each(|(key, value, bounds)| check(key, value, bounds))
}

/// Reads a number that a narrow integer is to hold; what it cannot hold becomes its end, which [`check`] then refuses by name.
///
/// # Errors
/// For what is no number.
pub fn clamped<'de, D: Deserializer<'de>, T: TryFrom<i128> + Narrow>(from: D) -> std::result::Result<T, D::Error> {
    let number = i128::deserialize(from)?;
    Ok(T::try_from(number).unwrap_or(if number < 0 { T::LEAST } else { T::MOST }))
}

/// An integer with ends.
pub trait Narrow {
    /// The smallest.
    const LEAST: Self;
    /// The greatest.
    const MOST: Self;
}

impl Narrow for u32 {
    const LEAST: Self = u32::MIN;
    const MOST: Self = u32::MAX;
}

impl Narrow for i32 {
    const LEAST: Self = i32::MIN;
    const MOST: Self = i32::MAX;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_themselves_are_inside() {
        assert!(check("a.b", 2, 2..=9).is_ok() && check("a.b", 9, 2..=9).is_ok());
        assert_eq!(check("a.b", 1, 2..=9).expect_err("below").message(), "`a.b` = 1 is too small: set it to 2 or more");
        assert_eq!(
            check("a.b", 10, 2..=9).expect_err("above").message(),
            "`a.b` = 10 is too large: set it to 9 or less"
        );
    }

    #[test]
    fn what_a_narrow_integer_cannot_hold_becomes_its_end() {
        #[derive(Deserialize)]
        struct Narrowed(#[serde(deserialize_with = "clamped")] u32, #[serde(deserialize_with = "clamped")] i32);
        let read = |text| serde_json::from_str::<Narrowed>(text).map(|n| (n.0, n.1));
        assert_eq!(read("[7, -7]").expect("numbers"), (7, -7));
        assert_eq!(read("[18446744073709551615, 18446744073709551615]").expect("numbers"), (u32::MAX, i32::MAX));
        assert_eq!(read("[-1, -9223372036854775808]").expect("numbers"), (0, i32::MIN));
        assert!(read(r#"["x", 1]"#).is_err());
    }
}

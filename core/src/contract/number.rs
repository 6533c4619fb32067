//! JSON numbers as they are written, read as 64-bit integers without going through a double.

use std::num::IntErrorKind;

/// Reads a JSON number that is a whole number: `12`, `-3`, but also `1.20e1`, for JSON does not tell them apart.
/// `None` when it has a fraction or does not fit 64 bits; [`is_whole`] tells which.
#[inline]
pub(super) fn integer(raw: &[u8]) -> Option<i64> {
    plain(raw).or_else(|| decimal(raw))
}

/// Reads digits of which there are too few to overflow.
#[inline]
fn plain(raw: &[u8]) -> Option<i64> {
    const MAX_DIGITS: usize = 18;
    let (negative, digits) = match raw {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > MAX_DIGITS {
        return None;
    }
    let number = digits.iter().try_fold(0, |n: i64, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))?;
    Some(if negative { -number } else { number })
}

/// Reads any form by its digits and the place of its point.
#[cold]
fn decimal(raw: &[u8]) -> Option<i64> {
    let Decimal { negative, digits, exponent } = Decimal::of(raw)?;
    if digits.is_empty() {
        return Some(0);
    }
    let zeros = u32::try_from(exponent).ok()?;
    let scale = 10_i128.checked_pow(zeros)?;
    let number = digits.iter().try_fold(0_i128, |n, b| n.checked_mul(10)?.checked_add(i128::from(b - b'0')))?;
    let number = number.checked_mul(scale)?;
    i64::try_from(if negative { -number } else { number }).ok()
}

/// Returns whether a JSON number is a whole number of any size.
#[cold]
pub(super) fn is_whole(raw: &[u8]) -> bool {
    Decimal::of(raw).is_some_and(|decimal| decimal.digits.is_empty() || decimal.exponent >= 0)
}

/// `± digits × 10^exponent`, without zeros at either end of the digits.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn of(raw: &[u8]) -> Option<Decimal> {
        let text = str::from_utf8(raw).ok()?;
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let mut digits = [whole, fraction].concat().into_bytes();
        let mut exponent = clamped(exponent)?.saturating_sub(fraction.len() as i64);
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent = exponent.saturating_add(1);
        }
        digits.drain(..digits.iter().take_while(|digit| **digit == b'0').count());
        Some(Decimal { negative: mantissa.starts_with('-'), digits, exponent })
    }
}

/// Reads an exponent. One beyond 64 bits becomes the nearest within: no number has digits enough to make up for either.
fn clamped(exponent: &str) -> Option<i64> {
    match exponent.parse::<i64>() {
        Ok(exponent) => Some(exponent),
        Err(e) if *e.kind() == IntErrorKind::NegOverflow => Some(i64::MIN),
        Err(e) if *e.kind() == IntErrorKind::PosOverflow => Some(i64::MAX),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers_are_read_in_every_form() {
        for (raw, number) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.0e5", Some(0)),
            ("12", Some(12)),
            ("-12.0", Some(-12)),
            ("1.20e1", Some(12)),
            ("1200E-2", Some(12)),
            ("0.0012e4", Some(12)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("9223372036854775808", None),
            ("1e19", None),
            ("1e300", None),
            ("1.5", None),
            ("12e-1", None),
            ("1e-99999999999999999999", None),
            ("10e-99999999999999999999", None),
            ("1.5e-9223372036854775808", None),
            ("1e99999999999999999999", None),
            ("1.0e+99999999999999999999", None),
            ("0.1e9223372036854775807", None),
            ("0e99999999999999999999", Some(0)),
            ("-0.00e-99999999999999999999", Some(0)),
        ] {
            assert_eq!(integer(raw.as_bytes()), number, "{raw}");
        }
    }

    #[test]
    fn a_whole_number_that_does_not_fit_is_still_whole() {
        for raw in [
            "1e19",
            "9223372036854775808",
            "1e300",
            "0.0",
            "10e-1",
            "1e99999999999999999999",
            "0.0e-99999999999999999999",
        ] {
            assert!(is_whole(raw.as_bytes()), "{raw}");
        }
        for raw in ["1.5", "1e-1", "123456789012345678901234567890.5", "100e-99999999999999999999"] {
            assert!(!is_whole(raw.as_bytes()), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn every_integer_is_read_back(number: i64, zeros in 0..5_usize) {
            let fraction = if zeros > 0 { format!(".{}", "0".repeat(zeros)) } else { String::new() };
            prop_assert_eq!(integer(format!("{number}{fraction}").as_bytes()), Some(number));
        }
    }
}

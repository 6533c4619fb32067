//! JSON text built by hand: [`put!`] appends literals and values to a buffer without a tree in between.

/// A value that can be appended to JSON text. Strings are appended as they are: constants of this module's siblings are
/// already escaped.
pub(crate) trait Put {
    /// Appends it to `out`.
    fn put(&self, out: &mut Vec<u8>);
}

/// Appends each part to the buffer, in order.
macro_rules! put {
    ($out:expr, $($part:expr),+ $(,)?) => {{
        let out: &mut Vec<u8> = $out;
        $($crate::generate::text::Put::put(&$part, out);)+
    }};
}
pub(crate) use put;

impl Put for str {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Put for String {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Put for [u8] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<T: Put + ?Sized> Put for &T {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
}

impl Put for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        let mut left = *self;
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        out.extend_from_slice(&digits[at..]);
    }
}

impl Put for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

/// Hundredths, written as a decimal number: 1250 is `12.50`.
pub(crate) struct Hundredths(pub(crate) u64);

impl Put for Hundredths {
    fn put(&self, out: &mut Vec<u8>) {
        (self.0 / 100).put(out);
        let rest = (self.0 % 100) as u8;
        out.extend_from_slice(&[b'.', b'0' + rest / 10, b'0' + rest % 10]);
    }
}

/// The 8-4-4-4-12 form of a UUID, in lower case.
pub(crate) struct Uuid(pub(crate) u128);

/// The same in upper case, as Apple's libraries write it.
pub(crate) struct UpperUuid(pub(crate) u128);

/// Lower-case hexadecimal digits, as many as asked for (at most 16), from the low end.
pub(crate) struct Hex(pub(crate) u64, pub(crate) usize);

impl Put for Uuid {
    fn put(&self, out: &mut Vec<u8>) {
        put_uuid(self.0, b"0123456789abcdef", out);
    }
}

impl Put for UpperUuid {
    fn put(&self, out: &mut Vec<u8>) {
        put_uuid(self.0, b"0123456789ABCDEF", out);
    }
}

impl Put for Hex {
    fn put(&self, out: &mut Vec<u8>) {
        for i in (0..self.1).rev() {
            out.push(b"0123456789abcdef"[(self.0 >> (4 * i)) as usize & 15]);
        }
    }
}

fn put_uuid(bits: u128, digits: &[u8; 16], out: &mut Vec<u8>) {
    let mut text = [b'-'; 36];
    let mut at = 0;
    for i in (0..32).rev() {
        if matches!(at, 8 | 13 | 18 | 23) {
            at += 1;
        }
        text[at] = digits[(bits >> (4 * i)) as usize & 15];
        at += 1;
    }
    out.extend_from_slice(&text);
}

/// A time in milliseconds since 1970, written as `2026-01-15T00:00:00.000Z`: always 24 bytes, so that a re-sent event
/// can be stamped anew in place.
pub(crate) struct Time(pub(crate) i64);

impl Time {
    /// Length of the text in bytes.
    pub(crate) const BYTES: usize = 24;

    /// Returns the text.
    pub(crate) fn text(&self) -> [u8; Self::BYTES] {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil(days);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (at, width, value) in [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, ms / 3_600_000),
            (14, 2, ms / 60_000 % 60),
            (17, 2, ms / 1_000 % 60),
            (20, 3, ms % 1_000),
        ] {
            let mut left = value;
            for digit in text[at..at + width].iter_mut().rev() {
                *digit = b'0' + (left % 10) as u8;
                left /= 10;
            }
        }
        text
    }
}

impl Put for Time {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text());
    }
}

/// Returns year, month and day of a day since 1970 in the Gregorian calendar. Years start in March here, so that the
/// leap day is the last day of a year.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // since 0000-03-01
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(part: &impl Put) -> String {
        let mut out = Vec::new();
        part.put(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn times_equal_those_of_a_calendar_library() {
        for ms in [0, 951_782_400_123, 951_868_799_999, 1_767_225_599_000, 1_768_435_200_000, -1, -86_400_001] {
            let expected = chrono::DateTime::from_timestamp_millis(ms).expect("in range");
            assert_eq!(text(&Time(ms)), expected.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
        }
    }

    #[test]
    fn numbers_and_ids_are_written_in_full() {
        assert_eq!(text(&0_u64), "0");
        assert_eq!(text(&u64::MAX), "18446744073709551615");
        assert_eq!(text(&Hundredths(1205)), "12.05");
        assert_eq!(text(&Uuid(0x1234)), "00000000-0000-0000-0000-000000001234");
        assert_eq!(text(&UpperUuid(0xabcd)), "00000000-0000-0000-0000-00000000ABCD");
        assert_eq!(text(&Hex(0xabc, 4)), "0abc");
    }
}

//! Timestamps as events carry them: ISO 8601 text in the profile of RFC 3339, or integer milliseconds since 1970.

/// What is accepted, as told in quarantine rows.
pub const EXPECTED: &str =
    "ISO 8601 date and time with `Z` or an offset, or integer milliseconds since 1970 (12 or 13 digits)";

/// Reads `YYYY-MM-DDTHH:MM:SS`, an optional fraction of any length, and `Z`, `±HH:MM`, `±HHMM` or `±HH`, as microseconds
/// since 1970. Digits beyond microseconds are cut off; second 60 is the first of the next minute; a blank may stand for
/// the `T`.
pub fn parse_iso(text: &[u8]) -> Option<i64> {
    let (fixed, rest) = text.split_first_chunk::<19>()?;
    if [fixed[4], fixed[7], fixed[13], fixed[16]] != *b"--::" || !matches!(fixed[10], b'T' | b't' | b' ') {
        return None;
    }
    let year = digits(&fixed[..4])?;
    let (month, day) = (digits(&fixed[5..7])?, digits(&fixed[8..10])?);
    let (hour, minute, second) = (digits(&fixed[11..13])?, digits(&fixed[14..16])?, digits(&fixed[17..])?);
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (micros, zone) = fraction(rest)?;
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset(zone)?;
    Some(seconds * 1_000_000 + micros)
}

/// Reads integer milliseconds since 1970, of 12 or 13 digits, as microseconds: shorter ones would be seconds, longer
/// ones microseconds.
pub fn parse_millis(number: &[u8]) -> Option<i64> {
    if !(12..=13).contains(&number.len()) || number[0] == b'0' {
        return None;
    }
    Some(digits(number)? * 1_000)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// Splits microseconds off the front; zero when there is no fraction.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', rest)) = text.split_first() else {
        return Some((0, text));
    };
    let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (fraction, zone) = rest.split_at(length);
    let kept = &fraction[..length.min(6)];
    Some((digits(kept)? * 10_i64.pow(6 - kept.len() as u32), zone))
}

/// Reads the offset from UTC in seconds.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone {
        b"Z" | b"z" => return Some(0),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, [*h1, *h2], [*m1, *m2]),
        [sign, h1, h2] => (sign, [*h1, *h2], [b'0', b'0']),
        _ => return None,
    };
    let (hours, minutes) = (digits(&hours)?, digits(&minutes)?);
    let seconds = hours * 3_600 + minutes * 60;
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// Returns how many days a month has.
pub fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts days in the proleptic Gregorian calendar. Years are counted from March, so that the leap day comes last.
pub fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    /// Days from 1 March of the year 0 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    year * 365 + leap_days + day_of_year - EPOCH
}

/// Reads `YYYY-MM-DD` as days since 1970.
pub fn parse_date(text: &[u8]) -> Option<i64> {
    let date: &[u8; 10] = text.try_into().ok()?;
    if [date[4], date[7]] != *b"--" {
        return None;
    }
    let (year, month, day) = (digits(&date[..4])?, digits(&date[5..7])?, digits(&date[8..])?);
    let exists = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    exists.then(|| days_since_1970(year, month, day))
}

/// Writes microseconds since 1970 as `YYYY-MM-DDTHH:MM:SS.ffffffZ`, for people.
pub fn format_iso(micros: i64) -> String {
    match chrono::DateTime::from_timestamp_micros(micros) {
        Some(time) => time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        None => format!("{micros} microseconds since 1970"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, FixedOffset, SecondsFormat};
    use proptest::prelude::*;

    use super::*;

    fn by_chrono(text: &str) -> Option<i64> {
        DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_micros())
    }

    #[test]
    fn agrees_with_chrono_on_good_and_bad_text() {
        for text in [
            "2026-11-22T23:35:01Z",
            "2026-11-22t23:35:01.5z",
            "2026-11-22 23:35:01.123456789+05:30",
            "2024-02-29T00:00:00.000-11:59",
            "1969-12-31T23:59:59.999999Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999Z",
            "2016-12-31T23:59:60Z",
            "2000-02-29T12:00:00+00:00",
            "1900-02-29T12:00:00Z",
            "2023-02-29T12:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+00:60",
            "2026-01-01T00:00:00 Z",
            "2026-01-01",
            "20260101T000000Z",
            "2026-01-01T00:00:00ZZ",
            "+2026-01-01T00:00:00Z",
            "2026-01-01T00:00:0xZ",
            "",
        ] {
            assert_eq!(parse_iso(text.as_bytes()), by_chrono(text), "{text}");
        }
    }

    #[test]
    fn iso_8601_allows_more_than_rfc_3339() {
        let utc = parse_iso(b"2026-11-22T23:35:01.25Z");
        for text in ["2026-11-23T01:35:01.25+0200", "2026-11-23T01:35:01.25+02", "2026-11-22T23:35:01,25Z"] {
            assert_eq!(parse_iso(text.as_bytes()), utc, "{text}");
        }
    }

    #[test]
    fn integers_are_milliseconds_and_nothing_else() {
        assert_eq!(parse_millis(b"1795390501123"), Some(1_795_390_501_123_000));
        for text in ["1795390501", "1795390501123456", "-795390501123", "1.95390501123", "0795390501123"] {
            assert_eq!(parse_millis(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_chrono_on_every_time(
            seconds in -62_135_596_800_i64..253_402_300_799,
            nanos in 0..1_000_000_000_u32,
            offset_minutes in -1_439..1_440,
            form in prop::sample::select(vec![
                SecondsFormat::Secs, SecondsFormat::Millis, SecondsFormat::Micros, SecondsFormat::Nanos,
            ]),
        ) {
            let zone = FixedOffset::east_opt(offset_minutes * 60).expect("offset");
            let text = DateTime::from_timestamp(seconds, nanos).expect("time").with_timezone(&zone).to_rfc3339_opts(form, true);
            prop_assert_eq!(parse_iso(text.as_bytes()), by_chrono(&text), "{}", text);
        }

        #[test]
        fn agrees_with_chrono_after_one_byte_changed(place in 0..29_usize, byte in 0x20..0x7f_u8) {
            let mut text = b"2026-11-22T23:35:01.123+01:30".to_vec();
            text[place] = byte;
            let text = String::from_utf8(text).expect("ascii");
            if let Some(expected) = by_chrono(&text) {
                prop_assert_eq!(parse_iso(text.as_bytes()), Some(expected), "{}", text);
            } else if parse_iso(text.as_bytes()).is_some() {
                prop_assert_eq!(byte, b',', "{}", text);
            }
        }
    }
}

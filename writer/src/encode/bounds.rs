//! The smallest and largest value of a column, as a manifest tells them.

use iceberg::spec::Datum;
use icefold_core::tables::ColumnType;
use parquet::data_type::AsBytes;
use parquet::file::statistics::Statistics;

/// Smallest and largest value seen so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Bounds {
    /// Nothing but nulls so far.
    #[default]
    Unseen,
    /// Of whole numbers and timestamps.
    Numbers(i64, i64),
    /// Of text and bytes. The ends may have been cut, the upper one upwards.
    Bytes(Vec<u8>, Vec<u8>),
    /// Values were there, but their bounds were not told.
    Unknown,
}

impl Bounds {
    /// Widens the bounds by those of another row group, of which `values` are not null.
    #[must_use]
    pub fn and(self, statistics: Option<&Statistics>, values: u64) -> Bounds {
        if values == 0 {
            return self;
        }
        match (self, statistics.map_or(Bounds::Unknown, Bounds::of)) {
            (Bounds::Unseen, other) => other,
            (Bounds::Numbers(a, b), Bounds::Numbers(c, d)) => Bounds::Numbers(a.min(c), b.max(d)),
            (Bounds::Bytes(a, b), Bounds::Bytes(c, d)) => Bounds::Bytes(a.min(c), b.max(d)),
            _ => Bounds::Unknown,
        }
    }

    fn of(statistics: &Statistics) -> Bounds {
        match statistics {
            Statistics::Int32(s) => numbers(s.min_opt().copied(), s.max_opt().copied()),
            Statistics::Int64(s) => numbers(s.min_opt().copied(), s.max_opt().copied()),
            Statistics::ByteArray(s) => match (s.min_opt(), s.max_opt()) {
                (Some(min), Some(max)) => Bounds::Bytes(min.as_bytes().to_vec(), max.as_bytes().to_vec()),
                _ => Bounds::Unknown,
            },
            _ => Bounds::Unknown,
        }
    }

    /// Returns lower and upper bound for a manifest, cut to `length` characters or bytes; the upper one is rounded up,
    /// and missing when that cannot be done.
    pub fn datums(&self, kind: ColumnType, length: Option<usize>) -> (Option<Datum>, Option<Datum>) {
        let length = length.unwrap_or(usize::MAX);
        match (self, kind) {
            (Bounds::Numbers(min, max), ColumnType::Int) => (int(*min), int(*max)),
            (Bounds::Numbers(min, max), ColumnType::Long) => (Some(Datum::long(*min)), Some(Datum::long(*max))),
            (Bounds::Numbers(min, max), ColumnType::Date) => (date(*min), date(*max)),
            (Bounds::Numbers(min, max), ColumnType::Timestamp) => {
                (Some(Datum::timestamptz_micros(*min)), Some(Datum::timestamptz_micros(*max)))
            }
            (Bounds::Bytes(min, max), ColumnType::String) => {
                let text = |bytes| std::str::from_utf8(bytes).ok();
                let lower = text(min).map(|t| Datum::string(text_before(t, length)));
                (lower, text(max).and_then(|t| text_after(t, length)).map(Datum::string))
            }
            (Bounds::Bytes(min, max), ColumnType::Binary) => {
                let lower = Datum::binary(min[..min.len().min(length)].iter().copied());
                (Some(lower), bytes_after(max, length).map(Datum::binary))
            }
            _ => (None, None),
        }
    }
}

fn numbers(min: Option<impl Into<i64>>, max: Option<impl Into<i64>>) -> Bounds {
    match (min, max) {
        (Some(min), Some(max)) => Bounds::Numbers(min.into(), max.into()),
        _ => Bounds::Unknown,
    }
}

fn int(value: i64) -> Option<Datum> {
    i32::try_from(value).ok().map(Datum::int)
}

fn date(day: i64) -> Option<Datum> {
    i32::try_from(day).ok().map(Datum::date)
}

/// The first `length` characters: not above `text`.
fn text_before(text: &str, length: usize) -> &str {
    text.char_indices().nth(length).map_or(text, |(end, _)| &text[..end])
}

/// The shortest text of at most `length` characters that is not below `text` and shares its beginning.
fn text_after(text: &str, length: usize) -> Option<String> {
    let cut = text_before(text, length);
    if cut.len() == text.len() {
        return Some(text.to_owned());
    }
    let mut chars: Vec<char> = cut.chars().collect();
    while let Some(last) = chars.pop() {
        if let Some(next) = next_char(last) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

fn next_char(c: char) -> Option<char> {
    match c {
        // Between these two lie the surrogates, which are no characters.
        '\u{D7FF}' => Some('\u{E000}'),
        _ => char::from_u32(c as u32 + 1),
    }
}

fn bytes_after(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    if bytes.len() <= length {
        return Some(bytes.to_vec());
    }
    let mut cut = bytes[..length].to_vec();
    while let Some(last) = cut.pop() {
        if let Some(next) = last.checked_add(1) {
            cut.push(next);
            return Some(cut);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cut_text_bounds_hold_the_text(text in any::<String>(), length in 1usize..20) {
            prop_assert!(text_before(&text, length) <= text.as_str());
            let upper = text_after(&text, length);
            prop_assert!(upper.is_none_or(|u| u >= text && u.chars().count() <= length.max(text.chars().count())));
        }

        #[test]
        fn cut_byte_bounds_hold_the_bytes(bytes in prop::collection::vec(250u8.., 0..20), length in 1usize..20) {
            prop_assert!(bytes_after(&bytes, length).is_none_or(|u| u >= bytes));
        }
    }

    #[test]
    fn an_upper_bound_is_rounded_up_or_left_out() {
        assert_eq!(text_after("abcdef", 3).as_deref(), Some("abd"));
        assert_eq!(text_after("ab\u{10FFFF}def", 3).as_deref(), Some("ac"));
        assert_eq!(text_after("a\u{D7FF}x", 2).as_deref(), Some("a\u{E000}"));
        assert_eq!(text_after("\u{10FFFF}\u{10FFFF}", 1), None);
        assert_eq!(bytes_after(&[1, 255, 3], 2), Some(vec![2]));
        assert_eq!(bytes_after(&[255, 255], 1), None);
    }

    #[test]
    fn a_row_group_without_values_does_not_matter_and_one_without_bounds_ends_them() {
        let one = Bounds::Numbers(1, 1);
        assert_eq!(one.clone().and(None, 0), one);
        assert_eq!(one.and(None, 1), Bounds::Unknown);
        assert_eq!(Bounds::Unseen.and(None, 0), Bounds::Unseen);
    }
}

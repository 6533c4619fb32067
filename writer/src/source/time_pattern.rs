//! Times in the names of files: `2026-11-22/14/part-7.gz` by the pattern `%Y-%m-%d/%H`.

use chrono::NaiveDate;
use icefold_core::{Error, Result};
use regex::{Captures, Regex};

/// The parts of a time from the coarsest to the finest; a pattern names the first three of them at least, and none without
/// those before it.
const PARTS: [Part; 6] = [
    Part { word: 'Y', digits: 4, what: "year" },
    Part { word: 'm', digits: 2, what: "month" },
    Part { word: 'd', digits: 2, what: "day" },
    Part { word: 'H', digits: 2, what: "hour" },
    Part { word: 'M', digits: 2, what: "minute" },
    Part { word: 'S', digits: 2, what: "second" },
];

struct Part {
    /// As in strftime.
    word: char,
    digits: usize,
    what: &'static str,
}

/// Where a time stands in a name, in words of strftime: `%Y %m %d %H %M %S`, `%%`, and text that stands for itself. The time is
/// in UTC; what is finer than the pattern says is 0.
#[derive(Debug, Clone)]
pub struct TimePattern {
    form: Regex,
}

impl TimePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`InvalidInput`](icefold_core::ErrorKind::InvalidInput) for one that has another word than those above, one of them
    /// twice, or does not say the day, or a part but not the coarser one; with an example.
    pub fn parse(pattern: &str) -> Result<Self> {
        let mut form = String::new();
        let mut named = [false; PARTS.len()];
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            match (c, if c == '%' { rest.next() } else { None }) {
                ('%', Some('%')) => form.push('%'),
                ('%', Some(word)) => {
                    let part = PARTS.iter().position(|part| part.word == word);
                    let part = part.ok_or_else(|| refused(pattern, format!("has `%{word}`, which is not known")))?;
                    if std::mem::replace(&mut named[part], true) {
                        return Err(refused(pattern, format!("has `%{word}` twice")));
                    }
                    form.push_str(&format!("(?<{word}>[0-9]{{{}}})", PARTS[part].digits));
                }
                ('%', None) => return Err(refused(pattern, "ends with `%`".to_owned())),
                (text, _) => form.push_str(&regex::escape(text.encode_utf8(&mut [0; 4]))),
            }
        }
        let needed = named.iter().rposition(|named| *named).map_or(3, |finest| finest.max(2) + 1);
        if let Some(missing) = named[..needed].iter().position(|named| !named) {
            let Part { word, what, .. } = &PARTS[missing];
            return Err(refused(pattern, format!("does not say the {what} (`%{word}`)")));
        }
        let form = Regex::new(&form).map_err(|e| refused(pattern, "is too long".to_owned()).because(e))?;
        Ok(TimePattern { form })
    }

    /// Returns the first time in `name` that has the form and exists, in microseconds since 1970.
    pub fn find(&self, name: &str) -> Option<i64> {
        let mut from = 0;
        while let Some(found) = self.form.captures_at(name, from) {
            if let Some(time) = time(&found) {
                return Some(time);
            }
            // A form of digits alone may begin inside of what only looked like one.
            let start = found.get(0)?.start();
            from = start + name[start..].chars().next()?.len_utf8();
        }
        None
    }
}

fn time(found: &Captures<'_>) -> Option<i64> {
    let part = |word: &str| found.name(word).map_or(Some(0), |digits| digits.as_str().parse::<u32>().ok());
    let day = NaiveDate::from_ymd_opt(i32::try_from(part("Y")?).ok()?, part("m")?, part("d")?)?;
    Some(day.and_hms_opt(part("H")?, part("M")?, part("S")?)?.and_utc().timestamp_micros())
}

fn refused(pattern: &str, why: String) -> Error {
    Error::invalid(format!(
        "time pattern `{pattern}` {why}: it is made of %Y, %m, %d, then %H, %M, %S as far as names go, and text, for example \
         `%Y-%m-%d/%H` or `%Y%m%d-%H%M`"
    ))
}

#[cfg(test)]
mod tests {
    use icefold_core::timestamp::format_iso;

    use super::*;

    fn found(pattern: &str, name: &str) -> Option<String> {
        TimePattern::parse(pattern).expect(pattern).find(name).map(format_iso)
    }

    #[test]
    fn a_time_is_found_anywhere_in_a_name() {
        for (pattern, name, time) in [
            ("%Y-%m-%d/%H", "2026-11-22/14/part-7.ndjson.gz", "2026-11-22T14:00:00Z"),
            ("%Y%m%d-%H%M", "web/clicks-20261122-1405.zst", "2026-11-22T14:05:00Z"),
            ("%Y%m%d%H%M%S", "x20261122140507", "2026-11-22T14:05:07Z"),
            ("%Y-%m-%d", "access.log-2026-11-22", "2026-11-22T00:00:00Z"),
            ("%d.%m.%Y", "log 22.11.2026", "2026-11-22T00:00:00Z"),
            ("100%%/%Y(%m)%d", "100%/2026(11)22", "2026-11-22T00:00:00Z"),
            ("dt=%Y-%m-%d/hour=%H", "dt=2026-11-22/hour=03/a", "2026-11-22T03:00:00Z"),
        ] {
            assert_eq!(found(pattern, name).as_deref(), Some(time), "{pattern} in {name}");
        }
    }

    #[test]
    fn what_has_the_form_and_is_no_time_is_passed_over() {
        assert_eq!(found("%Y%m%d", "20269999/id-120261122-é").as_deref(), Some("2026-11-22T00:00:00Z"));
        for name in ["2026-13-01", "2026-02-30", "26-11-22", "notes.txt", "", "2026.11.22"] {
            assert_eq!(found("%Y-%m-%d", name), None, "{name}");
        }
        assert_eq!(found("%Y-%m-%d %H", "2026-11-22 24"), None);
    }

    #[test]
    fn a_pattern_that_does_not_say_the_day_is_refused_with_an_example() {
        for (pattern, why) in [
            ("", "does not say the year (`%Y`)"),
            ("%Y-%m", "does not say the day (`%d`)"),
            ("%m%d", "does not say the year (`%Y`)"),
            ("%Y%m%d%M", "does not say the hour (`%H`)"),
            ("%Y%m%d-%j", "has `%j`, which is not known"),
            ("%Y%m%d/%Y", "has `%Y` twice"),
            ("%Y%m%d%", "ends with `%`"),
        ] {
            let error = TimePattern::parse(pattern).expect_err(pattern).to_string();
            assert!(error.contains(why) && error.contains("for example `%Y-%m-%d/%H`"), "{error}");
        }
    }
}

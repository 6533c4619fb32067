//! `regexp_extract`, `regexp_extract_all` and `regexp_substr`. What does not match is NULL, and the group is the whole match unless
//! one is named, both as in Athena.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use icefold_core::Error;
use regex::Regex;

use super::rows::{Argument, RowFunction, Rows};
use crate::error::external;

/// The functions.
pub(super) const ALL: &[Extract] = &[Extract::First, Extract::All, Extract::Substring];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Extract {
    First,
    All,
    /// Redshift's, by the character to begin at and the number of the match.
    Substring,
}

impl RowFunction for Extract {
    fn name(self) -> &'static str {
        match self {
            Extract::First => "regexp_extract",
            Extract::All => "regexp_extract_all",
            Extract::Substring => "regexp_substr",
        }
    }

    fn takes(self) -> (&'static [Argument], usize) {
        use Argument::{Text, Whole};
        match self {
            Extract::First | Extract::All => (&[Text, Text, Whole], 2),
            Extract::Substring => (&[Text, Text, Whole, Whole], 2),
        }
    }

    fn gives(self) -> DataType {
        match self {
            Extract::All => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            _ => DataType::Utf8,
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Extract::First => {
                "text, a regular expression and the number of a group, for example regexp_extract(path, '/p/([0-9]+)', 1)"
            }
            Extract::All => {
                "text, a regular expression and the number of a group, for example regexp_extract_all(path, '[0-9]+')"
            }
            Extract::Substring => {
                "text, a regular expression, the character to begin at and the number of the match, for example \
                 regexp_substr(path, '[0-9]+', 1, 2); `(?i)` in front of the expression ignores case"
            }
        }
    }

    fn compute(self, rows: &Rows) -> Result<ArrayRef> {
        let mut last = Compiled::default();
        if self == Extract::All {
            return all(rows, &mut last);
        }
        let answers: StringArray = rows.map(|rows, row| {
            let regex = last.of(rows.text(1, row))?;
            match self {
                Extract::Substring => substring(regex, rows, row),
                _ => {
                    let group = group(regex, rows, row)?;
                    let found = regex.captures(rows.text(0, row));
                    Ok(found.and_then(|found| found.get(group).map(|text| text.as_str().to_owned())))
                }
            }
        })?;
        Ok(Arc::new(answers))
    }
}

/// The last pattern and what it was compiled to: nearly always all rows have one.
#[derive(Default)]
struct Compiled(Option<(String, Regex)>);

impl Compiled {
    fn of(&mut self, pattern: &str) -> Result<&Regex> {
        let kept = self.0.take().filter(|(text, _)| text == pattern);
        let (_, regex) = self.0.insert(match kept {
            Some(kept) => kept,
            None => (pattern.to_owned(), Regex::new(pattern).map_err(|e| external(unreadable(pattern, &e)))?),
        });
        Ok(regex)
    }
}

/// The last line of such an error says what is wrong, those before it show where.
fn unreadable(pattern: &str, error: &regex::Error) -> Error {
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    Error::invalid(format!("the regular expression '{pattern}' cannot be read: {why}"))
}

fn group(regex: &Regex, rows: &Rows, row: usize) -> Result<usize> {
    if !rows.has(2) {
        return Ok(0);
    }
    let (wanted, there) = (rows.whole(2, row), regex.captures_len() - 1);
    usize::try_from(wanted).ok().filter(|group| *group <= there).ok_or_else(|| {
        let pattern = regex.as_str();
        external(Error::invalid(format!(
            "the regular expression '{pattern}' has {there} groups, not one numbered {wanted}"
        )))
    })
}

fn all(rows: &Rows, last: &mut Compiled) -> Result<ArrayRef> {
    let found: Vec<Option<Vec<Option<String>>>> = rows.map(|rows, row| {
        let regex = last.of(rows.text(1, row))?;
        let group = group(regex, rows, row)?;
        let text = |found: regex::Captures| found.get(group).map(|text| text.as_str().to_owned());
        Ok(Some(regex.captures_iter(rows.text(0, row)).map(text).collect()))
    })?;
    let mut lists = ListBuilder::new(StringBuilder::new());
    for list in found {
        match list {
            Some(texts) => lists.append_value(texts),
            None => lists.append_null(),
        }
    }
    Ok(Arc::new(lists.finish()))
}

fn substring(regex: &Regex, rows: &Rows, row: usize) -> Result<Option<String>> {
    let text = rows.text(0, row);
    let at = |arg, what: &str| match rows.has(arg).then(|| rows.whole(arg, row)) {
        None => Ok(0),
        Some(number) if number >= 1 => Ok(usize::try_from(number - 1).unwrap_or(usize::MAX)),
        Some(number) => Err(external(Error::invalid(format!("`regexp_substr` counts {what} from 1, not {number}")))),
    };
    let (begin, number) = (at(2, "characters")?, at(3, "matches")?);
    let ends = text.char_indices().map(|(place, _)| place).chain([text.len()]);
    let Some(begin) = ends.into_iter().nth(begin) else { return Ok(None) };
    Ok(regex.find_iter(&text[begin..]).nth(number).map(|found| found.as_str().to_owned()))
}

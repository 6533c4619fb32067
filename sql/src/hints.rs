//! What errors about names say: the nearest name, and those that there are.

use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::common::{Column, DataFusionError, SchemaError};

/// Names of columns that an error lists.
const COLUMNS_IN_ERROR: usize = 60;

/// Returns the name that is nearest to `wanted`, if it may be what was meant.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let far = (wanted.chars().count() / 3).max(1);
    let distance = |name: &str| levenshtein(&name.to_lowercase(), &wanted);
    names.into_iter().map(|name| (distance(name), name)).min().filter(|(away, _)| *away <= far).map(|(_, name)| name)
}

/// Says what is wrong with a column, and what to do.
pub(crate) fn of_schema(error: &SchemaError) -> Option<String> {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => Some(no_column(field, valid_fields)),
        SchemaError::AmbiguousReference { field } => Some(format!(
            "column `{0}` is in more than one table here: write which one, such as `events.{0}`",
            field.name
        )),
        _ => None,
    }
}

/// Says that there is no such function, when that is why a query could not be planned, and which are near.
pub(crate) fn of_function<'a>(error: &DataFusionError, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // DataFusion has no kind for it, and guesses a name however far.
    let DataFusionError::Plan(text) = error.find_root() else { return None };
    let (name, _) = text.strip_prefix("Invalid function '")?.split_once('\'')?;
    let meant = nearest(name, names).map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
    Some(format!(
        "no function `{name}`{meant}: `SHOW FUNCTIONS` lists them, docs/sql.md those of Athena, Redshift and Spark"
    ))
}

/// Says what to do about a column that is neither grouped by nor aggregated, which DataFusion tells in a text only.
pub(crate) fn of_grouping(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("While expanding wildcard, column \"")?;
    let (column, _) = rest.split_once("\" must appear in the GROUP BY clause")?;
    Some(format!(
        "column `{column}` is neither in GROUP BY nor in an aggregate: add it to GROUP BY, or take one value of each group with \
         `max({column})` or `any_value({column})`"
    ))
}

fn no_column(wanted: &Column, columns: &[Column]) -> String {
    let missing = format!("no column `{}`", wanted.flat_name());
    if columns.is_empty() {
        return format!("{missing}: there are none to choose from here; text stands in single quotes");
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let meant = match nearest(&wanted.name, names.iter().copied()) {
        Some(name) if name != wanted.name && name.eq_ignore_ascii_case(&wanted.name) => {
            format!(" (did you mean `\"{name}\"`? names without double quotes are read in lower case)")
        }
        // The column is there, under another table.
        Some(name) if name == wanted.name => columns
            .iter()
            .find(|column| column.name == name)
            .map(|column| format!(" (did you mean `{}`?)", column.flat_name()))
            .unwrap_or_default(),
        Some(name) => format!(" (did you mean `{name}`?)"),
        None => String::new(),
    };
    let listed: Vec<_> = names.iter().take(COLUMNS_IN_ERROR).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > COLUMNS_IN_ERROR { ", …" } else { "" };
    format!("{missing}{meant}: the columns are {}{more}", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_that_may_be_meant() {
        let names = ["event_name", "event_time", "events", "identities"];
        for (wanted, found) in [
            ("event_tme", Some("event_time")),
            ("Evnets", Some("events")),
            ("revenue", None),
            ("EVENT_NAME", Some("event_name")),
        ] {
            assert_eq!(nearest(wanted, names), found, "{wanted}");
        }
    }
}

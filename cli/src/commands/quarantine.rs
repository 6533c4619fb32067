//! `icefold quarantine`: what did not pass its contract, grouped by the same mistake or event by event.

use arrow::array::RecordBatch;
use arrow::json::ArrayWriter;
use icefold_core::{Error, Result};
use icefold_writer::decode::Reason;
use serde::{Deserialize, Serialize};

use crate::arguments::QuarantineCommand;
use crate::commands::{query, redrive};
use crate::config::nearest;
use crate::exit::Exit;
use crate::figures;
use crate::output::printable;
use crate::session::Session;

/// Groups shown when nothing else is said.
const DEFAULT_LIMIT: usize = 50;
/// Values are shown up to this many characters.
const SHOWN_CHARACTERS: usize = 48;
/// Payloads are shown up to this many bytes: one event may be as long as a record.
const SHOWN_PAYLOAD_BYTES: usize = 4 << 10;

/// Events with the same mistake. Digits, ids, the place where a line was cut and the text of a line that is in no log
/// format differ from event to event and are no part of the mistake.
const GROUPS: &str = r"
WITH mistakes AS (
  SELECT reason, arrival_time, library_name, segment, source_offset,
    CASE WHEN reason = 'truncated_json' THEN NULL ELSE regexp_replace(json_pointer, '/[0-9]+', '/*', 'g') END AS pointer,
    CASE WHEN reason = 'truncated_json' THEN NULL ELSE regexp_replace(expected, '[0-9]{4}-[0-9T:.-]+Z', '(time)', 'g') END AS expected,
    CASE WHEN reason IN ('truncated_json', 'invalid_utf8', 'control_character', 'lone_surrogate', 'trailing_data',
                        'malformed_log_line') THEN NULL
         WHEN reason = 'invalid_json' AND regexp_like(found, '^(NaN|[-]?Infinity|undefined|None|True|False)')
           THEN regexp_replace(found, '^([-]?[[:alpha:]]+)(.|\n)*$', '\1')
         WHEN reason = 'invalid_json' AND regexp_like(found, '^[[:alnum:]]') THEN '(text)'
         WHEN reason = 'invalid_json' THEN substr(found, 1, 1)
         ELSE regexp_replace(regexp_replace(regexp_replace(found,
              '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{22}', '(id)', 'g'),
              '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z?', '(time)', 'g'),
              '[0-9]{4,}', '(number)', 'g')
    END AS found
  FROM quarantine
)
SELECT count(*) AS events, reason, pointer, expected, found,
  CAST(min(arrival_time) AS VARCHAR) AS first_arrival, CAST(max(arrival_time) AS VARCHAR) AS last_arrival,
  count(DISTINCT library_name) AS libraries, min(segment || '@' || CAST(source_offset AS VARCHAR)) AS example,
  count(*) OVER () AS all_groups, sum(count(*)) OVER () AS all_events
FROM mistakes
GROUP BY reason, pointer, expected, found
ORDER BY events DESC, reason, pointer, expected, found";

/// Events with the same mistake.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    /// How many.
    pub(crate) events: u64,
    /// Reason code.
    pub(crate) reason: String,
    /// Where in the event.
    pub(crate) pointer: Option<String>,
    /// What the contract asks for.
    pub(crate) expected: Option<String>,
    /// What was found, without what differs from event to event.
    pub(crate) found: Option<String>,
    /// When the first arrived.
    pub(crate) first_arrival: String,
    /// When the last arrived.
    pub(crate) last_arrival: String,
    /// How many different SDKs sent them.
    pub(crate) libraries: u64,
    /// Place of one of them in its source.
    pub(crate) example: String,
    /// How many groups there are, shown or not: the same in each.
    #[serde(skip_serializing)]
    all_groups: u64,
    /// How many events they have.
    #[serde(skip_serializing)]
    all_events: u64,
}

/// An event that did not pass.
#[derive(Debug, Serialize, Deserialize)]
struct Event {
    reason: String,
    json_pointer: Option<String>,
    expected: Option<String>,
    found: Option<String>,
    arrival_time: String,
    event_type: Option<String>,
    event_name: Option<String>,
    message_id: Option<String>,
    library_name: Option<String>,
    shard: String,
    segment: String,
    source_offset: u64,
    sub_offset: u64,
    payload: String,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, command: Option<&QuarantineCommand>) -> Result<Exit> {
    match command {
        None => summary(session, DEFAULT_LIMIT).await?,
        Some(QuarantineCommand::Summary { limit }) => summary(session, *limit).await?,
        Some(QuarantineCommand::Redrive(arguments)) => return Box::pin(redrive::run(session, arguments)).await,
        Some(QuarantineCommand::Show { reason, limit }) => show(session, reason.as_deref(), *limit).await?,
    }
    Ok(Exit::Done)
}

async fn summary(session: &Session, limit: usize) -> Result<()> {
    let groups = groups(session, limit).await?;
    session.output.result(&groups, || summary_text(&groups))
}

/// Returns the largest groups.
///
/// # Errors
/// `NotFound` when there is no quarantine yet.
pub(crate) async fn groups(session: &Session, limit: usize) -> Result<Vec<Group>> {
    let warehouse = session.existing_warehouse().await?;
    let tables = query::open(session, &warehouse, Default::default()).await?;
    read(&query::rows(&tables, &format!("{GROUPS}\nLIMIT {limit}")).await?)
}

/// Refuses a reason code that no event can have: a filter that is mistyped would choose nothing and say nothing.
///
/// # Errors
/// `InvalidInput` naming the nearest code.
pub(crate) fn check_reason(code: Option<&str>) -> Result<()> {
    let codes = || Reason::ALL.iter().map(|reason| reason.as_str());
    let Some(code) = code.filter(|code| !codes().any(|known| known == *code)) else { return Ok(()) };
    let hint = match nearest(code, codes()) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "`icefold quarantine` shows those that there are".to_owned(),
    };
    Err(Error::invalid(format!("unknown reason code `{code}`: {hint}")))
}

async fn show(session: &Session, reason: Option<&str>, limit: usize) -> Result<()> {
    check_reason(reason)?;
    let filter = reason.map_or_else(String::new, |code| format!("WHERE reason = {}", query::literal(code)));
    let sql = format!(
        "SELECT reason, json_pointer, expected, found, CAST(arrival_time AS VARCHAR) AS arrival_time, event_type, \
         event_name, message_id, library_name, shard, segment, source_offset, sub_offset, \
         payload FROM quarantine {filter} \
         ORDER BY shard, segment, source_offset, sub_offset LIMIT {limit}"
    );
    let warehouse = session.existing_warehouse().await?;
    let tables = query::open(session, &warehouse, Default::default()).await?;
    let mut events: Vec<Event> = read(&query::rows(&tables, &sql).await?)?;
    for event in &mut events {
        event.payload = String::from_utf8_lossy(&unhex(&event.payload)).into_owned();
    }
    session.output.result(&events, || show_text(&events))
}

/// Rows as structs, by way of JSON: these results are small.
fn read<T: serde::de::DeserializeOwned>(batches: &[RecordBatch]) -> Result<Vec<T>> {
    let mut json = Vec::new();
    let mut writer = ArrayWriter::new(&mut json);
    let written = writer.write_batches(&batches.iter().collect::<Vec<_>>()).and_then(|()| writer.finish());
    written.map_err(|e| Error::bug("rows of quarantine have no JSON form").because(e))?;
    if json.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&json).map_err(|e| Error::bug("rows of quarantine have another form").because(e))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Returns the groups for people.
pub(crate) fn summary_text(groups: &[Group]) -> String {
    if groups.is_empty() {
        return "the quarantine is empty\n".to_owned();
    }
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            vec![
                figures::count(group.events),
                group.reason.clone(),
                cut(group.pointer.as_deref()),
                cut(group.expected.as_deref()),
                cut(group.found.as_deref()),
            ]
        })
        .collect();
    figures::columns(&["events", "reason", "where", "expected", "found"], &rows) + &left_out(groups)
}

/// Tells of the groups that are not shown.
fn left_out(groups: &[Group]) -> String {
    let shown = groups.len() as u64;
    let events: u64 = groups.iter().map(|group| group.events).sum();
    match groups.first() {
        Some(Group { all_groups, all_events, .. }) if *all_groups > shown => format!(
            "{} of {} groups, {} of {} events: `icefold quarantine summary --limit {all_groups}` shows all\n",
            figures::count(shown),
            figures::count(*all_groups),
            figures::count(events),
            figures::count(*all_events)
        ),
        _ => String::new(),
    }
}

fn cut(text: Option<&str>) -> String {
    let text = text.unwrap_or_default().replace(['\n', '\r', '\t', '\0'], " ");
    // Before columns are laid out: what is escaped is wider.
    let text = printable(&text);
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into_owned(),
    }
}

/// Returns a payload, or its beginning and how to see all of it.
fn cut_payload(payload: &str) -> String {
    if payload.len() <= SHOWN_PAYLOAD_BYTES {
        return payload.to_owned();
    }
    let shown = payload.floor_char_boundary(SHOWN_PAYLOAD_BYTES);
    let (shown, all) = (&payload[..shown], figures::count(payload.len() as u64));
    format!("{shown}…\n  (the beginning of {all} bytes: --json prints all)")
}

fn show_text(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        text.push_str(&format!(
            "{} at {} in {} byte {}{}\n",
            event.reason,
            event.json_pointer.as_deref().filter(|pointer| !pointer.is_empty()).unwrap_or("the whole event"),
            event.segment,
            figures::count(event.source_offset),
            if event.sub_offset > 0 { format!(", event {} of its batch", event.sub_offset) } else { String::new() },
        ));
        text.push_str(&format!("  arrived   {}\n", event.arrival_time));
        for (name, value) in [("expected", &event.expected), ("found", &event.found), ("library", &event.library_name)]
        {
            if let Some(value) = value {
                text.push_str(&format!("  {name:<9} {value}\n"));
            }
        }
        text.push_str(&format!("  payload   {}\n\n", cut_payload(&event.payload)));
    }
    if text.is_empty() {
        return "nothing in quarantine like that\n".to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_payload_is_cut_and_says_how_to_see_it_whole() {
        assert_eq!(cut_payload("{}"), "{}");
        let long = cut_payload(&"ä".repeat(SHOWN_PAYLOAD_BYTES));
        assert!(long.len() < SHOWN_PAYLOAD_BYTES + 100, "{}", long.len());
        assert!(long.ends_with("ä…\n  (the beginning of 8,192 bytes: --json prints all)"), "{long}");
    }

    #[test]
    fn a_mistyped_reason_is_refused_with_the_nearest_code() {
        assert!(check_reason(None).is_ok() && check_reason(Some("not_in_enum")).is_ok());
        let refused = |code| check_reason(Some(code)).expect_err("unknown").message().to_owned();
        assert_eq!(refused("not_in_enm"), "unknown reason code `not_in_enm`: did you mean `not_in_enum`?");
        assert!(refused("colour").contains("`icefold quarantine` shows"), "{}", refused("colour"));
    }

    #[test]
    fn a_value_is_escaped_before_it_is_cut() {
        assert_eq!(cut(Some("\u{1b}[31m\n")), r"\u{1b}[31m ");
        assert_eq!(cut(Some(&"\u{1b}".repeat(48))).chars().count(), SHOWN_CHARACTERS + 1);
    }
}

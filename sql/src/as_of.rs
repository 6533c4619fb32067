//! Which snapshot of a table a query means that names a version or a time.

use icefold_catalog::LoadedTable;
use icefold_core::{Error, ErrorKind, Result};

/// What a query says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AsOf {
    /// The snapshot of that id.
    Snapshot(i64),
    /// The snapshot that a branch or tag points at.
    Name(String),
    /// The snapshot that was the table's state at that time, in milliseconds since 1970 in UTC.
    Time(i64),
}

impl AsOf {
    /// Returns the id of the snapshot.
    ///
    /// # Errors
    /// `NotFound` for a snapshot that was never made or is expired, for a name that the table does not have, and for a time
    /// before its first snapshot. It says how to find what there is.
    pub(crate) fn snapshot(&self, table: &LoadedTable) -> Result<i64> {
        match self {
            AsOf::Snapshot(id) => known(table, *id),
            AsOf::Name(name) => match table.refs().get(name) {
                Some(id) => known(table, *id),
                None => Err(no_name(table, name)),
            },
            AsOf::Time(millis) => at(table, *millis),
        }
    }
}

fn known(table: &LoadedTable, id: i64) -> Result<i64> {
    match table.snapshot(Some(id)) {
        Ok(_) => Ok(id),
        Err(e) => Err(Error::new(e.kind(), format!("{}; {}", e.message(), listing(table)))),
    }
}

/// Goes by the log of what was the table's state when: after a roll-back that is an older snapshot.
fn at(table: &LoadedTable, millis: i64) -> Result<i64> {
    let log = table.metadata().history();
    match (log.iter().rev().find(|entry| entry.timestamp_ms <= millis), log.first()) {
        (Some(entry), _) => known(table, entry.snapshot_id),
        (None, Some(first)) => Err(not_found(
            table,
            format!(
                "table `{}` is known since {} (snapshot `{}`), not at {}",
                table.name(),
                shown(first.timestamp_ms),
                first.snapshot_id,
                shown(millis)
            ),
        )),
        (None, None) => Err(not_found(table, format!("table `{}` has no snapshot yet", table.name()))),
    }
}

fn no_name(table: &LoadedTable, name: &str) -> Error {
    let names: Vec<_> = table.refs().keys().map(|name| format!("`{name}`")).collect();
    let names = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    not_found(table, format!("table `{}` has no branch or tag `{name}`: {names}", table.name()))
}

fn not_found(table: &LoadedTable, what: String) -> Error {
    Error::new(ErrorKind::NotFound, format!("{what}; {}", listing(table)))
}

/// Says which snapshots there are, and where they can be named.
fn listing(table: &LoadedTable) -> String {
    let name = table.name();
    let by_time = || table.metadata().snapshots().map(|snapshot| (snapshot.timestamp_ms(), snapshot.snapshot_id()));
    let ends = match (by_time().min(), by_time().max()) {
        (Some((oldest, first)), Some((newest, last))) => format!(
            "the oldest that is kept is `{first}` of {}, the newest `{last}` of {}; ",
            shown(oldest),
            shown(newest)
        ),
        _ => String::new(),
    };
    format!(
        "{ends}list them with `SELECT snapshot_id, committed_at FROM snapshots('{name}')`, then ask with `FROM {name} FOR VERSION \
         AS OF <id>` or `--snapshot {name}=<id>`"
    )
}

fn shown(millis: i64) -> String {
    match chrono::DateTime::from_timestamp_millis(millis) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        None => format!("{millis} ms since 1970"),
    }
}

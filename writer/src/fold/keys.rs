//! What the folds need to know of each event, worked out by each worker before it is the chunk's turn.

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch, StringArray};
use icefold_core::tables::TableKind;
use icefold_core::{Error, Result};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// One entry for each row of `events`.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// xxh3-128 of `anonymous_id`; `None` when there is none.
    pub(crate) devices: Vec<Option<u128>>,
    /// xxh3 of source, medium and name of the campaign, if the event has one of them.
    pub(crate) campaigns: Vec<Option<u64>>,
    /// Which call it is.
    pub(crate) calls: Vec<Call>,
}

/// The calls that tell who a device belongs to, and all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Identify,
    Alias,
    Other,
}

impl Keys {
    /// Works out the keys of decoded `events`.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the rows do not have the decoder's columns.
    pub(crate) fn of(events: &RecordBatch) -> Result<Self> {
        let devices = Texts::of(events, "anonymous_id")?;
        let calls = Texts::of(events, "event_type")?;
        let campaign = ["campaign_source", "campaign_medium", "campaign_name"].map(|name| Texts::of(events, name));
        let [source, medium, name] = campaign;
        let campaign = [source?, medium?, name?];
        let rows = 0..events.num_rows();
        Ok(Keys {
            devices: rows.clone().map(|row| devices.get(row).map(xxh3_128)).collect(),
            campaigns: rows.clone().map(|row| campaign_key(campaign.each_ref().map(|texts| texts.get(row)))).collect(),
            calls: rows.map(|row| call(calls.get(row))).collect(),
        })
    }
}

fn call(event_type: Option<&[u8]>) -> Call {
    match event_type {
        Some(b"identify") => Call::Identify,
        Some(b"alias") => Call::Alias,
        _ => Call::Other,
    }
}

fn campaign_key(parts: [Option<&[u8]>; 3]) -> Option<u64> {
    if parts.iter().all(Option::is_none) {
        return None;
    }
    let mut hash = Xxh3::new();
    for part in parts {
        // Length and presence first, so that no two campaigns write the same bytes.
        hash.update(&part.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        hash.update(part.unwrap_or_default());
    }
    Some(hash.digest())
}

/// A text column, which in memory may be text or its bytes.
pub(crate) enum Texts<'a> {
    Bytes(&'a BinaryArray),
    Text(&'a StringArray),
}

impl<'a> Texts<'a> {
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the rows have no such text column.
    pub(crate) fn of(events: &'a RecordBatch, column: &str) -> Result<Self> {
        let array = events.columns().get(TableKind::Events.index_of(column));
        let texts = array.and_then(|array| match array.as_binary_opt::<i32>() {
            Some(bytes) => Some(Texts::Bytes(bytes)),
            None => array.as_string_opt::<i32>().map(Texts::Text),
        });
        texts.ok_or_else(|| Error::bug(format!("decoded rows have no text column `{column}`")))
    }

    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Texts::Bytes(array) => (!array.is_null(row)).then(|| array.value(row)),
            Texts::Text(array) => (!array.is_null(row)).then(|| array.value(row).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaigns_are_told_apart_by_each_part() {
        let key = |parts: [Option<&str>; 3]| campaign_key(parts.map(|part| part.map(str::as_bytes)));
        assert_eq!(key([None, None, None]), None);
        let keys = [
            key([Some("a"), None, None]),
            key([None, Some("a"), None]),
            key([Some(""), Some("a"), None]),
            key([Some("a"), Some("b"), None]),
            key([Some("ab"), None, None]),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(one.is_some() && keys[index + 1..].iter().all(|other| other != one));
        }
    }
}

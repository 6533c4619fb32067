//! The tables: columns, partitioning and documentation of `raw_events`, `events`, `quarantine` and `identities`.
//!
//! Flat columns only, because Redshift refreshes materialized views incrementally only without nested access; no column
//! is called `pos` or `file_path`, which iceberg 0.10 cannot scan. In a new table field ids are the position in the lists
//! below, counted from 1; a new column goes to the end of its list and gets the next free id of each table that is there.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef as ArrowSchemaRef;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{NestedField, PrimitiveType, Schema, Transform, Type, UnboundPartitionSpec};

use crate::{Error, Result};

/// Redshift cuts longer strings; said in the documentation of each column that can be longer.
pub const REDSHIFT_MAX_STRING_BYTES: usize = 16_384;

/// Version of the built-in contract for the Segment envelope, written to every row.
pub const BUILT_IN_CONTRACT: &str = "segment-envelope/1";

/// One of the tables that the writer folds the stream into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableKind {
    /// One row per event as received, also of what turned out malformed.
    RawEvents,
    /// One row per accepted, deduplicated event.
    Events,
    /// One row per event that did not pass its contract.
    Quarantine,
    /// One row per sighting of a device or an earlier identity together with a user.
    Identities,
}

/// Type of a column; a subset of Iceberg's that every reader has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    String,
    /// Bytes.
    Binary,
    /// 32-bit signed integer.
    Int,
    /// 64-bit signed integer.
    Long,
    /// 64-bit IEEE 754 number.
    Double,
    /// True or false.
    Boolean,
    /// Days since 1970.
    Date,
    /// Microseconds since 1970 in UTC (Iceberg `timestamptz`).
    Timestamp,
}

/// A column of one of the tables.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name, lower snake case.
    pub name: &'static str,
    /// Type.
    pub kind: ColumnType,
    /// Whether a row must have it.
    pub required: bool,
    /// Documentation that Glue and Athena show.
    pub doc: &'static str,
}

const fn req(name: &'static str, kind: ColumnType, doc: &'static str) -> Column {
    Column { name, kind, required: true, doc }
}

const fn opt(name: &'static str, kind: ColumnType, doc: &'static str) -> Column {
    Column { name, kind, required: false, doc }
}

/// What every table says of `stream_time`.
const STREAM_TIME: &str = "Time of the stream: when the source handed the record over, never going back inside a shard; \
                           partitions, windows and retention follow it";

use ColumnType::{Binary, Boolean, Date, Double, Int, Long, String as Text, Timestamp};

/// Columns of `raw_events`.
pub const RAW_EVENTS: &[Column] = &[
    req("shard", Text, "Part of the source that the record came from"),
    req("segment", Text, "File name or Kinesis sequence number that source_offset counts in"),
    req("source_offset", Long, "Where the record starts: byte in the uncompressed file, or sub-sequence number"),
    req("sub_offset", Int, "Index of the event inside its record, 0 for a record of one event"),
    req("stream_time", Timestamp, STREAM_TIME),
    req("arrival_time", Timestamp, "When the event reached the collector: receivedAt, else stream_time"),
    opt("partition_key", Text, "Key that keeps the events of one device in one shard: anonymousId, else userId"),
    opt("anonymous_id", Text, "Device, for erasure; null when it cannot be read"),
    opt("user_id", Text, "Person, for erasure; null when unknown or unreadable"),
    opt("batch_envelope", Binary, "What surrounds the batch array of a record of several events; null otherwise"),
    req("payload", Binary, "The event exactly as received"),
];

/// Columns of `events`.
pub const EVENTS: &[Column] = &[
    req("message_id", Text, "Identity of the event given by its producer; the deduplication key"),
    req("event_type", Text, "Segment call: track, page, screen, identify, group or alias"),
    opt("event_name", Text, "Name of the tracked event, page or screen"),
    req(
        "event_time",
        Timestamp,
        "When it happened, corrected for the skew of the client's clock (timestamp + receivedAt - sentAt)",
    ),
    req("arrival_time", Timestamp, "When the event reached the collector: receivedAt, else stream_time"),
    opt("original_timestamp", Timestamp, "When it happened by the client's clock, uncorrected"),
    opt("sent_at", Timestamp, "When the client sent it, by the client's clock"),
    opt("anonymous_id", Text, "Device"),
    opt("user_id", Text, "Person, once known"),
    opt("group_id", Text, "Account or organisation (group calls)"),
    opt("previous_id", Text, "Earlier identity that user_id replaces (alias calls)"),
    opt("ip", Text, "Client address as received"),
    opt("user_agent", Text, "User agent as received"),
    opt("locale", Text, "Locale of the client, for example en-GB"),
    opt("timezone", Text, "Time zone of the client, for example Europe/Berlin"),
    opt("page_url", Text, "Address of the page"),
    opt("page_path", Text, "Path of the page"),
    opt("page_referrer", Text, "Address of the page before"),
    opt("page_title", Text, "Title of the page"),
    opt("page_search", Text, "Query string of the page"),
    opt("campaign_name", Text, "utm_campaign"),
    opt("campaign_source", Text, "utm_source"),
    opt("campaign_medium", Text, "utm_medium"),
    opt("campaign_term", Text, "utm_term"),
    opt("campaign_content", Text, "utm_content"),
    opt("app_name", Text, "Name of the app"),
    opt("app_version", Text, "Version of the app"),
    opt("os_name", Text, "Operating system as told by the SDK"),
    opt("os_version", Text, "Version of the operating system as told by the SDK"),
    opt("device_type", Text, "Device type as told by the SDK, for example ios"),
    opt("device_manufacturer", Text, "Maker of the device"),
    opt("device_model", Text, "Model of the device"),
    opt("library_name", Text, "SDK that made the event"),
    opt("library_version", Text, "Version of the SDK"),
    opt("screen_width", Int, "Width of the screen in pixels"),
    opt("screen_height", Int, "Height of the screen in pixels"),
    opt("properties", Text, "JSON object of the event's properties; Redshift cuts strings at 16,384 bytes"),
    opt("traits", Text, "JSON object of traits (identify and group calls); Redshift cuts strings at 16,384 bytes"),
    opt(
        "context",
        Text,
        "JSON object of the context that has no column of its own; Redshift cuts strings at 16,384 bytes",
    ),
    opt(
        "extra",
        Text,
        "JSON object of top-level keys that the Segment spec does not name; Redshift cuts strings at 16,384 bytes",
    ),
    req("contract", Text, "Contract and version that the event passed"),
    req("shard", Text, "Part of the source that the record came from"),
    req("segment", Text, "File name or Kinesis sequence number that source_offset counts in"),
    req("source_offset", Long, "Where the record starts: byte in the uncompressed file, or sub-sequence number"),
    req("sub_offset", Int, "Index of the event inside its record, 0 for a record of one event"),
    req("stream_time", Timestamp, STREAM_TIME),
    // Enrichment; an event has all of these columns or, without the data that they come from, nulls.
    opt("browser_name", Text, "Browser, by uap-core rules over user_agent and the client hints"),
    opt("browser_version", Text, "Version of the browser"),
    opt("browser_os_name", Text, "Operating system, by uap-core rules over user_agent and the client hints"),
    opt("browser_os_version", Text, "Version of the operating system, by the same rules"),
    opt("device_family", Text, "Kind of device, by uap-core rules, for example iPhone"),
    opt("device_brand", Text, "Maker of the device, by uap-core rules"),
    opt("device_class", Text, "phone, tablet, desktop, tv, wearable, console, bot, library or unknown"),
    opt("is_bot", Boolean, "Whether the user agent is that of a program, not of a person; null without a user agent"),
    opt("geo_country", Text, "Country of the client's address, ISO 3166-1 alpha-2"),
    opt("geo_region", Text, "Region of the client's address, ISO 3166-2 without the country"),
    opt("geo_city", Text, "City of the client's address, in English"),
    opt("geo_latitude", Double, "Latitude in degrees, rounded to two decimals (about 1 km)"),
    opt("geo_longitude", Double, "Longitude in degrees, rounded to two decimals (about 1 km)"),
    opt("geo_asn", Long, "Number of the autonomous system that routes the client's address"),
    opt("geo_as_organization", Text, "Organisation of that autonomous system"),
    opt("session_id", Text, "Session of the device; derived from device and opening event; null without a device"),
    opt("session_start", Timestamp, "event_time of the event that began the session"),
    opt("session_latest", Timestamp, "Latest event_time of the session up to this event"),
    opt("session_event_number", Int, "Number of the event in its session in the order of the stream, from 1"),
    opt("resolved_user_id", Text, "Person: user_id, else whom the device was last known to belong to at this event"),
    opt("resolved_by", Text, "Where resolved_user_id comes from: event, identify or alias; null when unknown"),
    opt("user_plan", Text, "Plan of the person, from the reference table"),
    opt("user_signup_date", Date, "Day on which the person signed up, from the reference table"),
    opt("user_consent", Text, "What the person has consented to, from the reference table"),
];

/// How many of the first columns of `events` a decoder fills; those behind them are enrichment.
pub const DECODED_EVENT_COLUMNS: usize = 46;

/// Columns of `quarantine`.
pub const QUARANTINE: &[Column] = &[
    req("reason", Text, "Reason code; docs/contracts.md lists them"),
    opt("json_pointer", Text, "Where in the event (RFC 6901); null when the record could not be read at all"),
    opt("expected", Text, "What the contract asks for"),
    opt("found", Text, "What was found, cut to 256 bytes"),
    req("contract", Text, "Contract and version that it did not pass"),
    req("arrival_time", Timestamp, "When the event reached the collector: receivedAt, else stream_time"),
    opt("event_type", Text, "Segment call, when it can be read"),
    opt("event_name", Text, "Name of the tracked event, page or screen, when it can be read"),
    opt("message_id", Text, "Identity of the event, when it can be read"),
    opt("anonymous_id", Text, "Device, for erasure; null when it cannot be read"),
    opt("user_id", Text, "Person, for erasure; null when unknown or unreadable"),
    opt("library_name", Text, "SDK that made the event, when it can be read"),
    opt("library_version", Text, "Version of the SDK, when it can be read"),
    req("shard", Text, "Part of the source that the record came from"),
    req("segment", Text, "File name or Kinesis sequence number that source_offset counts in"),
    req("source_offset", Long, "Where the record starts: byte in the uncompressed file, or sub-sequence number"),
    req("sub_offset", Int, "Index of the event inside its record, 0 for a record of one event"),
    req("stream_time", Timestamp, STREAM_TIME),
    opt("batch_envelope", Binary, "What surrounds the batch array of a record of several events; null otherwise"),
    req("payload", Binary, "The event exactly as received"),
];

/// Columns of `identities`.
pub const IDENTITIES: &[Column] = &[
    req("known_id", Text, "Device (anonymousId), or the earlier identity of an alias call"),
    req("user_id", Text, "Person that it was seen to belong to"),
    req("kind", Text, "What showed it: identify or alias"),
    req(
        "binding_number",
        Int,
        "Number of the binding among those of known_id in the shard and its ancestors, from 1; the latest by stream_time, then number, holds",
    ),
    req("first_seen", Timestamp, "event_time of the first sighting that this row stands for"),
    req("last_seen", Timestamp, "event_time of the last sighting that this row stands for"),
    req("sightings", Long, "How many calls this row stands for"),
    req("arrival_time", Timestamp, "When the event reached the collector: receivedAt, else stream_time"),
    req("message_id", Text, "Identity of the call"),
    req("shard", Text, "Part of the source that the record came from"),
    req("segment", Text, "File name or Kinesis sequence number that source_offset counts in"),
    req("source_offset", Long, "Where the record starts: byte in the uncompressed file, or sub-sequence number"),
    req("sub_offset", Int, "Index of the event inside its record, 0 for a record of one event"),
    req("stream_time", Timestamp, STREAM_TIME),
];

impl TableKind {
    /// The tables in the order in which a batch is committed: `raw_events` first, so that of two racing writers the
    /// loser is fenced before it touches anything else. `events` last: what is accepted follows from the rows of
    /// `events` before it, so a table that is made of accepted events must never stand behind it.
    pub const ALL: [TableKind; 4] =
        [TableKind::RawEvents, TableKind::Quarantine, TableKind::Identities, TableKind::Events];

    /// Returns the table's name.
    pub fn name(self) -> &'static str {
        match self {
            TableKind::RawEvents => "raw_events",
            TableKind::Events => "events",
            TableKind::Quarantine => "quarantine",
            TableKind::Identities => "identities",
        }
    }

    /// Returns the columns in the order of their field ids.
    pub fn columns(self) -> &'static [Column] {
        match self {
            TableKind::RawEvents => RAW_EVENTS,
            TableKind::Events => EVENTS,
            TableKind::Quarantine => QUARANTINE,
            TableKind::Identities => IDENTITIES,
        }
    }

    /// Returns the timestamp column whose day partitions the table.
    pub fn partition_column(self) -> &'static str {
        match self {
            TableKind::RawEvents | TableKind::Quarantine | TableKind::Identities => "stream_time",
            TableKind::Events => "event_time",
        }
    }

    /// Returns the name of the partition field: the day of [`TableKind::partition_column`].
    pub fn partition_field(self) -> String {
        format!("{}_day", self.partition_column())
    }

    /// Returns the index of a column.
    ///
    /// # Panics
    /// When the table has no such column: names are constants of this crate.
    pub fn index_of(self, name: &str) -> usize {
        self.columns().iter().position(|c| c.name == name).expect("column names are constants of this crate")
    }

    /// Returns the Iceberg schema.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](crate::ErrorKind::Bug) when `iceberg` refuses the columns above.
    pub fn schema(self) -> Result<Schema> {
        let fields = self.columns().iter().zip(1..).map(|(c, id)| Arc::new(c.field(id)));
        Schema::builder()
            .with_fields(fields)
            .build()
            .map_err(|e| Error::bug("schema of a built-in table is refused").because(e))
    }

    /// Returns the partition spec: day of [`TableKind::partition_column`].
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](crate::ErrorKind::Bug) when `iceberg` refuses it.
    pub fn partition_spec(self) -> Result<UnboundPartitionSpec> {
        let column = self.partition_column();
        let id = self.index_of(column) as i32 + 1;
        let spec = UnboundPartitionSpec::builder().add_partition_field(id, self.partition_field(), Transform::Day);
        Ok(spec.map_err(|e| Error::bug("partition spec of a built-in table is refused").because(e))?.build())
    }

    /// Returns the Arrow schema, with Iceberg field ids in the fields' metadata.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](crate::ErrorKind::Bug) when `iceberg` refuses the columns above.
    pub fn arrow_schema(self) -> Result<ArrowSchemaRef> {
        let arrow = schema_to_arrow_schema(&self.schema()?);
        Ok(Arc::new(arrow.map_err(|e| Error::bug("schema of a built-in table has no Arrow form").because(e))?))
    }

    /// Returns the table properties that other engines need to treat the table well.
    pub fn properties(self) -> HashMap<String, String> {
        [
            ("write.format.default", "parquet"),
            ("write.parquet.compression-codec", "zstd"),
            ("write.metadata.delete-after-commit.enabled", "false"),
            ("write.metadata.previous-versions-max", "100"),
            // Row-level changes by other engines: position deletes are what every reader applies.
            ("write.delete.mode", "merge-on-read"),
            ("write.update.mode", "merge-on-read"),
            ("write.merge.mode", "merge-on-read"),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
    }
}

impl Column {
    /// Returns the column as a field of an Iceberg schema.
    pub fn field(&self, id: i32) -> NestedField {
        NestedField::new(id, self.name, Type::Primitive(self.kind.primitive()), self.required).with_doc(self.doc)
    }
}

impl ColumnType {
    const ALL: [ColumnType; 8] = [
        ColumnType::String,
        ColumnType::Binary,
        ColumnType::Int,
        ColumnType::Long,
        ColumnType::Double,
        ColumnType::Boolean,
        ColumnType::Date,
        ColumnType::Timestamp,
    ];

    /// Returns Iceberg's type.
    pub fn primitive(self) -> PrimitiveType {
        match self {
            ColumnType::String => PrimitiveType::String,
            ColumnType::Binary => PrimitiveType::Binary,
            ColumnType::Int => PrimitiveType::Int,
            ColumnType::Long => PrimitiveType::Long,
            ColumnType::Double => PrimitiveType::Double,
            ColumnType::Boolean => PrimitiveType::Boolean,
            ColumnType::Date => PrimitiveType::Date,
            ColumnType::Timestamp => PrimitiveType::Timestamptz,
        }
    }

    /// Returns the type of a field of an Iceberg schema; `None` for those that icefold does not write.
    pub fn of(field: &NestedField) -> Option<ColumnType> {
        let Type::Primitive(primitive) = field.field_type.as_ref() else { return None };
        ColumnType::ALL.into_iter().find(|kind| kind.primitive() == *primitive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_a_schema_and_a_spec() {
        for table in TableKind::ALL {
            let schema = table.schema().expect("schema");
            assert_eq!(schema.as_struct().fields().len(), table.columns().len());
            table.partition_spec().expect("spec").bind(schema).expect("binds");
            assert_eq!(table.arrow_schema().expect("arrow").fields().len(), table.columns().len());
        }
    }

    #[test]
    fn the_decoder_fills_the_columns_before_those_of_enrichment() {
        assert_eq!(EVENTS[DECODED_EVENT_COLUMNS - 1].name, "stream_time");
        assert!(EVENTS[DECODED_EVENT_COLUMNS..].iter().all(|column| !column.required));
    }

    #[test]
    fn columns_are_flat_documented_and_readable_by_every_engine() {
        for column in TableKind::ALL.iter().flat_map(|t| t.columns()) {
            assert!(!["pos", "file_path"].contains(&column.name));
            assert!(column.doc.len() > 3, "{}", column.name);
        }
    }
}

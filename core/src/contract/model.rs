//! A contract as icefold understands it: what is left of an ODCS document once everything in it has been checked.
//!
//! A [`Contract`] describes one family of events. Each [`EventContract`] describes the body (`properties` or `traits`)
//! of one event as an [`ObjectShape`], whose [`Property`]s have [`Shape`]s of their own. Nothing here is wrong in
//! itself: patterns are compiled, ranges hold values, rules name properties that exist.

use super::call::EventCall;
use super::format::TextFormat;
use super::pattern::Pattern;
use super::range::Range;
use super::version::Version;

/// One family of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// Identity, in lower case with dashes; written to every row.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Version.
    pub version: Version,
    /// ODCS status, for example `active`.
    pub status: String,
    /// What the family is about.
    pub description: String,
    /// Team that answers for it.
    pub owner: String,
    /// What becomes of events that no contract describes, of the calls that this one describes.
    pub unknown_events: Policy,
    /// Its events.
    pub events: Vec<EventContract>,
}

impl Contract {
    /// Returns what the column `contract` says of events that passed: `commerce/1.2.0`.
    pub fn label(&self) -> String {
        format!("{}/{}", self.id, self.version)
    }

    /// Returns whether its status says that it holds; ODCS also has `proposed`, `draft`, `deprecated` and `retired`.
    pub fn is_active(&self) -> bool {
        self.status == "active"
    }
}

/// What becomes of what the contract does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// It is kept as received.
    #[default]
    Keep,
    /// The event goes to quarantine.
    Quarantine,
}

/// One event of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct EventContract {
    /// Name of the ODCS object.
    pub title: String,
    /// Which call it is.
    pub call: EventCall,
    /// Name of the event, page or screen; `None` for calls without one, and for all pages or screens that have no
    /// contract by name.
    pub name: Option<String>,
    /// What it says.
    pub description: String,
    /// Whether producers should stop to send it.
    pub deprecated: Option<Deprecation>,
    /// Its `properties` or `traits`.
    pub body: ObjectShape,
}

impl EventContract {
    /// Returns what messages call it: its name, or the call where it has none.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.call.to_string())
    }
}

/// An object with its properties.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ObjectShape {
    /// Properties, at most [`MAX_PROPERTIES`].
    pub properties: Vec<Property>,
    /// What becomes of other properties.
    pub unknown: Policy,
    /// Rules over several properties.
    pub rules: Vec<CrossRule>,
}

/// Most properties of one object: they are counted in a fixed number of bits.
pub const MAX_PROPERTIES: usize = 256;
/// Most levels of objects and arrays inside a body.
pub const MAX_NESTING: usize = 16;

impl ObjectShape {
    /// Returns the property of that name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }
}

/// One property.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Key in the event.
    pub name: String,
    /// What it means.
    pub description: String,
    /// Whether it must be there and not null.
    pub required: bool,
    /// What its value may be.
    pub shape: Shape,
    /// The column that it becomes.
    pub promotion: Option<Promotion>,
    /// What it means when it is not there.
    pub missing: Option<Missing>,
    /// Whether producers should stop to send it.
    pub deprecated: Option<Deprecation>,
}

/// A typed column of `events` made of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// Name of the column.
    pub column: String,
    /// Former name of the column.
    pub renamed_from: Option<String>,
}

/// What it means that a property is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which meaning.
    pub means: MissingMeaning,
    /// In the author's words; may be empty.
    pub text: String,
}

/// Meaning of a missing value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingMeaning {
    /// There is a value, but the producer does not know it.
    Unknown,
    /// There can be no value.
    NotApplicable,
    /// The value is zero.
    Zero,
    /// The value is an empty text or list.
    Empty,
    /// The value is false (`is_false`, for YAML reads `false` as a boolean).
    IsFalse,
}

impl MissingMeaning {
    /// Returns the meaning in words.
    pub fn as_str(self) -> &'static str {
        match self {
            MissingMeaning::Unknown => "unknown",
            MissingMeaning::NotApplicable => "not applicable",
            MissingMeaning::Zero => "zero",
            MissingMeaning::Empty => "empty",
            MissingMeaning::IsFalse => "false",
        }
    }
}

/// Says that producers should stop to send something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deprecation {
    /// Version of the contract that said so first.
    pub since: Option<Version>,
    /// What to use instead.
    pub instead: Option<String>,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Any JSON value.
    Any,
    /// Text.
    Text(TextShape),
    /// A whole number in 64 bits.
    Integer(IntegerShape),
    /// A number, read as IEEE 754 double.
    Number(Range<f64>),
    /// True or false.
    Boolean,
    /// ISO 8601 date, `2026-01-31`.
    Date(Range<Moment>),
    /// ISO 8601 date and time with an offset.
    Timestamp(Range<Moment>),
    /// An object.
    Object(ObjectShape),
    /// An array.
    Array(ArrayShape),
}

impl Shape {
    /// Returns the ODCS `logicalType`; [`Shape::Any`] has none.
    pub fn logical_type(&self) -> &'static str {
        match self {
            Shape::Any => "any",
            Shape::Text(_) => "string",
            Shape::Integer(_) => "integer",
            Shape::Number(_) => "number",
            Shape::Boolean => "boolean",
            Shape::Date(_) => "date",
            Shape::Timestamp(_) => "timestamp",
            Shape::Object(_) => "object",
            Shape::Array(_) => "array",
        }
    }

    /// Returns the type of the column that such a property can become; objects and arrays become none.
    pub fn column_kind(&self) -> Option<ColumnKind> {
        Some(match self {
            Shape::Text(_) => ColumnKind::String,
            Shape::Integer(_) => ColumnKind::Long,
            Shape::Number(_) => ColumnKind::Double,
            Shape::Boolean => ColumnKind::Boolean,
            Shape::Date(_) => ColumnKind::Date,
            Shape::Timestamp(_) => ColumnKind::Timestamp,
            Shape::Any | Shape::Object(_) | Shape::Array(_) => return None,
        })
    }
}

/// Type of a promoted column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    /// UTF-8 text.
    String,
    /// 64-bit signed integer.
    Long,
    /// IEEE 754 double.
    Double,
    /// True or false.
    Boolean,
    /// Microseconds since 1970 in UTC (Iceberg `timestamptz`).
    Timestamp,
    /// Days since 1970.
    Date,
}

impl ColumnKind {
    /// Returns Iceberg's name of the type.
    pub fn as_str(self) -> &'static str {
        match self {
            ColumnKind::String => "string",
            ColumnKind::Long => "long",
            ColumnKind::Double => "double",
            ColumnKind::Boolean => "boolean",
            ColumnKind::Timestamp => "timestamptz",
            ColumnKind::Date => "date",
        }
    }
}

/// What a text may be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TextShape {
    /// Length in characters (Unicode scalar values).
    pub length: Range<u64>,
    /// What it must match.
    pub pattern: Option<Pattern>,
    /// What form it must have.
    pub format: Option<TextFormat>,
    /// The only values; empty when any will do.
    pub allowed: Vec<String>,
}

/// What a whole number may be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IntegerShape {
    /// Bounds.
    pub range: Range<i64>,
    /// The only values; empty when any will do.
    pub allowed: Vec<i64>,
}

/// What an array may be.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayShape {
    /// How many elements it has.
    pub length: Range<u64>,
    /// What each element may be.
    pub items: Box<Shape>,
    /// Whether an element may be null.
    pub nullable: bool,
}

/// A bound in time: days since 1970 of a date, microseconds since 1970 of a timestamp.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The number that is compared.
    pub at: i64,
    /// As the contract writes it.
    pub text: String,
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.at.partial_cmp(&other.at)
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// A rule over several properties of one object. A null property counts as absent.
#[derive(Debug, Clone, PartialEq)]
pub enum CrossRule {
    /// If `when` is present, so is `then`.
    Requires {
        /// Property that asks.
        when: String,
        /// Property that is asked for.
        then: String,
    },
    /// At least one is present.
    AnyOf(Vec<String>),
    /// Exactly one is present.
    OneOf(Vec<String>),
    /// If both are present, the first is not above the second: two numbers, dates or timestamps.
    AtMost(String, String),
    /// If `property` has this value, `then` is present.
    WhenEquals {
        /// Property that is looked at.
        property: String,
        /// Value that it is compared with.
        value: Literal,
        /// Property that is asked for.
        then: String,
    },
}

/// A value that a property is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
}

impl std::fmt::Display for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Literal::Text(text) => f.write_str(text),
            Literal::Integer(number) => write!(f, "{number}"),
            Literal::Boolean(truth) => write!(f, "{truth}"),
        }
    }
}

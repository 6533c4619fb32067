//! Reference data: plan, day of signing up and consent of each person, joined to events by `resolved_user_id`.
//!
//! It comes from a Parquet file or an Iceberg table with the columns `user_id` (text) and any of `plan` (text),
//! `signup_date` (date) and `consent` (text). All of it is held in memory, 24 bytes a person and each different text once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type};
use bytes::Bytes;
use icefold_core::{Error, ErrorKind, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use xxhash_rust::xxh3::xxh3_128;

/// Column that people are found by.
const USER_ID: &str = "user_id";
/// Columns that are joined, of which a table may lack some but not all.
const ATTRIBUTES: [&str; 3] = ["plan", "signup_date", "consent"];

/// All columns that are looked at.
pub const REFERENCE_COLUMNS: [&str; 4] = ["user_id", "plan", "signup_date", "consent"];

/// What is known of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes<'a> {
    /// Plan.
    pub plan: Option<&'a str>,
    /// Days since 1970.
    pub signup_date: Option<i32>,
    /// Consent.
    pub consent: Option<&'a str>,
}

/// Text of a person, by its place in the list of texts; 0 is none.
type TextNumber = u32;

#[derive(Debug, Clone, Copy)]
struct Person {
    plan: TextNumber,
    consent: TextNumber,
    signup_date: Option<i32>,
}

/// One version of the reference data.
#[derive(Debug)]
pub struct Reference {
    version: Arc<str>,
    people: HashMap<u128, Person>,
    texts: Vec<Arc<str>>,
}

/// Collects the rows of one version.
#[derive(Debug)]
pub struct ReferenceBuilder {
    reference: Reference,
    numbers: HashMap<Arc<str>, TextNumber>,
    max_people: usize,
}

impl ReferenceBuilder {
    /// Starts the version `version`, of at most `max_people` people.
    pub fn new(version: &str, max_people: usize) -> Self {
        let reference = Reference { version: version.into(), people: HashMap::new(), texts: vec!["".into()] };
        ReferenceBuilder { reference, numbers: HashMap::new(), max_people }
    }

    /// Adds rows; those without `user_id` are left out. Of several rows of one person the one of the latest `signup_date`
    /// counts, among those the greatest `plan` and `consent` as text: engines hand rows over in any order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when a column is missing or of another type; [`ErrorKind::Refused`] for too many people.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let users = column(rows, USER_ID, &DataType::Utf8)?
            .ok_or_else(|| Error::invalid(format!("reference data has no column `{USER_ID}`: add it, as text")))?;
        let [plan, signup_date, consent] = ATTRIBUTES;
        let plans = column(rows, plan, &DataType::Utf8)?;
        let dates = column(rows, signup_date, &DataType::Date32)?;
        let consents = column(rows, consent, &DataType::Utf8)?;
        if plans.is_none() && dates.is_none() && consents.is_none() {
            let message = format!("reference data has none of the columns `{}`: add one", ATTRIBUTES.join("`, `"));
            return Err(Error::invalid(message));
        }
        let users = users.as_string::<i32>();
        for row in (0..users.len()).filter(|row| !users.is_null(*row)) {
            let date = dates.as_ref().map(|dates| dates.as_primitive::<Date32Type>());
            let person = Person {
                plan: self.text(plans.as_ref().map(|texts| texts.as_string()), row),
                consent: self.text(consents.as_ref().map(|texts| texts.as_string()), row),
                signup_date: date.filter(|dates| !dates.is_null(row)).map(|dates| dates.value(row)),
            };
            let user = xxh3_128(users.value(row).as_bytes());
            let counts = self.reference.people.get(&user).is_none_or(|known| self.rank(known) < self.rank(&person));
            if counts {
                self.reference.people.insert(user, person);
            }
        }
        if self.reference.people.len() > self.max_people {
            let message = format!(
                "reference data has more than `reference_max_people` = {} people: raise it (about 60 bytes a person)",
                self.max_people
            );
            return Err(Error::new(ErrorKind::Refused, message));
        }
        Ok(())
    }

    fn rank(&self, person: &Person) -> (Option<i32>, &str, &str) {
        let text = |number: TextNumber| self.reference.texts[number as usize].as_ref();
        (person.signup_date, text(person.plan), text(person.consent))
    }

    fn text(&mut self, texts: Option<&StringArray>, row: usize) -> TextNumber {
        let Some(texts) = texts.filter(|texts| !texts.is_null(row)) else { return 0 };
        let text = texts.value(row);
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let (number, text) = (self.reference.texts.len() as TextNumber, Arc::<str>::from(text));
        self.reference.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// Returns the version.
    pub fn finish(self) -> Reference {
        self.reference
    }
}

/// Finds a column and casts it; `None` when there is none.
fn column(rows: &RecordBatch, name: &str, kind: &DataType) -> Result<Option<ArrayRef>> {
    let Some(column) = rows.column_by_name(name) else { return Ok(None) };
    let refused =
        |e| Error::invalid(format!("column `{name}` of the reference data is no {kind}: change its type")).because(e);
    cast(column, kind).map(Some).map_err(refused)
}

impl Reference {
    /// Reads a Parquet file; its version is a hash of its bytes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it is no Parquet file; those of [`ReferenceBuilder::add`].
    pub fn from_parquet(bytes: Bytes, max_people: usize) -> Result<Self> {
        let refused = |e| Error::invalid("reference data is no readable Parquet file: write it anew").because(e);
        let version = format!("parquet/{:016x}", xxh3_128(&bytes) >> 64);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(refused)?.build().map_err(refused)?;
        let mut builder = ReferenceBuilder::new(&version, max_people);
        for rows in reader {
            let rows = rows.map_err(|e| Error::invalid("reference data is damaged: write it anew").because(e))?;
            builder.add(&rows)?;
        }
        Ok(builder.finish())
    }

    /// Returns the version.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Returns how many people are known.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// Returns what is known of a person.
    pub fn attributes(&self, user_id: &[u8]) -> Attributes<'_> {
        let Some(person) = self.people.get(&xxh3_128(user_id)) else { return Attributes::default() };
        let text = |number: TextNumber| (number > 0).then(|| self.texts[number as usize].as_ref());
        Attributes { plan: text(person.plan), signup_date: person.signup_date, consent: text(person.consent) }
    }
}

/// The version in force, shared by all workers; it can be replaced while they work.
#[derive(Debug, Default)]
pub struct ReferenceHandle(RwLock<Option<Arc<Reference>>>);

impl ReferenceHandle {
    /// Returns the version in force.
    pub fn current(&self) -> Option<Arc<Reference>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another version in force.
    pub fn replace(&self, reference: Reference) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(reference));
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Int64Array};

    use super::*;

    fn people() -> RecordBatch {
        let columns: [(_, ArrayRef); 4] = [
            ("user_id", Arc::new(StringArray::from(vec![Some("u1"), Some("u2"), None, Some("u1")]))),
            ("plan", Arc::new(StringArray::from(vec![Some("free"), None, Some("pro"), Some("pro")]))),
            ("signup_date", Arc::new(Date32Array::from(vec![Some(20_000), Some(1), None, None]))),
            ("consent", Arc::new(StringArray::from(vec![None, Some("all"), None, Some("all")]))),
        ];
        RecordBatch::try_from_iter(columns).expect("columns")
    }

    fn built(rows: &RecordBatch) -> Result<Reference> {
        let mut builder = ReferenceBuilder::new("7", 10);
        builder.add(rows)?;
        Ok(builder.finish())
    }

    #[test]
    fn people_are_found_and_the_row_of_the_latest_date_counts_in_any_order() {
        let reference = built(&people()).expect("valid");
        assert_eq!(reference.people(), 2);
        let expected = Attributes { plan: Some("free"), signup_date: Some(20_000), consent: None };
        assert_eq!(reference.attributes(b"u1"), expected);
        let indices = arrow::array::UInt32Array::from(vec![3, 2, 1, 0]);
        let reversed = arrow::compute::take_record_batch(&people(), &indices).expect("rows");
        assert_eq!(built(&reversed).expect("valid").attributes(b"u1"), expected);
        assert_eq!(reference.attributes(b"u2").signup_date, Some(1));
        assert_eq!(reference.attributes(b"u3"), Attributes::default());
    }

    #[test]
    fn a_table_without_the_key_or_any_attribute_is_refused_with_its_remedy() {
        let error = built(&people().project(&[1]).expect("columns")).expect_err("no key");
        assert!(error.message().contains("no column `user_id`: add it"), "{error}");
        let error = built(&people().project(&[0]).expect("columns")).expect_err("no attribute");
        assert!(error.message().contains("none of the columns `plan`, `signup_date`, `consent`"), "{error}");
    }

    #[test]
    fn some_attributes_may_be_missing() {
        let reference = built(&people().project(&[0, 3]).expect("columns")).expect("valid");
        assert_eq!(reference.attributes(b"u2"), Attributes { consent: Some("all"), ..Attributes::default() });
    }

    #[test]
    fn a_column_of_another_type_is_cast_or_refused() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let plans: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let rows = RecordBatch::try_from_iter([("user_id", numbers), ("plan", plans)]).expect("columns");
        assert_eq!(built(&rows).expect("cast").attributes(b"2").plan, Some("b"));
    }

    #[test]
    fn the_ceiling_names_its_setting() {
        let mut builder = ReferenceBuilder::new("7", 1);
        let error = builder.add(&people()).expect_err("two people");
        assert!(error.message().contains("`reference_max_people` = 1"), "{error}");
    }
}

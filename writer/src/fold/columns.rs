//! From what was decided to columns of `events` and rows of `identities`: the part that needs no lock.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Date32Builder, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema, SchemaRef};
use icefold_core::tables::{IDENTITIES, TableKind};
use icefold_core::{Error, Result};

use super::identity::Reason;
use super::session::SessionStep;
use super::{Folded, Known, Texts};
use crate::columns::extended;
use crate::enrich::reference::{Attributes, Reference};

/// Hexadecimal digits of a session id.
const SESSION_ID_DIGITS: usize = 32;

/// Bytes that are set aside for each resolved user id.
const USER_ID_BYTES: usize = 24;

impl Folded {
    /// Adds the columns of session, person and reference data to the rows that were decided about.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when `rows` are others.
    pub(crate) fn complete(&self, rows: RecordBatch, reference: Option<&Reference>) -> Result<RecordBatch> {
        if rows.num_rows() != self.sessions.len() {
            return Err(Error::bug("columns are to be added to other rows than those that were decided about"));
        }
        let mut columns = self.session_columns();
        self.person_columns(&rows, reference, &mut columns)?;
        extended(rows, columns)
    }

    fn session_columns(&self) -> Vec<(&'static str, ArrayRef)> {
        let time = |of: fn(&SessionStep) -> i64| -> ArrayRef {
            let times: TimestampMicrosecondArray = self.sessions.iter().map(|step| step.as_ref().map(of)).collect();
            Arc::new(times.with_timezone("+00:00"))
        };
        let mut ids = BinaryBuilder::with_capacity(self.sessions.len(), self.sessions.len() * SESSION_ID_DIGITS);
        let mut id = Vec::with_capacity(SESSION_ID_DIGITS);
        for step in &self.sessions {
            id.clear();
            if let Some(step) = step {
                step.id.write_hex(&mut id);
            }
            ids.append_option(step.is_some().then_some(&id));
        }
        let numbers: Int32Array = self.sessions.iter().map(|step| step.as_ref().map(|s| s.number as i32)).collect();
        vec![
            ("session_id", Arc::new(ids.finish())),
            ("session_start", time(|step| step.start_micros)),
            ("session_latest", time(|step| step.start_micros.saturating_add(step.elapsed_micros))),
            ("session_event_number", Arc::new(numbers)),
        ]
    }

    fn person_columns(
        &self,
        rows: &RecordBatch,
        reference: Option<&Reference>,
        columns: &mut Vec<(&'static str, ArrayRef)>,
    ) -> Result<()> {
        let users = Texts::of(rows, "user_id")?;
        let count = self.resolved.len();
        let mut resolved = BinaryBuilder::with_capacity(count, count * USER_ID_BYTES);
        let mut reasons = BinaryBuilder::with_capacity(count, count * 8);
        let mut people = reference.map(|reference| (reference, PeopleColumns::default()));
        for (row, resolution) in self.resolved.iter().enumerate() {
            let user = match resolution.reason {
                Reason::Event => users.get(row),
                _ => resolution.user.map(|(start, end)| &self.users[start as usize..end as usize]),
            };
            resolved.append_option(user);
            reasons.append_option(Some(resolution.reason).filter(|r| *r != Reason::None).map(Reason::as_str));
            if let Some((reference, people)) = &mut people {
                people.push(user.map(|user| reference.attributes(user)).unwrap_or_default());
            }
        }
        columns.push(("resolved_user_id", Arc::new(resolved.finish())));
        columns.push(("resolved_by", Arc::new(reasons.finish())));
        columns.extend(people.into_iter().flat_map(|(_, people)| people.finish()));
        Ok(())
    }

    /// Returns the rows of `identities` that the chunk's events make.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when `events` are not those that were decided about.
    pub(crate) fn identities(&self, events: &RecordBatch) -> Result<RecordBatch> {
        let sightings = &self.sightings;
        let rows = UInt32Array::from_iter_values(sightings.iter().map(|sighting| sighting.row as u32));
        let picked = |column: &str| -> Result<ArrayRef> {
            let column = events.column(TableKind::Events.index_of(column));
            take(column, &rows, None).map_err(|e| Error::bug("a sighting is of no row").because(e))
        };
        let (devices, previous) = (Texts::of(events, "anonymous_id")?, Texts::of(events, "previous_id")?);
        let known = sightings.iter().map(|sighting| match sighting.known {
            Known::Device => devices.get(sighting.row),
            Known::Previous => previous.get(sighting.row),
        });
        let kinds = sightings.iter().map(|sighting| sighting.edge.kind.as_str());
        let numbers = sightings.iter().map(|sighting| sighting.edge.binding_number as i32);
        let columns = IDENTITIES.iter().map(|column| -> Result<ArrayRef> {
            Ok(match column.name {
                "known_id" => Arc::new(known.clone().collect::<arrow::array::BinaryArray>()),
                "kind" => Arc::new(arrow::array::StringArray::from_iter_values(kinds.clone())),
                "binding_number" => Arc::new(Int32Array::from_iter_values(numbers.clone())),
                "first_seen" | "last_seen" => picked("event_time")?,
                "sightings" => Arc::new(Int64Array::from(vec![1; sightings.len()])),
                of_the_event => picked(of_the_event)?,
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let fields = IDENTITIES.iter().zip(&columns);
        let fields = fields.map(|(column, array)| Field::new(column.name, array.data_type().clone(), !column.required));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns).map_err(|e| Error::bug("sightings make no rows").because(e))
    }
}

/// Columns of the reference data.
#[derive(Default)]
struct PeopleColumns {
    plan: BinaryBuilder,
    signup_date: Date32Builder,
    consent: BinaryBuilder,
}

impl PeopleColumns {
    fn push(&mut self, attributes: Attributes<'_>) {
        self.plan.append_option(attributes.plan);
        self.signup_date.append_option(attributes.signup_date);
        self.consent.append_option(attributes.consent);
    }

    fn finish(mut self) -> [(&'static str, ArrayRef); 3] {
        [
            ("user_plan", Arc::new(self.plan.finish())),
            ("user_signup_date", Arc::new(self.signup_date.finish())),
            ("user_consent", Arc::new(self.consent.finish())),
        ]
    }
}

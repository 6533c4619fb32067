//! What a benchmark of everything needs beside events: a geo database, reference data for the generated persons, and the
//! data contracts of the generated events in force.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray};
use icefold_core::{Error, ErrorKind, Result};
use parquet::arrow::ArrowWriter;
use sonic_rs::JsonValueTrait;

use crate::commands::demo::COUNTRIES;
use crate::generate::{Generator, Plan};

/// The contracts of the generated events.
const CONTRACTS: [(&str, &str); 5] = [
    ("account.yaml", include_str!("../../../../contracts/account.yaml")),
    ("commerce.yaml", include_str!("../../../../contracts/commerce.yaml")),
    ("engagement.yaml", include_str!("../../../../contracts/engagement.yaml")),
    ("fulfilment.yaml", include_str!("../../../../contracts/fulfilment.yaml")),
    ("navigation.yaml", include_str!("../../../../contracts/navigation.yaml")),
];

/// Events whose persons are put into the reference data: most persons come again and again.
const EVENTS_WITH_PERSONS: u64 = 100_000;

/// Where the data lies.
pub(super) struct Everything {
    geo: PathBuf,
    reference: PathBuf,
    /// To be applied before the first event.
    pub(super) contracts: PathBuf,
}

impl Everything {
    /// Writes the data below `folder`.
    pub(super) fn write(folder: &Path, plan: Plan) -> Result<Self> {
        let everything = Everything {
            geo: folder.join("countries.mmdb"),
            reference: folder.join("people.parquet"),
            contracts: folder.join("contracts"),
        };
        fs::create_dir_all(&everything.contracts).map_err(refused)?;
        for (name, text) in CONTRACTS {
            fs::write(everything.contracts.join(name), text).map_err(refused)?;
        }
        fs::write(&everything.geo, COUNTRIES).map_err(refused)?;
        write_people(&everything.reference, Plan { events: plan.events.min(EVENTS_WITH_PERSONS), ..plan })?;
        Ok(everything)
    }

    /// Returns the settings that turn all of it on.
    pub(super) fn settings(&self) -> [String; 2] {
        let setting = |key: &str, path: &Path| format!("enrich.{key}={}", path.display());
        [setting("geo_database", &self.geo), setting("reference", &self.reference)]
    }
}

fn write_people(path: &Path, plan: Plan) -> Result<()> {
    let people: Vec<String> = people(plan).into_iter().collect();
    let plans = people.iter().enumerate().map(|(number, _)| Some(["free", "plus", "pro"][number % 3]));
    let columns: [(_, ArrayRef); 4] = [
        ("user_id", Arc::new(StringArray::from_iter_values(&people))),
        ("plan", Arc::new(plans.collect::<StringArray>())),
        (
            "signup_date",
            Arc::new(Date32Array::from_iter_values((0..people.len()).map(|day| 18_000 + day as i32 % 2_000))),
        ),
        ("consent", Arc::new(StringArray::from_iter_values(people.iter().map(|_| "analytics")))),
    ];
    let bug = |e| Error::bug("reference data cannot be made").because(e);
    let rows = RecordBatch::try_from_iter(columns).map_err(|e| bug(e.into()))?;
    let file = fs::File::create(path).map_err(refused)?;
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).map_err(bug)?;
    writer.write(&rows).map_err(bug)?;
    writer.close().map(drop).map_err(bug)
}

/// Returns the persons of the first events.
fn people(plan: Plan) -> BTreeSet<String> {
    let mut generator = Generator::new(plan);
    let (mut people, mut line) = (BTreeSet::new(), Vec::new());
    while generator.next_line(&mut line) {
        let event = sonic_rs::from_slice::<sonic_rs::Value>(&line).ok();
        people.extend(event.and_then(|event| event.get("userId").and_then(|id| id.as_str().map(str::to_owned))));
        line.clear();
    }
    people
}

fn refused(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Refused, "the data of the benchmark cannot be written").because(error)
}

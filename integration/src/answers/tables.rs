//! The tables that are asked: each column, file and delete is there because answers have gone wrong on its like.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use iceberg::spec::{Literal, NestedField, PrimitiveType, Schema, Struct, Transform, Type, UnboundPartitionSpec};
use icefold_catalog::{Settings, Warehouse};
use icefold_core::clock::SystemClock;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::lake::{Lake, Place};

/// 2026-01-01.
const FIRST_DAY: i32 = 20_454;
const DAY_MICROS: i64 = 86_400_000_000;
/// Files of `events` before and after its columns change.
const EVENT_FILES: usize = 6;
const EVENT_ROWS: usize = 260;
/// The values of `shop`, which tables are joined by.
const SHOPS: i64 = 40;

/// Days that clocks, calendars and casts stumble over: year 1, the two ends of the missing ten days of 1582, before and after 1970,
/// beyond what nanoseconds can hold, year 9999.
const DAYS: [i32; 8] = [-719_162, -141_428, -141_427, -1, 0, 106_752, 106_753, 2_932_896];
const KINDS: [&str; 9] = ["page", "track", "identify", "", "Page", "page ", "älter", "日本", "zz"];
const NOTES: [&str; 9] = ["", "it's", "a%b", "a_b", "naïve café", "日本語のテキスト", "🦀🦀", "a", "A"];
const LONGS: [i64; 9] = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX, i32::MAX as i64, i32::MIN as i64];
const DOUBLES: [f32; 9] =
    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, f32::MAX, f32::MIN_POSITIVE, 1.5, -2.5];

/// A warehouse, and where the rows of its tables are.
pub struct Tables {
    /// The warehouse.
    pub warehouse: Warehouse,
    /// Snapshots of the tables that had been written `then`.
    pub then: BTreeMap<String, i64>,
    /// Holds `now/` and `then/`, with the rows of each table as Parquet.
    pub rows: PathBuf,
}

/// Makes the tables below `folder`.
///
/// # Errors
/// Those of storage and catalog.
pub async fn make(folder: &Path, seed: u64) -> Result<Tables> {
    let place = folder.join("warehouse").to_string_lossy().into_owned();
    let settings = Settings { warehouse: place, ..Settings::default() };
    let warehouse = Warehouse::open(&settings, Arc::new(SystemClock)).await?;
    let mut tables = Tables { warehouse, then: BTreeMap::new(), rows: folder.join("rows") };
    let mut rng = SmallRng::seed_from_u64(seed);
    tables.events(&mut rng).await?;
    tables.visits(&mut rng).await?;
    tables.shops(&mut rng).await?;
    tables.gone(&mut rng).await?;
    Ok(tables)
}

impl Tables {
    /// Many files, three partition specs, columns that change in the middle, deletes of every kind.
    async fn events(&mut self, rng: &mut SmallRng) -> Result<()> {
        let before = schema(events_before())?;
        let mut lake = Lake::create(&self.warehouse, "events", before).await?;
        for _ in 0..EVENT_FILES / 2 {
            append(&mut lake, rng, Place::everywhere(), EVENT_ROWS, None).await?;
        }
        lake.delete_positions(0, &some(EVENT_ROWS, 40, rng)).await?;
        lake.delete_equal(Place::everywhere(), &["shop"], (1, &some(EVENT_ROWS, 3, rng)), false).await?;
        let by_kind = lake.partition_by(spec(2, "kind", Transform::Identity)?).await?;
        for kind in [Some("page"), Some("track"), None] {
            append(&mut lake, rng, of_kind(by_kind, kind), EVENT_ROWS / 2, Some(kind)).await?;
        }
        lake.delete_equal(of_kind(by_kind, Some("page")), &["shop"], (3, &some(EVENT_ROWS / 2, 4, rng)), true).await?;
        self.remember(&lake, "events").await?;

        lake.evolve(schema(events_after())?).await?;
        lake.delete_equal(of_kind(by_kind, None), &["kind", "flag"], (5, &some(EVENT_ROWS / 2, 2, rng)), false).await?;
        for kind in KINDS.into_iter().take(EVENT_FILES) {
            append(&mut lake, rng, of_kind(by_kind, Some(kind)), EVENT_ROWS / 2, Some(Some(kind))).await?;
        }
        let by_day = lake.partition_by(spec(8, "at", Transform::Day)?).await?;
        for day in [FIRST_DAY, DAYS[7], DAYS[1], -1] {
            let place = Place { spec_id: by_day, partition: Struct::from_iter([Some(Literal::date(day))]) };
            append_day(&mut lake, rng, place, day).await?;
        }
        let last = lake.data_files() - 1;
        lake.delete_positions(last, &some(EVENT_ROWS / 4, 10, rng)).await?;
        lake.delete_positions(2, &(100..180).collect::<Vec<_>>()).await?;
        lake.delete_equal(Place::everywhere(), &["kind", "shop"], (2, &some(EVENT_ROWS, 20, rng)), true).await?;
        append(&mut lake, rng, Place::everywhere(), EVENT_ROWS, None).await?;
        self.write_now(&lake).await
    }

    /// Position deletes and plain files.
    async fn visits(&mut self, rng: &mut SmallRng) -> Result<()> {
        let mut lake = Lake::create(&self.warehouse, "visits", schema(visits())?).await?;
        append(&mut lake, rng, Place::everywhere(), 200, None).await?;
        append(&mut lake, rng, Place::everywhere(), 150, None).await?;
        self.remember(&lake, "visits").await?;
        lake.delete_positions(1, &some(150, 30, rng)).await?;
        append(&mut lake, rng, Place::everywhere(), 100, None).await?;
        self.write_now(&lake).await
    }

    /// A small one to be joined with; nothing is deleted, so that the manifests may answer.
    async fn shops(&mut self, rng: &mut SmallRng) -> Result<()> {
        let mut lake = Lake::create(&self.warehouse, "shops", schema(shops())?).await?;
        append(&mut lake, rng, Place::everywhere(), 35, None).await?;
        self.remember(&lake, "shops").await?;
        append(&mut lake, rng, Place::everywhere(), 25, None).await?;
        self.write_now(&lake).await
    }

    /// One whose rows are all deleted: `then` it had some.
    async fn gone(&mut self, rng: &mut SmallRng) -> Result<()> {
        let mut lake = Lake::create(&self.warehouse, "gone", schema(shops())?).await?;
        append(&mut lake, rng, Place::everywhere(), 20, None).await?;
        self.remember(&lake, "gone").await?;
        lake.delete_positions(0, &(0..20).collect::<Vec<_>>()).await?;
        self.write_now(&lake).await
    }

    async fn remember(&mut self, lake: &Lake, name: &str) -> Result<()> {
        self.then.insert(name.to_owned(), lake.snapshot_id().await?);
        lake.write_rows(&self.rows.join("then")).await
    }

    async fn write_now(&self, lake: &Lake) -> Result<()> {
        lake.write_rows(&self.rows.join("now")).await
    }
}

fn events_before() -> Vec<(i32, &'static str, PrimitiveType)> {
    vec![
        (1, "id", PrimitiveType::Long),
        (2, "kind", PrimitiveType::String),
        (3, "shop", PrimitiveType::Int),
        (4, "amount", PrimitiveType::Decimal { precision: 9, scale: 2 }),
        (5, "score", PrimitiveType::Float),
        (6, "price", PrimitiveType::Double),
        (7, "big", PrimitiveType::Long),
        (8, "at", PrimitiveType::Timestamptz),
        (9, "day", PrimitiveType::Date),
        (10, "flag", PrimitiveType::Boolean),
        (11, "name", PrimitiveType::String),
        (12, "old", PrimitiveType::Int),
    ]
}

/// Three columns are wider, one has another name, one is gone, and two are new.
fn events_after() -> Vec<(i32, &'static str, PrimitiveType)> {
    let wider = events_before().into_iter().filter(|(_, name, _)| *name != "old").map(|(id, name, kind)| match name {
        "shop" => (id, name, PrimitiveType::Long),
        "amount" => (id, name, PrimitiveType::Decimal { precision: 14, scale: 2 }),
        "score" => (id, name, PrimitiveType::Double),
        "name" => (id, "note", kind),
        _ => (id, name, kind),
    });
    let new = [(13, "n", PrimitiveType::Int), (14, "seen", PrimitiveType::Timestamp)];
    wider.chain(new).collect()
}

fn visits() -> Vec<(i32, &'static str, PrimitiveType)> {
    vec![
        (1, "id", PrimitiveType::Long),
        (2, "shop", PrimitiveType::Int),
        (3, "kind", PrimitiveType::String),
        (4, "at", PrimitiveType::Timestamptz),
        (5, "n", PrimitiveType::Int),
        (6, "note", PrimitiveType::String),
        (7, "price", PrimitiveType::Double),
        (8, "big", PrimitiveType::Long),
        (9, "score", PrimitiveType::Double),
    ]
}

fn shops() -> Vec<(i32, &'static str, PrimitiveType)> {
    vec![
        (1, "id", PrimitiveType::Long),
        (2, "shop", PrimitiveType::Long),
        (3, "kind", PrimitiveType::String),
        (4, "name", PrimitiveType::String),
        (5, "day", PrimitiveType::Date),
        (6, "score", PrimitiveType::Double),
        (7, "flag", PrimitiveType::Boolean),
        (8, "amount", PrimitiveType::Decimal { precision: 9, scale: 2 }),
    ]
}

fn schema(columns: Vec<(i32, &str, PrimitiveType)>) -> Result<Schema> {
    let field = |(id, name, kind)| Arc::new(NestedField::optional(id, name, Type::Primitive(kind)));
    Ok(Schema::builder().with_fields(columns.into_iter().map(field)).build()?)
}

fn spec(column: i32, name: &str, transform: Transform) -> Result<UnboundPartitionSpec> {
    Ok(UnboundPartitionSpec::builder().add_partition_field(column, format!("{name}_of"), transform)?.build())
}

fn of_kind(spec_id: i32, kind: Option<&str>) -> Place {
    Place { spec_id, partition: Struct::from_iter([kind.map(Literal::string)]) }
}

/// Adds a file; all of its rows may be of one kind, or of none.
async fn append(
    lake: &mut Lake,
    rng: &mut SmallRng,
    place: Place,
    rows: usize,
    kind: Option<Option<&str>>,
) -> Result<()> {
    let file = Content { file: lake.data_files(), rows, kind, day: None };
    let columns = file.columns(lake.schema().await?.as_ref(), rng);
    lake.append(place, columns).await
}

/// Adds a file of one day.
async fn append_day(lake: &mut Lake, rng: &mut SmallRng, place: Place, day: i32) -> Result<()> {
    let file = Content { file: lake.data_files(), rows: EVENT_ROWS / 4, kind: None, day: Some(day) };
    let columns = file.columns(lake.schema().await?.as_ref(), rng);
    lake.append(place, columns).await
}

/// Some places of rows, ascending.
fn some(rows: usize, count: usize, rng: &mut SmallRng) -> Vec<usize> {
    let mut places = rand::seq::index::sample(rng, rows, count).into_vec();
    places.sort_unstable();
    places
}

/// What a file is filled with.
struct Content<'a> {
    /// Its number: ids and times go up from file to file, so that bounds differ.
    file: usize,
    rows: usize,
    kind: Option<Option<&'a str>>,
    day: Option<i32>,
}

impl Content<'_> {
    fn columns(&self, schema: &Schema, rng: &mut SmallRng) -> Vec<ArrayRef> {
        schema.as_struct().fields().iter().map(|field| self.column(field, rng)).collect()
    }

    fn column(&self, field: &NestedField, rng: &mut SmallRng) -> ArrayRef {
        // Some files have no value at all in a column, some have one in each row.
        let nulls = *[0.0, 0.05, 0.05, 0.2, 0.2, 0.2, 0.5, 1.0].choose(rng).expect("shares");
        let is_null = |rng: &mut SmallRng| rng.random_bool(nulls);
        let kind = field.field_type.as_primitive_type().expect("flat columns");
        macro_rules! filled {
            ($array:ty, $value:expr) => {
                Arc::new((0..self.rows).map(|_| (!is_null(rng)).then(|| $value(rng))).collect::<$array>())
            };
        }
        match (field.name.as_str(), kind) {
            ("id", _) => Arc::new(Int64Array::from_iter_values((0..self.rows).map(|row| self.id(row)))),
            ("kind", _) => self.kinds(rng),
            ("big", _) => filled!(Int64Array, |rng: &mut SmallRng| match rng.random_bool(0.1) {
                true => *LONGS.choose(rng).expect("values"),
                false => rng.random_range(-1_000_000..1_000_000),
            }),
            ("shop", PrimitiveType::Int) => filled!(Int32Array, |rng: &mut SmallRng| shop(rng) as i32),
            (_, PrimitiveType::Int) => filled!(Int32Array, |rng: &mut SmallRng| rng.random_range(-20..200)),
            (_, PrimitiveType::Long) => filled!(Int64Array, shop),
            (_, PrimitiveType::Float) => filled!(Float32Array, score),
            ("score", _) => filled!(Float64Array, |rng: &mut SmallRng| f64::from(score(rng))),
            // Quarters add up exactly, in any order.
            (_, PrimitiveType::Double) => {
                filled!(Float64Array, |rng: &mut SmallRng| f64::from(rng.random_range(-2_000..2_000)) / 4.0)
            }
            (_, PrimitiveType::Boolean) => filled!(BooleanArray, |rng: &mut SmallRng| rng.random_bool(0.5)),
            (_, PrimitiveType::Date) => filled!(Date32Array, |rng: &mut SmallRng| self.date(rng)),
            ("at", _) if self.day.is_some() => {
                let times = (0..self.rows).map(|_| self.time(rng));
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("+00:00"))
            }
            (_, PrimitiveType::Timestamptz) => {
                let times = (0..self.rows).map(|_| (!is_null(rng)).then(|| self.time(rng)));
                Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("+00:00"))
            }
            (_, PrimitiveType::Timestamp) => {
                filled!(TimestampMicrosecondArray, |rng: &mut SmallRng| self.time(rng))
            }
            (_, PrimitiveType::Decimal { precision, scale }) => {
                let amounts = (0..self.rows).map(|_| (!is_null(rng)).then(|| amount(rng)));
                let array = amounts.collect::<Decimal128Array>();
                Arc::new(array.with_precision_and_scale(*precision as u8, *scale as i8).expect("fits"))
            }
            _ => filled!(StringArray, note),
        }
    }

    fn id(&self, row: usize) -> i64 {
        (self.file * 1_000 + row) as i64
    }

    fn kinds(&self, rng: &mut SmallRng) -> ArrayRef {
        let any = |rng: &mut SmallRng| (!rng.random_bool(0.1)).then(|| *KINDS.choose(rng).expect("kinds"));
        let kinds = (0..self.rows).map(|_| self.kind.unwrap_or_else(|| any(rng)));
        Arc::new(StringArray::from_iter(kinds))
    }

    fn date(&self, rng: &mut SmallRng) -> i32 {
        match rng.random_bool(self.odd_days()) {
            true => *DAYS.choose(rng).expect("days"),
            false => FIRST_DAY + self.file as i32 + rng.random_range(0..5),
        }
    }

    /// The share of days that are odd. Every third file has none, so that its bounds are days that questions name.
    fn odd_days(&self) -> f64 {
        if self.file % 3 == 2 { 0.0 } else { 0.08 }
    }

    fn time(&self, rng: &mut SmallRng) -> i64 {
        let day = self.day.unwrap_or_else(|| self.date(rng));
        let within = *[0, 1, DAY_MICROS - 1, rng.random_range(0..DAY_MICROS)].choose(rng).expect("times");
        i64::from(day) * DAY_MICROS + within
    }
}

fn shop(rng: &mut SmallRng) -> i64 {
    rng.random_range(0..SHOPS)
}

fn score(rng: &mut SmallRng) -> f32 {
    match rng.random_bool(0.3) {
        true => *DOUBLES.choose(rng).expect("values"),
        false => rng.random_range(-40..40) as f32 / 8.0,
    }
}

fn amount(rng: &mut SmallRng) -> i128 {
    match rng.random_bool(0.05) {
        true => *[999_999_999, -999_999_999, 0].choose(rng).expect("values"),
        false => rng.random_range(-100_000..100_000),
    }
}

fn note(rng: &mut SmallRng) -> String {
    match rng.random_bool(0.5) {
        true => (*NOTES.choose(rng).expect("notes")).to_owned(),
        // Longer than the bounds that manifests keep: only the ends differ.
        false => {
            format!("a text whose beginning is that of many other texts, up to number {}", rng.random_range(0..40))
        }
    }
}

/// A table as questions see it: name, columns, and whether it has few rows.
pub struct Asked {
    /// Its name.
    pub name: &'static str,
    /// Names and types of its columns.
    pub columns: Vec<(&'static str, PrimitiveType)>,
    /// Whether a join of each of its rows with many is still no long answer.
    pub is_small: bool,
}

/// Lists the tables as they are now, or as they were then.
pub fn asked(then: bool) -> Vec<Asked> {
    let table = |name, columns: Vec<(i32, &'static str, PrimitiveType)>, is_small| Asked {
        name,
        columns: columns.into_iter().map(|(_, name, kind)| (name, kind)).collect(),
        is_small,
    };
    vec![
        table("events", if then { events_before() } else { events_after() }, false),
        table("visits", visits(), false),
        table("shops", shops(), true),
        table("gone", shops(), true),
    ]
}

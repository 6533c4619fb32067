//! How fast rows become Parquet: events a second of processor time, for each table and row group size.
//!
//! `cargo run --release -p icefold-writer --example encode_speed -- [EVENTS]`

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, LargeBinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field};
use icefold_core::tables::TableKind;
use icefold_core::{Error, Result};
use icefold_writer::encode::{RowBuffer, TableEncoder};

/// Events of a batch, as many as a chunk of 2 MiB holds.
const EVENTS_PER_BATCH: u64 = 1_000;

fn main() -> Result<()> {
    let events: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let batches: Vec<_> = (0..events / EVENTS_PER_BATCH).map(|batch| Rows::new(batch * EVENTS_PER_BATCH)).collect();
    let json_bytes: usize = batches.iter().map(|rows| rows.json_bytes).sum();
    println!("{events} events of {} bytes", json_bytes as u64 / events);
    for row_group_mib in [8, 16, 32, 64] {
        for kind in [TableKind::RawEvents, TableKind::Events] {
            let arrow = batches.iter().map(|rows| if kind == TableKind::Events { &rows.events } else { &rows.raw });
            measure(kind, arrow, row_group_mib << 20, events, json_bytes)?;
        }
    }
    Ok(())
}

fn measure<'a>(
    kind: TableKind,
    batches: impl Iterator<Item = &'a RecordBatch>,
    row_group_bytes: usize,
    events: u64,
    json_bytes: usize,
) -> Result<()> {
    let encoder = TableEncoder::new(kind, 0, 1)?;
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let (mut buffer, mut row_groups, mut memory) = (RowBuffer::default(), Vec::new(), 0);
    for batch in batches {
        memory += batch.get_array_memory_size();
        buffer.push(batch.clone())?;
        if buffer.memory_bytes() >= row_group_bytes {
            row_groups.push(encoder.encode(buffer.take())?);
        }
    }
    row_groups.push(encoder.encode(buffer.take())?);
    let file = encoder.assemble("memory:///f.parquet".into(), 0, row_groups)?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let size: usize = file.parts.iter().map(|part| part.len()).sum();
    println!(
        "{:10} row groups of {:2} MiB: {:7.0} events/cpu-s, {:4.0} MB/s of JSON, {:5.2} us/event, {:5.1} B/event ({:.1}:1 of JSON), {:4} B/event in memory, wall {seconds:.2} s",
        kind.name(),
        row_group_bytes >> 20,
        events as f64 / cpu,
        json_bytes as f64 / cpu / 1e6,
        cpu / events as f64 * 1e6,
        size as f64 / events as f64,
        json_bytes as f64 / size as f64,
        memory as u64 / events,
    );
    let mut columns: Vec<_> = file.file.column_sizes().iter().map(|(id, bytes)| (*bytes, *id)).collect();
    columns.sort_unstable_by(|a, b| b.cmp(a));
    if row_group_bytes >> 20 == 32 {
        let shares = columns.iter().take(10).map(|(bytes, id)| {
            format!("{} {:.0}", kind.columns()[*id as usize - 1].name, *bytes as f64 / events as f64)
        });
        println!("           bytes/event: {}", shares.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// A thousand events, as raw rows and as columns.
struct Rows {
    raw: RecordBatch,
    events: RecordBatch,
    json_bytes: usize,
}

impl Rows {
    fn new(first: u64) -> Self {
        let events: Vec<Event> = (first..first + EVENTS_PER_BATCH).map(Event::new).collect();
        let json_bytes = events.iter().map(|event| event.json.len()).sum();
        let rows = |kind| table(kind, &events).expect("columns fit");
        Rows { raw: rows(TableKind::RawEvents), events: rows(TableKind::Events), json_bytes }
    }
}

fn table(kind: TableKind, events: &[Event]) -> Result<RecordBatch> {
    let schema = kind.arrow_schema()?;
    let columns = schema.fields().iter().map(|field| column(field, events)).collect();
    RecordBatch::try_new(schema.clone(), columns).map_err(|e| Error::bug("columns do not fit").because(e))
}

fn column(field: &Field, events: &[Event]) -> ArrayRef {
    match (field.name().as_str(), field.data_type()) {
        ("payload", _) => Arc::new(LargeBinaryArray::from_iter_values(events.iter().map(|e| e.json.as_bytes()))),
        (_, DataType::Timestamp(..)) => {
            let micros = events.iter().map(|e| e.micros);
            Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("+00:00"))
        }
        ("source_offset", _) => Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.number as i64 * 2038))),
        ("sub_offset", _) => Arc::new(Int32Array::from(vec![0; events.len()])),
        (_, DataType::Int32) => Arc::new(Int32Array::from_iter_values(events.iter().map(|e| e.pick(7, 900) as i32))),
        (name, DataType::Utf8) => Arc::new(events.iter().map(|e| e.text(name)).collect::<StringArray>()),
        (_, other) => new_null_array(other, events.len()),
    }
}

/// One event: random where real ones are, repeated where real ones are.
struct Event {
    number: u64,
    random: [u64; 8],
    micros: i64,
    json: String,
}

const WORDS: [&str; 16] = [
    "checkout", "product", "search", "home", "basket", "summer", "offer", "detail", "account", "wishlist", "review",
    "shipping", "payment", "coupon", "category", "return",
];

impl Event {
    fn new(number: u64) -> Self {
        let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
        let random = std::array::from_fn(|_| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            state.wrapping_mul(0x2545_F491_4F6C_DD1D)
        });
        let micros = 1_760_000_000_000_000 + number as i64 * 40 + (random[0] % 900_000) as i64;
        let mut event = Event { number, random, micros, json: String::new() };
        event.json = event.to_json();
        event
    }

    /// A number below `of` that depends on the event and on `salt`.
    fn pick(&self, salt: u64, of: u64) -> u64 {
        (self.random[(salt % 8) as usize].rotate_left((salt * 7 % 64) as u32) ^ salt.wrapping_mul(0x9E37)) % of
    }

    fn word(&self, salt: u64) -> &'static str {
        WORDS[self.pick(salt, 16) as usize]
    }

    fn uuid(&self, salt: u64) -> String {
        let (a, b) = (self.random[(salt % 8) as usize], self.random[((salt + 3) % 8) as usize]);
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            a & 0xffff,
            (a >> 16) & 0xfff,
            b >> 48,
            b & 0xffff_ffff_ffff
        )
    }

    fn device(&self) -> String {
        format!("0{:07x}-77aa-4c0d-9e11-{:012x}", self.pick(1, 40_000) * 6_661, self.pick(1, 40_000) * 7_654_321)
    }

    fn text(&self, column: &str) -> Option<String> {
        let some = |present: bool, text: String| present.then_some(text);
        match column {
            "message_id" => Some(self.uuid(0)),
            "event_type" => Some(["track", "track", "track", "page", "screen"][self.pick(2, 5) as usize].to_owned()),
            "event_name" => Some(format!("{} {}", self.word(3), self.word(4))),
            "anonymous_id" => Some(self.device()),
            "user_id" => some(self.pick(5, 3) == 0, format!("user-{}", self.pick(1, 40_000))),
            "ip" => Some(format!("84.{}.{}.{}", self.pick(8, 256), self.pick(9, 256), self.pick(10, 256))),
            "user_agent" => Some(format!(
                "Mozilla/5.0 (Linux; Android 1{}; SM-G99{}B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/12{}.0.0.0 Mobile Safari/537.36",
                self.pick(11, 5),
                self.pick(12, 9),
                self.pick(13, 9)
            )),
            "locale" => Some(["en-GB", "de-DE", "fr-FR"][self.pick(14, 3) as usize].to_owned()),
            "timezone" => Some(["Europe/Berlin", "Europe/London"][self.pick(15, 2) as usize].to_owned()),
            "page_url" => Some(format!("https://shop.example.com{}{}", self.path(), self.query())),
            "page_path" => Some(self.path()),
            "page_referrer" => Some(format!("https://www.example.org/{}", self.word(19))),
            "page_title" => Some(format!("{} and {} at the example shop", self.word(16), self.word(17))),
            "page_search" => Some(self.query()),
            "library_name" => Some("analytics.js".to_owned()),
            "library_version" => Some(format!("4.{}.1", self.pick(20, 4))),
            "os_name" | "app_name" | "device_type" => Some("Android".to_owned()),
            "app_version" | "os_version" => Some(format!("{}.{}", self.pick(21, 4), self.pick(22, 6))),
            "properties" => Some(self.properties()),
            "context" => Some(self.context()),
            "contract" => Some("segment-envelope/1".to_owned()),
            "shard" => Some("file:///data/events".to_owned()),
            "segment" => Some("2026-01-31/part-0001.ndjson.gz".to_owned()),
            _ => None,
        }
    }

    fn path(&self) -> String {
        format!("/{}/{}/{}", self.word(16), self.word(17), self.pick(18, 5_000))
    }

    fn query(&self) -> String {
        format!("?ref={}&session={:x}", self.word(23), self.pick(24, 1 << 40))
    }

    fn properties(&self) -> String {
        let product = |salt: u64| {
            format!(
                r#"{{"product_id":"{:x}","sku":"SKU-{}","name":"{} {}","price":{}.{:02},"quantity":{},"category":"{}"}}"#,
                self.pick(salt, 1 << 44),
                self.pick(salt + 1, 90_000),
                self.word(salt + 2),
                self.word(salt + 3),
                self.pick(salt + 4, 200),
                self.pick(salt + 5, 100),
                self.pick(salt + 6, 4) + 1,
                self.word(salt + 7)
            )
        };
        format!(
            r#"{{"cart_id":"{}","currency":"EUR","value":{}.{:02},"coupon":"{}","products":[{},{},{}],"position":{},"list":"{}"}}"#,
            self.uuid(25),
            self.pick(26, 900),
            self.pick(27, 100),
            self.word(28),
            product(30),
            product(40),
            product(50),
            self.pick(29, 60),
            self.word(31)
        )
    }

    fn context(&self) -> String {
        format!(
            r#"{{"network":{{"carrier":"{}","wifi":{},"cellular":{}}},"screen":{{"density":{}.5}},"consent":{{"categories":{{"analytics":true,"ads":{}}}}},"trace_id":"{}","experiments":["{}-{}","{}-{}"]}}"#,
            ["Vodafone", "Telekom", "O2"][self.pick(60, 3) as usize],
            self.pick(61, 2) == 0,
            self.pick(61, 2) == 1,
            self.pick(62, 3) + 1,
            self.pick(63, 2) == 0,
            self.uuid(64),
            self.word(65),
            self.pick(66, 4),
            self.word(67),
            self.pick(68, 4)
        )
    }

    fn to_json(&self) -> String {
        let text = |column| self.text(column).unwrap_or_default();
        let mut json = format!(
            r#"{{"messageId":"{}","type":"{}","event":"{}","anonymousId":"{}","userId":"{}","timestamp":"{}","sentAt":"{}","receivedAt":"{}","properties":{},"context":{{"ip":"{}","userAgent":"{}","locale":"{}","timezone":"{}","library":{{"name":"{}","version":"{}"}},"page":{{"url":"{}","path":"{}","referrer":"{}","title":"{}","search":"{}"}},"rest":{}}}"#,
            text("message_id"),
            text("event_type"),
            text("event_name"),
            text("anonymous_id"),
            text("user_id"),
            self.micros,
            self.micros + 5,
            self.micros + 900,
            text("properties"),
            text("ip"),
            text("user_agent"),
            text("locale"),
            text("timezone"),
            text("library_name"),
            text("library_version"),
            text("page_url"),
            text("page_path"),
            text("page_referrer"),
            text("page_title"),
            text("page_search"),
            text("context")
        );
        let padding = 2_037_usize.saturating_sub(json.len());
        json.push_str(
            &format!(r#","integrations":"{}"}}"#, "All,Amplitude,Braze,Salesforce,".repeat(8))
                .replace("All,", if padding > 200 { "All,AppsFlyer," } else { "All," }),
        );
        json
    }
}

//! Measures the decoder on events of about 2 KB, beside a plain parse of the same bytes in the same run.
//!
//! ```text
//! cargo run --release -p icefold-writer --example decode_speed [ROUNDS]
//! ```

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use icefold_core::{Offset, ShardId, ShardPosition};
use icefold_writer::Chunk;
use icefold_writer::decode::{DecodeSettings, Decoder, InputFormat};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Size of a chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// 2026-11-22T12:00:00Z.
const NOON_MICROS: i64 = 1_795_348_800_000_000;

fn main() -> icefold_core::Result<()> {
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(30);
    let mut random = SmallRng::seed_from_u64(7);
    let single = chunk(&mut random, None);
    let plain_ascii = Chunk { bytes: single.bytes.iter().map(|b| b & 0x7f).collect(), ..single.clone() };
    let batches = chunk(&mut random, Some(20));
    println!("best and median of {rounds} rounds over a chunk of {} MiB, one thread", CHUNK_BYTES >> 20);
    for (name, chunk) in
        [("one event a line", &single), ("the same in ASCII", &plain_ascii), ("batches of 20", &batches)]
    {
        let mut decoder = Decoder::new(DecodeSettings::default(), InputFormat::Segment)?;
        let decoded = decoder.decode(chunk)?;
        let (events, malformed) = (decoded.events.num_rows(), decoded.quarantine.num_rows());
        println!("{name}: {events} events of {} bytes, {malformed} malformed", chunk.bytes.len() / events.max(1));
        report("decode to columns", chunk, events, rounds, || drop(black_box(decoder.decode(chunk))));
        report("sonic_rs::from_slice::<Value>", chunk, events, rounds, || parse_values(chunk));
    }
    Ok(())
}

fn parse_values(chunk: &Chunk) {
    for line in chunk.bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        black_box(sonic_rs::from_slice::<sonic_rs::Value>(line).is_ok());
    }
}

fn report(what: &str, chunk: &Chunk, events: usize, rounds: usize, mut run: impl FnMut()) {
    let mut times: Vec<Duration> = (0..rounds.max(1))
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    let line = |time: Duration| {
        let seconds = time.as_secs_f64();
        let (megabytes, micros) = (chunk.bytes.len() as f64 / 1e6, seconds * 1e6 / events as f64);
        format!("{:>7.0} MB/s {:>9.0} events/s {micros:>6.2} us/event", megabytes / seconds, events as f64 / seconds)
    };
    println!("  {what:<30} {}   median {}", line(times[0]), line(times[times.len() / 2]));
}

fn chunk(random: &mut SmallRng, batch: Option<usize>) -> Chunk {
    let mut bytes = Vec::with_capacity(CHUNK_BYTES + 100_000);
    while bytes.len() < CHUNK_BYTES {
        match batch {
            None => bytes.extend_from_slice(event(random, true).as_bytes()),
            Some(events) => {
                let events: Vec<_> = (0..events).map(|_| event(random, false)).collect();
                let tail = r#""sentAt":"2026-11-22T11:59:59.500Z","receivedAt":"2026-11-22T12:00:00.250Z"}"#;
                bytes.extend_from_slice(format!(r#"{{"batch":[{}],{tail}"#, events.join(",")).as_bytes());
            }
        }
        bytes.push(b'\n');
    }
    let end = bytes.len() as u64;
    Chunk {
        shard: ShardId::new("file:///data/events"),
        segment: "2026-11-22T12.ndjson".into(),
        start: 0,
        bytes: bytes.into(),
        stream_time_micros: NOON_MICROS,
        oversized: None,
        sub_offsets: None,
        from: Offset::start(),
        to: ShardPosition::at(Offset::new("2026-11-22T12.ndjson", end)),
    }
}

/// Returns a track call of about 2 KB as a browser SDK sends it.
fn event(random: &mut SmallRng, with_times: bool) -> String {
    let id =
        |random: &mut SmallRng| format!("{:08x}-{:04x}-4{:03x}", random.random::<u32>(), random.random::<u16>(), 7);
    let (message, device, user, order) = (id(random), id(random), random.random_range(1..9_000_000), id(random));
    let times = match with_times {
        true => r#""sentAt":"2026-11-22T11:59:59.500Z","receivedAt":"2026-11-22T12:00:00.250Z","#,
        false => "",
    };
    let products: Vec<_> = (0..4)
        .map(|position| {
            let (sku, price) = (random.random_range(100_000..999_999), random.random_range(99..99_999));
            format!(
                r#"{{"product_id":"{sku}","sku":"G-{sku}","category":"Games","name":"Monopoly: \"3rd\" édition {sku}","brand":"Hasbro","variant":"200 pieces","price":{}.{:02},"quantity":1,"position":{position}}}"#,
                price / 100,
                price % 100
            )
        })
        .collect();
    format!(
        r#"{{"type":"track","event":"Order Completed","messageId":"ajs-next-{message}","anonymousId":"{device}","userId":"user-{user}","timestamp":"2026-11-22T11:59:58.{:03}Z",{times}"context":{{"ip":"203.0.113.{}","userAgent":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1","locale":"en-GB","timezone":"Europe/Berlin","page":{{"path":"/checkout/done","referrer":"https://shop.example.com/checkout/payment?step=3","search":"?order={order}&utm_source=newsletter","title":"Thank you for your order | Example Shop","url":"https://shop.example.com/checkout/done?order={order}&utm_source=newsletter"}},"campaign":{{"name":"autumn-sale","source":"newsletter","medium":"email","content":"hero-banner"}},"library":{{"name":"analytics.js","version":"next-1.70.0"}},"screen":{{"width":390,"height":844,"density":3}},"consent":{{"categoryPreferences":{{"Advertising":true,"Analytics":true,"Functional":false}}}}}},"integrations":{{"All":true}},"properties":{{"checkout_id":"{order}","order_id":"{order}","affiliation":"Google Store","total":{}.5,"revenue":25.00,"shipping":3,"tax":2,"discount":2.5,"coupon":"hasbros","currency":"EUR","products":[{}]}}}}"#,
        random.random_range(0..1000),
        random.random_range(1..255),
        random.random_range(10..500),
        products.join(",")
    )
}

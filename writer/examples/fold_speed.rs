//! Measures both folds: nanoseconds an event, and bytes for a million devices.
//!
//! `cargo run --release --package icefold-writer --example fold_speed`

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::hint::black_box;
use std::time::Instant;

use icefold_core::Result;
use icefold_writer::fold::identity::{Binds, Call, EdgeKind, Identities, KnownBinding};
use icefold_writer::fold::session::{SessionEvent, SessionRow, SessionSettings, Sessions};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

const MILLION: u64 = 1_000_000;
const SECOND: i64 = 1_000_000;

fn main() -> Result<()> {
    sessions()?;
    rebuild()?;
    identities()
}

/// Runs `call` so many times and prints what one run takes.
fn measure(what: &str, times: u64, mut call: impl FnMut(u64) -> Result<()>) -> Result<()> {
    let begin = Instant::now();
    (0..times).try_for_each(&mut call)?;
    println!("{what:<52} {:>8.1} ns", begin.elapsed().as_nanos() as f64 / times as f64);
    Ok(())
}

fn hash(i: u64) -> u128 {
    xxh3_128(&i.to_le_bytes())
}

/// A number below `devices`, as if by chance.
fn some(i: u64, devices: u64) -> u64 {
    ((u128::from(xxh3_64(&i.to_le_bytes())) * u128::from(devices)) >> 64) as u64
}

fn event(device: u64, seconds: i64) -> SessionEvent {
    SessionEvent {
        device: hash(device),
        message: u128::from(device),
        event_time_micros: seconds * SECOND,
        stream_time_micros: seconds * SECOND,
        campaign: None,
    }
}

fn sessions() -> Result<()> {
    measure("(making an event: part of every line on sessions)", 10 * MILLION, |i| {
        black_box(event(some(i, MILLION), 1_000));
        Ok(())
    })?;
    for devices in [1_000, 10_000, 100_000, MILLION] {
        let mut sessions = Sessions::new(&SessionSettings::default())?;
        measure(&format!("sessions: begin, {devices} devices"), devices, |i| {
            black_box(sessions.fold(&event(i, 1_000)));
            Ok(())
        })?;
        measure(&format!("sessions: join, {devices} devices by chance"), 10 * MILLION, |i| {
            black_box(sessions.fold(&event(some(i, devices), 1_000 + (i / 100_000) as i64)));
            Ok(())
        })?;
        println!("{:<52} {:>8.1} bytes", "    a session", sessions.memory_bytes() as f64 / sessions.len() as f64);
    }
    turnover()?;
    crowd()
}

/// Devices come and go for ten hours of `stream_time`, 100,000 an hour, with 10 events each.
fn turnover() -> Result<()> {
    let mut sessions = Sessions::new(&SessionSettings::default())?;
    let mut most = 0;
    measure("sessions: ten hours, open for one", 10 * MILLION, |i| {
        let seconds = (i * 36_000 / (10 * MILLION)) as i64;
        black_box(sessions.fold(&event(some(i, 10_000) + i / 100_000 * 10_000, seconds)));
        most = most.max(sessions.len());
        Ok(())
    })?;
    println!("{:<52} {most:>8} sessions, {} bytes", "    at most stored", sessions.memory_bytes());
    Ok(())
}

/// One device stands for thousands and has as many sessions as a device may.
fn crowd() -> Result<()> {
    let mut sessions = Sessions::new(&SessionSettings::default())?;
    measure("sessions: one device with a session for each event", MILLION, |i| {
        black_box(sessions.fold(&SessionEvent { event_time_micros: i as i64 * 3_600 * SECOND, ..event(1, 1_000) }));
        Ok(())
    })
}

fn rebuild() -> Result<()> {
    let mut sessions = Sessions::new(&SessionSettings::default())?;
    let mut rows = Vec::new();
    for i in 0..2 * MILLION {
        let event = event(some(i, MILLION), 1_000);
        let step = sessions.fold(&event).expect("has a device");
        rows.push(SessionRow {
            device: event.device,
            id: step.id,
            start_micros: step.start_micros,
            latest_micros: step.start_micros + step.elapsed_micros,
            number: step.number,
            stream_time_micros: event.stream_time_micros,
        });
    }
    let mut rebuilt = Sessions::new(&SessionSettings::default())?;
    measure("sessions: remember a row", rows.len() as u64, |i| {
        rebuilt.remember(&rows[i as usize]);
        Ok(())
    })?;
    let begin = Instant::now();
    let mut child = Sessions::new(&SessionSettings::default())?;
    child.inherit(&rebuilt);
    println!(
        "{:<52} {:>8.1} ms for {} sessions",
        "sessions: inherit",
        begin.elapsed().as_secs_f64() * 1e3,
        child.len()
    );
    Ok(())
}

fn identities() -> Result<()> {
    let mut identities = Identities::default();
    let users: Vec<String> = (0..MILLION).map(|i| format!("{:036x}", hash(i))[..36].to_owned()).collect();
    let identify =
        |i: u64| Call { binds: Binds::Device, device: hash(i), user: Some(&users[i as usize]), stream_time_micros: 0 };
    measure("identities: identify, 1000000 new devices", MILLION, |i| {
        black_box(identities.fold(&identify(i)));
        Ok(())
    })?;
    let bytes = identities.memory_bytes() as f64 / identities.len() as f64;
    println!("{:<52} {bytes:>8.1} bytes", "    a device with a userId of 36 bytes");
    measure("identities: identify again, by chance", 10 * MILLION, |i| {
        black_box(identities.fold(&identify(some(i, MILLION))));
        Ok(())
    })?;
    for devices in [10_000, MILLION] {
        measure(&format!("identities: resolve, {devices} devices by chance"), 10 * MILLION, |i| {
            let call =
                Call { binds: Binds::Nothing, device: hash(some(i, devices)), user: None, stream_time_micros: 0 };
            black_box(identities.fold(&call));
            Ok(())
        })?;
    }
    let mut rebuilt = Identities::default();
    measure("identities: remember a row", MILLION, |i| {
        let user = &users[i as usize];
        let row = KnownBinding { user, kind: EdgeKind::Identify, number: 1, stream_time_micros: 0 };
        rebuilt.remember(hash(i), &row);
        Ok(())
    })
}

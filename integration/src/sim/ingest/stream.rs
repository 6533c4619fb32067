//! The stream: lines of events in shards, made from a seed, and a source that hands them over.
//!
//! As in Kinesis a device has one shard at a time. In mid-stream shards may be split or merged: a child continues its parents and
//! is read after them. What a device says twice it may say once on each side of that, and now and then through a shard
//! that has nothing to do with its own, where it is accepted once more.
//!
//! The time of the stream goes on in steps; shards are read as far apart as chance has it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use icefold_core::timestamp::format_iso;
use icefold_core::{Offset, Result, ShardId, ShardPosition};
use icefold_writer::Chunk;
use icefold_writer::source::Source;
use rand::Rng;
use rand::rngs::SmallRng;
use tokio::sync::Notify;

/// Events of a stream.
const EVENTS: u32 = 120;
/// 2026-11-22T12:00:00Z.
const NOON_MS: i64 = 1_795_348_800_000;
const MINUTE_MS: i64 = 60_000;
/// How far the time of the stream moves on at once: as if a file was begun every ten minutes.
const STEP_MS: i64 = 10 * MINUTE_MS;
/// How far ahead of the stream an event may claim to have arrived; more is not plausible.
const MOST_AHEAD_MS: i64 = 23 * 60 * MINUTE_MS;
/// Name of the one segment of each shard.
const SEGMENT: &str = "lines";

/// How many lines are events, how many of these say something new, and how many lines are none.
#[derive(Debug)]
pub struct Messages {
    /// Events.
    pub all: usize,
    /// Different `messageId`s.
    pub distinct: usize,
    /// Lines that cannot be read.
    pub unreadable: usize,
}

/// The lines of every shard.
#[derive(Debug)]
pub struct Stream {
    shards: Vec<Shard>,
}

#[derive(Debug, Clone)]
struct Shard {
    id: ShardId,
    text: Arc<str>,
    /// The time of the stream at each line, by the byte at which the line begins.
    times: BTreeMap<usize, i64>,
    /// Shards that are read to their end before this one, by number.
    parents: Vec<usize>,
}

/// How shards are divided anew in mid-stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reshard {
    Never,
    /// The first shard becomes two.
    Split,
    /// Both shards become one.
    Merge,
}

impl Stream {
    /// Makes a stream.
    pub fn of(rng: &mut SmallRng) -> Self {
        let mut stream = Stream { shards: Vec::new() };
        for name in ["left", "right"] {
            stream.add(name, Vec::new());
        }
        let reshard = [Reshard::Never, Reshard::Split, Reshard::Merge][rng.random_range(0..3)];
        match reshard {
            Reshard::Never => {}
            Reshard::Split => {
                stream.add("left-even", vec![0]);
                stream.add("left-odd", vec![0]);
            }
            Reshard::Merge => stream.add("both", vec![0, 1]),
        }
        let mut texts = vec![String::new(); stream.shards.len()];
        let mut teller = Teller::new(rng);
        for number in 0..EVENTS {
            let moved = number >= EVENTS / 2;
            let (device, line) = teller.line(rng);
            let strays = rng.random_range(0..30) == 0;
            let shard = match (reshard, moved, (device + usize::from(strays)) % 2) {
                (Reshard::Split, true, 0) => 2 + device / 2 % 2,
                (Reshard::Merge, true, _) => 2,
                (_, _, side) => side,
            };
            stream.shards[shard].times.insert(texts[shard].len(), teller.now_ms / STEP_MS * STEP_MS);
            texts[shard].push_str(&line);
        }
        for (shard, text) in stream.shards.iter_mut().zip(texts) {
            shard.text = text.into();
        }
        stream
    }

    fn add(&mut self, name: &str, parents: Vec<usize>) {
        self.shards.push(Shard { id: ShardId::new(name), text: "".into(), times: BTreeMap::new(), parents });
    }

    /// Returns shard, offset and bytes (as hexadecimal digits) of every line, in the order of shards and offsets.
    pub fn lines(&self) -> Vec<(ShardId, u64, String)> {
        let hex = |line: &str| line.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = |shard: &Shard, at: usize| hex(shard.text[at..].lines().next().unwrap_or_default());
        let all = self
            .shards
            .iter()
            .flat_map(|shard| shard.times.keys().map(move |at| (shard.id.clone(), *at as u64, line(shard, *at))));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all
    }

    /// Counts what the lines say.
    pub fn messages(&self) -> Messages {
        let lines = self.shards.iter().flat_map(|shard| shard.text.lines());
        let ids: Vec<_> = lines.filter_map(|line| line.strip_suffix('}')?.split('"').nth(3)).collect();
        let all = self.shards.iter().map(|shard| shard.times.len()).sum::<usize>();
        Messages { all: ids.len(), distinct: ids.iter().collect::<BTreeSet<_>>().len(), unreadable: all - ids.len() }
    }

    /// Returns which shard continues which others.
    pub fn continued(&self) -> impl Iterator<Item = (&ShardId, Vec<ShardId>)> {
        let names = |parents: &[usize]| parents.iter().map(|parent| self.shards[*parent].id.clone()).collect();
        let children = self.shards.iter().filter(|shard| !shard.parents.is_empty());
        children.map(move |shard| (&shard.id, names(&shard.parents)))
    }

    /// Opens every shard where `position` says; `lines` says how many of them the next chunk holds at most.
    pub fn open(&self, position: impl Fn(&ShardId) -> Option<ShardPosition>, lines: &Lines) -> Vec<Box<dyn Source>> {
        let starts: Vec<_> = self
            .shards
            .iter()
            .map(|shard| position(&shard.id).map_or_else(Offset::start, |position| position.next))
            .collect();
        let left = self.shards.iter().zip(&starts).map(|(shard, start)| shard.has_lines_from(start)).collect();
        let pace = Arc::new(Pace { left: Mutex::new(left), moved: Notify::new() });
        let open = |(number, (shard, next)): (usize, (&Shard, Offset))| -> Box<dyn Source> {
            Box::new(LineSource { shard: shard.clone(), number, next, lines: lines.clone(), pace: pace.clone() })
        };
        self.shards.iter().zip(starts).enumerate().map(open).collect()
    }
}

impl Shard {
    fn has_lines_from(&self, start: &Offset) -> bool {
        self.times.contains_key(&(start.position as usize))
    }
}

/// Says how many lines a chunk holds at most.
pub type Lines = Arc<dyn Fn() -> usize + Send + Sync>;

struct LineSource {
    shard: Shard,
    number: usize,
    next: Offset,
    lines: Lines,
    pace: Arc<Pace>,
}

impl LineSource {
    /// Waits until the parents are read to their end.
    async fn turn(&self) {
        loop {
            let mut moved = pin!(self.pace.moved.notified());
            moved.as_mut().enable();
            let waits = {
                let left = self.pace.lock();
                self.shard.parents.iter().any(|parent| left[*parent])
            };
            if !waits {
                return;
            }
            moved.await;
        }
    }
}

/// Which shards have lines left. A watch channel of tokio wakes who waits in an order by chance.
struct Pace {
    left: Mutex<Vec<bool>>,
    moved: Notify,
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, Vec<bool>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for LineSource {
    fn shard(&self) -> &ShardId {
        &self.shard.id
    }

    async fn next(&mut self) -> Result<Option<Chunk>> {
        // Only who asks for the next chunk has passed on the last one.
        self.pace.lock()[self.number] = self.shard.has_lines_from(&self.next);
        self.pace.moved.notify_waiters();
        self.turn().await;
        let start = self.next.position as usize;
        let mut rest = self.shard.times.range(start..);
        let Some((_, time)) = rest.clone().next() else { return Ok(None) };
        let lines = rest.clone().take((self.lines)()).take_while(|(_, at)| *at == time).count();
        let end = rest.nth(lines).map_or(self.shard.text.len(), |(byte, _)| *byte);
        let time_micros = time * 1_000;
        let behind = Offset::new(SEGMENT, end as u64);
        Ok(Some(Chunk {
            shard: self.shard.id.clone(),
            segment: SEGMENT.into(),
            start: start as u64,
            bytes: self.shard.text.as_bytes()[start..end].to_vec().into(),
            stream_time_micros: time_micros,
            oversized: None,
            from: std::mem::replace(&mut self.next, behind.clone()),
            to: ShardPosition { stream_time_micros: Some(time_micros), ..ShardPosition::at(behind) },
        }))
    }
}

/// Tells what devices do, one event after the other.
struct Teller {
    now_ms: i64,
    devices: usize,
    told: u32,
    /// What each device has said, to be said again.
    said: Vec<Vec<Said>>,
}

/// An event but for its arrival.
#[derive(Debug, Clone)]
struct Said {
    at_ms: i64,
    body: String,
}

impl Teller {
    fn new(rng: &mut SmallRng) -> Self {
        let devices = rng.random_range(3..=8);
        Teller { now_ms: NOON_MS, devices, told: 0, said: vec![Vec::new(); devices] }
    }

    /// Returns the next line and the device that it comes from.
    fn line(&mut self, rng: &mut SmallRng) -> (usize, String) {
        // Most steps are short, some longer than a session's gap, a few longer than the hot window.
        let step = match rng.random_range(0..20) {
            0 => rng.random_range(60..200),
            1..=4 => rng.random_range(20..50),
            _ => rng.random_range(0..8),
        };
        self.now_ms += step * MINUTE_MS + rng.random_range(0..MINUTE_MS);
        let device = rng.random_range(0..self.devices);
        if rng.random_range(0..20) == 0 {
            return (device, "{\"type\":\"track\",\"messageId\":\n".to_owned());
        }
        let again = (rng.random_range(0..6) == 0).then(|| self.repeat(device, rng)).flatten();
        let said = again.unwrap_or_else(|| self.say(device, rng));
        // One in forty comes from far ahead, by its own claim.
        let ahead = if rng.random_range(0..40) == 0 { MOST_AHEAD_MS } else { 0 };
        let (at, arrival) = (format_iso(said.at_ms * 1_000), format_iso((self.now_ms + ahead) * 1_000));
        (device, format!("{{{},\"timestamp\":\"{at}\",\"receivedAt\":\"{arrival}\"}}\n", said.body))
    }

    /// Says something again, if there is something.
    fn repeat(&mut self, device: usize, rng: &mut SmallRng) -> Option<Said> {
        let number = rng.random_range(0..self.said[device].len().max(1));
        self.said[device].get(number).cloned()
    }

    fn say(&mut self, device: usize, rng: &mut SmallRng) -> Said {
        self.told += 1;
        let late = if rng.random_range(0..6) == 0 { rng.random_range(0..240) } else { 0 };
        let person = rng.random_range(0..self.devices);
        // Some events know a person and no device.
        let is_known = rng.random_range(0..12) > 0;
        let who = if is_known { format!("\"anonymousId\":\"d{device}\"") } else { format!("\"userId\":\"u{device}\"") };
        let what = match rng.random_range(0..10) {
            0 | 1 if is_known => format!("\"type\":\"identify\",\"userId\":\"u{person}\""),
            2 if is_known => {
                format!("\"type\":\"alias\",\"userId\":\"u{person}\",\"previousId\":\"d{device}-before\"")
            }
            3 => format!("\"type\":\"page\",\"context\":{{\"campaign\":{{\"name\":\"c{}\"}}}}", person % 2),
            4 if is_known => format!("\"type\":\"track\",\"event\":\"Bought\",\"userId\":\"u{person}\""),
            _ => "\"type\":\"screen\",\"name\":\"Home\"".to_owned(),
        };
        let body = format!("\"messageId\":\"m{}\",{who},{what}", self.told);
        let said = Said { at_ms: self.now_ms - late * MINUTE_MS, body };
        self.said[device].push(said.clone());
        said
    }
}

//! The stream: lines of events in shards, made from a seed, and a source that hands them over.
//!
//! As in Kinesis a device has one shard at a time. In mid-stream shards may be split or merged: a child continues its parents and
//! is read after them. What a device says twice it may say once on each side of that, and now and then through a shard
//! that has nothing to do with its own, where it is accepted once more.
//!
//! Source time goes on in steps, as if a file was begun every ten minutes, and shards are read as far apart as chance has it. In
//! some streams files come out of the order of their times, as random names have it: the time of the stream
//! then stands still until they are behind ([`StreamTime`]).

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use icefold_core::timestamp::{format_iso, parse_iso};
use icefold_core::{Offset, Result, ShardId, ShardPosition};
use icefold_writer::Chunk;
use icefold_writer::source::{Source, StreamTime};
use rand::Rng;
use rand::rngs::SmallRng;
use tokio::sync::Notify;

/// Events of a stream.
const EVENTS: u32 = 72;
/// 2026-11-22T12:00:00Z.
const NOON_MS: i64 = 1_795_348_800_000;
const MINUTE_MS: i64 = 60_000;
/// How long a file holds what comes: all its lines have one source time.
const STEP_MS: i64 = 10 * MINUTE_MS;
/// Most files that one comes too late.
const MOST_LATE: i64 = 40;
/// How far ahead of the stream an event may claim to have arrived; more is not plausible.
const MOST_AHEAD_MS: i64 = 23 * 60 * MINUTE_MS;
/// How many bytes long events have more than others: so that either, one or none of them passes a setting.
const PADDINGS: [usize; 2] = [1_000, 1_800];
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

impl Line {
    /// Returns the key of its raw row.
    pub(super) fn key(&self) -> String {
        format!("{}@{:05}.0 ", self.shard, self.position)
    }
}

/// What a stream is made of beside what devices do.
#[derive(Debug, Clone, Copy)]
pub struct Nature {
    /// Files come out of the order of their times.
    pub disordered: bool,
    /// Some events are long, so that it depends on settings whether they pass.
    pub padded: bool,
}

/// The lines of every shard.
#[derive(Debug)]
pub struct Stream {
    shards: Vec<Shard>,
}

/// A line, as it should be in `raw_events`: where it lies, its bytes as hexadecimal digits, and its `stream_time`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub(super) shard: ShardId,
    pub(super) position: u64,
    pub(super) payload: String,
    pub(super) stream_time_micros: i64,
}

#[derive(Debug, Clone)]
struct Shard {
    id: ShardId,
    text: Arc<str>,
    /// The source time of each line, in milliseconds since 1970, by the byte at which the line begins.
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
    pub fn of(rng: &mut SmallRng, nature: Nature) -> Self {
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
        let mut teller = Teller::new(rng, nature);
        for number in 0..EVENTS {
            let moved = number >= EVENTS / 2;
            let Told { device, line, source_ms } = teller.line(rng);
            let strays = rng.random_range(0..30) == 0;
            let shard = match (reshard, moved, (device + usize::from(strays)) % 2) {
                (Reshard::Split, true, 0) => 2 + device / 2 % 2,
                (Reshard::Merge, true, _) => 2,
                (_, _, side) => side,
            };
            stream.shards[shard].times.insert(texts[shard].len(), source_ms);
            texts[shard].push_str(&line);
        }
        for (shard, text) in stream.shards.iter_mut().zip(texts) {
            shard.text = text.into();
        }
        stream
    }

    /// Returns a piece of a shard, line by line.
    pub fn chunks(&self, shard: &ShardId, from: &Offset, to: &Offset) -> Vec<Chunk> {
        let number = self.shards.iter().position(|known| known.id == *shard).unwrap_or_default();
        let text = &self.shards[number].text;
        let lines = self.lines_of(number).into_iter();
        let lines = lines.filter(|line| (from.position..to.position).contains(&line.position));
        lines
            .map(|line| {
                let start = line.position as usize;
                let end = start + text[start..].find('\n').map_or(0, |length| length + 1);
                chunk(&self.shards[number], start, end, line.stream_time_micros)
            })
            .collect()
    }

    fn add(&mut self, name: &str, parents: Vec<usize>) {
        self.shards.push(Shard { id: ShardId::new(name), text: "".into(), times: BTreeMap::new(), parents });
    }

    /// Returns every line in the order of shards and offsets.
    pub fn lines(&self) -> Vec<Line> {
        let mut all: Vec<Line> = (0..self.shards.len()).flat_map(|number| self.lines_of(number)).collect();
        all.sort_unstable();
        all
    }

    fn lines_of(&self, number: usize) -> Vec<Line> {
        let shard = &self.shards[number];
        let hex = |line: &str| line.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut latest =
            shard.parents.iter().filter_map(|parent| self.shards[*parent].times.values().max()).max().copied();
        let line = |(at, source_ms): (&usize, &i64)| {
            latest = latest.max(Some(*source_ms));
            Line {
                shard: shard.id.clone(),
                position: *at as u64,
                payload: hex(shard.text[*at..].lines().next().unwrap_or_default()),
                stream_time_micros: latest.unwrap_or(*source_ms) * 1_000,
            }
        };
        shard.times.iter().map(line).collect()
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

    /// Opens every shard where `position` says, no earlier in time than `floor_micros`.
    pub fn open(
        &self,
        position: impl Fn(&ShardId) -> Option<ShardPosition>,
        floor_micros: impl Fn(&ShardId) -> Option<i64>,
        reading: &Reading,
    ) -> Vec<Box<dyn Source>> {
        let positions: Vec<_> = self.shards.iter().map(|shard| position(&shard.id)).collect();
        let next = |at: &Option<ShardPosition>| at.as_ref().map_or_else(Offset::start, |at| at.next.clone());
        let standing = |(shard, at): (&Shard, &Option<ShardPosition>)| Standing {
            has_lines: shard.has_lines_from(&next(at)),
            time_micros: at.as_ref().and_then(|at| at.stream_time_micros),
        };
        let standing = self.shards.iter().zip(&positions).map(standing).collect();
        let pace = Arc::new(Pace { standing: Mutex::new(standing), moved: Notify::new() });
        let open = |(number, (shard, at)): (usize, (&Shard, &Option<ShardPosition>))| -> Box<dyn Source> {
            Box::new(LineSource {
                shard: shard.clone(),
                number,
                next: next(at),
                time: StreamTime::after(at.as_ref(), floor_micros(&shard.id)),
                reading: reading.clone(),
                pace: pace.clone(),
            })
        };
        self.shards.iter().zip(&positions).enumerate().map(open).collect()
    }
}

impl Shard {
    fn has_lines_from(&self, start: &Offset) -> bool {
        self.times.contains_key(&(start.position as usize))
    }
}

/// How the shards are read.
#[derive(Clone)]
pub struct Reading {
    /// Says how many lines the next chunk holds at most.
    pub lines: Arc<dyn Fn() -> usize + Send + Sync>,
    /// The time of the stream is the latest that any line claims to have arrived at: a defect, which has to be noticed.
    pub believes_claims: bool,
}

struct LineSource {
    shard: Shard,
    number: usize,
    next: Offset,
    time: StreamTime,
    reading: Reading,
    pace: Arc<Pace>,
}

impl LineSource {
    /// Waits until the parents are read to their end. Returns the time that they have reached.
    async fn turn(&self) -> Option<i64> {
        loop {
            let mut moved = pin!(self.pace.moved.notified());
            moved.as_mut().enable();
            let (waits, reached) = {
                let standing = self.pace.lock();
                let parents = || self.shard.parents.iter().map(|parent| &standing[*parent]);
                (parents().any(|parent| parent.has_lines), parents().filter_map(|parent| parent.time_micros).max())
            };
            if !waits {
                return reached;
            }
            moved.await;
        }
    }

    /// Returns the source time of a chunk, in microseconds since 1970.
    fn source_micros(&self, time_ms: i64, text: &str) -> i64 {
        let claimed = |line: &str| parse_iso(line.split("\"receivedAt\":\"").nth(1)?.split('"').next()?.as_bytes());
        let claims = text.lines().filter(|_| self.reading.believes_claims).filter_map(claimed);
        claims.max().unwrap_or(i64::MIN).max(time_ms * 1_000)
    }
}

/// How far a shard is read.
#[derive(Debug)]
struct Standing {
    has_lines: bool,
    /// The time that it has reached, in microseconds since 1970.
    time_micros: Option<i64>,
}

/// How far all shards are read. A watch channel of tokio wakes who waits in an order by chance.
struct Pace {
    standing: Mutex<Vec<Standing>>,
    moved: Notify,
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, Vec<Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for LineSource {
    fn shard(&self) -> &ShardId {
        &self.shard.id
    }

    async fn next(&mut self) -> Result<Option<Chunk>> {
        // Only who asks for the next chunk has passed on the last one.
        self.pace.lock()[self.number].has_lines = self.shard.has_lines_from(&self.next);
        self.pace.moved.notify_waiters();
        let reached_by_parents = self.turn().await;
        let start = self.next.position as usize;
        let mut rest = self.shard.times.range(start..);
        let Some((_, time)) = rest.clone().next() else { return Ok(None) };
        let lines = rest.clone().take((self.reading.lines)()).take_while(|(_, at)| *at == time).count();
        let end = rest.nth(lines).map_or(self.shard.text.len(), |(byte, _)| *byte);
        let source_micros = self.source_micros(*time, &self.shard.text[start..end]);
        let time_micros = self.time.advance(source_micros.max(reached_by_parents.unwrap_or(i64::MIN)));
        self.pace.lock()[self.number].time_micros = Some(time_micros);
        let chunk = chunk(&self.shard, start, end, time_micros);
        let from = std::mem::replace(&mut self.next, chunk.to.next.clone());
        Ok(Some(Chunk { from, ..chunk }))
    }
}

/// Returns the lines from `start` to `end`, which is their place in bytes.
fn chunk(shard: &Shard, start: usize, end: usize, stream_time_micros: i64) -> Chunk {
    let behind = Offset::new(SEGMENT, end as u64);
    Chunk {
        shard: shard.id.clone(),
        segment: SEGMENT.into(),
        start: start as u64,
        bytes: shard.text.as_bytes()[start..end].to_vec().into(),
        stream_time_micros,
        oversized: None,
        sub_offsets: None,
        from: Offset::new(SEGMENT, start as u64),
        to: ShardPosition { stream_time_micros: Some(stream_time_micros), ..ShardPosition::at(behind) },
    }
}

/// Tells what devices do, one event after the other.
struct Teller {
    nature: Nature,
    now_ms: i64,
    /// How late the present file comes.
    late_ms: i64,
    devices: usize,
    told: u32,
    /// What each device has said, to be said again.
    said: Vec<Vec<Said>>,
}

/// A line, the device that it comes from, and when the source got it.
struct Told {
    device: usize,
    line: String,
    source_ms: i64,
}

/// An event but for its arrival.
#[derive(Debug, Clone)]
struct Said {
    at_ms: i64,
    body: String,
}

impl Teller {
    fn new(rng: &mut SmallRng, nature: Nature) -> Self {
        let devices = rng.random_range(3..=8);
        Teller { nature, now_ms: NOON_MS, late_ms: 0, devices, told: 0, said: vec![Vec::new(); devices] }
    }

    /// Tells the next line.
    fn line(&mut self, rng: &mut SmallRng) -> Told {
        let before = self.now_ms / STEP_MS;
        // Most steps are short, some longer than a session's gap, a few longer than the hot window.
        let step = match rng.random_range(0..20) {
            0 => rng.random_range(60..200),
            1..=4 => rng.random_range(20..50),
            _ => rng.random_range(0..8),
        };
        self.now_ms += step * MINUTE_MS + rng.random_range(0..MINUTE_MS);
        if before != self.now_ms / STEP_MS {
            let is_late = self.nature.disordered && rng.random_range(0..3) == 0;
            self.late_ms = if is_late { rng.random_range(1..=MOST_LATE) * STEP_MS } else { 0 };
        }
        let now_ms = self.now_ms - self.late_ms;
        let source_ms = now_ms / STEP_MS * STEP_MS;
        let device = rng.random_range(0..self.devices);
        if rng.random_range(0..20) == 0 {
            return Told { device, line: "{\"type\":\"track\",\"messageId\":\n".to_owned(), source_ms };
        }
        let again = (rng.random_range(0..6) == 0).then(|| self.repeat(device, rng)).flatten();
        let said = again.unwrap_or_else(|| self.say(device, now_ms, rng));
        // One in forty comes from far ahead, by its own claim.
        let ahead = if rng.random_range(0..40) == 0 { MOST_AHEAD_MS } else { 0 };
        let (at, arrival) = (format_iso(said.at_ms * 1_000), format_iso((now_ms + ahead) * 1_000));
        let line = format!("{{{},\"timestamp\":\"{at}\",\"receivedAt\":\"{arrival}\"}}\n", said.body);
        Told { device, line, source_ms }
    }

    /// Says something again, if there is something.
    fn repeat(&mut self, device: usize, rng: &mut SmallRng) -> Option<Said> {
        let number = rng.random_range(0..self.said[device].len().max(1));
        self.said[device].get(number).cloned()
    }

    fn say(&mut self, device: usize, now_ms: i64, rng: &mut SmallRng) -> Said {
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
            4 | 5 if is_known => {
                let price = rng.random_range(0..20);
                format!(
                    "\"type\":\"track\",\"event\":\"Bought\",\"userId\":\"u{person}\",\"properties\":{{\"price\":{price}}}"
                )
            }
            _ => {
                let is_long = self.nature.padded && rng.random_range(0..4) == 0;
                let pad =
                    if is_long { "p".repeat(PADDINGS[rng.random_range(0..PADDINGS.len())]) } else { String::new() };
                format!("\"type\":\"screen\",\"name\":\"Home\",\"properties\":{{\"pad\":\"{pad}\"}}")
            }
        };
        let body = format!("\"messageId\":\"m{}\",{who},{what}", self.told);
        let said = Said { at_ms: now_ms - late * MINUTE_MS, body };
        self.said[device].push(said.clone());
        said
    }
}

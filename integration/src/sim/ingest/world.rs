//! One run: writers that die, are fenced and come back, until the stream is in; then the verdict on every version.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use icefold_catalog::Warehouse;
use icefold_core::tables::TableKind;
use icefold_core::{Error, ErrorKind, Invariant, Result};
use icefold_writer::decode::{DecodeSettings, Decoder, InputFormat};
use icefold_writer::fold::session::SessionSettings;
use icefold_writer::{Crew, Forgets, Ingest, Settings};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::content::{Reader, Row, Truth, difference};
use super::stream::{Lines, Stream};
use crate::sim::Mutation;
use crate::sim::faults::{Rates, turns};
use crate::sim::lake::Lake;
use crate::sim::oracle::{Progress, Violation};
use crate::sim::world::Outcome;

/// Lives that a writer may have before the run counts as stuck.
const MAX_LIVES: u32 = 400;
/// Longest time of a run; one that takes it waits for what never comes.
const MAX_RUN: Duration = Duration::from_secs(120);
/// Longest rest of a worker, in turns of the scheduler.
const LONGEST_REST: u32 = 12;
/// Most lines of a chunk.
const MAX_LINES: usize = 6;

/// Runs one seed, with the protocol as it is or broken on purpose.
#[expect(clippy::disallowed_methods, reason = "a run that hangs is to be told, not waited for")]
pub fn run(seed: u64, mutation: Option<Mutation>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let run = async { tokio::time::timeout(MAX_RUN, World::new(seed, mutation).run()).await };
    let outcome = runtime.expect("a current-thread runtime needs nothing that could fail").block_on(run);
    outcome.unwrap_or_else(|_| stuck(format!("it hangs: no end in {} s", MAX_RUN.as_secs())))
}

struct World {
    lake: Lake,
    stream: Stream,
    settings: Settings,
    writers: u64,
    forgets: Option<Forgets>,
}

impl World {
    fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let rates = Rates {
            slow: rng.random_range(0..10),
            storage: rng.random_range(0..2),
            // Opening the tables asks some twenty times and does not insist.
            refused: rng.random_range(0..4),
            lost_reply: rng.random_range(0..6),
            late: rng.random_range(0..6),
            crash_permille: rng.random_range(0..6),
        };
        let mut catalog = icefold_catalog::Settings::default();
        catalog.commit.manifest_merge_factor = rng.random_range(2..5);
        catalog.commit.initial_backoff_ms = 0;
        catalog.commit.max_attempts = rng.random_range(2..12);
        let settings = settings(&mut rng);
        World {
            stream: Stream::of(&mut rng),
            settings,
            writers: rng.random_range(1..=2),
            lake: Lake::new(seed, mutation, rates, catalog),
            forgets: match mutation {
                Some(Mutation::Forget(forgets)) => Some(forgets),
                _ => None,
            },
        }
    }

    async fn run(self) -> Outcome {
        let truth = match self.undisturbed().await {
            Ok(truth) => truth,
            Err(e) => return stuck(format!("the undisturbed run: {e:?}")),
        };
        let lives = futures::future::join_all((0..self.writers).map(|process| self.writer(process))).await;
        let mut outcome = Outcome::default();
        for (process, lives) in lives.into_iter().enumerate() {
            outcome.restarts += lives.restarts;
            outcome.fenced += lives.fenced;
            if let Some(what) = lives.stuck {
                let what = format!("writer {process}: {what}");
                outcome.violations.push(Violation { invariant: Invariant::W1, what });
            }
        }
        self.judge(&truth, &mut outcome).await;
        outcome
    }

    /// The tables of a run in one go, without faults, in large batches.
    async fn undisturbed(&self) -> Result<Truth> {
        let lake = Lake::new(self.lake.seed, None, Rates::default(), icefold_catalog::Settings::default());
        let warehouse = lake.truth();
        let settings = Settings { cores: 1, commit_bytes: 1 << 30, ..self.settings.clone() };
        let all_lines: Lines = Arc::new(|| usize::MAX);
        self.ingest(&warehouse, settings, Crew::Tasks(Arc::new(|| 0)), &all_lines, None).await?;
        let (mut truth, mut reader) = (Truth::new(), Reader::default());
        for kind in TableKind::ALL {
            let table = warehouse.load(kind.name()).await?;
            truth.insert(kind.name().to_owned(), reader.table(&table).await?.1);
        }
        self.check_truth(&truth)?;
        Ok(truth)
    }

    /// What both runs might lose is compared with the stream itself: each line is a raw row, and an event or quarantined
    /// unless it says again what was said.
    fn check_truth(&self, truth: &Truth) -> Result<()> {
        let lines = self.stream.lines();
        let raw: Vec<_> = truth[TableKind::RawEvents.name()].iter().map(Row::line).collect();
        let said = self.stream.messages();
        let [events, quarantined] = [TableKind::Events, TableKind::Quarantine].map(|kind| truth[kind.name()].len());
        match raw == lines && quarantined == said.unreadable && (said.distinct..=said.all).contains(&events) {
            true => Ok(()),
            false => Err(Error::bug(format!(
                "{} raw rows, {events} events and {quarantined} quarantined of {said:?}",
                raw.len()
            ))),
        }
    }

    /// One writer process, started again whenever it dies, fails or is fenced, until the stream is in.
    async fn writer(&self, process: u64) -> Lives {
        let mut lives = Lives::default();
        let mut last = String::new();
        for life in 0..MAX_LIVES {
            let (warehouse, faults) = self.lake.process(process, life);
            let chance = Chance::new(self.lake.seed ^ (process << 40) ^ u64::from(life));
            let (rest, lines) = (chance.clone(), chance.clone());
            let crew = Crew::Tasks(Arc::new(move || rest.below(LONGEST_REST)));
            let lines: Lines = Arc::new(move || 1 + lines.below(MAX_LINES as u32) as usize);
            let end = tokio::select! {
                biased;
                end = self.ingest(&warehouse, self.settings.clone(), crew, &lines, self.forgets) => Some(end),
                () = faults.death() => None,
            };
            match end {
                Some(Ok(())) => return lives,
                Some(Err(e)) if e.kind() == ErrorKind::Fenced => lives.fenced += 1,
                Some(Err(e)) if matches!(e.kind(), ErrorKind::Bug | ErrorKind::InvalidInput | ErrorKind::Corrupt) => {
                    return Lives { stuck: Some(format!("{e:?}")), ..lives };
                }
                Some(Err(e)) => {
                    last = format!("{e:?}");
                    lives.restarts += 1;
                }
                None => lives.restarts += 1,
            }
            turns(chance.below(40)).await;
        }
        Lives { stuck: Some(format!("not finished in {MAX_LIVES} lives; last error: {last}")), ..lives }
    }

    async fn ingest(
        &self,
        warehouse: &Warehouse,
        settings: Settings,
        crew: Crew,
        lines: &Lines,
        forgets: Option<Forgets>,
    ) -> Result<()> {
        let mut ingest = Ingest::open(warehouse, settings).await?;
        for (shard, parents) in self.stream.continued() {
            ingest = ingest.continues(shard, &parents);
        }
        for source in self.stream.open(|shard| ingest.position(shard), lines) {
            ingest = ingest.source(source);
        }
        let decoder = || Decoder::new(DecodeSettings::default(), InputFormat::Segment);
        Box::pin(ingest.crew(crew).forgets(forgets).decoder(decoder).run()).await.map(drop)
    }

    async fn judge(&self, truth: &Truth, outcome: &mut Outcome) {
        let (warehouse, mut reader, mut progress) = (self.lake.truth(), Reader::default(), Progress::default());
        let versions = self.lake.service.versions();
        outcome.versions = versions.len();
        let mut digest = DefaultHasher::new();
        for (name, location) in &versions {
            let at = format!("{name} {}", location.rsplit('/').next().unwrap_or_default());
            match reader.version(&warehouse, name, location).await {
                Ok((checkpoint, rows)) => {
                    (&name.name, format!("{checkpoint:?}")).hash(&mut digest);
                    let differs = difference(&truth[&name.name], &checkpoint, &rows);
                    let differs =
                        differs.map(|what| Violation { invariant: Invariant::W1, what: format!("{at}: {what}") });
                    outcome.violations.extend(differs.into_iter().chain(progress.check(name, checkpoint, &at)));
                }
                Err(e) => outcome.violations.push(Violation { invariant: Invariant::T2, what: format!("{at}: {e:?}") }),
            }
        }
        outcome.digest = digest.finish();
        for kind in TableKind::ALL {
            let end = match warehouse.load(kind.name()).await {
                Ok(table) => reader.table(&table).await,
                Err(e) => Err(e),
            };
            let what = match end {
                Ok((_, rows)) if rows == truth[kind.name()] => continue,
                Ok((_, rows)) => format!("{} rows of {}", rows.len(), truth[kind.name()].len()),
                Err(e) => format!("{e:?}"),
            };
            let what = format!("{} in the end: {what}", kind.name());
            outcome.violations.push(Violation { invariant: Invariant::W1, what });
        }
    }
}

/// What became of one writer.
#[derive(Debug, Default)]
struct Lives {
    restarts: u32,
    fenced: u32,
    stuck: Option<String>,
}

fn stuck(what: String) -> Outcome {
    Outcome { violations: vec![Violation { invariant: Invariant::W1, what }], ..Outcome::default() }
}

/// Batches from single chunks to the whole stream, windows from shorter to longer than what the stream's devices rest.
fn settings(rng: &mut SmallRng) -> Settings {
    let window = [3_600, 7_200, 6 * 3_600][rng.random_range(0..3)];
    let row_group_bytes = [1, 20_000, 32 << 20][rng.random_range(0..3)];
    Settings {
        cores: rng.random_range(1..=3),
        chunks_in_flight_per_core: rng.random_range(1..=3),
        commit_bytes: [1, 8_000, 30_000][rng.random_range(0..3)],
        commit_interval_seconds: 24 * 3_600,
        row_group_bytes,
        max_buffer_bytes: row_group_bytes.max(40_000),
        concurrent_uploads: rng.random_range(1..=4),
        retry_seconds: 3_600,
        dedup_window_seconds: window,
        sessions: SessionSettings {
            max_length_seconds: [2 * 3_600, 24 * 3_600][rng.random_range(0..2)],
            open_seconds: [1_800, window / 2, window * 2][rng.random_range(0..3)],
            split_on_campaign: rng.random_bool(0.3),
            ..SessionSettings::default()
        },
        ..Settings::default()
    }
}

/// Chance that several owners draw from.
#[derive(Clone)]
struct Chance(Arc<Mutex<SmallRng>>);

impl Chance {
    fn new(seed: u64) -> Self {
        Chance(Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))))
    }

    fn below(&self, bound: u32) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..bound)
    }
}

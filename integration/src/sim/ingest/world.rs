//! One run: writers that die, are fenced and come back, until the stream is in; then the verdict on every version.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::Either;
use icefold_catalog::lineage::Standing;
use icefold_catalog::{AnnouncedTable, Announcement, Batch, CommitOutcome, Intent, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Delta, Error, ErrorKind, Invariant, Result};
use icefold_writer::decode::{DecodeSettings, Decoder, InputFormat};
use icefold_writer::publish::Destination;
use icefold_writer::{Crew, Forgets, Ingest, Settings};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::accounts::{Accounts, Stated};
use super::content::{Reader, Row, Truth, difference};
use super::engine::Parquet;
use super::lives::{Chance, Deciding};
use super::redriver::{Redriven, redrive};
use super::stream::{Nature, Reading, Stream};
use super::{anew, lives};
use crate::sim::Mutation;
use crate::sim::faults::{Rates, turns};
use crate::sim::lake::Lake;
use crate::sim::oracle::{Progress, Violation};
use crate::sim::strangers::{self, Change, HABITS};
use crate::sim::world::Outcome;

/// Lives that a writer may have before the run counts as stuck.
const MAX_LIVES: u32 = 400;
/// Longest time of a run; one that takes it waits for what never comes.
const MAX_RUN: Duration = Duration::from_secs(120);
/// Longest rest of a worker, in turns of the scheduler.
const LONGEST_REST: u32 = 12;
/// Most lines of a chunk.
const MAX_LINES: u32 = 6;

/// Runs one seed, with the protocol as it is or broken on purpose.
#[expect(clippy::disallowed_methods, reason = "a run that hangs is to be told, not waited for")]
pub fn run(seed: u64, mutation: Option<Mutation>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let run = async { Box::pin(tokio::time::timeout(MAX_RUN, World::new(seed, mutation).run())).await };
    let outcome = runtime.expect("a current-thread runtime needs nothing that could fail").block_on(run);
    outcome.unwrap_or_else(|_| stuck(format!("it hangs: no end in {} s", MAX_RUN.as_secs())))
}

struct World {
    lake: Lake,
    stream: Stream,
    deciding: Deciding,
    /// What decides is another thing in each life, and so are the contracts in force.
    changes: bool,
    /// Quarantined events are let in meanwhile.
    redrives: bool,
    /// How many have been, beside running writers.
    redriven: AtomicU64,
    /// How often another engine works on the tables, and what it does.
    visits: u32,
    habits: &'static [&'static [Change]],
    writers: u64,
    stated: Stated,
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
        let changes = rng.random_bool(0.5);
        let redrives = changes && rng.random_bool(0.6);
        let mut deciding = Deciding::draw(&mut rng);
        if !changes {
            deciding.decode = DecodeSettings::default();
        }
        let nature = Nature { disordered: rng.random_bool(0.4), padded: changes };
        let stream = Stream::of(&mut rng, nature);
        let writers = rng.random_range(1..=2);
        let visits = if rng.random_bool(0.6) { 0 } else { rng.random_range(1..5) };
        World {
            stream,
            deciding,
            changes,
            redrives,
            redriven: AtomicU64::new(0),
            visits,
            // Where rows are compared with another run's, or moved by a redrive, they are left alone.
            habits: if changes && !redrives { &HABITS } else { &[&[Change::Rewrite]] },
            writers,
            lake: Lake::new(seed, mutation, rates, catalog),
            stated: Stated::default(),
        }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.lake.mutation == Some(mutation)
    }

    async fn run(self) -> Outcome {
        let truth = match self.undisturbed().await {
            Ok(truth) => truth,
            Err(e) => return stuck(format!("the undisturbed run: {e:?}")),
        };
        let mut outcome = Outcome::default();
        for (process, lives) in Box::pin(self.all_lives()).await.into_iter().enumerate() {
            outcome.restarts += lives.restarts;
            outcome.fenced += lives.fenced;
            if let Some(what) = lives.stuck {
                let what = format!("writer {process}: {what}");
                outcome.violations.push(Violation { invariant: Invariant::W1, what });
            }
        }
        self.judge(truth.as_ref(), &mut outcome).await;
        outcome
    }

    /// Lets the writers live until the stream is in, and others beside them.
    async fn all_lives(&self) -> Vec<Lives> {
        let writers = (0..self.writers).map(|process| self.writer(process));
        let beside = futures::future::join3(
            self.applier(self.writers),
            self.redriver(self.writers + 1),
            self.stranger(self.writers + 2),
        );
        let (writing, beside) = (futures::future::join_all(writers), beside);
        futures::pin_mut!(writing, beside);
        let (mut lives, starved) = match futures::future::select(writing, beside).await {
            Either::Left((lives, _)) => (lives, None),
            Either::Right(((_, starved, _), _)) => (Vec::new(), Some(starved)),
        };
        lives.extend(starved);
        if self.redrives {
            lives.push(Box::pin(self.last_redrive()).await);
        }
        lives
    }

    /// The tables of a run in one go, without faults, in large batches; `None` where what becomes of events is decided anew in
    /// each life.
    async fn undisturbed(&self) -> Result<Option<Truth>> {
        if self.changes {
            return Ok(None);
        }
        let lake = Lake::new(self.lake.seed, None, Rates::default(), icefold_catalog::Settings::default());
        let warehouse = lake.truth();
        let mut deciding = self.deciding.clone();
        deciding.settings = Settings { cores: 1, commit_bytes: 1 << 30, ..deciding.settings };
        let reading = Reading { lines: Arc::new(|| usize::MAX), believes_claims: false };
        self.ingest(&warehouse, deciding, Crew::Tasks(Arc::new(|| 0)), &reading, None).await?;
        let (mut truth, mut reader) = (Truth::new(), Reader::default());
        for kind in TableKind::ALL {
            let table = warehouse.load(kind.name()).await?;
            truth.insert(kind.name().to_owned(), reader.table(&table).await?.rows);
        }
        self.check_truth(&truth)?;
        Ok(Some(truth))
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
            let chance = self.chance(process, life);
            let (rest, lines) = (chance.clone(), chance.clone());
            let crew = Crew::Tasks(Arc::new(move || rest.below(LONGEST_REST)));
            let reading = Reading {
                lines: Arc::new(move || 1 + lines.below(MAX_LINES) as usize),
                believes_claims: self.is(Mutation::HorizonFromClaims),
            };
            let forgets = match self.lake.mutation {
                Some(Mutation::Forget(forgets)) => Some(forgets),
                _ => None,
            };
            let end = tokio::select! {
                biased;
                end = self.ingest(&warehouse, self.decides(&chance), crew, &reading, forgets) => Some(end),
                () = faults.death() => None,
            };
            match end {
                Some(Ok(())) => return lives,
                Some(Err(e)) if e.kind() == ErrorKind::Fenced => lives.fenced += 1,
                // It is for a person to say how this goes on.
                Some(Err(e)) if e.kind() == ErrorKind::Corrupt && self.lake.acts.any_hides() => return lives,
                Some(Err(e)) if is_final(&e) => return Lives { stuck: Some(format!("{e:?}")), ..lives },
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

    fn chance(&self, process: u64, life: u32) -> Chance {
        Chance::new(self.lake.seed ^ (process << 40) ^ u64::from(life))
    }

    /// Returns what a life decides by.
    fn decides(&self, chance: &Chance) -> Deciding {
        match self.changes {
            true => chance.draw(Deciding::draw),
            false => chance.draw(|rng| self.deciding.clone().at_another_pace(rng)),
        }
    }

    async fn ingest(
        &self,
        warehouse: &Warehouse,
        deciding: Deciding,
        crew: Crew,
        reading: &Reading,
        forgets: Option<Forgets>,
    ) -> Result<()> {
        if self.is(Mutation::DeriveAnew) {
            anew::derive(warehouse, &deciding.decode, &self.stream).await?;
        }
        let mut ingest = Ingest::open(warehouse, deciding.settings).await?;
        for (shard, parents) in self.stream.continued() {
            ingest = ingest.continues(shard, &parents);
        }
        for source in self.stream.open(|shard| ingest.position(shard), |shard| ingest.floor_micros(shard), reading) {
            ingest = ingest.source(source);
        }
        let decoder = move || Decoder::new(deciding.decode.clone(), InputFormat::Segment);
        let witness = Arc::new(Witness { warehouse: warehouse.clone(), stated: self.stated.clone() });
        Box::pin(ingest.crew(crew).forgets(forgets).destination(witness).decoder(decoder).run()).await.map(drop)
    }

    /// Puts other contracts in force now and then.
    async fn applier(&self, process: u64) {
        for life in 0.. {
            let (warehouse, faults) = self.lake.process(process, life);
            let mut rng = SmallRng::seed_from_u64(self.lake.seed ^ (process << 40) ^ u64::from(life));
            turns(rng.random_range(50..1_000)).await;
            if !self.changes {
                std::future::pending::<()>().await;
            }
            tokio::select! {
                biased;
                // What fails is not in force; whether it is in force, the next look tells.
                _ = lives::apply_contracts(&warehouse, &mut rng) => {}
                () = faults.death() => {}
            }
        }
    }

    /// Lets quarantined events in now and then, for as long as the writers run; ends when they leave it no room, or never.
    async fn redriver(&self, process: u64) -> Lives {
        for life in 0.. {
            let (warehouse, faults) = self.lake.process(process, life);
            let chance = self.chance(process, life);
            turns(100 + chance.below(600)).await;
            if !self.redrives {
                std::future::pending::<()>().await;
            }
            let deciding = chance.draw(Deciding::draw).lax();
            let end = tokio::select! {
                biased;
                end = Box::pin(redrive(&warehouse, &deciding)) => Some(end),
                () = faults.death() => None,
            };
            match end {
                Some(Ok(Redriven::Starved)) => return Lives::stuck("a redrive never has its turn".to_owned()),
                Some(Err(e)) if is_final(&e) => return Lives::stuck(format!("a redrive: {e:?}")),
                Some(Ok(Redriven::All(rows))) => _ = self.redriven.fetch_add(rows, Ordering::Relaxed),
                Some(Err(_)) | None => {}
            }
        }
        Lives::default()
    }

    /// Another engine comes by a few times.
    async fn stranger(&self, process: u64) {
        let mut rng = SmallRng::seed_from_u64(self.lake.seed ^ (process << 40));
        for visit in 0..self.visits {
            turns(rng.random_range(50..800)).await;
            let kind = TableKind::ALL[rng.random_range(0..TableKind::ALL.len())];
            let (_, ids) = self.lake.calm(rng.random::<u64>() ^ u64::from(visit));
            // What fails has done nothing.
            let _ = strangers::work(&self.lake, &Parquet, kind, self.habits, &mut rng, &*ids).await;
        }
        std::future::pending::<()>().await;
    }

    /// When the writers are at the end, all that passes gets in.
    async fn last_redrive(&self) -> Lives {
        let (warehouse, _) = self.lake.calm(self.lake.seed);
        match Box::pin(redrive(&warehouse, &self.deciding.clone().lax())).await {
            Ok(Redriven::All(_)) => Lives::default(),
            other => Lives::stuck(format!("the last redrive: {other:?}")),
        }
    }

    async fn judge(&self, truth: Option<&Truth>, outcome: &mut Outcome) {
        let (warehouse, mut reader, mut progress) = (self.lake.truth(), Reader::default(), Progress::default());
        let mut accounts = Accounts::of(&self.stream, self.stated.clone());
        let versions = self.lake.service.versions();
        outcome.versions = versions.len();
        let mut digest = DefaultHasher::new();
        let mut current = BTreeMap::new();
        for (name, location) in &versions {
            let at = format!("{name} {}", location.rsplit('/').next().unwrap_or_default());
            let Some(kind) = TableKind::ALL.into_iter().find(|kind| kind.name() == name.name) else { continue };
            let act = self.lake.acts.of(location);
            let read = async {
                let table = warehouse.load_at(name, location).await?;
                let (id, standing) = (table.metadata().current_snapshot_id(), table.standing().await?);
                let version = match standing {
                    Standing::Halt(halt) => Err(halt),
                    _ => Ok(reader.table(&table).await?),
                };
                Ok::<_, Error>((id, version))
            };
            let (snapshot_id, version) = match read.await {
                Ok(read) => read,
                Err(e) => {
                    outcome.violations.push(Violation { invariant: Invariant::T2, what: format!("{at}: {e:?}") });
                    continue;
                }
            };
            let before = current.insert(kind, snapshot_id);
            outcome.foreign += u32::from(act.is_some());
            match version {
                // Another engine may leave a table so, and nothing is committed on top.
                Err(_) if self.lake.acts.any_hides() && (act.is_some() || before == Some(snapshot_id)) => {
                    outcome.halts += u32::from(act.is_some());
                }
                Err(halt) => {
                    let what = format!("{at}: halts, or was committed though it must: {halt:?}");
                    outcome.violations.push(Violation { invariant: Invariant::W1, what });
                }
                Ok(version) => {
                    let checkpoint = version.progress.checkpoint.clone();
                    (&name.name, format!("{checkpoint:?}")).hash(&mut digest);
                    if let Some(act) = act {
                        accounts.delete(kind, snapshot_id, &act.deleted);
                    }
                    let differs = truth.and_then(|truth| difference(&truth[&name.name], &checkpoint, &version.rows));
                    let differs =
                        differs.map(|what| Violation { invariant: Invariant::W1, what: format!("{at}: {what}") });
                    outcome.violations.extend(differs.into_iter().chain(progress.check(name, checkpoint, &at)));
                    outcome.violations.extend(accounts.check(kind, version, &at));
                }
            }
        }
        outcome.digest = digest.finish();
        outcome.redriven = self.redriven.load(Ordering::Relaxed);
        if !self.lake.acts.any_hides() {
            outcome.violations.extend(accounts.finish());
        }
    }
}

/// Hands batches to the warehouse, and takes note of what they state.
struct Witness {
    warehouse: Warehouse,
    stated: Stated,
}

#[async_trait]
impl Destination for Witness {
    async fn announce(&self, id: BatchId, delta: &Delta, tables: &[AnnouncedTable]) -> Result<Announcement> {
        Destination::announce(&self.warehouse, id, delta, tables).await
    }

    async fn stage(&self, announcement: &Announcement, uri: &str, parts: Vec<Bytes>) -> Result<()> {
        Destination::stage(&self.warehouse, announcement, uri, parts).await
    }

    async fn write_batch(&self, id: BatchId, content: &[u8]) -> Result<()> {
        self.stated.note(id, Batch::read(id, content)?);
        Destination::write_batch(&self.warehouse, id, content).await
    }

    async fn commit(&self, table: &str, intent: &Intent) -> Result<CommitOutcome> {
        Destination::commit(&self.warehouse, table, intent).await
    }

    async fn abandon(&self, id: BatchId) -> Result<()> {
        self.warehouse.abandon(id).await
    }

    async fn finish(&self, id: BatchId, announcement: &Announcement, outcomes: &[CommitOutcome]) -> Result<()> {
        Destination::finish(&self.warehouse, id, announcement, outcomes).await
    }
}

/// Whether a process that is started again would find the same.
fn is_final(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Bug | ErrorKind::InvalidInput | ErrorKind::Corrupt)
}

/// What became of one writer.
#[derive(Debug, Default)]
struct Lives {
    restarts: u32,
    fenced: u32,
    stuck: Option<String>,
}

impl Lives {
    fn stuck(what: String) -> Self {
        Lives { stuck: Some(what), ..Lives::default() }
    }
}

fn stuck(what: String) -> Outcome {
    Outcome { violations: vec![Violation { invariant: Invariant::W1, what }], ..Outcome::default() }
}

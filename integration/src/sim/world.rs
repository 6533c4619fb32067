//! One run of the simulation: processes that die and come back, until the stream is in, then the oracle's verdict.

use icefold_catalog::Settings;
use icefold_core::Invariant;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::faults::{Rates, turns};
use super::lake::Lake;
use super::mutation::Mutation;
use super::oracle::{Oracle, Violation};
use super::strangers::{HABITS, Numbers};
use super::writer::{self, End, Life, TABLES};
use super::{recovery, strangers};

/// Records per shard.
const STREAM_LENGTH: u64 = 16;
/// Lives that a writer may have before the run counts as stuck; each is one start of a process.
const MAX_LIVES: u32 = 500;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Versions that pointers had.
    pub versions: usize,
    /// Processes that died or failed and were started again.
    pub restarts: u32,
    /// Times that a writer was fenced.
    pub fenced: u32,
    /// Versions that another engine made, and how many of them halt.
    pub foreign: u32,
    /// See `foreign`.
    pub halts: u32,
    /// Quarantined events that were let in beside running writers.
    pub redriven: u64,
    /// Of the tables and checkpoints of all versions, in order: two runs that differ have others.
    pub digest: u64,
    /// Broken invariants.
    pub violations: Vec<Violation>,
}

/// Runs one seed, with the protocol as it is or broken on purpose.
pub fn run(seed: u64, mutation: Option<Mutation>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a current-thread runtime needs nothing that could fail").block_on(World::new(seed, mutation).run())
}

/// The lives of one writer process.
#[derive(Debug, Default)]
struct Lives {
    restarts: u32,
    fenced: u32,
    /// Tables and commits that were refused as fenced.
    refused: Vec<(&'static str, String)>,
    /// Why tables could not be made alike by their batches.
    torn: Vec<String>,
    finished: bool,
}

struct World {
    lake: Lake,
    /// A history shorter than the lookup of a lost reply may need.
    is_forgetful: bool,
    writers: u64,
    /// How often another engine works on the tables.
    visits: u32,
}

impl World {
    fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let rates = Rates {
            slow: rng.random_range(0..30),
            storage: rng.random_range(0..3),
            refused: rng.random_range(0..10),
            lost_reply: rng.random_range(0..30),
            late: rng.random_range(0..15),
            crash_permille: rng.random_range(0..10),
        };
        let mut settings = Settings::default();
        settings.commit.manifest_merge_factor = rng.random_range(2..5);
        settings.commit.initial_backoff_ms = 0;
        settings.commit.max_attempts = rng.random_range(2..12);
        // A history shorter than the lookup of a lost reply may need is allowed: it fences, and loses nothing.
        settings.retention.newest_snapshots = if rng.random_bool(0.2) { 3 } else { 100 };
        settings.retention.hourly_for_hours = 1;
        let writers = rng.random_range(1..=3);
        let visits = if rng.random_bool(0.5) { 0 } else { rng.random_range(1..5) };
        // Others expire what a look for a lost reply may need, and so do the people who run the tables.
        let is_forgetful = settings.retention.newest_snapshots < 10 || visits > 0;
        World { lake: Lake::new(seed, mutation, rates, settings), is_forgetful, writers, visits }
    }

    async fn run(self) -> Outcome {
        let writers = (0..self.writers).map(|process| self.writer(process));
        let compacting = futures::future::join4(
            self.compactor(self.writers),
            self.compactor(self.writers + 1),
            self.amender(self.writers + 2),
            self.stranger(self.writers + 3),
        );
        let ends = {
            let writing = futures::future::join_all(writers);
            futures::pin_mut!(writing, compacting);
            match futures::future::select(writing, compacting).await {
                futures::future::Either::Left((ends, _)) => ends,
                futures::future::Either::Right(_) => Vec::new(),
            }
        };
        self.verdict(ends).await
    }

    /// One writer process, started again whenever it dies, fails or is fenced, until the stream is in.
    async fn writer(&self, process: u64) -> Lives {
        let mut lives = Lives::default();
        for life in 0..MAX_LIVES {
            let (warehouse, faults) = self.lake.process(process, life);
            let mut rng = SmallRng::seed_from_u64(self.lake.seed ^ (process << 40) ^ u64::from(life));
            let writing = Life::new(&warehouse, &*faults, self.lake.mutation, &mut rng);
            let end = tokio::select! {
                biased;
                end = writing.write(STREAM_LENGTH, &mut rng) => Some(end),
                () = faults.death() => None,
            };
            match end {
                Some(End::Finished) => return Lives { finished: true, ..lives },
                Some(End::Fenced { table, commit_id }) => {
                    lives.fenced += 1;
                    // What was refused may have landed late before; what is in must not be called fenced.
                    if !self.is_forgetful {
                        lives.refused.push((table, commit_id));
                    }
                }
                Some(End::Halted) => {
                    lives.restarts += 1;
                    turns(rng.random_range(0..200)).await;
                    for kind in TABLES {
                        // Somebody else may be faster, or find nothing to do.
                        let _ = strangers::adopt(&self.lake, kind, &mut rng).await;
                    }
                }
                Some(End::Torn(why)) => {
                    lives.restarts += 1;
                    lives.torn.push(why);
                    turns(rng.random_range(0..200)).await;
                    let _ = recovery::recover(&self.lake, &mut rng).await;
                }
                Some(End::Failed(_)) | None => lives.restarts += 1,
            }
            turns(rng.random_range(0..40)).await;
        }
        lives
    }

    /// Compacts now and then, for as long as the writers run.
    async fn compactor(&self, process: u64) {
        for life in 0.. {
            let (warehouse, faults) = self.lake.process(process, life);
            let mut rng = SmallRng::seed_from_u64(self.lake.seed ^ (process << 40) ^ u64::from(life));
            turns(rng.random_range(10..120)).await;
            let kind = TABLES[rng.random_range(0..TABLES.len())];
            tokio::select! {
                biased;
                // A compaction that fails is simply tried again later, from the table as it is then.
                _ = writer::compact(&warehouse, kind, &mut rng, &*faults) => {}
                () = faults.death() => {}
            }
        }
    }

    /// Changes columns and properties now and then, for as long as the writers run.
    async fn amender(&self, process: u64) {
        for life in 0.. {
            let (warehouse, faults) = self.lake.process(process, life);
            let mut rng = SmallRng::seed_from_u64(self.lake.seed ^ (process << 40) ^ u64::from(life));
            turns(rng.random_range(50..400)).await;
            let kind = TABLES[rng.random_range(0..TABLES.len())];
            tokio::select! {
                biased;
                _ = strangers::amend(&warehouse, kind, self.is_forgetful, &mut rng) => {}
                () = faults.death() => {}
            }
        }
    }

    /// Another engine comes by a few times.
    async fn stranger(&self, process: u64) {
        let mut rng = SmallRng::seed_from_u64(self.lake.seed ^ (process << 40));
        for visit in 0..self.visits {
            turns(rng.random_range(50..600)).await;
            let kind = TABLES[rng.random_range(0..TABLES.len())];
            let (_, ids) = self.lake.calm(rng.random::<u64>() ^ u64::from(visit));
            // What fails has done nothing.
            let _ = strangers::work(&self.lake, &Numbers, kind, &HABITS, &mut rng, &*ids).await;
        }
        std::future::pending::<()>().await;
    }

    async fn verdict(self, ends: Vec<Lives>) -> Outcome {
        let mut oracle = Oracle::default();
        let truth = self.lake.truth();
        let versions = self.lake.service.versions();
        for (name, location) in &versions {
            if let Err(e) = oracle.check(&truth, name, location, self.lake.acts.of(location).as_ref()).await {
                oracle.violations.push(Violation { invariant: Invariant::T2, what: format!("{location}: {e:?}") });
            }
        }
        for kind in TABLES {
            let last = versions.iter().rev().find(|(name, _)| name.name == kind.name());
            let Some((name, location)) = last else { continue };
            if let Err(e) = oracle.check_time_travel(&truth, name, location).await {
                oracle.violations.push(Violation { invariant: Invariant::T3, what: format!("{location}: {e:?}") });
            }
        }
        if let Err(e) = oracle.check_objects(&truth).await {
            oracle.violations.push(Violation { invariant: Invariant::T2, what: format!("objects: {e:?}") });
        }
        let mut outcome = Outcome { versions: versions.len(), ..Outcome::default() };
        for (process, Lives { restarts, fenced, refused, torn, finished }) in ends.into_iter().enumerate() {
            outcome.restarts += restarts;
            outcome.fenced += fenced;
            if !finished {
                let what = format!("writer {process} did not finish in {MAX_LIVES} lives");
                oracle.violations.push(Violation { invariant: Invariant::W1, what });
            }
            // Only what people say of a table brings about what no batch explains.
            for why in torn.into_iter().filter(|_| !self.lake.acts.any_adopts()) {
                let what = format!("writer {process} cannot roll forward: {why}");
                oracle.violations.push(Violation { invariant: Invariant::W3, what });
            }
            for (table, commit_id) in refused {
                if let Err(e) = oracle.check_fenced(&truth, table, &commit_id).await {
                    oracle.violations.push(Violation { invariant: Invariant::T2, what: format!("{e:?}") });
                }
            }
        }
        outcome.digest = oracle.digest();
        outcome.violations = oracle.violations;
        outcome
    }
}

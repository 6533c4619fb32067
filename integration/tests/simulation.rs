//! The simulations in CI: of the commit protocol, and of the whole writer. A fixed number of seeds without a violation, each
//! seed the same run again, and each broken protocol noticed.
//!
//! `ICEFOLD_SIM_SEEDS=100000` runs more seeds of the protocol, `ICEFOLD_SIM_INGEST_SEEDS=5000` more of the writer,
//! `ICEFOLD_SIM_FROM=N` starts at seed N; a number of 1 with it repeats one.

#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

use icefold_integration::sim::oracle::Violation;
use icefold_integration::sim::{Mutation, Outcome, ingest, run};

/// A simulation, and how much of it CI runs.
struct Simulation {
    run: fn(u64, Option<Mutation>) -> Outcome,
    /// Variable that sets the number of seeds.
    seeds_variable: &'static str,
    seeds: u64,
    /// Seeds that once found a bug; each stays for ever.
    regressions: &'static str,
    mutations: &'static [(&'static str, Mutation)],
    /// Seeds within which a broken protocol must be noticed.
    seeds_per_mutation: u64,
    /// Seeds that are run twice.
    repeated: u64,
    /// Whether what a run may meet was common enough to prove something.
    is_enough: fn(&Sum, u64) -> bool,
}

const PROTOCOL: Simulation = Simulation {
    run,
    seeds_variable: "ICEFOLD_SIM_SEEDS",
    seeds: 2_000,
    regressions: include_str!("../regressions/simulation-seeds.txt"),
    mutations: &Mutation::PROTOCOL,
    seeds_per_mutation: 200,
    repeated: 20,
    is_enough: |sum, seeds| sum.restarts > seeds && sum.fenced > 0,
};

const WRITER: Simulation = Simulation {
    run: ingest::run,
    seeds_variable: "ICEFOLD_SIM_INGEST_SEEDS",
    seeds: 150,
    regressions: include_str!("../regressions/ingest-seeds.txt"),
    mutations: &Mutation::INGEST,
    seeds_per_mutation: 60,
    repeated: 10,
    is_enough: |sum, seeds| {
        let others = sum.foreign > seeds / 4 && sum.halts > 0 && sum.redriven > seeds / 10;
        sum.restarts > seeds && sum.fenced > 0 && others
    },
};

impl Simulation {
    fn check(&self, seed: u64) -> Outcome {
        let outcome = (self.run)(seed, None);
        assert!(
            outcome.violations.is_empty(),
            "seed {seed} (repeat with ICEFOLD_SIM_FROM={seed} {}=1): {:#?}",
            self.seeds_variable,
            outcome.violations
        );
        outcome
    }

    /// No seed breaks an invariant; two halves run at the same time.
    fn check_seeds(&self) {
        let (from, count) = (number("ICEFOLD_SIM_FROM", 0), number(self.seeds_variable, self.seeds));
        let half = from + count / 2;
        let check = |seeds: std::ops::Range<u64>| seeds.map(|seed| self.check(seed)).fold(Sum::default(), Sum::add);
        let (left, right) = std::thread::scope(|s| {
            let (left, right) = (s.spawn(|| check(from..half)), s.spawn(|| check(half..from + count)));
            (left.join(), right.join())
        });
        let sum = left.expect("left half").join(right.expect("right half"));
        println!("{count} seeds from {from}: {sum:?}, 0 violations");
        assert!(
            count < 100 || (self.is_enough)(&sum, count),
            "faults must be common enough to prove something: {sum:?}"
        );
    }

    fn check_regressions(&self) {
        let lines = self.regressions.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        for line in lines {
            let seed = line.split_whitespace().next().unwrap_or_default();
            self.check(seed.parse().expect("a seed"));
        }
    }

    fn check_repeats(&self) {
        let text = |seed| format!("{:?}", (self.run)(seed, None));
        for seed in 0..self.repeated {
            assert_eq!(text(seed), text(seed), "seed {seed} must repeat");
        }
    }

    fn check_mutations(&self) {
        for (name, mutation) in self.mutations {
            let found = (0..self.seeds_per_mutation).find_map(|seed| {
                let outcome = (self.run)(seed, Some(*mutation));
                // A run that does not come to its end has shown nothing about what was broken.
                let told = |v: &Violation| !v.what.starts_with("writer ") && !v.what.starts_with("it hangs");
                outcome.violations.into_iter().find(told).map(|v| (seed, v))
            });
            match found {
                Some((seed, v)) => println!("{name}: seed {seed} breaks {}: {}", v.invariant, v.what),
                None => panic!("{name}: no violation in {} seeds", self.seeds_per_mutation),
            }
        }
    }
}

#[derive(Debug, Default)]
struct Sum {
    versions: u64,
    restarts: u64,
    fenced: u64,
    foreign: u64,
    halts: u64,
    redriven: u64,
}

impl Sum {
    fn add(self, o: Outcome) -> Self {
        self.join(Sum {
            versions: o.versions as u64,
            restarts: o.restarts.into(),
            fenced: o.fenced.into(),
            foreign: o.foreign.into(),
            halts: o.halts.into(),
            redriven: o.redriven,
        })
    }

    fn join(self, o: Sum) -> Self {
        Sum {
            versions: self.versions + o.versions,
            restarts: self.restarts + o.restarts,
            fenced: self.fenced + o.fenced,
            foreign: self.foreign + o.foreign,
            halts: self.halts + o.halts,
            redriven: self.redriven + o.redriven,
        }
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |v| v.parse().expect("a number"))
}

/// The commit protocol.
mod protocol {
    use super::PROTOCOL;

    #[test]
    fn no_seed_breaks_an_invariant() {
        PROTOCOL.check_seeds();
    }

    #[test]
    fn seeds_that_once_found_a_bug_hold() {
        PROTOCOL.check_regressions();
    }

    #[test]
    fn a_seed_is_a_run() {
        PROTOCOL.check_repeats();
    }

    #[test]
    fn every_mutation_is_noticed() {
        PROTOCOL.check_mutations();
    }
}

/// The whole writer.
mod writer {
    use super::WRITER;

    #[test]
    fn no_seed_breaks_an_invariant() {
        WRITER.check_seeds();
    }

    #[test]
    fn seeds_that_once_found_a_bug_hold() {
        WRITER.check_regressions();
    }

    #[test]
    fn a_seed_is_a_run() {
        WRITER.check_repeats();
    }

    #[test]
    fn every_mutation_is_noticed() {
        WRITER.check_mutations();
    }
}

//! The simulation in CI: a fixed number of seeds without a violation, and each broken protocol noticed.
//!
//! `ICEFOLD_SIM_SEEDS=100000` runs more seeds, `ICEFOLD_SIM_FROM=N` starts at seed N, `ICEFOLD_SIM_SEEDS=1` with it repeats
//! one.

use icefold_integration::sim::{Mutation, Outcome, run};

/// Seeds in CI.
const DEFAULT_SEEDS: u64 = 2_000;
/// Seeds within which a broken protocol must be noticed.
const SEEDS_PER_MUTATION: u64 = 200;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |v| v.parse().expect("a number"))
}

/// Seeds that once found a bug; each stays for ever.
fn regressions() -> impl Iterator<Item = u64> {
    include_str!("../regressions/simulation-seeds.txt")
        .lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
        .map(|l| l.split_whitespace().next().unwrap_or_default().parse().expect("a seed"))
}

fn check(seed: u64) -> Outcome {
    let outcome = run(seed, None);
    assert!(
        outcome.violations.is_empty(),
        "seed {seed} (repeat with ICEFOLD_SIM_FROM={seed} ICEFOLD_SIM_SEEDS=1): {:#?}",
        outcome.violations
    );
    outcome
}

#[test]
fn no_seed_breaks_an_invariant() {
    let (from, count) = (number("ICEFOLD_SIM_FROM", 0), number("ICEFOLD_SIM_SEEDS", DEFAULT_SEEDS));
    let half = from + count / 2;
    let (left, right) = std::thread::scope(|s| {
        let left = s.spawn(move || (from..half).map(check).fold(Sum::default(), Sum::add));
        let right = s.spawn(move || (half..from + count).map(check).fold(Sum::default(), Sum::add));
        (left.join(), right.join())
    });
    let sum = left.expect("left half").join(right.expect("right half"));
    println!("{count} seeds from {from}: {sum:?}, 0 violations");
    assert!(
        count < 100 || (sum.restarts > count && sum.fenced > 0),
        "faults must be common enough to prove something: {sum:?}"
    );
}

#[test]
fn seeds_that_once_found_a_bug_hold() {
    regressions().for_each(|seed| {
        check(seed);
    });
}

#[test]
fn a_seed_is_a_run() {
    let text = |seed| format!("{:?}", run(seed, None));
    for seed in 0..20 {
        assert_eq!(text(seed), text(seed), "seed {seed} must repeat");
    }
}

#[derive(Debug, Default)]
struct Sum {
    versions: u64,
    restarts: u64,
    fenced: u64,
}

impl Sum {
    fn add(self, o: Outcome) -> Self {
        self.join(Sum { versions: o.versions as u64, restarts: o.restarts.into(), fenced: o.fenced.into() })
    }

    fn join(self, o: Sum) -> Self {
        Sum {
            versions: self.versions + o.versions,
            restarts: self.restarts + o.restarts,
            fenced: self.fenced + o.fenced,
        }
    }
}

#[test]
fn every_mutation_of_the_protocol_is_noticed() {
    for (name, mutation) in Mutation::ALL {
        let found = (0..SEEDS_PER_MUTATION).find_map(|seed| {
            let outcome = run(seed, Some(mutation));
            outcome.violations.into_iter().next().map(|v| (seed, v))
        });
        match found {
            Some((seed, v)) => println!("{name}: seed {seed} breaks {}: {}", v.invariant, v.what),
            None => panic!("{name}: no violation in {SEEDS_PER_MUTATION} seeds"),
        }
    }
}

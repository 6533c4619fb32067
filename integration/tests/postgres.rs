//! Catalogs in a real Postgres: pointers conform, and whatever cuts a swap short (a server that ends, a fail-over, a network,
//! a proxy with errors of its own) loses no commit, makes none twice and stops no writer.

#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use icefold_catalog::pointer::conformance;
use icefold_catalog::pointer::sql::SqlPointers;
use icefold_catalog::{Pointer, PointerStore, SwapError, TableName};
use icefold_core::ErrorKind;
use icefold_integration::postgres::{End, Postgres};
use icefold_integration::postgres_proxy::{Fate, Proxy};
use icefold_integration::program::{content, content_by, icefold, succeed};
use tempfile::TempDir;

/// Writers that race.
const WRITERS: usize = 4;
/// Commits of each. The location is the history, a letter for each commit, and a catalog takes 1,000.
const COMMITS: usize = 100;

fn table() -> TableName {
    TableName { namespace: "race".to_owned(), name: "t".to_owned() }
}

/// What a swap of the writers may end in, counted.
#[derive(Debug, Default)]
struct Ends {
    conflict: AtomicUsize,
    transient: AtomicUsize,
    unknown: AtomicUsize,
}

async fn pointer_of(pointers: &SqlPointers) -> Pointer {
    loop {
        match pointers.load(&table()).await {
            Ok(pointer) => return pointer.expect("the table is there"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::Transient, "a look never stops a writer: {e:?}"),
        }
    }
}

/// Adds `letter` to the history `COMMITS` times, as the commit loop does: after anything but a clear answer it looks.
async fn write(pointers: &SqlPointers, letter: char, ends: &Ends, progress: &AtomicUsize) {
    for _ in 0..COMMITS {
        loop {
            let base = pointer_of(pointers).await;
            let next = format!("{}{letter}", base.metadata_location);
            match pointers.swap(&table(), &base, &next).await {
                Ok(()) => break,
                Err(SwapError::Conflict) => drop(ends.conflict.fetch_add(1, Ordering::Relaxed)),
                Err(SwapError::Transient(_)) => drop(ends.transient.fetch_add(1, Ordering::Relaxed)),
                Err(SwapError::Unknown(_)) => {
                    ends.unknown.fetch_add(1, Ordering::Relaxed);
                    if landed(pointers, &base, &next).await {
                        break;
                    }
                }
                Err(SwapError::Refused(e)) => panic!("a refusal stops all writers: {e:?}"),
            }
        }
        progress.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the history holds a swap whose outcome is unknown. While the pointer stands where it did, the swap may yet land.
async fn landed(pointers: &SqlPointers, base: &Pointer, next: &str) -> bool {
    loop {
        let now = pointer_of(pointers).await.metadata_location;
        if now != base.metadata_location {
            return now.starts_with(next);
        }
        // Settled by another swap of the same: of the two only one finds the pointer as it was.
        match pointers.swap(&table(), base, next).await {
            Ok(()) => return true,
            Err(SwapError::Refused(e)) => panic!("a refusal stops all writers: {e:?}"),
            Err(_) => {}
        }
    }
}

/// Lets writers race over `uri` while `trouble` goes on; every commit is there once.
async fn race(uri: &str, trouble: impl FnOnce(&AtomicUsize) + Send) -> Ends {
    let (ends, progress) = (Ends::default(), AtomicUsize::new(0));
    let first = SqlPointers::open(uri).await.expect("open");
    first.create(&table(), "/").await.expect("create");
    let pools =
        futures::future::join_all((0..WRITERS).map(|_| async { SqlPointers::open(uri).await.expect("open") })).await;
    let writers = pools.iter().zip('a'..).map(|(pointers, letter)| write(pointers, letter, &ends, &progress));
    std::thread::scope(|scope| {
        scope.spawn(|| trouble(&progress));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(futures::future::join_all(writers));
        });
    });
    let history = pointer_of(&first).await.metadata_location;
    for letter in ('a'..).take(WRITERS) {
        assert_eq!(history.matches(letter).count(), COMMITS, "commits of `{letter}` in {history}: {ends:?}");
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn pointers_in_postgres_conform() {
    let server = Postgres::start();
    let pointers = SqlPointers::open(&server.uri()).await.expect("open");
    conformance::check(&pointers).await;
    pointers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_under_writers_loses_no_commit_and_stops_none() {
    let mut server = Postgres::start();
    let uri = server.uri();
    let ends = race(&uri, |progress| {
        for (round, end) in [End::Fast, End::Immediate, End::Fast, End::Immediate].into_iter().enumerate() {
            // In the midst of it: a fifth of the commits between two ends.
            while progress.load(Ordering::Relaxed) < (round + 1) * WRITERS * COMMITS / 5 {
                std::thread::yield_now();
            }
            server.stop(end);
            server.resume(&[]);
        }
    })
    .await;
    assert!(ends.conflict.load(Ordering::Relaxed) > 0, "the writers race: {ends:?}");
    assert!(ends.transient.into_inner() + ends.unknown.into_inner() > 0, "the ends are noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_after_the_commit_is_unknown_and_the_commit_is_there_once() {
    let server = Postgres::start();
    let fates = vec![
        Fate::Pass,
        Fate::CutAfterCommit,
        Fate::Pass,
        Fate::CutAtOnce,
        Fate::LastWord("08P01"),
        Fate::Pass,
        Fate::LastWord("58000"),
        Fate::LastWord("57P01"),
        Fate::Pass,
        Fate::LastWord("XX000"),
        Fate::LastWord("08006"),
    ];
    let (all, passed) = (fates.len(), fates.iter().filter(|fate| **fate == Fate::Pass).count());
    let proxy = Proxy::start(server.socket(), fates);
    let ends = race(&proxy.uri(), |_| {}).await;
    let cut = proxy.swaps() / all * (all - passed);
    let unknown = ends.unknown.into_inner();
    assert!(cut > 100, "{cut} answers were cut");
    assert!(unknown > 100, "of {cut} cut answers {unknown} were met as unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_became_a_replica_is_waited_for() {
    let mut server = Postgres::start();
    let pointers = SqlPointers::open(&server.uri()).await.expect("open");
    pointers.create(&table(), "/").await.expect("create");
    server.stop(End::Fast);
    server.resume(&["default_transaction_read_only=on"]);
    let base = pointer_of(&pointers).await;
    let swapped = pointers.swap(&table(), &base, "/a").await;
    let Err(SwapError::Transient(e)) = swapped else { panic!("nothing happened, and it passes: {swapped:?}") };
    assert!(e.message().contains("read-only"), "{e}");
    server.stop(End::Fast);
    server.resume(&[]);
    let base = pointer_of(&pointers).await;
    pointers.swap(&table(), &base, "/a").await.expect("the server writes again");
}

#[test]
fn an_ingest_goes_on_when_postgres_comes_back() {
    let mut server = Postgres::start();
    let scene = TempDir::new().expect("temporary folder");
    let path = |name: &str| scene.path().join(name);
    succeed(icefold(&path("none")).args(["generate", "3000", "--files", "30", "--out"]).arg(path("source")));
    let fates = vec![Fate::Pass, Fate::Pass, Fate::CutAfterCommit, Fate::Pass, Fate::LastWord("08P01")];
    let proxy = Proxy::start(server.socket(), fates);
    let on = |uri: &str| -> Command {
        let mut command = icefold(&path("warehouse"));
        command.arg("--catalog").arg(uri);
        command
    };
    let mut ingest = on(&proxy.uri());
    ingest.args(["--set", "commit.initial_backoff_ms=1", "ingest", "--commit-bytes", "1"]).arg(path("source"));
    let mut running = ingest.spawn().expect("icefold starts");
    for (swaps, end) in [(20, End::Immediate), (40, End::Fast)] {
        while proxy.swaps() < swaps && running.try_wait().expect("state of icefold").is_none() {
            std::thread::yield_now();
        }
        server.stop(end);
        server.resume(&[]);
    }
    assert!(running.wait().expect("icefold ends").success(), "an ingest outlives its catalog's fail-over");
    assert!(proxy.swaps() > 40, "{} swaps", proxy.swaps());
    succeed(on(&server.uri()).arg("verify"));
    succeed(icefold(&path("undisturbed")).arg("ingest").arg(path("source")));
    assert_eq!(content_by(|| on(&server.uri())), content(&path("undisturbed")), "every event once");
}

//! What every [`PointerStore`] must do, as one suite that each implementer runs in its tests.

use super::{PointerStore, SwapError, TableName};

/// Concurrent swaps per round of [`one_of_many_racers_wins`].
const RACERS: usize = 16;
/// Rounds of racing.
const ROUNDS: usize = 8;

/// Runs the whole suite on an empty store.
///
/// # Panics
/// At the first duty that is not kept, naming it.
pub async fn check(store: &dyn PointerStore) {
    nothing_is_there_at_first(store).await;
    create_is_exclusive(store).await;
    swap_compares(store).await;
    namespaces_are_apart(store).await;
    one_of_many_racers_wins(store).await;
    drop_compares(store).await;
}

fn name(table: &str) -> TableName {
    TableName { namespace: "suite".to_owned(), name: table.to_owned() }
}

async fn location(store: &dyn PointerStore, table: &str) -> Option<String> {
    store.load(&name(table)).await.expect("load").map(|p| p.metadata_location)
}

async fn nothing_is_there_at_first(store: &dyn PointerStore) {
    assert_eq!(location(store, "a").await, None, "an empty store has no table");
    assert!(store.list("suite").await.expect("list").is_empty(), "an empty store lists nothing");
}

async fn create_is_exclusive(store: &dyn PointerStore) {
    store.create(&name("a"), "m/0").await.expect("create");
    let again = store.create(&name("a"), "m/other").await;
    assert!(matches!(again, Err(SwapError::Conflict)), "creating twice is a conflict, got {again:?}");
    assert_eq!(location(store, "a").await.as_deref(), Some("m/0"), "a refused create changes nothing");
}

async fn swap_compares(store: &dyn PointerStore) {
    let old = store.load(&name("a")).await.expect("load").expect("table");
    store.swap(&name("a"), &old, "m/1").await.expect("swap");
    let stale = store.swap(&name("a"), &old, "m/2").await;
    assert!(matches!(stale, Err(SwapError::Conflict)), "a stale swap is a conflict, got {stale:?}");
    assert_eq!(location(store, "a").await.as_deref(), Some("m/1"), "a refused swap changes nothing");
    let absent = store.swap(&name("absent"), &old, "m/2").await;
    assert!(matches!(absent, Err(SwapError::Conflict)), "swapping an absent table is a conflict, got {absent:?}");
}

async fn namespaces_are_apart(store: &dyn PointerStore) {
    let elsewhere = TableName { namespace: "suite_two".to_owned(), name: "a".to_owned() };
    store.create(&elsewhere, "n/0").await.expect("same name, other namespace");
    store.create(&name("b"), "m/b").await.expect("create");
    assert_eq!(store.list("suite").await.expect("list"), ["a", "b"], "a listing is sorted and of one namespace");
    assert_eq!(location(store, "a").await.as_deref(), Some("m/1"), "the other namespace's table is another table");
}

async fn one_of_many_racers_wins(store: &dyn PointerStore) {
    for round in 0..ROUNDS {
        let expected = store.load(&name("a")).await.expect("load").expect("table");
        let target = |racer: usize| format!("race/{round}/{racer}");
        let races = (0..RACERS).map(|racer| {
            let (table, expected, to) = (name("a"), expected.clone(), target(racer));
            async move { swap_until_known(store, &table, &expected, &to).await }
        });
        let results = futures::future::join_all(races).await;
        let winners: Vec<usize> = (0..RACERS).filter(|i| results[*i]).collect();
        assert_eq!(winners.len(), 1, "of {RACERS} swaps from one pointer exactly one wins, round {round}");
        assert_eq!(location(store, "a").await, Some(target(winners[0])), "the winner's pointer is what is seen");
    }
}

/// A busy service may answer `Transient`, which promises that nothing changed: the racer tries again.
async fn swap_until_known(store: &dyn PointerStore, table: &TableName, expected: &super::Pointer, to: &str) -> bool {
    loop {
        match store.swap(table, expected, to).await {
            Ok(()) => return true,
            Err(SwapError::Conflict) => return false,
            Err(SwapError::Transient(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("a race ends in Ok or Conflict, got {other:?}"),
        }
    }
}

async fn drop_compares(store: &dyn PointerStore) {
    let current = store.load(&name("a")).await.expect("load").expect("table");
    let stale = store.drop_table(&name("a"), &super::Pointer::to("m/0")).await;
    assert!(matches!(stale, Err(SwapError::Conflict)), "a stale drop is a conflict, got {stale:?}");
    store.drop_table(&name("a"), &current).await.expect("drop");
    assert_eq!(location(store, "a").await, None, "a dropped table is gone");
    store.create(&name("a"), "m/again").await.expect("a dropped name can be used again");
}

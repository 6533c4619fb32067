//! What was read and may be asked for again, up to a bound of bytes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use icefold_core::Result;
use tokio::sync::OnceCell;

/// Something of a known size.
pub(super) trait Weighed {
    /// Returns the bytes that it takes, about.
    fn bytes(&self) -> usize;
}

/// Values by key. What was used longest ago goes first; the value just asked for stays, whatever its size.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    limit_bytes: usize,
    state: Mutex<State<K, V>>,
}

#[derive(Debug)]
struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Number of the next use.
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<OnceCell<Arc<V>>>,
    last_use: u64,
}

impl<V: Weighed> Entry<V> {
    /// What is still being read counts nothing yet.
    fn bytes(&self) -> usize {
        self.value.get().map_or(0, |value| value.bytes())
    }
}

impl<K: Eq + Hash + Clone, V: Weighed> Cache<K, V> {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Cache { limit_bytes, state: Mutex::new(State { entries: HashMap::new(), uses: 0 }) }
    }

    /// Returns the value of `key`, by `read` when it is not there; who asks at the same time waits for one reading.
    ///
    /// # Errors
    /// Those of `read`; the next who asks reads again.
    pub(super) async fn get(&self, key: K, read: impl Future<Output = Result<V>>) -> Result<Arc<V>> {
        let cell = self.cell(key.clone());
        let value = cell.get_or_try_init(|| async move { Ok(Arc::new(read.await?)) }).await?.clone();
        self.make_room(&key);
        Ok(value)
    }

    fn cell(&self, key: K) -> Arc<OnceCell<Arc<V>>> {
        let mut state = self.lock();
        state.uses += 1;
        let last_use = state.uses;
        let entry = state.entries.entry(key).or_insert_with(|| Entry { value: Arc::default(), last_use });
        entry.last_use = last_use;
        entry.value.clone()
    }

    fn make_room(&self, kept: &K) {
        let mut state = self.lock();
        let mut bytes: usize = state.entries.values().map(Entry::bytes).sum();
        while bytes > self.limit_bytes {
            let others = state.entries.iter().filter(|(key, entry)| *key != kept && entry.bytes() > 0);
            let Some((oldest, entry)) = others.min_by_key(|(_, entry)| entry.last_use) else { return };
            let (oldest, freed) = (oldest.clone(), entry.bytes());
            state.entries.remove(&oldest);
            bytes -= freed;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use icefold_core::Error;

    use super::*;

    impl Weighed for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    /// Asks for each key, whose value is its own size; returns the keys that were read.
    async fn read(cache: &Cache<usize, usize>, keys: &[usize]) -> Vec<usize> {
        let mut read = Vec::new();
        for key in keys {
            let value = cache.get(*key, async {
                read.push(*key);
                Ok(*key)
            });
            assert_eq!(*value.await.expect("reads"), *key);
        }
        read
    }

    #[tokio::test]
    async fn what_was_used_longest_ago_goes_first() {
        let cache = Cache::new(10);
        assert_eq!(read(&cache, &[3, 4, 3, 2, 4]).await, [3, 4, 2]);
        assert_eq!(read(&cache, &[5]).await, [5], "now 3 and 2 have to go");
        assert_eq!(read(&cache, &[4, 5, 3]).await, [3]);
        assert_eq!(read(&cache, &[5, 3, 4]).await, [4]);
    }

    #[tokio::test]
    async fn a_value_beyond_the_bound_stays_until_the_next_one() {
        let cache = Cache::new(10);
        assert_eq!(read(&cache, &[4, 50, 50, 4, 50]).await, [4, 50, 4, 50]);
    }

    #[tokio::test]
    async fn what_could_not_be_read_is_read_again() {
        let (cache, tries) = (Cache::new(10), Cell::new(0));
        let failing = async {
            tries.set(tries.get() + 1);
            Err(Error::corrupt("unreadable"))
        };
        cache.get(1, failing).await.expect_err("fails");
        assert_eq!(read(&cache, &[1, 1]).await, [1]);
        assert_eq!(tries.get(), 1);
    }

    #[tokio::test]
    async fn two_who_ask_at_once_share_one_reading() {
        let (cache, reads) = (Cache::<usize, usize>::new(10), Cell::new(0));
        let ask = || {
            cache.get(1, async {
                reads.set(reads.get() + 1);
                tokio::task::yield_now().await;
                Ok(1)
            })
        };
        let (first, second) = tokio::join!(ask(), ask());
        assert!(Arc::ptr_eq(&first.expect("reads"), &second.expect("reads")));
        assert_eq!(reads.get(), 1);
    }
}

//! A bounded memory of answers that are costly to find, for one thread.
//!
//! Two generations: answers are written to the young one; when that holds half of what is allowed, it becomes the old
//! one and the former old one is forgotten. An answer that is asked for moves from old to young, so what is in use
//! stays. Keys are compared in full, never by their hash alone, so an answer does not depend on what is remembered.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

type Generation<K, V> = HashMap<u64, (K, V), BuildHasherDefault<HashedAlready>>;

/// Answers of type `V` for keys of type `K`, at most as many as given to [`Recent::new`].
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: Generation<K, V>,
    old: Generation<K, V>,
    /// Most answers in a generation.
    half: usize,
}

impl<K, V> Recent<K, V> {
    /// Makes an empty memory of at most `limit` answers (2 or more).
    pub(crate) fn new(limit: usize) -> Self {
        Recent { young: Generation::default(), old: Generation::default(), half: (limit / 2).max(1) }
    }

    /// Returns the answer for the key that `is_key` accepts and whose hash is `hash`; `find` makes key and answer when
    /// they are not remembered.
    pub(crate) fn get(&mut self, hash: u64, is_key: impl Fn(&K) -> bool, find: impl FnOnce() -> (K, V)) -> &V {
        if self.young.len() >= self.half {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        let known = match self.young.entry(hash) {
            Entry::Vacant(free) => {
                let kept = self.old.remove(&hash).filter(|known| is_key(&known.0));
                free.insert(kept.unwrap_or_else(find))
            }
            Entry::Occupied(taken) => {
                let known = taken.into_mut();
                // Two keys of one hash take turns.
                if !is_key(&known.0) {
                    *known = find();
                }
                known
            }
        };
        &known.1
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// Returns how many answers are remembered.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// Takes a hash for what it is.
#[derive(Debug, Default)]
struct HashedAlready(u64);

impl Hasher for HashedAlready {
    fn write(&mut self, bytes: &[u8]) {
        // Keys are `u64`, which come by `write_u64`; other bytes are still hashed to something that fits.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(recent: &mut Recent<u64, u64>, key: u64, hash: u64) -> (u64, bool) {
        let mut found = false;
        let answer = *recent.get(
            hash,
            |k| *k == key,
            || {
                found = true;
                (key, key * 2)
            },
        );
        (answer, found)
    }

    #[test]
    fn an_answer_is_found_once_and_remembered() {
        let mut recent = Recent::new(8);
        assert_eq!(ask(&mut recent, 1, 1), (2, true));
        assert_eq!(ask(&mut recent, 1, 1), (2, false));
        recent.clear();
        assert_eq!(ask(&mut recent, 1, 1), (2, true));
    }

    #[test]
    fn there_are_never_more_answers_than_allowed() {
        let mut recent = Recent::new(8);
        for key in 0..1_000 {
            ask(&mut recent, key, key);
            assert!(recent.len() <= 8, "{} answers", recent.len());
        }
    }

    #[test]
    fn what_is_in_use_is_not_forgotten() {
        let mut recent = Recent::new(8);
        ask(&mut recent, 0, 0);
        for key in 1..1_000 {
            ask(&mut recent, key, key);
            assert_eq!(ask(&mut recent, 0, 0), (0, false), "after {key}");
        }
    }

    #[test]
    fn keys_of_one_hash_get_their_own_answers() {
        let mut recent = Recent::new(8);
        for key in [1, 2, 1, 2] {
            assert_eq!(ask(&mut recent, key, 7).0, key * 2);
        }
        assert_eq!(recent.len(), 1);
    }
}

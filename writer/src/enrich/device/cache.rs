//! The answers for the user agents that a worker has met of late.

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::rules::cut;
use super::{ClientHints, Device, DeviceRules, MAX_HINTS_BYTES};
use crate::enrich::recent::Recent;

/// User agents that a worker remembers. A day of a large site has some 10,000 that matter; with some 700 bytes each
/// that is 11 MB, and at most 80 MB should every one be as long as can be.
pub const MAX_CACHED_USER_AGENTS: usize = 16_384;

/// Remembers the devices of one worker. What it answers is what the rules answer.
#[derive(Debug)]
pub struct DeviceCache {
    rules: Arc<DeviceRules>,
    known: Recent<Key, Arc<Device>>,
}

/// User agent and client hints as they were sent, both cut to what is read.
#[derive(Debug)]
struct Key {
    user_agent: Box<[u8]>,
    hints: Box<[u8]>,
}

impl DeviceCache {
    /// Makes an empty cache before `rules`.
    pub fn new(rules: Arc<DeviceRules>) -> Self {
        DeviceCache { rules, known: Recent::new(MAX_CACHED_USER_AGENTS) }
    }

    /// Returns what `user_agent` says.
    pub fn device(&mut self, user_agent: &[u8]) -> &Arc<Device> {
        self.device_with_hints(user_agent, b"")
    }

    /// Returns what `user_agent` says, refined by the JSON object `hints` (`context.userAgentData`); hints that are
    /// empty, too long or not usable change nothing.
    pub fn device_with_hints(&mut self, user_agent: &[u8], hints: &[u8]) -> &Arc<Device> {
        let user_agent = cut(user_agent);
        let hints = if hints.len() > MAX_HINTS_BYTES { b"" } else { hints };
        let rules = &self.rules;
        let is_key = |key: &Key| is_same(&key.user_agent, user_agent) && is_same(&key.hints, hints);
        self.known.get(hash(user_agent, hints), is_key, || {
            let device = Arc::new(find(rules, user_agent, hints));
            (Key { user_agent: user_agent.into(), hints: hints.into() }, device)
        })
    }

    /// Returns the rules behind the cache.
    pub fn rules(&self) -> &Arc<DeviceRules> {
        &self.rules
    }

    /// Returns how many answers are remembered.
    pub fn cached(&self) -> usize {
        self.known.len()
    }
}

/// Tells whether two texts are equal. Empty ones, as hints mostly are, are not handed to `memcmp`: the address of an
/// empty box is none that can be read, and reading nothing from there costs it 100 ns on CPUs with AVX-512.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && (left.is_empty() || left == right)
}

fn hash(user_agent: &[u8], hints: &[u8]) -> u64 {
    let hash = xxh3_64(user_agent);
    if hints.is_empty() { hash } else { xxh3_64_with_seed(hints, hash) }
}

fn find(rules: &DeviceRules, user_agent: &[u8], hints: &[u8]) -> Device {
    let device = rules.device(user_agent);
    match ClientHints::parse(hints) {
        Some(hints) => rules.refine(&device, &hints),
        None => device,
    }
}

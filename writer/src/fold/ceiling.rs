//! How much the shards of a process may remember together.

use icefold_core::{Error, ErrorKind, Result};

use super::ShardFolds;
use crate::settings::Settings;

/// What must be stored in addition until forgotten things are searched for again, as a fraction of the ceiling: at the
/// ceiling, up to this share of it may be forgotten and count all the same.
const SWEEPS_PER_CEILING: usize = 64;

/// The ceilings of a process.
#[derive(Debug)]
pub(super) struct Ceilings {
    ids: Ceiling,
    sessions: Ceiling,
    devices: Ceiling,
}

/// A ceiling for what is stored, of which some may be forgotten already.
#[derive(Debug)]
struct Ceiling {
    most: usize,
    /// What was left when forgotten things were last searched for.
    swept: usize,
    /// What is counted, and what to do when it is too much.
    what: &'static str,
    remedy: &'static str,
}

impl Ceilings {
    pub(super) fn new(settings: &Settings) -> Self {
        let ceiling = |most, what, remedy| Ceiling { most, swept: 0, what, remedy };
        Ceilings {
            ids: ceiling(
                settings.dedup_max_ids,
                "message ids in the dedup windows of all sources than `dedup_max_ids`",
                "raise it (26 MB of memory for a million), shorten `dedup_window_seconds` or read fewer sources in one run",
            ),
            sessions: ceiling(
                settings.sessions.max_open,
                "open sessions of all sources than `sessions.max_open`",
                "raise it (68 MB of memory for a million), shorten `sessions.open_seconds` or read fewer sources in one run",
            ),
            devices: ceiling(
                settings.identity_max_devices,
                "devices and earlier identities that are bound to a person, over all sources, than `identity_max_devices`",
                "raise it (80 MB of memory for a million with a `userId` of 36 bytes) or read fewer sources in one run",
            ),
        }
    }

    /// Gives back the memory of what is forgotten, if too much is stored in all shards together.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when more would have to be remembered than allowed.
    pub(super) fn keep(&mut self, shards: &mut [&mut ShardFolds]) -> Result<()> {
        self.ids.keep(shards, |s| s.dedup.stored_ids(), |s| s.dedup.forget())?;
        self.sessions.keep(shards, |s| s.sessions.len(), |s| s.sessions.forget())?;
        self.devices.keep(shards, |s| s.identities.len(), |_| {})
    }
}

impl Ceiling {
    fn keep(
        &mut self,
        shards: &mut [&mut ShardFolds],
        count: fn(&ShardFolds) -> usize,
        forget: fn(&mut ShardFolds),
    ) -> Result<()> {
        let stored = |shards: &[&mut ShardFolds]| shards.iter().map(|shard| count(shard)).sum::<usize>();
        let mut now = stored(shards);
        if now > self.most && now.saturating_sub(self.swept) >= self.most / SWEEPS_PER_CEILING {
            shards.iter_mut().for_each(|shard| forget(shard));
            now = stored(shards);
            self.swept = now;
        }
        if now <= self.most {
            return Ok(());
        }
        let Ceiling { most, what, remedy, .. } = self;
        Err(Error::new(
            ErrorKind::Refused,
            format!("there are more {what} = {most}: {remedy}, then run again; nothing is lost"),
        ))
    }
}

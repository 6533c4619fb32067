//! Protocols broken on purpose. A simulation that does not notice them proves nothing.

use icefold_catalog::checkpoint::Progress;
use icefold_catalog::intent::Intent;
use icefold_catalog::lineage::{Decider, Standing, decide};
use icefold_catalog::resolve::{Base, Decision, Resolver, resolve};
use icefold_core::ShardPosition;
use icefold_writer::Forgets;

/// A way to break the commit protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Own commits are looked up neither in the ancestry nor in the checkpoint: after a lost reply the writer takes itself for a zombie.
    SkipAncestryLookUp,
    /// The table's checkpoint is not compared with the start of the delta.
    SkipCheckpointCheck,
    /// The pointer is swapped without comparing it.
    BlindPointerSwap,
    /// A compaction does not check that the files it replaces are still live.
    SkipLivenessCheck,
    /// A table whose history names no checkpoint, or does not prove it, is taken for an empty one.
    StartFromZero,
    /// What another table lacks is derived anew, by what is in force now, instead of rolled forward.
    DeriveAnew,
    /// The id of a commit follows from the piece of stream alone, so that different batches over it are taken for one another.
    CommitIdWithoutBatch,
    /// Any batch that fits is rolled forward, also one that `raw_events` does not name.
    AdoptUnnamedBatch,
    /// Files are uploaded before anything says which work they belong to.
    Unannounced,
    /// The time of the stream is the latest that any event claims to have arrived at.
    HorizonFromClaims,
    /// A writer that is started again has lost a part of its state.
    Forget(Forgets),
}

impl Mutation {
    /// Mutations of the protocol, with their names.
    pub const PROTOCOL: [(&'static str, Mutation); 9] = [
        ("skip-ancestry-look-up", Mutation::SkipAncestryLookUp),
        ("skip-checkpoint-check", Mutation::SkipCheckpointCheck),
        ("blind-pointer-swap", Mutation::BlindPointerSwap),
        ("skip-liveness-check", Mutation::SkipLivenessCheck),
        ("start-from-zero", Mutation::StartFromZero),
        ("derive-anew", Mutation::DeriveAnew),
        ("commit-id-without-batch", Mutation::CommitIdWithoutBatch),
        ("adopt-unnamed-batch", Mutation::AdoptUnnamedBatch),
        ("unannounced", Mutation::Unannounced),
    ];
    /// Mutations that the simulation of the whole writer notices, with their names.
    pub const INGEST: [(&'static str, Mutation); 7] = [
        ("skip-checkpoint-check", Mutation::SkipCheckpointCheck),
        ("blind-pointer-swap", Mutation::BlindPointerSwap),
        ("forget-ids", Mutation::Forget(Forgets::Ids)),
        ("forget-sessions", Mutation::Forget(Forgets::Sessions)),
        ("forget-identities", Mutation::Forget(Forgets::Identities)),
        ("derive-anew", Mutation::DeriveAnew),
        ("horizon-from-claims", Mutation::HorizonFromClaims),
    ];

    /// Returns the decision procedure under this mutation.
    pub fn resolver(mutation: Option<Mutation>) -> Resolver {
        match mutation {
            Some(Mutation::SkipAncestryLookUp) => |intent, base| {
                let forgotten = Progress { moved_by: Default::default(), ..base.progress.clone() };
                resolve(intent, &Base { committed_in: None, progress: &forgotten, ..copy(base) })
            },
            Some(Mutation::SkipCheckpointCheck) => |intent, base| {
                let moved = standing_at_from(intent, base.progress);
                resolve(intent, &Base { progress: &moved, ..copy(base) })
            },
            Some(Mutation::SkipLivenessCheck) => |intent, base| match resolve(intent, base)? {
                // What is gone is passed over, and the new files go in all the same.
                Decision::Replan { .. } => Ok(Decision::Apply { remove: still_live(intent, base), checkpoint: None }),
                other => Ok(other),
            },
            // Broken elsewhere: in the service, in the lineage, in the writer.
            Some(_) | None => resolve,
        }
    }

    /// Returns how it is decided where a table stands under this mutation.
    pub fn decider(mutation: Option<Mutation>) -> Decider {
        match mutation {
            Some(Mutation::StartFromZero) => |facts| match decide(facts) {
                Standing::Halt(_) => Standing::Fresh,
                other => other,
            },
            _ => decide,
        }
    }
}

fn copy<'a>(base: &Base<'a>) -> Base<'a> {
    Base {
        table_uuid: base.table_uuid,
        committed_in: base.committed_in,
        progress: base.progress,
        live: base.live,
        read_sequence_number: base.read_sequence_number,
    }
}

fn standing_at_from(intent: &Intent, progress: &Progress) -> Progress {
    let mut moved = progress.clone();
    for (shard, d) in intent.delta.iter() {
        moved.checkpoint.set(shard.clone(), ShardPosition::at(d.from.clone()));
    }
    moved
}

fn still_live(intent: &Intent, base: &Base<'_>) -> Vec<String> {
    let live = |path: &&String| base.live.iter().any(|f| f.file.file_path() == path.as_str());
    intent.remove.iter().filter(live).cloned().collect()
}

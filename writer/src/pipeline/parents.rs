//! Which shards of a run continue others, and where these stood when the first record came.
//!
//! A child's state, and its `stream_time`, begin as those of its parents are then. Its positions name the parents from the first
//! one on, so that every later run finds the same past. A parent that has no record of its own stands for those that it was to
//! continue itself.

use std::collections::{BTreeMap, BTreeSet};

use icefold_core::{Checkpoint, Error, ErrorKind, Parent, Result, ShardId};

/// What is to continue what, as sources say.
pub(super) type Declared = BTreeMap<ShardId, Vec<ShardId>>;

/// The parents of a run's shards.
#[derive(Debug, Default)]
pub(super) struct Parents {
    /// Of shards that have begun.
    begun: BTreeMap<ShardId, Vec<Parent>>,
    /// Of shards that have not.
    declared: Declared,
}

impl Parents {
    /// Compares what is declared for shards with what `checkpoint` says. `read` are the shards of the run.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when a shard began without a parent that it is to have now, or with others, and when
    /// a parent is unknown.
    pub(super) fn of(declared: &Declared, read: &BTreeSet<ShardId>, checkpoint: &Checkpoint) -> Result<Self> {
        let mut parents = Parents::default();
        for (shard, position) in checkpoint.iter() {
            parents.begun.insert(shard.clone(), position.parents.clone());
        }
        parents.declared = declared.clone();
        parents.declared.retain(|shard, named| !named.is_empty() && checkpoint.get(shard).is_none());
        for (shard, named) in declared {
            let of_shard = named.iter().find(|parent| !read.contains(*parent) && checkpoint.get(parent).is_none());
            if let Some(unknown) = of_shard {
                return Err(unknown_parent(shard, unknown));
            }
            if parents.leads_back(shard) {
                return Err(Error::invalid(format!("`{shard}` cannot continue itself: name the shards before it")));
            }
            if let Some(position) = checkpoint.get(shard).filter(|_| !named.is_empty()) {
                let known: BTreeSet<&ShardId> = position.parents.iter().map(|parent| &parent.shard).collect();
                let named = parents.with_records(named);
                if named.iter().collect::<BTreeSet<_>>() != known {
                    return Err(other_parents(shard, &known));
                }
            }
        }
        Ok(parents)
    }

    /// Returns the shards whose state is needed before their children begin.
    pub(super) fn awaited(&self) -> BTreeSet<ShardId> {
        self.declared.values().flat_map(|named| self.with_records(named)).collect()
    }

    /// Returns the parents of a shard that has begun.
    pub(super) fn of_begun(&self, shard: &ShardId) -> Option<&[Parent]> {
        self.begun.get(shard).map(Vec::as_slice)
    }

    /// Takes note that the first record of a shard has come; `until` says where a parent stands. Returns its parents.
    pub(super) fn begin(&mut self, shard: &ShardId, until: impl Fn(&ShardId) -> Parent) -> Vec<Parent> {
        let named = self.declared.remove(shard).unwrap_or_default();
        let parents: Vec<Parent> = self.with_records(&named).iter().map(until).collect();
        self.begun.insert(shard.clone(), parents.clone());
        parents
    }

    /// Returns those that have records, and for those that have none their own parents, in the order of their names.
    pub(super) fn with_records(&self, named: &[ShardId]) -> BTreeSet<ShardId> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&ShardId> = named.iter().collect();
        while let Some(shard) = open.pop() {
            match self.declared.get(shard) {
                _ if self.begun.contains_key(shard) => _ = found.insert(shard.clone()),
                Some(before) => open.extend(before),
                None => {}
            }
        }
        found
    }

    /// Returns whether a shard is among its own ancestors, as far as none of them has begun.
    fn leads_back(&self, shard: &ShardId) -> bool {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&ShardId> = self.declared.get(shard).into_iter().flatten().collect();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(self.declared.get(next).into_iter().flatten());
            }
        }
        seen.contains(shard)
    }
}

fn unknown_parent(shard: &ShardId, parent: &ShardId) -> Error {
    Error::invalid(format!(
        "`{shard}` cannot continue `{parent}`, which the tables hold nothing of: `icefold checkpoint events` lists the shards \
         by name; ingest it first"
    ))
}

fn other_parents(shard: &ShardId, known: &BTreeSet<&ShardId>) -> Error {
    let known: Vec<String> = known.iter().map(|shard| format!("`{shard}`")).collect();
    let began =
        if known.is_empty() { "on its own".to_owned() } else { format!("as what continues {}", known.join(", ")) };
    Error::new(
        ErrorKind::InvalidInput,
        format!(
            "`{shard}` has begun {began}, and its sessions and people were decided by that: say the same again, or nothing \
             at all, to go on with it"
        ),
    )
}

#[cfg(test)]
mod tests {
    use icefold_core::{Offset, ShardPosition};

    use super::*;

    fn shard(name: &str) -> ShardId {
        ShardId::new(name)
    }

    fn parent(shard: &ShardId) -> Parent {
        Parent { shard: shard.clone(), until: Offset::new("f", 7) }
    }

    /// Shards and the parents that they began with.
    fn checkpoint(shards: &[(&str, &[&str])]) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        for (name, parents) in shards {
            let parents = parents.iter().map(|name| parent(&shard(name))).collect();
            checkpoint.set(shard(name), ShardPosition { parents, ..ShardPosition::at(Offset::new("f", 9)) });
        }
        checkpoint
    }

    fn declared(shards: &[(&str, &[&str])]) -> Declared {
        shards.iter().map(|(name, named)| (shard(name), named.iter().copied().map(shard).collect())).collect()
    }

    fn of(declare: &[(&str, &[&str])], at: &Checkpoint) -> Result<Parents> {
        let declared = declared(declare);
        Parents::of(&declared, &declared.keys().cloned().collect(), at)
    }

    fn refusal(declare: &[(&str, &[&str])], at: &Checkpoint) -> String {
        let error = of(declare, at).expect_err("is refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.message().to_owned()
    }

    #[test]
    fn a_shard_begins_with_the_parents_that_were_declared() {
        let mut parents = of(&[("july", &["june"])], &checkpoint(&[("june", &[])])).expect("june is known");
        assert_eq!(parents.awaited(), [shard("june")].into());
        assert_eq!(parents.of_begun(&shard("july")), None);
        let begun = [parent(&shard("june"))];
        assert_eq!(parents.begin(&shard("july"), parent), begun);
        assert_eq!(parents.of_begun(&shard("july")), Some(&begun[..]));
        assert!(parents.awaited().is_empty());
    }

    #[test]
    fn a_parent_without_records_stands_for_its_own_parents() {
        let at = checkpoint(&[("a", &[]), ("b", &[])]);
        let declare: &[(&str, &[&str])] = &[("empty", &["a"]), ("child", &["empty", "b"])];
        let mut parents = of(declare, &at).expect("both are known");
        assert_eq!(parents.begin(&shard("child"), parent), [parent(&shard("a")), parent(&shard("b"))]);
        of(declare, &checkpoint(&[("a", &[]), ("b", &[]), ("child", &["a", "b"])])).expect("the same again");
    }

    #[test]
    fn a_parent_that_nobody_knows_is_refused() {
        let told = refusal(&[("july", &["jume"])], &checkpoint(&[("june", &[])]));
        assert!(told.contains("`jume`") && told.contains("icefold checkpoint events"), "{told}");
    }

    #[test]
    fn a_shard_that_has_begun_cannot_get_other_parents() {
        let at = checkpoint(&[("may", &[]), ("june", &[]), ("july", &["june"])]);
        of(&[("july", &["june"])], &at).expect("the same again");
        of(&[("july", &[])], &at).expect("nothing is said");
        let told = refusal(&[("july", &["may"])], &at);
        assert!(told.contains("as what continues `june`"), "{told}");
        let told = refusal(&[("june", &["may"])], &at);
        assert!(told.contains("`june` has begun on its own"), "{told}");
    }

    #[test]
    fn nothing_continues_itself() {
        refusal(&[("a", &["a"])], &Checkpoint::default());
        refusal(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])], &Checkpoint::default());
    }
}

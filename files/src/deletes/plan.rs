//! Which delete files apply to which data files, by the rules of Iceberg format version 2 (invariant D1).
//!
//! * A **position delete** applies to data files of its own partition that are not younger than it
//!   (`data_sequence_number <=` its own).
//! * An **equality delete** applies to data files that are strictly older (`data_sequence_number <` its own), of its own
//!   partition, or of every partition when it was written with an unpartitioned spec.
//! * A partition is a spec with values: equal values of different specs are different partitions.
//!
//! [`plan`] is pure: whoever reads deletes, in whatever way, asks it which.

use std::collections::HashMap;

use iceberg::spec::{DataContentType, DataFileFormat, Struct, TableMetadata};
use icefold_catalog::LiveFile;
use icefold_core::{Error, Result};

/// Where a delete reaches: a partition, told apart by a number given for one scan.
pub type Scope = i32;

/// The scope of equality deletes of an unpartitioned spec: everywhere.
pub const EVERYWHERE: Scope = -1;

/// The scope of a data file that no equality delete can reach.
pub const NOWHERE: Scope = -2;

/// A delete file with the partition that it reaches.
#[derive(Debug, Clone)]
pub struct ScopedDelete {
    /// The delete file.
    pub file: LiveFile,
    /// The partition.
    pub scope: Scope,
}

/// What to apply to the data files of one scan.
#[derive(Debug, Default)]
pub struct DeletePlan {
    /// Position delete files that may hit one of the data files.
    pub position: Vec<ScopedDelete>,
    /// Equality delete files that may hit one of the data files.
    pub equality: Vec<ScopedDelete>,
    /// The partition of each data file.
    pub scopes: Vec<Scope>,
    /// For each data file, whether a position delete may hit it.
    pub positioned: Vec<bool>,
    /// For each data file, whether an equality delete may hit it.
    pub equalled: Vec<bool>,
}

type Partition<'a> = (i32, &'a Struct);

/// Finds the deletes that apply to the data files `data` (after pruning) among the snapshot's `deletes`.
///
/// # Errors
/// `InvalidInput` for deletes that cannot be applied: deletion vectors, other formats than Parquet.
pub fn plan(metadata: &TableMetadata, data: &[&LiveFile], deletes: &[&LiveFile]) -> Result<DeletePlan> {
    let mut scopes: HashMap<Partition<'_>, Scope> = HashMap::new();
    let scope_of_data: Vec<Scope> = data
        .iter()
        .map(|file| {
            let next = scopes.len() as Scope;
            *scopes.entry((file.spec_id, file.file.partition())).or_insert(next)
        })
        .collect();
    let mut plan = DeletePlan {
        positioned: vec![false; data.len()],
        equalled: vec![false; data.len()],
        scopes: scope_of_data,
        ..DeletePlan::default()
    };
    let by_scope = group(&plan.scopes);
    for delete in deletes {
        let scope = scope_of(metadata, delete, &scopes);
        let Some(scope) = scope else { continue };
        let everything: Vec<usize>;
        let reached = match by_scope.get(&scope) {
            Some(files) => files,
            None => {
                everything = (0..data.len()).collect();
                &everything
            }
        };
        plan.mark(delete, scope, reached, data)?;
    }
    Ok(plan)
}

impl DeletePlan {
    /// Returns whether nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.position.is_empty() && self.equality.is_empty()
    }

    fn mark(&mut self, delete: &LiveFile, scope: Scope, reached: &[usize], data: &[&LiveFile]) -> Result<()> {
        let is_position = delete.file.content_type() == DataContentType::PositionDeletes;
        let (list, flags) = match is_position {
            true => (&mut self.position, &mut self.positioned),
            false => (&mut self.equality, &mut self.equalled),
        };
        let age = |file: &LiveFile| file.data_sequence_number;
        let hits = reached.iter().filter(|index| match is_position {
            true => age(data[**index]) <= age(delete),
            false => age(data[**index]) < age(delete),
        });
        let mut hit = false;
        for index in hits {
            flags[*index] = true;
            hit = true;
        }
        if hit {
            check_readable(delete)?;
            list.push(ScopedDelete { file: delete.clone(), scope });
        }
        Ok(())
    }
}

fn group(scopes: &[Scope]) -> HashMap<Scope, Vec<usize>> {
    let mut groups: HashMap<Scope, Vec<usize>> = HashMap::new();
    for (index, scope) in scopes.iter().enumerate() {
        groups.entry(*scope).or_default().push(index);
    }
    groups
}

/// Returns where the delete reaches, `None` if no data file of the scan is there.
fn scope_of(metadata: &TableMetadata, delete: &LiveFile, scopes: &HashMap<Partition<'_>, Scope>) -> Option<Scope> {
    let is_equality = delete.file.content_type() == DataContentType::EqualityDeletes;
    let spec = metadata.partition_spec_by_id(delete.spec_id);
    if is_equality && spec.is_some_and(|spec| spec.is_unpartitioned()) {
        return Some(EVERYWHERE);
    }
    scopes.get(&(delete.spec_id, delete.file.partition())).copied()
}

fn check_readable(delete: &LiveFile) -> Result<()> {
    let path = delete.file.file_path();
    match delete.file.file_format() {
        DataFileFormat::Parquet => Ok(()),
        DataFileFormat::Puffin => Err(Error::invalid(
            "the table has deletion vectors, which icefold cannot apply: compact the table or rewrite it in format \
             version 2",
        )
        .with("file", path)),
        other => Err(Error::invalid(format!(
            "the table has a delete file of format `{other}`, which icefold cannot apply: compact the table"
        ))
        .with("file", path)),
    }
}

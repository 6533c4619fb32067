//! The keys that equality deletes name, in memory: key to (scope, newest sequence number).
//!
//! A row costs one look-up per set of key columns, whatever the number of delete files. NULL equals NULL, as the Iceberg spec
//! asks: keys are compared in Arrow's row format, where null is a value like others. Floats are equal as in Iceberg's own library:
//! NaN equals NaN, and `-0.0` is another key than `0.0`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::row::{RowConverter, Rows, SortField};
use icefold_core::{Error, Result};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{EVERYWHERE, NOWHERE, Scope, ScopedDelete};

/// Bytes that a key costs in the hash table beside its own.
const BYTES_PER_KEY: usize = 80;

/// Bytes that each further (scope, sequence number) of a key costs.
const BYTES_PER_SCOPE: usize = size_of::<(Scope, i64)>();

/// Delete files grouped by the field ids of their key columns, which are sorted.
///
/// # Errors
/// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when one names none.
pub fn group_by_key(deletes: &[ScopedDelete]) -> Result<BTreeMap<Vec<i32>, Vec<ScopedDelete>>> {
    let mut groups: BTreeMap<Vec<i32>, Vec<ScopedDelete>> = BTreeMap::new();
    for delete in deletes {
        let ids: BTreeSet<i32> = delete.file.file.equality_ids().into_iter().flatten().collect();
        if ids.is_empty() {
            return Err(Error::corrupt("an equality delete file names no key columns")
                .with("file", delete.file.file.file_path()));
        }
        groups.entry(ids.into_iter().collect()).or_default().push(delete.clone());
    }
    Ok(groups)
}

/// Scopes, sorted, each with its newest delete.
type NewestByScope = Vec<(Scope, i64)>;

/// Deleted keys of one set of key columns.
#[derive(Debug, Default)]
pub struct KeyTable {
    by_key: HashMap<Box<[u8]>, NewestByScope, BuildHasherDefault<KeyHasher>>,
    /// Newest delete of each scope: what is not older than it need not be looked up.
    newest: HashMap<Scope, i64>,
}

impl KeyTable {
    /// Adds keys, one of each row, with the sequence numbers and scopes of their deletes; returns the bytes that it grew by.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) for columns of types that cannot be compared.
    pub fn insert(&mut self, keys: &[ArrayRef], ages: &[i64], scopes: &[Scope]) -> Result<usize> {
        let rows = comparable(keys)?;
        let mut grown = 0;
        for (row, (age, scope)) in rows.iter().zip(ages.iter().zip(scopes)) {
            grown += self.insert_key(row.as_ref(), *scope, *age);
        }
        Ok(grown)
    }

    fn insert_key(&mut self, key: &[u8], scope: Scope, age: i64) -> usize {
        let newest = self.newest.entry(scope).or_insert(age);
        *newest = age.max(*newest);
        let Some(scopes) = self.by_key.get_mut(key) else {
            self.by_key.insert(key.into(), vec![(scope, age)]);
            return key.len() + BYTES_PER_KEY;
        };
        match scopes.binary_search_by_key(&scope, |(s, _)| *s) {
            Ok(found) => {
                scopes[found].1 = age.max(scopes[found].1);
                0
            }
            Err(place) => {
                scopes.insert(place, (scope, age));
                BYTES_PER_SCOPE
            }
        }
    }

    /// Returns whether some row could be deleted, without looking at keys.
    pub fn may_hit(&self, ages: &[i64], scopes: &[Scope]) -> bool {
        // A batch comes from one file, so the first row nearly always answers for all.
        let mut rows = ages.iter().zip(scopes);
        rows.any(|(age, scope)| self.reaches(*scope, *age))
    }

    fn reaches(&self, scope: Scope, age: i64) -> bool {
        let newer = |scope| self.newest.get(&scope).is_some_and(|newest| *newest > age);
        scope != NOWHERE && (newer(scope) || newer(EVERYWHERE))
    }

    /// Returns which rows stay, given their keys and the sequence numbers and scopes of their data files.
    ///
    /// # Errors
    /// As [`KeyTable::insert`].
    pub fn stays(&self, keys: &[ArrayRef], ages: &[i64], scopes: &[Scope]) -> Result<BooleanBuffer> {
        let rows = comparable(keys)?;
        Ok(BooleanBuffer::collect_bool(ages.len(), |i| !self.is_deleted(rows.row(i).as_ref(), scopes[i], ages[i])))
    }

    /// Returns whether a row with this key, as [`comparable`] makes it, of a data file with this scope and sequence number is
    /// deleted.
    pub(super) fn is_deleted(&self, key: &[u8], scope: Scope, age: i64) -> bool {
        let Some(scopes) = self.by_key.get(key) else { return false };
        let newer = |scope| {
            let found = scopes.binary_search_by_key(&scope, |(s, _)| *s);
            found.is_ok_and(|place| scopes[place].1 > age)
        };
        scope != NOWHERE && (newer(scope) || newer(EVERYWHERE))
    }
}

/// Makes keys comparable as bytes.
///
/// # Errors
/// As [`KeyTable::insert`].
pub(super) fn comparable(keys: &[ArrayRef]) -> Result<Rows> {
    let keys: Vec<ArrayRef> = keys.iter().map(one_nan).collect();
    let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let rows = RowConverter::new(fields).and_then(|converter| converter.convert_columns(&keys));
    rows.map_err(|e| Error::bug("key columns of equality deletes cannot be compared").because(e))
}

/// Makes the same bits of all NaN, which has many.
fn one_nan(key: &ArrayRef) -> ArrayRef {
    match key.data_type() {
        DataType::Float32 => {
            let one = |value: f32| if value.is_nan() { f32::NAN } else { value };
            Arc::new(key.as_primitive::<Float32Type>().unary::<_, Float32Type>(one))
        }
        DataType::Float64 => {
            let one = |value: f64| if value.is_nan() { f64::NAN } else { value };
            Arc::new(key.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
        }
        _ => Arc::clone(key),
    }
}

/// A quick hash of short byte strings: a look-up is paid for each row that is read.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

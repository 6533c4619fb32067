//! Pointers in memory, for tests and simulation.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use icefold_core::Result;

use super::{Pointer, PointerStore, SwapError, TableName};

/// A catalog that lives as long as the process.
#[derive(Debug, Default)]
pub struct MemoryPointers(Mutex<BTreeMap<TableName, String>>);

impl MemoryPointers {
    /// No critical section below can panic half-way, so a poisoned lock still guards whole state.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TableName, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PointerStore for MemoryPointers {
    async fn load(&self, table: &TableName) -> Result<Option<Pointer>> {
        Ok(self.lock().get(table).map(Pointer::to))
    }

    async fn list(&self, namespace: &str) -> Result<Vec<String>> {
        Ok(self.lock().keys().filter(|t| t.namespace == namespace).map(|t| t.name.clone()).collect())
    }

    async fn create(&self, table: &TableName, metadata_location: &str) -> Result<(), SwapError> {
        match self.lock().entry(table.clone()) {
            Entry::Occupied(_) => Err(SwapError::Conflict),
            Entry::Vacant(free) => {
                free.insert(metadata_location.to_owned());
                Ok(())
            }
        }
    }

    async fn swap(&self, table: &TableName, expected: &Pointer, new_location: &str) -> Result<(), SwapError> {
        match self.lock().get_mut(table) {
            Some(current) if *current == expected.metadata_location => {
                new_location.clone_into(current);
                Ok(())
            }
            _ => Err(SwapError::Conflict),
        }
    }

    async fn drop_table(&self, table: &TableName, expected: &Pointer) -> Result<(), SwapError> {
        match self.lock().entry(table.clone()) {
            Entry::Occupied(found) if *found.get() == expected.metadata_location => {
                found.remove();
                Ok(())
            }
            _ => Err(SwapError::Conflict),
        }
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn memory_pointers_conform() {
        crate::pointer::conformance::check(&super::MemoryPointers::default()).await;
    }
}

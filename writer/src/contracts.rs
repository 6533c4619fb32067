//! The data contracts in force, shared by the decoders of a run; they may change while it goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use icefold_catalog::contracts::ContractSet;
use icefold_core::Result;
use icefold_core::contract::CompiledContracts;

/// Contracts, compiled.
#[derive(Debug)]
pub struct Active {
    /// The rules.
    pub compiled: CompiledContracts,
    /// Contracts with their versions, separated by commas.
    pub label: Arc<str>,
}

impl Active {
    /// Compiles a set.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when its contracts contradict each other.
    pub fn compile(set: &ContractSet) -> Result<Self> {
        Ok(Active { compiled: CompiledContracts::compile(&set.contracts)?, label: set.label().into() })
    }
}

/// Holds the contracts in force, or none. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Contracts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    active: RwLock<Option<Arc<Active>>>,
    /// Changes only while `active` is locked for writing.
    generation: AtomicU64,
}

impl Contracts {
    /// Puts other contracts in force; decoders take them up at their next chunk.
    pub fn replace(&self, active: Option<Arc<Active>>) {
        let mut current = self.0.active.write().unwrap_or_else(PoisonError::into_inner);
        *current = active;
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// Returns a number that tells cheaply whether [`Contracts::current`] has changed.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Returns the contracts in force, and their generation.
    pub fn current(&self) -> (u64, Option<Arc<Active>>) {
        let current = self.0.active.read().unwrap_or_else(PoisonError::into_inner);
        (self.generation(), current.clone())
    }
}

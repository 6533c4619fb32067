//! Data contracts in force, compiled. Which ones decide about a chunk is settled when it is read, so that a change of contracts
//! is a place in the stream.

use std::sync::Arc;

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
    /// Object that they were read from; `None` for those that are only tried.
    pub uri: Option<String>,
}

impl Active {
    /// Compiles a set.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when its contracts contradict each other.
    pub fn compile(set: &ContractSet, uri: Option<String>) -> Result<Self> {
        Ok(Active { compiled: CompiledContracts::compile(&set.contracts)?, label: set.label().into(), uri })
    }
}

//! Applying the deletes that a scan's data files are subject to, in DataFusion.
//!
//! [`icefold_files::deletes`] decides which apply (invariant D1); [`position`] and [`equality`] read them; [`exec`] applies
//! them.

pub(crate) mod equality;
pub(crate) mod exec;
pub(crate) mod position;

#[cfg(test)]
mod tests;

//! One module for each command: it reads arguments and settings, calls the library crates and prints.

pub(crate) mod checkpoint;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod generate;
pub(crate) mod tables;

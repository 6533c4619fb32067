//! One module for each command: it reads arguments and settings, calls the library crates and prints.

mod adopt;
pub(crate) mod batch;
pub(crate) mod bench;
pub(crate) mod checkpoint;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod contract;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod ingest;
pub(crate) mod quarantine;
pub(crate) mod query;
pub(crate) mod redrive;
pub(crate) mod tables;
pub(crate) mod trial;
pub(crate) mod verify;

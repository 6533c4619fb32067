//! What a user notices of how queries are planned.

mod failures;
mod logic;

//! The same questions to icefold and to others, over tables on which answers go wrong.
//!
//! ```text
//! seed ─▶ tables ─▶ a warehouse ───────────────────▶ icefold ─┐
//!            └────▶ the rows it must hold, as Parquet ▶ DuckDB ─┼▶ rows ─▶ report
//! seed ─▶ questions, pairs ─▶ SQL, to each of them ────────────┘
//! ```
//!
//! * [`lake`]: a table written as other engines write, and its rows by a computation that reads no file. [`tables`]: those of the test.
//! * [`generator`]: the scope and the expressions of a question. [`questions`]: whole questions. [`pairs`]: two questions that have
//!   one answer by the laws of SQL.
//! * [`engine`]: who answers. [`rows`]: what an answer is, and when two are the same. [`dialects`]: where engines may differ.
//! * [`report`]: what became of many questions.

pub mod dialects;
pub mod engine;
pub mod generator;
pub mod lake;
pub mod pairs;
pub mod questions;
pub mod report;
pub mod rows;
pub mod tables;

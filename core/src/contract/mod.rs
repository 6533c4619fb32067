//! Data contracts: what the events of a family must hold, written in YAML in the Open Data Contract Standard (ODCS).
//!
//! A document goes three ways, all of which start from the [`model`]:
//!
//! ```text
//! contracts/*.yaml ──read──▶ Contract ──compile──▶ CompiledContracts     run by the decoder, one look-up per key
//!                      │         ├─────compat─────▶ Change …             may this version follow that one?
//!                      │         ├─────export─────▶ JSON Schema          for producers
//!                      ▼         └─────validate───▶ Refusal …            slow and plain: what tests compare with
//!                   Finding …
//! ```
//!
//! * [`model`]: [`Contract`], [`EventContract`], [`ObjectShape`], [`Property`], [`Shape`], [`CrossRule`].
//! * [`lint`](mod@lint): reading, and everything that is wrong with a document or with several together.
//! * [`rules`]: the compiled form: [`CompiledContracts`], [`ObjectRules`], [`FieldRule`], [`Broken`].
//! * [`walk`]: how a scanner drives the compiled form, shown on a parsed event.
//! * [`validate`]: the same decisions made from the model, without anything compiled.
//! * [`columns`]: the columns of `events` that properties are promoted to.
//! * [`compat`]: which changes break producers or readers. `docs/contract-compatibility.md` has the rules.
//! * [`json_schema`]: JSON Schema of an event.
//!
//! Contracts describe what is inside `properties` and `traits`; what surrounds these is the built-in contract
//! `segment-envelope/1`, and an access log has `access-log/1`. Both come first, and events of a log meet no other.

mod call;
pub mod columns;
pub mod compat;
mod finding;
mod format;
pub mod json_schema;
pub mod lint;
pub mod model;
mod nearest;
mod number;
mod odcs;
mod pattern;
mod range;
mod read;
pub mod rules;
pub mod validate;
mod version;
pub mod walk;
mod wording;

#[cfg(test)]
mod tests;

pub use call::{Body, EventCall};
pub use columns::{PromotedColumn, promoted_columns};
pub use compat::{Change, Verdict, Who, check, closed_calls, reuses_version};
pub use finding::{Finding, Severity};
pub use format::TextFormat;
pub use json_schema::export;
pub use lint::{lint, lint_set};
pub use model::{ColumnKind, Contract, CrossRule, EventContract, ObjectShape, Policy, Property, Shape};
pub use pattern::Pattern;
pub use range::Range;
pub use rules::{Broken, BrokenReason, CompiledContracts, FieldKind, FieldRule, Lookup, ObjectRules, Scalar, Seen};
pub use validate::{Refusal, validate_value};
pub use version::{Step, Version};

//! Facts about the sources.

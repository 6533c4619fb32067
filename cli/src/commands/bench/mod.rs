//! `icefold bench`: what this machine makes of it. Each measurement works in a temporary folder and removes it.

pub(crate) mod commit;
pub(crate) mod everything;
pub(crate) mod ingest;
pub(crate) mod query;

/// Returns the median.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

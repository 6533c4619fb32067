//! Settings: defaults, then `icefold.toml`, then `ICEFOLD_*`, then options; the later wins.
//!
//! * [`layers`]: the merge, and where each value comes from.
//! * [`sources`]: what a file, the environment and the options say.
//! * [`mod@nearest`]: the known key that an unknown one resembles.
//! * [`show`]: the result in print. * [`secrets`]: what is hidden there and in messages.
//!
//! The keys are those of the library crates' `Settings`: the catalog's at the top, the others under their names.

mod layers;
mod nearest;
mod secrets;
mod show;
mod sources;

use std::path::Path;

use icefold_core::{Error, Result};
use icefold_sql::QuerySettings;
use icefold_writer::FailPoints;
use icefold_writer::decode::DecodeSettings;
use icefold_writer::enrich::settings::EnrichSettings;
use icefold_writer::source::TimeSettings;
use serde_json::Value;

use layers::Layers;
use layers::Origin;
pub(crate) use nearest::nearest;
pub(crate) use secrets::{is_fetched, without_secrets};
pub(crate) use show::{shown, text};

/// File that is read when it is there and no other is named.
const DEFAULT_FILE: &str = "icefold.toml";
/// Variable that names another file.
pub(crate) const CONFIG_VARIABLE: &str = "ICEFOLD_CONFIG";
/// Variable with the filter of the log.
pub(crate) const LOG_VARIABLE: &str = "ICEFOLD_LOG";
/// Variable with a place at which crash tests end the process.
const FAIL_POINT_VARIABLE: &str = "ICEFOLD_FAIL_POINT";
/// Variables that are no settings, and beginnings of those that the project's tests use.
const OTHER_VARIABLES: &[&str] =
    &[CONFIG_VARIABLE, LOG_VARIABLE, FAIL_POINT_VARIABLE, "ICEFOLD_BINARY", "ICEFOLD_SIM_"];

/// The settings of all crates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Where the tables are, and how commits behave.
    pub(crate) catalog: icefold_catalog::Settings,
    /// How the writer batches, deduplicates and encodes.
    pub(crate) writer: icefold_writer::Settings,
    /// How sources tell the time.
    pub(crate) source: TimeSettings,
    /// Limits of the decoder.
    pub(crate) decode: DecodeSettings,
    /// What events are enriched with.
    pub(crate) enrich: EnrichSettings,
    /// What queries may use.
    pub(crate) query: QuerySettings,
}

/// The settings in force, and where each value comes from.
#[derive(Debug)]
pub(crate) struct Config {
    /// The values.
    pub(crate) settings: Settings,
    layers: Layers,
}

impl Config {
    /// Returns whether nobody has set `key`.
    pub(crate) fn is_default(&self, key: &str) -> bool {
        self.layers.entries().any(|(known, _, origin)| known == key && *origin == Origin::Default)
    }
}

/// A value given by an option: key, value, name of the option.
pub(crate) type GivenOption = (&'static str, String, &'static str);

/// Merges the layers.
///
/// # Errors
/// `InvalidInput` naming key, place and remedy for an unknown key, a value of the wrong type or out of range.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    options: &[GivenOption],
    assignments: &[String],
) -> Result<Config> {
    let environment: Vec<(String, String)> =
        environment.into_iter().filter(|(k, _)| k.starts_with("ICEFOLD_")).collect();
    let mut layers = Layers::new(defaults()?);
    let from_environment = environment.iter().find(|(k, _)| k == CONFIG_VARIABLE).map(|(_, v)| v.as_str());
    match file.or(from_environment.map(Path::new)) {
        Some(file) => sources::file(file, &mut layers)?,
        None if Path::new(DEFAULT_FILE).exists() => sources::file(Path::new(DEFAULT_FILE), &mut layers)?,
        None => {}
    }
    sources::environment(&environment, &mut layers)?;
    sources::options(options, assignments, &mut layers)?;
    let settings = settings(layers.values().clone())?;
    settings.catalog.validate()?;
    settings.writer.validate()?;
    settings.source.validate()?;
    settings.decode.validate()?;
    settings.enrich.validate()?;
    settings.query.validate()?;
    Ok(Config { settings, layers })
}

/// Returns where crash tests want this process to end as if the power had failed: mostly nowhere.
///
/// # Errors
/// As [`FailPoints::parse`].
pub(crate) fn fail_points() -> Result<FailPoints> {
    match std::env::var(FAIL_POINT_VARIABLE) {
        Ok(name) => FailPoints::parse(&name),
        Err(_) => Ok(FailPoints::default()),
    }
}

/// Returns the defaults of all crates as one tree; keys without a default are there with `null`.
fn defaults() -> Result<Value> {
    let mut tree = tree(&icefold_catalog::Settings::default())?;
    if let Value::Object(keys) = &mut tree {
        keys.insert("writer".to_owned(), self::tree(&icefold_writer::Settings::default())?);
        keys.insert("source".to_owned(), self::tree(&TimeSettings::default())?);
        keys.insert("decode".to_owned(), self::tree(&DecodeSettings::default())?);
        keys.insert("enrich".to_owned(), self::tree(&EnrichSettings::default())?);
        keys.insert("query".to_owned(), self::tree(&QuerySettings::default())?);
    }
    Ok(tree)
}

fn tree(settings: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(settings).map_err(|e| Error::bug("default settings have no JSON form").because(e))
}

fn settings(mut tree: Value) -> Result<Settings> {
    let mut section = |name| tree.as_object_mut().and_then(|keys| keys.remove(name)).unwrap_or_default();
    let (writer, source, decode, enrich) = (section("writer"), section("source"), section("decode"), section("enrich"));
    let query = section("query");
    let refused = |e: serde_json::Error| Error::invalid(format!("a setting is refused: {e}"));
    Ok(Settings {
        catalog: serde_json::from_value(tree).map_err(refused)?,
        writer: serde_json::from_value(writer).map_err(refused)?,
        source: serde_json::from_value(source).map_err(refused)?,
        decode: serde_json::from_value(decode).map_err(refused)?,
        enrich: serde_json::from_value(enrich).map_err(refused)?,
        query: serde_json::from_value(query).map_err(refused)?,
    })
}

#[cfg(test)]
mod tests;

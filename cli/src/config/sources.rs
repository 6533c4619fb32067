//! What a file, the environment and the options say about settings.

use std::collections::BTreeMap;
use std::path::Path;

use icefold_core::{Error, ErrorKind, Result};

use super::layers::{Layers, Origin, collect};
use super::nearest::nearest;
use super::{GivenOption, OTHER_VARIABLES};

/// Reads a TOML file.
///
/// # Errors
/// `InvalidInput` when it is no TOML or has a key that does not exist, `NotFound` and `Refused` from the file system.
pub(crate) fn file(path: &Path, layers: &mut Layers) -> Result<()> {
    let place = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| {
        let kind = match e.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Refused,
        };
        Error::new(kind, format!("settings file `{place}` cannot be read")).because(e)
    })?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let (line, column) = line_and_column(&text, e.span().map_or(0, |span| span.start));
        // Not the error's own text: it shows the line, and a secret may stand there.
        let message = e.message();
        Error::invalid(format!("settings file `{place}` is no TOML: line {line}, column {column}: {message}"))
    })?;
    let value = serde_json::to_value(table).map_err(|e| {
        Error::invalid(format!("settings file `{place}` holds a value that no setting takes")).because(e)
    })?;
    let mut leaves = BTreeMap::new();
    collect("", &value, &mut leaves);
    for (key, value) in leaves {
        layers.set(&key, value, Origin::File(place.clone()))?;
    }
    Ok(())
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |line_break| line_break + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Returns the variable that sets `key`.
pub(crate) fn variable(key: &str) -> String {
    format!("ICEFOLD_{}", key.replace('.', "_").to_uppercase())
}

/// Reads variables whose names begin with `ICEFOLD_`.
///
/// # Errors
/// `InvalidInput` for one that sets nothing.
pub(crate) fn environment(variables: &[(String, String)], layers: &mut Layers) -> Result<()> {
    let keys: BTreeMap<String, String> = layers.keys().map(|key| (variable(key), key.to_owned())).collect();
    for (name, value) in variables {
        if OTHER_VARIABLES.iter().any(|other| name.starts_with(other)) {
            continue;
        }
        let Some(key) = keys.get(name) else {
            let hint = match nearest(name, keys.keys().map(String::as_str)) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "`icefold config` lists the keys".to_owned(),
            };
            return Err(Error::invalid(format!("environment variable `{name}` sets nothing: {hint}")));
        };
        layers.set_text(key, value, Origin::Environment(name.clone()))?;
    }
    Ok(())
}

/// Reads options of their own and `--set KEY=VALUE`.
///
/// # Errors
/// `InvalidInput` for an assignment without `=` or an unknown key.
pub(crate) fn options(given: &[GivenOption], assignments: &[String], layers: &mut Layers) -> Result<()> {
    for assignment in assignments {
        let Some((key, value)) = assignment.split_once('=') else {
            // No more than the key: what follows may be a secret behind another sign than `=`.
            let is_key = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
            let key = assignment.split(|c| !is_key(c)).next().unwrap_or_default();
            return Err(Error::invalid(format!("--set `{key}` is no KEY=VALUE")));
        };
        layers.set_text(key.trim(), value.trim(), Origin::Option("--set"))?;
    }
    for (key, value, option) in given {
        layers.set_text(key, value, Origin::Option(option))?;
    }
    Ok(())
}

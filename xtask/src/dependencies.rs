//! What this project depends on: licences, sources and refused packages by the rules of `deny.toml`, and that each dependency is
//! used.
//!
//! `cargo deny check licenses bans sources` reads the same rules, and `cargo machete` looks for the same words. Neither is needed:
//! what is asked here stands in the output of `cargo metadata`, and to build both first takes a new machine as long as its tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{Outcome, cargo, root};

/// The rules.
const RULES: &str = "deny.toml";
/// Where packages come from that `deny.toml` takes: the registry that cargo calls so.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks everything; tells all that is wrong, not only the first.
pub(crate) fn check() -> Outcome {
    let rules = fs::read_to_string(root().join(RULES)).map_err(|e| format!("{RULES}: {e}"))?;
    let rules = Rules::read(&rules)?;
    let metadata = metadata(&rules.targets)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let mut wrong: Vec<String> = packages.iter().flat_map(|package| rules.wrong_with(package)).collect();
    for package in packages.iter().filter(|package| package["source"].is_null()) {
        wrong.extend(unused(package)?);
    }
    wrong.extend(unused_of_workspace(packages)?);
    if wrong.is_empty() { Ok(()) } else { Err(format!("dependencies:\n  {}", wrong.join("\n  "))) }
}

fn metadata(targets: &BTreeSet<String>) -> Result<Value, String> {
    let mut command = cargo(&["metadata", "--format-version", "1", "--locked"]);
    command.args(targets.iter().flat_map(|target| ["--filter-platform", target]));
    let output = command.output().map_err(|e| format!("cargo metadata cannot be started: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))
}

/// What `deny.toml` says, as far as it is used.
#[derive(Debug)]
struct Rules {
    /// Machines that it has to be right for.
    targets: BTreeSet<String>,
    licences: BTreeSet<String>,
    refused: BTreeSet<String>,
}

impl Rules {
    fn read(text: &str) -> Result<Rules, String> {
        let table: toml::Table = text.parse().map_err(|e| format!("{RULES}: {e}"))?;
        let list =
            |section: &str, key: &str| table.get(section).and_then(|of| of.get(key)).and_then(|of| of.as_array());
        let texts = |list: Option<&Vec<toml::Value>>, of: fn(&toml::Value) -> Option<&str>| {
            list.into_iter().flatten().filter_map(of).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let targets = texts(list("graph", "targets"), |value| value.as_str());
        let licences = texts(list("licenses", "allow"), |value| value.as_str());
        let refused = texts(list("bans", "deny"), |value| value.get("name")?.as_str());
        match licences.is_empty() {
            true => Err(format!("{RULES}: no licence is allowed")),
            false => Ok(Rules { targets, licences, refused }),
        }
    }

    fn wrong_with(&self, package: &Value) -> Vec<String> {
        let text = |key: &str| package[key].as_str();
        let name = format!("{} {}", text("name").unwrap_or_default(), text("version").unwrap_or_default());
        let mut wrong = Vec::new();
        match text("license").map(|licence| allows(licence, &self.licences)) {
            Some(true) => {}
            Some(false) => {
                wrong.push(format!("{name}: licence `{}` is not allowed", text("license").unwrap_or_default()))
            }
            None => wrong.push(format!("{name}: no licence is named")),
        }
        if text("name").is_some_and(|name| self.refused.contains(name)) {
            wrong.push(format!("{name}: is refused"));
        }
        if text("source").is_some_and(|source| source != REGISTRY) {
            wrong.push(format!("{name}: comes from elsewhere than the registry"));
        }
        for wish in package["dependencies"].as_array().into_iter().flatten() {
            // A package of this workspace has no version of its own to wish for.
            if text("source").is_none() && wish["req"] == "*" && wish["path"].is_null() {
                wrong.push(format!("{name}: takes any version of {}", wish["name"]));
            }
        }
        wrong
    }
}

/// Whether an expression of licences (SPDX) can be fulfilled with those that are allowed. `/` is an old way to write *or*.
fn allows(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let fulfilled = any(&mut words, allowed);
    fulfilled && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut fulfilled = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        fulfilled |= all(words, allowed);
    }
    fulfilled
}

fn all(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut fulfilled = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        fulfilled &= one(words, allowed);
    }
    fulfilled
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.next() else { return false };
    if word == "(" {
        let fulfilled = any(words, allowed);
        return words.next() == Some(")") && fulfilled;
    }
    match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
        Some(exception) => allowed.contains(&format!("{word} WITH {exception}")),
        None => allowed.contains(word),
    }
}

/// Dependencies of a package that none of its sources names.
fn unused(package: &Value) -> Result<Vec<String>, String> {
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let mut code = String::new();
    read_code(manifest.parent().unwrap_or(manifest), &mut code).map_err(|e| format!("sources of {name}: {e}"))?;
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    let names = dependencies.filter_map(|of| of["rename"].as_str().or(of["name"].as_str()));
    let idle = names.filter(|dependency| !names_word(&code, &dependency.replace('-', "_")));
    Ok(idle.map(|dependency| format!("{name}: does not use `{dependency}`")).collect())
}

/// Reads all Rust below a folder, comments left out.
fn read_code(folder: &Path, code: &mut String) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            read_code(&path, code)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            for line in fs::read_to_string(path)?.lines().filter(|line| !line.trim_start().starts_with("//")) {
                code.push_str(line);
                code.push('\n');
            }
        }
    }
    Ok(())
}

fn names_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// Versions of the workspace that none of its packages takes.
fn unused_of_workspace(packages: &[Value]) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(root().join("Cargo.toml")).map_err(|e| format!("Cargo.toml: {e}"))?;
    let table: toml::Table = text.parse().map_err(|e| format!("Cargo.toml: {e}"))?;
    let versions = table.get("workspace").and_then(|of| of.get("dependencies")).and_then(|of| of.as_table());
    let own = packages.iter().filter(|package| package["source"].is_null());
    let taken = own.flat_map(|package| package["dependencies"].as_array().into_iter().flatten());
    let taken: BTreeSet<&str> = taken.filter_map(|of| of["rename"].as_str().or(of["name"].as_str())).collect();
    let idle = versions.into_iter().flatten().filter(|(name, _)| !taken.contains(name.as_str()));
    Ok(idle.map(|(name, _)| format!("workspace: no package takes `{name}`")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let text = r#"
            [licenses]
            allow = ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"]
            [bans]
            deny = [{ name = "evil" }]
        "#;
        Rules::read(text).expect("rules")
    }

    #[test]
    fn an_expression_of_licences_is_read_as_it_is_meant() {
        let allowed = rules().licences;
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0/MIT", true),
            ("GPL-3.0 AND MIT", false),
            ("MIT AND ISC", true),
            ("MIT AND (GPL-3.0 OR ISC)", true),
            ("MIT AND (GPL-3.0 AND ISC)", false),
            ("GPL-3.0 OR MIT AND ISC", true),
            ("(MIT OR GPL-3.0) AND GPL-3.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
            ("", false),
            ("MIT MIT", false),
            ("(MIT", false),
        ] {
            assert_eq!(allows(expression, &allowed), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_package_is_told() {
        let package = |text: &str| rules().wrong_with(&serde_json::from_str(text).expect("JSON"));
        let fine = format!(r#"{{"name":"a","version":"1","license":"MIT","source":"{REGISTRY}"}}"#);
        assert!(package(&fine).is_empty());
        let told = package(r#"{"name":"evil","version":"1","license":null,"source":"git+https://example.org"}"#);
        assert_eq!(
            told,
            ["evil 1: no licence is named", "evil 1: is refused", "evil 1: comes from elsewhere than the registry"]
        );
        let told = package(
            r#"{"name":"o","version":"0","license":"MIT","source":null,"dependencies":[{"name":"x","req":"*"}]}"#,
        );
        assert_eq!(told, [r#"o 0: takes any version of "x""#]);
    }

    #[test]
    fn a_dependency_is_used_where_its_whole_name_stands() {
        assert!(names_word("use serde::Serialize;", "serde"));
        assert!(names_word("#[serde(default)]", "serde"));
        assert!(!names_word("use serde_json::Value;", "serde"));
        assert!(!names_word("let my_rand = 1;", "rand"));
    }
}

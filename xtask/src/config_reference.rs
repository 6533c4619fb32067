//! Writes `docs/config.md` from the crates' `Settings` structs: keys from their fields, words from their doc comments.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;

/// The page.
const PAGE: &str = "docs/config.md";
/// Where settings begin: key of the section, file, struct.
const ROOTS: &[(&str, &str, &str)] = &[
    ("", "catalog/src/settings.rs", "Settings"),
    ("writer", "writer/src/settings.rs", "Settings"),
    ("source", "writer/src/source/settings.rs", "TimeSettings"),
    ("decode", "writer/src/decode/settings.rs", "DecodeSettings"),
    ("enrich", "writer/src/enrich/settings.rs", "EnrichSettings"),
    ("query", "sql/src/settings.rs", "QuerySettings"),
];
/// Files with structs that the roots refer to.
const FILES: &[&str] = &["catalog/src/settings.rs", "writer/src/settings.rs", "writer/src/fold/session/settings.rs"];

const HEAD: &str = "\
# Settings

Written by `cargo xtask config` from the `Settings` structs; do not edit.

Everything works without any of them. Values come from the defaults, then `icefold.toml` in the working directory (or
the file that `--config` or `ICEFOLD_CONFIG` names), then the environment, then options; the later wins. Any key can be
given as `--set KEY=VALUE`. Unknown keys are refused, with the nearest known one. `icefold config` prints what is in force
and where each value comes from, secrets hidden. `ICEFOLD_LOG` filters the log (for example `icefold_catalog=debug`).

Options of their own: `--warehouse` and `--catalog` set the keys of that name, `--cores` sets `writer.cores`,
`ingest --commit-bytes` sets `writer.commit_bytes`, `ingest --commit-interval` sets `writer.commit_interval_seconds`,
`ingest --time-pattern` sets `source.time_pattern` and `query --memory-limit-bytes` sets `query.memory_limit_bytes`.

```toml
warehouse = \"s3://bucket/lake\"
catalog = \"postgres://icefold@db/catalog\"

[s3]
region = \"eu-central-1\"

[writer]
commit_interval_seconds = 30
```
";

/// A field of a settings struct.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: String,
    kind: String,
    doc: String,
}

type Structs = BTreeMap<String, Vec<Field>>;

/// Writes the page.
pub(crate) fn write(root: &Path) -> io::Result<()> {
    std::fs::write(root.join(PAGE), page(root)?)
}

fn page(root: &Path) -> io::Result<String> {
    let mut nested = Structs::new();
    for file in FILES {
        nested.extend(structs(&std::fs::read_to_string(root.join(file))?));
    }
    let mut page = HEAD.to_owned();
    for (section, file, name) in ROOTS {
        let own = structs(&std::fs::read_to_string(root.join(file))?);
        let fields = own.get(*name).ok_or_else(|| io::Error::other(format!("no struct `{name}` in {file}")))?;
        put_section(&mut page, section, fields, &nested);
    }
    Ok(page)
}

/// Writes a section: first its own keys, then its sections.
fn put_section(page: &mut String, section: &str, fields: &[Field], nested: &Structs) {
    let key = |name: &str| if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
    let (sections, keys): (Vec<&Field>, Vec<&Field>) = fields.iter().partition(|f| nested.contains_key(&f.kind));
    let title = if section.is_empty() { "Top level".to_owned() } else { format!("`[{section}]`") };
    let _ = write!(page, "\n## {title}\n\n| key | type | variable | meaning |\n|---|---|---|---|\n");
    for field in keys {
        let key = key(&field.name);
        let variable = format!("ICEFOLD_{}", key.replace('.', "_").to_uppercase());
        let _ = writeln!(page, "| `{key}` | {} | `{variable}` | {} |", kind(&field.kind), field.doc);
    }
    for field in sections {
        put_section(page, &key(&field.name), &nested[&field.kind], nested);
    }
}

/// A type in words.
fn kind(rust: &str) -> String {
    match rust {
        "String" => "text".to_owned(),
        "bool" => "true or false".to_owned(),
        "u16" | "u32" | "u64" | "usize" => "whole number".to_owned(),
        "i32" | "i64" => "whole number".to_owned(),
        other => match other.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
            Some(inner) => format!("{}, optional", kind(inner)),
            None => format!("`{other}`"),
        },
    }
}

/// Finds the public fields of public structs and their doc comments. It reads only the plain form that settings have: one
/// field a line, doc comments before it.
fn structs(source: &str) -> Structs {
    let mut found = Structs::new();
    let mut current: Option<String> = None;
    let mut doc: Vec<&str> = Vec::new();
    for line in source.lines() {
        let text = line.trim();
        if let Some(words) = text.strip_prefix("///") {
            doc.push(words.trim());
        } else if let Some(name) = text.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
            current = Some(name.to_owned());
            found.insert(name.to_owned(), Vec::new());
            doc.clear();
        } else if line == "}" {
            current = None;
        } else if let (Some(name), Some(field)) = (&current, field(text, &doc)) {
            found.entry(name.clone()).or_default().push(field);
            doc.clear();
        } else if !text.starts_with("#[") {
            doc.clear();
        }
    }
    found
}

fn field(text: &str, doc: &[&str]) -> Option<Field> {
    let (name, kind) = text.strip_prefix("pub ")?.strip_suffix(',')?.split_once(": ")?;
    let doc = doc.join(" ").replace('|', "\\|");
    Some(Field { name: name.to_owned(), kind: kind.to_owned(), doc })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_fresh() {
        let root = crate::root();
        let written = std::fs::read_to_string(root.join(PAGE)).unwrap_or_default();
        let fresh = page(&root).expect("settings are readable");
        assert!(written == fresh, "{PAGE} is stale: run `cargo xtask config` and commit it");
    }

    #[test]
    fn fields_are_found_with_their_words() {
        let source = "/// All.\npub struct S {\n    /// One\n    /// line.\n    #[serde(default)]\n    pub a: Option<u64>,\n}\n\
                      fn f() {\n    let pub_b: u32 = 1;\n}\n";
        let fields = &structs(source)["S"];
        assert_eq!(fields.len(), 1);
        assert_eq!((fields[0].name.as_str(), fields[0].doc.as_str()), ("a", "One line."));
        assert_eq!(kind(&fields[0].kind), "whole number, optional");
    }
}

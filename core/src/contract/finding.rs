//! What is wrong with a contract, and where: all of it at once, so that an author corrects a file in one go.

use std::fmt;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The contract works, but a reader of it will stumble.
    Warning,
    /// The contract cannot be used.
    Error,
}

/// One thing to correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// File that it stands in.
    pub file: String,
    /// Place in the document, for example `schema[2].properties[4] (total)`; empty for the document as a whole.
    pub path: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl Finding {
    /// Returns where and what, for where it is said already that it is an error.
    pub fn without_severity(&self) -> String {
        let Finding { file, path, message, .. } = self;
        if path.is_empty() { format!("{file}: {message}") } else { format!("{file}: {path}: {message}") }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}", self.without_severity())
    }
}

/// Findings of one file while it is read.
#[derive(Debug)]
pub(super) struct Findings {
    file: String,
    list: Vec<Finding>,
}

impl Findings {
    pub(super) fn of(file: &str) -> Self {
        Findings { file: file.to_owned(), list: Vec::new() }
    }

    pub(super) fn error(&mut self, path: impl fmt::Display, message: impl Into<String>) {
        self.push(Severity::Error, path, message.into());
    }

    pub(super) fn warning(&mut self, path: impl fmt::Display, message: impl Into<String>) {
        self.push(Severity::Warning, path, message.into());
    }

    fn push(&mut self, severity: Severity, path: impl fmt::Display, message: String) {
        self.list.push(Finding { severity, file: self.file.clone(), path: path.to_string(), message });
    }

    /// Returns whether the contract cannot be used.
    pub(super) fn has_errors(&self) -> bool {
        self.list.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Returns the findings, errors first, otherwise in the order of the document.
    pub(super) fn into_list(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        self.list
    }
}

/// A place in the document.
#[derive(Debug, Clone, Default)]
pub(super) struct Path {
    steps: String,
    name: Option<String>,
}

impl Path {
    /// Returns the place of a key inside.
    pub(super) fn key(&self, key: &str) -> Path {
        let dot = if self.steps.is_empty() { "" } else { "." };
        Path { steps: format!("{}{dot}{key}", self.steps), name: self.name.clone() }
    }

    /// Returns the place of an element of the list under `key`.
    pub(super) fn element(&self, key: &str, index: usize, name: Option<&str>) -> Path {
        let steps = format!("{}[{index}]", self.key(key).steps);
        Path { steps, name: name.map(str::to_owned).or_else(|| self.name.clone()) }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.steps)?;
        match &self.name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_after_its_nearest_element() {
        let root = Path::default();
        let event = root.element("schema", 2, Some("Order Completed"));
        let property = event.element("properties", 4, Some("total"));
        assert_eq!(root.to_string(), "");
        assert_eq!(root.key("team").to_string(), "team");
        assert_eq!(event.key("rules").to_string(), "schema[2].rules (Order Completed)");
        assert_eq!(property.key("items").to_string(), "schema[2].properties[4].items (total)");
    }

    #[test]
    fn errors_come_before_warnings() {
        let mut findings = Findings::of("a.yaml");
        findings.warning("b", "first");
        findings.error("c", "second");
        let list: Vec<String> = findings.into_list().iter().map(Finding::to_string).collect();
        assert_eq!(list, ["error: a.yaml: c: second", "warning: a.yaml: b: first"]);
    }
}

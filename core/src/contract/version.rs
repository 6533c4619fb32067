//! Versions of contracts: `major.minor.patch`.

use std::fmt;
use std::str::FromStr;

/// Version of a contract. Pre-releases and build numbers are left out: a contract is merged or it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version {
    /// Rises when producers or readers have to change.
    pub major: u32,
    /// Rises when events or properties are added, or rules loosened.
    pub minor: u32,
    /// Rises when only words change.
    pub patch: u32,
}

/// By which part a version has to rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Words only.
    Patch,
    /// More is accepted or offered than before.
    Minor,
    /// Somebody has to change.
    Major,
}

impl Version {
    /// Returns the lowest version after this one that may make a change of the size `step`. Before 1.0.0 a minor step
    /// is enough for every change.
    pub fn after(self, step: Step) -> Version {
        let Version { major, minor, patch } = self;
        match step {
            Step::Major if major > 0 => Version { major: major + 1, minor: 0, patch: 0 },
            Step::Major | Step::Minor => Version { major, minor: minor + 1, patch: 0 },
            Step::Patch => Version { major, minor, patch: patch + 1 },
        }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no version: write three numbers, for example `1.0.0`");
        let parts: Vec<&str> = text.split('.').collect();
        let [major, minor, patch] = parts[..] else { return Err(wrong()) };
        let number = |part: &str| {
            let plain = part == "0" || !part.starts_with(['0', '+']);
            part.parse().ok().filter(|_| plain).ok_or_else(wrong)
        };
        Ok(Version { major: number(major)?, minor: number(minor)?, patch: number(patch)? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers() {
        assert_eq!("1.20.3".parse(), Ok(Version { major: 1, minor: 20, patch: 3 }));
        for text in ["1", "1.0", "1.0.0.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "+1.0.0", "1..0", ""] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn before_one_a_minor_step_may_break() {
        let of = |text: &str| text.parse::<Version>().expect("version");
        assert_eq!(of("1.2.3").after(Step::Major), of("2.0.0"));
        assert_eq!(of("1.2.3").after(Step::Minor), of("1.3.0"));
        assert_eq!(of("1.2.3").after(Step::Patch), of("1.2.4"));
        assert_eq!(of("0.2.3").after(Step::Major), of("0.3.0"));
    }
}

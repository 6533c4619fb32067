//! The rules of uap-core, compiled: from the text of a user agent to a [`Device`].
//!
//! A file of rules is YAML with three lists of regular expressions, `user_agent_parsers`, `os_parsers` and
//! `device_parsers`; the format is uap-core's (`docs/specification.md` there). One is built in, see `data/README.md`.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use ua_parser::{Extractor, Regexes, device, os, user_agent};
use xxhash_rust::xxh3::xxh3_128;

use super::class::{class_of, words_of};
use super::{Device, DeviceClass};
use icefold_core::{Error, Result};

/// Version of the rules that are built in.
pub const BUILT_IN_VERSION: &str = "uap-core/0.18.0";

/// Bytes of a user agent that are read; what follows is left out. Real ones have 80 to 300, those of apps sometimes
/// 600, and the time of the regular expressions grows with the length.
pub const MAX_USER_AGENT_BYTES: usize = 1_024;

/// The built-in file; some 206 KB unpacked.
const BUILT_IN: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/uap-core-0.18.0.regexes.yaml.gz"));

/// What uap-core calls the family of a robot's device.
const SPIDER: &str = "Spider";

/// What Chrome on Android sends in place of a model.
const HIDDEN_MODEL: &str = "K";

/// Compiled rules; some 25 MB of memory, shared by all workers.
pub struct DeviceRules {
    extractor: Extractor<'static>,
    version: Arc<str>,
}

impl fmt::Debug for DeviceRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceRules").field("version", &self.version).finish_non_exhaustive()
    }
}

impl DeviceRules {
    /// Compiles the rules that are built in.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when they cannot be compiled, which a test
    /// rules out.
    pub fn built_in() -> Result<Arc<Self>> {
        let mut text = Vec::new();
        GzDecoder::new(BUILT_IN)
            .read_to_end(&mut text)
            .map_err(|e| Error::corrupt("the built-in device rules cannot be unpacked: build again").because(e))?;
        Self::load(&text, BUILT_IN_VERSION).map(Arc::new)
    }

    /// Compiles the rules of a file that was read by the caller.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) when the file is not in uap-core's format,
    /// has an empty list or an expression that cannot be compiled.
    pub fn load(bytes: &[u8], version: &str) -> Result<Self> {
        let regexes: Regexes<'static> = serde_saphyr::from_slice(bytes)
            .map_err(|e| unusable(version, "are not in uap-core's format").because(e))?;
        let lists = [
            ("user_agent_parsers", regexes.user_agent_parsers.is_empty()),
            ("os_parsers", regexes.os_parsers.is_empty()),
            ("device_parsers", regexes.device_parsers.is_empty()),
        ];
        if let Some((list, _)) = lists.iter().find(|(_, is_empty)| *is_empty) {
            return Err(unusable(version, &format!("have nothing in `{list}`")));
        }
        let extractor = Extractor::try_from(regexes)
            .map_err(|e| unusable(version, "have a regular expression that cannot be compiled").because(e))?;
        Ok(DeviceRules { extractor, version: version.into() })
    }

    /// Returns the version that rows name, such as `uap-core/0.18.0` or `regexes/1f3a…`.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Returns what `user_agent` says; takes some 10 to 100 µs. Bytes that are not UTF-8 are read as U+FFFD.
    pub fn device(&self, user_agent: &[u8]) -> Device {
        let text = String::from_utf8_lossy(cut(user_agent));
        let (browser, os, hardware) = self.extractor.extract(&text);
        let mut device = Device::default();
        if let Some(browser) = browser {
            device.set_browser(&browser);
        }
        if let Some(os) = os {
            device.set_os(&os);
        }
        if let Some(hardware) = hardware {
            device.set_hardware(&hardware);
        }
        device.classify(&text);
        device
    }

    /// Fills family, brand and model of `device` from the model that an Android phone names.
    pub(super) fn set_android_model(&self, device: &mut Device, model: &str) {
        let text = format!("Mozilla/5.0 (Linux; Android 14; {model}) AppleWebKit/537.36 Chrome/124.0.0.0 Mobile");
        (device.device_family, device.device_brand, device.device_model) = (None, None, None);
        if let Some(hardware) = self.extractor.dev.extract(&text).filter(|h| h.device != SPIDER) {
            device.set_hardware(&hardware);
        }
    }
}

/// Returns the version of a file of rules that has none of its own: a hash of its bytes.
pub(super) fn version_of(bytes: &[u8]) -> String {
    format!("regexes/{:016x}", xxh3_128(bytes) >> 64)
}

/// Returns the part of a user agent that is read.
pub(super) fn cut(user_agent: &[u8]) -> &[u8] {
    &user_agent[..user_agent.len().min(MAX_USER_AGENT_BYTES)]
}

fn unusable(version: &str, why: &str) -> Error {
    Error::invalid(format!(
        "the device rules `{version}` {why}: give a complete `regexes.yaml` of uap-core, or leave the setting out to \
         use the built-in ones"
    ))
}

impl Device {
    fn set_browser(&mut self, found: &user_agent::ValueRef<'_>) {
        self.browser_name = named(&found.family);
        self.browser_version = joined([found.major, found.minor, found.patch]);
    }

    fn set_os(&mut self, found: &os::ValueRef<'_>) {
        self.os_name = named(&found.os);
        self.os_version = joined([found.major.as_deref(), found.minor.as_deref(), found.patch.as_deref()]);
    }

    fn set_hardware(&mut self, found: &device::ValueRef<'_>) {
        // `Generic Feature Phone` and the like are guesses from the first letters, made for some programs as well.
        if found.device.starts_with("Generic ") {
            return;
        }
        self.device_family = named(&found.device).filter(|family| &**family != HIDDEN_MODEL);
        self.device_brand = found.brand.as_deref().filter(|brand| !brand.starts_with("Generic")).and_then(named);
        self.device_model = found.model.as_deref().filter(|model| *model != HIDDEN_MODEL).and_then(named);
    }

    fn classify(&mut self, text: &str) {
        let is_spider = self.device_family.as_deref() == Some(SPIDER);
        // The rules judge by the robot's own name, not by uap-core's word for all of them.
        let family = self.device_family.as_deref().filter(|_| !is_spider).unwrap_or_default();
        let words = words_of(&[text, family]);
        self.class = class_of(&words, self.os_name.as_deref(), is_spider);
        self.is_bot = self.class == DeviceClass::Bot;
        if is_spider && !self.is_bot {
            (self.device_family, self.device_brand, self.device_model) = (None, None, None);
        }
    }
}

/// Returns `name` unless it stands for something unknown.
fn named(name: &str) -> Option<Arc<str>> {
    (!matches!(name, "" | "Other")).then(|| name.into())
}

/// Joins the parts of a version up to the first that is missing.
fn joined(parts: [Option<&str>; 3]) -> Option<Arc<str>> {
    let known: Vec<&str> = parts.into_iter().map_while(|part| part.filter(|p| !p.is_empty())).collect();
    (!known.is_empty()).then(|| known.join(".").into())
}

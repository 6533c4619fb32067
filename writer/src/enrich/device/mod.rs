//! What a user agent says about browser, operating system and device.
//!
//! [`DeviceSource`] names the rules and compiles them upon first use; [`DeviceRules`] are the rules of uap-core,
//! shared by all workers; a [`DeviceCache`] belongs to one worker and remembers the answers. A [`Device`] is a function
//! of rules, user agent and client hints alone, so a replay with the same rules makes the same columns.
//!
//! Names are uap-core's (`Chrome Mobile`, `Mac OS X`), also where client hints use others, so that both can be
//! grouped together. What uap-core does not know is null: its `Other`, its `Generic …` devices and brands, and
//! the `K` that Chrome on Android sends in place of a model. A user agent is read up to [`MAX_USER_AGENT_BYTES`].

mod cache;
mod class;
mod hints;
mod refine;
mod robots;
mod rules;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use cache::{DeviceCache, MAX_CACHED_USER_AGENTS};
pub use class::DeviceClass;
pub use hints::{Brand, ClientHints, MAX_HINTS_BYTES};
pub use rules::{BUILT_IN_VERSION, DeviceRules, MAX_USER_AGENT_BYTES};
pub use source::DeviceSource;

/// What is known of the program and the device that sent an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Browser, app or http library, such as `Chrome Mobile`.
    pub browser_name: Option<Arc<str>>,
    /// Its version, `major.minor.patch` as far as known.
    pub browser_version: Option<Arc<str>>,
    /// Operating system, such as `Mac OS X`.
    pub os_name: Option<Arc<str>>,
    /// Its version, `major.minor.patch` as far as known.
    pub os_version: Option<Arc<str>>,
    /// Device as uap-core names it, such as `Samsung SM-S911B`; `Spider` for robots.
    pub device_family: Option<Arc<str>>,
    /// Maker of the device.
    pub device_brand: Option<Arc<str>>,
    /// Model of the device.
    pub device_model: Option<Arc<str>>,
    /// Kind of device.
    pub class: DeviceClass,
    /// True for robots; exactly then `class` is [`DeviceClass::Bot`].
    pub is_bot: bool,
}

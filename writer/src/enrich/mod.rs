//! What is added to an event from data beside the stream: device, place, and attributes of the person.
//!
//! ```text
//! decoded rows ─▶ Enricher (each worker): device, geo, address as far as the policy allows ─▶ … folds … ─▶ reference
//! ```
//!
//! * [`device`]: browser, operating system and kind of device, by uap-core rules.
//! * [`geo`]: country to autonomous system, by a MaxMind-layout database that can be replaced while the run goes on.
//! * [`ip`]: what becomes of the address itself.
//! * [`mod@reference`]: plan, signing up and consent of the person, from a table.
//! * [`settings`]: where all this comes from.
//! * [`versions`]: which versions of all these went into a commit.
//!
//! The same record with the same versions makes the same row. Data that is missing or broken never stops a run: its columns
//! are null, its version in the summary is [`versions::UNAVAILABLE`], and one warning says what to do.

mod columns;
pub mod device;
pub mod geo;
pub mod ip;
mod recent;
pub mod reference;
pub mod settings;
pub mod versions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use icefold_core::Result;

use self::columns::Columns;
use self::device::{DeviceCache, DeviceSource};
use self::geo::{GeoCache, GeoKind, GeoSource};
use self::ip::IpPolicy;
use self::reference::{Reference, ReferenceHandle};
use self::versions::{CONTRACTS, DEVICE_RULES, GEO_DATABASE, REFERENCE, UNAVAILABLE, Versions};
use crate::chunk::DecodedChunk;

/// What the events of a run are enriched with, shared by its workers; cheap to clone. The default adds nothing and keeps
/// addresses as they are.
#[derive(Debug, Clone, Default)]
pub struct Enrichment(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    device: Option<DeviceSource>,
    device_is_broken: AtomicBool,
    /// Which databases there should be.
    geo_wanted: Vec<GeoKind>,
    geo: Arc<GeoSource>,
    ip: IpPolicy,
    /// Whether there should be reference data.
    reference_wanted: bool,
    reference: ReferenceHandle,
}

impl Default for Shared {
    fn default() -> Self {
        Shared {
            device: None,
            device_is_broken: AtomicBool::new(false),
            geo_wanted: Vec::new(),
            geo: Arc::default(),
            ip: IpPolicy::Keep,
            reference_wanted: false,
            reference: ReferenceHandle::default(),
        }
    }
}

impl Shared {
    fn missing_databases(&self) -> u64 {
        let current = self.geo.current().1;
        self.geo_wanted.iter().filter(|kind| current.get(**kind).is_none()).count() as u64
    }
}

/// Which of the data there should be.
#[derive(Debug)]
pub struct Wanted {
    /// Device rules.
    pub device: DeviceSource,
    /// Which geo databases are to be used; they are handed over by [`Enrichment::geo`].
    pub geo: Vec<GeoKind>,
    /// What becomes of addresses.
    pub ip: IpPolicy,
    /// Whether reference data is to be used; it is handed over by [`Enrichment::replace_reference`].
    pub reference: bool,
}

impl Enrichment {
    /// Makes an enrichment whose databases are handed over later, or anew.
    pub fn new(wanted: Wanted) -> Self {
        Enrichment(Arc::new(Shared {
            device: Some(wanted.device),
            geo_wanted: wanted.geo,
            ip: wanted.ip,
            reference_wanted: wanted.reference,
            ..Shared::default()
        }))
    }

    /// Returns the holder of the geo databases.
    pub fn geo(&self) -> &Arc<GeoSource> {
        &self.0.geo
    }

    /// Puts another version of the reference data in force.
    pub fn replace_reference(&self, reference: Reference) {
        self.0.reference.replace(reference);
    }

    /// Returns how many kinds of data there should be and are not: for a metric that an alarm watches.
    pub fn unavailable(&self) -> u64 {
        let shared = &self.0;
        u64::from(shared.device_is_broken.load(Ordering::Relaxed))
            + shared.missing_databases()
            + u64::from(shared.reference_wanted && shared.reference.current().is_none())
    }

    pub(crate) fn reference(&self) -> Option<Arc<Reference>> {
        self.0.reference.current()
    }

    /// Makes what one worker needs.
    pub(crate) fn enricher(&self) -> Enricher {
        Enricher { shared: self.0.clone(), devices: None, geo: GeoCache::new(self.0.geo.clone()) }
    }
}

/// Enriches the chunks of one worker; its caches are for speed alone.
pub(crate) struct Enricher {
    shared: Arc<Shared>,
    devices: Option<DeviceCache>,
    geo: GeoCache,
}

/// Rows with the columns that need nothing but the event itself, and the versions that went into them.
#[derive(Debug)]
pub(crate) struct Enriched {
    pub(crate) rows: DecodedChunk,
    pub(crate) versions: Versions,
}

impl Enricher {
    /// Adds the columns of device and place, and takes back the address as far as the policy says.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when the rows do not have the decoder's columns.
    pub(crate) fn enrich(&mut self, mut rows: DecodedChunk) -> Result<Enriched> {
        self.geo.refresh();
        let mut columns = Columns::of(&rows.events)?;
        let mut versions = Versions::default();
        if let Some(contracts) = &rows.contracts {
            versions.add(CONTRACTS, contracts);
        }
        if let Some(devices) = self.devices() {
            columns.add_devices(devices);
            versions.add(DEVICE_RULES, devices.rules().version());
        } else if self.shared.device.is_some() {
            versions.add(DEVICE_RULES, &UNAVAILABLE.into());
        }
        columns.add_places(&mut self.geo, self.shared.ip);
        for kind in &self.shared.geo_wanted {
            versions.add(GEO_DATABASE, self.geo.version(*kind).unwrap_or(&UNAVAILABLE.into()));
        }
        if self.shared.reference_wanted && self.shared.reference.current().is_none() {
            versions.add(REFERENCE, &UNAVAILABLE.into());
        }
        rows.events = columns.finish()?;
        Ok(Enriched { rows, versions })
    }

    /// Returns the devices' cache; `None` when there are no rules, or none that can be used.
    fn devices(&mut self) -> Option<&mut DeviceCache> {
        if self.devices.is_none() {
            match self.shared.device.as_ref()?.rules() {
                Ok(rules) => self.devices = Some(DeviceCache::new(rules)),
                Err(error) => {
                    if !self.shared.device_is_broken.swap(true, Ordering::Relaxed) {
                        tracing::warn!(error = ?error, "device columns stay null");
                    }
                }
            }
        }
        self.devices.as_mut()
    }
}

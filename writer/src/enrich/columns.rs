//! The columns of `events` that enrichment adds, and the address that it takes back.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BinaryViewArray, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch,
};
use icefold_core::tables::TableKind;
use icefold_core::{Error, Result};

use super::device::{Device, DeviceCache};
use super::geo::{Geo, GeoCache};
use super::ip::{IpPolicy, parse_ip};
use crate::chunk::CLIENT_HINTS;
use crate::columns::extended;
use crate::fold::Texts;

/// Bytes that are set aside for each text.
const TEXT_BYTES: usize = 12;

/// Rows, and the columns that are to stand behind theirs.
pub(super) struct Columns {
    rows: RecordBatch,
    added: Vec<(&'static str, ArrayRef)>,
    hints: Option<BinaryViewArray>,
}

impl Columns {
    /// Takes decoded `events`. The client hints are read here and not passed on.
    pub(super) fn of(events: &RecordBatch) -> Result<Self> {
        let mut rows = events.clone();
        let hints = match rows.schema().index_of(CLIENT_HINTS) {
            Ok(index) => Some(rows.remove_column(index).as_binary_view_opt().cloned().ok_or_else(no_hints)?),
            Err(_) => None,
        };
        Ok(Columns { rows, added: Vec::new(), hints })
    }

    /// Adds what the user agents tell.
    pub(super) fn add_devices(&mut self, devices: &mut DeviceCache) {
        let Ok(agents) = Texts::of(&self.rows, "user_agent") else { return };
        let hints = self.hints.as_ref().filter(|hints| hints.null_count() < hints.len());
        let mut columns = DeviceColumns::with_capacity(self.rows.num_rows());
        for row in 0..self.rows.num_rows() {
            let hints = hints.filter(|hints| !hints.is_null(row)).map(|hints| hints.value(row));
            match (agents.get(row), hints) {
                (None, None) => columns.push_null(),
                (agent, hints) => {
                    columns.push(devices.device_with_hints(agent.unwrap_or_default(), hints.unwrap_or_default()));
                }
            }
        }
        self.added.extend(columns.finish());
    }

    /// Adds what the addresses tell, and writes them as `policy` allows.
    pub(super) fn add_places(&mut self, geo: &mut GeoCache, policy: IpPolicy) {
        let has_places = !geo.is_empty();
        if !has_places && policy == IpPolicy::Keep {
            return;
        }
        let Ok(addresses) = Texts::of(&self.rows, "ip") else { return };
        let count = self.rows.num_rows();
        let mut places = PlaceColumns::default();
        let (mut kept, mut text) = (BinaryBuilder::with_capacity(count, count * TEXT_BYTES), Vec::new());
        for row in 0..count {
            let address = addresses.get(row);
            let ip: Option<IpAddr> = address.and_then(parse_ip);
            if has_places {
                places.push(ip.and_then(|ip| geo.geo(ip)));
            }
            text.clear();
            let stays = address.is_some_and(|address| policy.write(address, ip, &mut text));
            kept.append_option(stays.then_some(&text));
        }
        if has_places {
            self.added.extend(places.finish());
        }
        if policy != IpPolicy::Keep {
            self.replace("ip", Arc::new(kept.finish()));
        }
    }

    fn replace(&mut self, column: &str, array: ArrayRef) {
        let index = TableKind::Events.index_of(column);
        let mut fields = self.rows.schema().fields().to_vec();
        fields[index] = Arc::new(fields[index].as_ref().clone().with_data_type(array.data_type().clone()));
        let mut columns = self.rows.columns().to_vec();
        columns[index] = array;
        let schema = arrow::datatypes::Schema::new_with_metadata(fields, self.rows.schema().metadata().clone());
        self.rows = RecordBatch::try_new(Arc::new(schema), columns).expect("a column of the same length");
    }

    /// Returns the rows with all columns.
    pub(super) fn finish(self) -> Result<RecordBatch> {
        extended(self.rows, self.added)
    }
}

fn no_hints() -> Error {
    Error::bug("client hints are of another type than the decoder's")
}

struct DeviceColumns {
    texts: [BinaryBuilder; 7],
    is_bot: BooleanBuilder,
}

impl DeviceColumns {
    const NAMES: [&'static str; 7] = [
        "browser_name",
        "browser_version",
        "browser_os_name",
        "browser_os_version",
        "device_family",
        "device_brand",
        "device_class",
    ];

    fn with_capacity(rows: usize) -> Self {
        DeviceColumns {
            texts: std::array::from_fn(|_| BinaryBuilder::with_capacity(rows, rows * TEXT_BYTES)),
            is_bot: BooleanBuilder::with_capacity(rows),
        }
    }

    fn push(&mut self, device: &Device) {
        let [browser, browser_version, os, os_version, family, brand, class] = &mut self.texts;
        browser.append_option(device.browser_name.as_deref());
        browser_version.append_option(device.browser_version.as_deref());
        os.append_option(device.os_name.as_deref());
        os_version.append_option(device.os_version.as_deref());
        family.append_option(device.device_family.as_deref());
        brand.append_option(device.device_brand.as_deref());
        class.append_value(device.class.as_str());
        self.is_bot.append_value(device.is_bot);
    }

    fn push_null(&mut self) {
        self.texts.iter_mut().for_each(BinaryBuilder::append_null);
        self.is_bot.append_null();
    }

    fn finish(self) -> Vec<(&'static str, ArrayRef)> {
        let DeviceColumns { texts, mut is_bot } = self;
        let texts = Self::NAMES.into_iter().zip(texts);
        let mut columns: Vec<(_, ArrayRef)> =
            texts.map(|(name, mut text)| (name, Arc::new(text.finish()) as ArrayRef)).collect();
        columns.push(("is_bot", Arc::new(is_bot.finish())));
        columns
    }
}

#[derive(Default)]
struct PlaceColumns {
    texts: [BinaryBuilder; 4],
    coordinates: [Float64Builder; 2],
    asn: Int64Builder,
}

impl PlaceColumns {
    const NAMES: [&'static str; 4] = ["geo_country", "geo_region", "geo_city", "geo_as_organization"];

    fn push(&mut self, geo: Option<&Geo>) {
        let [country, region, city, organization] = &mut self.texts;
        country.append_option(geo.and_then(|geo| geo.country.as_deref()));
        region.append_option(geo.and_then(|geo| geo.region.as_deref()));
        city.append_option(geo.and_then(|geo| geo.city.as_deref()));
        organization.append_option(geo.and_then(|geo| geo.as_organization.as_deref()));
        let [latitude, longitude] = &mut self.coordinates;
        latitude.append_option(geo.and_then(|geo| geo.latitude));
        longitude.append_option(geo.and_then(|geo| geo.longitude));
        self.asn.append_option(geo.and_then(|geo| geo.asn));
    }

    fn finish(self) -> Vec<(&'static str, ArrayRef)> {
        let PlaceColumns { texts, coordinates: [mut latitude, mut longitude], mut asn } = self;
        let texts = Self::NAMES.into_iter().zip(texts);
        let mut columns: Vec<(_, ArrayRef)> =
            texts.map(|(name, mut text)| (name, Arc::new(text.finish()) as ArrayRef)).collect();
        columns.push(("geo_latitude", Arc::new(latitude.finish())));
        columns.push(("geo_longitude", Arc::new(longitude.finish())));
        columns.push(("geo_asn", Arc::new(asn.finish())));
        columns
    }
}

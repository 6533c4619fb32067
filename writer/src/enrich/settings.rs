//! Where the data comes from that events are enriched with.

use icefold_core::bounds::{self, BILLION, YEAR_SECONDS};
use icefold_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::ip::IpPolicy;

/// What events are enriched with. Names and documentation of the columns stand in `core/src/tables.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnrichSettings {
    /// File with uap-core's device rules (`regexes.yaml`) in the place of the built-in ones. Default none.
    pub device_rules: Option<String>,
    /// Geo database in MaxMind's format (`.mmdb`): a path, an `s3://` or an `https://` URL. Default none: the
    /// columns `geo_*` are null.
    pub geo_database: Option<String>,
    /// A second geo database, asked for what the first one does not say: where places and networks come as two files, such as
    /// GeoLite2-City and GeoLite2-ASN. Default none.
    pub geo_asn_database: Option<String>,
    /// What becomes of the address in `events`: `keep`, `truncate` (to /24 and /48) or `drop`. Default `truncate`: country
    /// and network are found before, and the whole address stays in the payloads of `raw_events` and `quarantine`.
    pub ip: IpPolicy,
    /// Reference data by `user_id`: a Parquet file (path, `s3://` or `https://` URL), or `table:NAME` for a table of the warehouse.
    /// Default none: the columns `user_*` are null.
    pub reference: Option<String>,
    /// Most people that the reference data may have. Default 20 million: about 1.2 GB. 1 to a billion, 60 GB.
    pub reference_max_people: usize,
    /// Every so many seconds it is looked whether geo database and reference data were replaced. Default 60. 1 to 31,622,400, a
    /// year: in practice never.
    pub reload_seconds: u64,
}

impl Default for EnrichSettings {
    fn default() -> Self {
        EnrichSettings {
            device_rules: None,
            geo_database: None,
            geo_asn_database: None,
            ip: IpPolicy::default(),
            reference: None,
            reference_max_people: 20_000_000,
            reload_seconds: 60,
        }
    }
}

impl EnrichSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) naming key, value and remedy.
    pub fn validate(&self) -> Result<()> {
        bounds::check_all([
            ("enrich.reload_seconds", self.reload_seconds, 1..=YEAR_SECONDS),
            ("enrich.reference_max_people", self.reference_max_people as u64, 1..=BILLION),
        ])?;
        if let Some(place) =
            self.device_rules.as_deref().filter(|place| place.contains("://") && !place.starts_with("file:"))
        {
            return Err(Error::invalid(format!(
                "`enrich.device_rules` = `{place}` is no path: put the file on disk and name it by its path"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        EnrichSettings::default().validate().expect("defaults");
    }

    #[test]
    fn device_rules_elsewhere_are_refused_and_not_left_out() {
        let wrong =
            EnrichSettings { device_rules: Some("s3://b/regexes.yaml".to_owned()), ..EnrichSettings::default() };
        assert!(wrong.validate().expect_err("no path").message().contains("`enrich.device_rules`"));
    }
}

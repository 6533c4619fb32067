//! The data that events are enriched with: loaded before a run, and again when it was replaced.
//!
//! Data that cannot be loaded never stops a run: its columns are null, one warning says why, the summary of each commit
//! says so, and it is looked for again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use icefold_catalog::store::local_path;
use icefold_catalog::{Settings as CatalogSettings, Warehouse};
use icefold_core::{Error, Result};
use icefold_writer::enrich::device::DeviceSource;
use icefold_writer::enrich::geo::{GeoDatabase, GeoKind};
use icefold_writer::enrich::reference::{REFERENCE_COLUMNS, Reference, ReferenceBuilder};
use icefold_writer::enrich::{Enrichment, Wanted};

use crate::commands::query;
use crate::replaceable::Replaceable;
use crate::session::Session;

/// Begins the setting of a table of the warehouse.
const TABLE: &str = "table:";

/// How long a run waits for the data before it begins.
const FIRST_LOOK: Duration = Duration::from_secs(60);

/// The enrichment of a run; dropping it ends the looking.
pub(crate) struct Loaded {
    /// To be handed to the writer.
    pub(crate) enrichment: Enrichment,
    watcher: tokio::task::JoinHandle<()>,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Loads what the settings name and goes on watching it.
///
/// # Errors
/// When a place is not one that can be named; what cannot be loaded from it is a warning.
pub(crate) async fn load(session: &Session, warehouse: &Warehouse) -> Result<Loaded> {
    let settings = session.settings().enrich.clone();
    let rules = settings.device_rules.as_deref().map(local_path).transpose()?.flatten();
    let places =
        [(GeoKind::Place, settings.geo_database.clone()), (GeoKind::Network, settings.geo_asn_database.clone())];
    let geo: Vec<_> = places.into_iter().filter_map(|(kind, place)| Some((kind, Replaceable::new(place?)))).collect();
    let enrichment = Enrichment::new(Wanted {
        device: DeviceSource::new(rules),
        geo: geo.iter().map(|(kind, _)| *kind).collect(),
        ip: settings.ip,
        reference: settings.reference.is_some(),
    });
    let mut watched = Watched {
        pause: Duration::from_secs(settings.reload_seconds),
        max_people: settings.reference_max_people,
        catalog: session.settings().catalog.clone(),
        workers: session.settings().writer.workers(),
        warehouse: warehouse.clone(),
        enrichment: enrichment.clone(),
        geo,
        reference: settings.reference.map(ReferencePlace::of),
        told: BTreeMap::new(),
    };
    // A place that does not answer holds nothing up: its data is taken up when it comes. So only the waiting ends: a look
    // that was cut off would have noted what it did not hand over.
    let (looked, first_look) = tokio::sync::oneshot::channel();
    let watcher = tokio::spawn(async move {
        watched.look().await;
        let _ = looked.send(());
        watched.watch().await;
    });
    if tokio::time::timeout(FIRST_LOOK, first_look).await.is_err() {
        tracing::warn!("data to enrich with has not come in {} s: going on without it", FIRST_LOOK.as_secs());
    }
    Ok(Loaded { enrichment, watcher })
}

/// Where reference data lies.
enum ReferencePlace {
    File(Replaceable),
    /// A table of the warehouse, and the version that was read last.
    Table {
        name: String,
        version: Option<String>,
    },
}

impl ReferencePlace {
    fn of(place: String) -> Self {
        match place.strip_prefix(TABLE) {
            Some(name) => ReferencePlace::Table { name: name.to_owned(), version: None },
            None => ReferencePlace::File(Replaceable::new(place)),
        }
    }

    fn shown(&self) -> String {
        match self {
            ReferencePlace::File(file) => file.shown(),
            ReferencePlace::Table { name, .. } => format!("{TABLE}{name}"),
        }
    }
}

/// What is looked at again and again.
struct Watched {
    pause: Duration,
    max_people: usize,
    catalog: CatalogSettings,
    workers: usize,
    warehouse: Warehouse,
    enrichment: Enrichment,
    geo: Vec<(GeoKind, Replaceable)>,
    reference: Option<ReferencePlace>,
    /// By place, the error that was told last.
    told: BTreeMap<String, String>,
}

impl Watched {
    async fn watch(&mut self) {
        loop {
            tokio::time::sleep(self.pause).await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        for number in 0..self.geo.len() {
            let looked = self.look_at_geo(number).await;
            self.tell("geo database", self.geo[number].1.shown(), looked);
        }
        if let Some(place) = self.reference.as_ref().map(ReferencePlace::shown) {
            let looked = self.look_at_reference().await;
            self.tell("reference data", place, looked);
        }
    }

    /// Warns of an error once, not each time that it is met again.
    fn tell(&mut self, what: &str, place: String, looked: Result<()>) {
        let Err(error) = looked else {
            self.told.remove(&place);
            return;
        };
        let text = format!("{error:?}");
        if self.told.get(&place) != Some(&text) {
            tracing::warn!(what, place, error = ?error, "data cannot be used: the last good one stays, if there is one");
            self.told.insert(place, text);
        }
    }

    async fn look_at_geo(&mut self, number: usize) -> Result<()> {
        let (kind, geo) = &mut self.geo[number];
        let Some(bytes) = geo.changed(&self.catalog.s3).await? else { return Ok(()) };
        let database = tokio::task::spawn_blocking(move || GeoDatabase::open(bytes)).await;
        let database = database.map_err(|e| Error::bug("opening a geo database panicked").because(e))??;
        tracing::info!(version = %database.version(), "geo database in use");
        self.enrichment.geo().replace(*kind, std::sync::Arc::new(database));
        Ok(())
    }

    async fn look_at_reference(&mut self) -> Result<()> {
        let max_people = self.max_people;
        let reference = match &mut self.reference {
            None => None,
            Some(ReferencePlace::Table { name, version }) => {
                let (name, version) = (name.clone(), version.clone());
                self.reference_table(&name, version.as_deref()).await?
            }
            Some(ReferencePlace::File(file)) => match file.changed(&self.catalog.s3).await? {
                None => None,
                Some(bytes) => {
                    let read = tokio::task::spawn_blocking(move || Reference::from_parquet(bytes, max_people)).await;
                    Some(read.map_err(|e| Error::bug("reading reference data panicked").because(e))??)
                }
            },
        };
        if let Some(reference) = reference {
            tracing::info!(version = %reference.version(), people = reference.people(), "reference data in use");
            self.enrichment.replace_reference(reference);
        }
        Ok(())
    }

    /// Reads a table of the warehouse, if it has another snapshot than before.
    async fn reference_table(&mut self, table: &str, last: Option<&str>) -> Result<Option<Reference>> {
        let loaded = self.warehouse.load(table).await?;
        let snapshot = loaded.snapshot(None)?.map_or(0, |snapshot| snapshot.snapshot_id());
        let read = format!("{table}@{snapshot}");
        if last == Some(&read) {
            return Ok(None);
        }
        let tables = query::open_with(self.workers, &self.warehouse).await?;
        let quoted = table.replace('"', "\"\"");
        let mut builder = ReferenceBuilder::new(&read, self.max_people);
        let schema = loaded.metadata().current_schema();
        let wanted = REFERENCE_COLUMNS.iter().copied().filter(|name| schema.field_by_name(name).is_some());
        let wanted = wanted.collect::<Vec<_>>();
        let columns = if wanted.is_empty() { "*".to_owned() } else { wanted.join(", ") };
        // Batch by batch, so that the ceiling is noticed before all is read.
        let mut stream = tables.query(&format!("SELECT {columns} FROM \"{quoted}\"")).await?;
        while let Some(rows) = stream.next().await.transpose()? {
            builder.add(&rows)?;
        }
        // Not before: what could not be read is read again.
        if let Some(ReferencePlace::Table { version, .. }) = &mut self.reference {
            *version = Some(read);
        }
        Ok(Some(builder.finish()))
    }
}

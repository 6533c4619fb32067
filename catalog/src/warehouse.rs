//! A [`Warehouse`] is the way in: storage, pointers, clock and settings together; it loads and creates tables.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iceberg::TableCreation;
use iceberg::spec::{FormatVersion, TableMetadataBuilder};
use icefold_core::{Clock, Error, ErrorKind, Ids, Result, SystemIds};
use tokio::time::Instant;

use crate::lineage::{self, Decider};
use crate::metadata;
use crate::pointer::memory::MemoryPointers;
use crate::pointer::sql::{SqlPointers, sqlite_file};
use crate::pointer::{Pointer, PointerStore, SwapError, TableName};
use crate::resolve::{self, Resolver};
use crate::settings::Settings;
use crate::store::{self, Store};
use crate::table::{LoadedTable, TableDefinition};

/// Table versions kept in memory; a metadata file never changes, so what is kept is never stale.
const CACHED_VERSIONS: usize = 8;

/// How often the catalog is asked one question when connections are cut.
const MAX_LOOKS: u32 = 4;

/// For how long it is asked: one that does not answer at all takes its own time to say so, and is not waited for again.
const MAX_LOOKING: Duration = Duration::from_secs(3);

/// Tables, and all that is needed to read and commit them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Warehouse(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) location: String,
    pub(crate) pointers: Arc<dyn PointerStore>,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) resolver: Resolver,
    pub(crate) decider: Decider,
    versions: Mutex<VecDeque<LoadedTable>>,
}

impl Warehouse {
    /// Opens the warehouse that `settings` describe. Nothing is created but an empty catalog database.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for settings that make no sense, [`ErrorKind::Refused`] and [`ErrorKind::Transient`]
    /// from the catalog.
    pub async fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        settings.validate()?;
        let root = store::open_root(&settings.warehouse, &settings.s3)?;
        let pointers = Arc::new(SqlPointers::open(&catalog_of(settings)?).await?);
        Ok(Self::from_parts(root.store, root.uri, pointers, settings.clone(), clock))
    }

    /// Opens the warehouse that `settings` describe if it is there. Who only reads must not leave an empty catalog in a
    /// folder whose name was mistyped.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the catalog is a SQLite file that does not exist; else as [`Warehouse::open`].
    pub async fn open_existing(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        settings.validate()?;
        let catalog = catalog_of(settings)?;
        // What cannot be looked at is told by opening it.
        let missing = |file: &&Path| !file.try_exists().unwrap_or(true);
        if let Some(file) = sqlite_file(&catalog).filter(missing) {
            let warehouse = store::open_root(&settings.warehouse, &settings.s3)?.uri;
            let message = format!(
                "no tables in `{warehouse}`: its catalog `{}` does not exist: check --warehouse and --catalog, or run \
                 `icefold ingest PATH` first",
                file.display()
            );
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        Self::open(settings, clock).await
    }

    /// Puts a warehouse together from its components, for tests, simulation and other catalogs.
    pub fn from_parts(
        store: Store,
        location: String,
        pointers: Arc<dyn PointerStore>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (ids, versions) = (Arc::new(SystemIds), Mutex::new(VecDeque::new()));
        Warehouse(Arc::new(Inner {
            store,
            location,
            pointers,
            settings,
            clock,
            ids,
            resolver: resolve::resolve,
            decider: lineage::decide,
            versions,
        }))
    }

    /// Returns the same warehouse with other sources of randomness and another decision procedure, for simulation.
    #[must_use]
    pub fn with_components(&self, ids: Arc<dyn Ids>, resolver: Resolver) -> Self {
        self.with(|inner| (inner.ids, inner.resolver) = (ids, resolver))
    }

    /// Returns the same warehouse with another way to decide where tables stand, for simulation.
    #[must_use]
    pub fn with_decider(&self, decider: Decider) -> Self {
        self.with(|inner| inner.decider = decider)
    }

    fn with(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let inner = &self.0;
        let mut changed = Inner {
            store: inner.store.clone(),
            location: inner.location.clone(),
            pointers: inner.pointers.clone(),
            settings: inner.settings.clone(),
            clock: inner.clock.clone(),
            ids: inner.ids.clone(),
            resolver: inner.resolver,
            decider: inner.decider,
            versions: Mutex::new(VecDeque::new()),
        };
        change(&mut changed);
        Warehouse(Arc::new(changed))
    }

    /// Opens an empty warehouse in memory.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Self {
        let pointers = Arc::new(MemoryPointers::default());
        Self::from_parts(Store::in_memory(), "memory:///warehouse".to_owned(), pointers, Settings::default(), clock)
    }

    /// Returns the URI of the root, without a trailing slash.
    pub fn location(&self) -> &str {
        &self.0.location
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns where new names come from.
    pub fn ids(&self) -> Arc<dyn Ids> {
        self.0.ids.clone()
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(crate) fn name(&self, table: &str) -> TableName {
        TableName { namespace: self.0.settings.namespace.clone(), name: table.to_owned() }
    }

    /// Returns the names of the tables in alphabetical order.
    ///
    /// # Errors
    /// Errors of the catalog.
    pub async fn tables(&self) -> Result<Vec<String>> {
        self.0.pointers.list(&self.0.settings.namespace).await
    }

    /// Loads the newest version of a table.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] naming the tables there are; [`ErrorKind::Corrupt`] when the metadata is unreadable.
    pub async fn load(&self, table: &str) -> Result<LoadedTable> {
        let name = self.name(table);
        match self.pointer(&name).await? {
            Some(pointer) => self.load_version(name, pointer).await,
            None => {
                let tables = self.tables().await?;
                let hint = if tables.is_empty() {
                    "there is none yet: ingest something first".to_owned()
                } else {
                    format!("there are `{}`", tables.join("`, `"))
                };
                Err(Error::new(ErrorKind::NotFound, format!("no table `{table}` in `{}`: {hint}", self.location())))
            }
        }
    }

    /// Asks the catalog where a table is; a connection that was cut is tried again before it is told.
    async fn pointer(&self, name: &TableName) -> Result<Option<Pointer>> {
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            self.pause(attempt).await;
            attempt += 1;
            match self.0.pointers.load(name).await {
                Err(e)
                    if e.kind() == ErrorKind::Transient && attempt < MAX_LOOKS && started.elapsed() < MAX_LOOKING =>
                {
                    tracing::warn!(table = %name, attempt, error = ?e, "the catalog is asked again");
                }
                answer => return answer,
            }
        }
    }

    /// Loads one version of a table by the URI of its metadata file, whatever the catalog says now.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it is gone or unreadable; errors of the store.
    pub async fn load_at(&self, name: &TableName, metadata_location: &str) -> Result<LoadedTable> {
        self.load_version(name.clone(), Pointer::to(metadata_location)).await
    }

    /// Loads the version of a table that `pointer` points at.
    pub(crate) async fn load_version(&self, name: TableName, pointer: Pointer) -> Result<LoadedTable> {
        if let Some(cached) = self.cached(&name, &pointer) {
            return Ok(cached);
        }
        let uri = &pointer.metadata_location;
        let (metadata, refs) = metadata::read(&self.0.store, uri).await.map_err(|e| e.with("table", &name))?;
        let table = LoadedTable {
            name,
            metadata: Arc::new(metadata),
            pointer,
            store: self.0.store.clone(),
            refs: Arc::new(refs),
            decider: self.0.decider,
        };
        self.remember(table.clone());
        Ok(table)
    }

    fn cached(&self, name: &TableName, pointer: &Pointer) -> Option<LoadedTable> {
        let versions = self.0.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.iter().find(|t| t.name == *name && t.pointer == *pointer).cloned()
    }

    pub(crate) fn remember(&self, table: LoadedTable) {
        let mut versions = self.0.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.push_front(table);
        versions.truncate(CACHED_VERSIONS);
    }

    /// Creates a table, or loads it when one of that name exists.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a definition that Iceberg refuses, and for a table of an earlier state, which lacks columns
    /// that cannot be added; errors of the store and the catalog.
    pub async fn create_table(&self, definition: &TableDefinition) -> Result<LoadedTable> {
        let name = self.name(&definition.name);
        // One more look than attempts: the last one may have been the one that made it.
        for _ in 0..=self.0.settings.commit.max_attempts {
            if let Some(pointer) = self.pointer(&name).await? {
                let table = self.load_version(name, pointer).await?;
                self.check_home(&table)?;
                return definition.check_made(&table).map(|()| table);
            }
            let location = self.write_first_metadata(&name, definition).await?;
            match self.0.pointers.create(&name, &location).await {
                // A lost race or a lost reply: look again, the table is there or is not.
                Ok(()) | Err(SwapError::Conflict | SwapError::Unknown(_) | SwapError::Transient(_)) => {}
                Err(SwapError::Refused(e)) => return Err(e.with("table", &name)),
            }
        }
        let attempts = self.0.settings.commit.max_attempts;
        Err(Error::new(
            ErrorKind::Transient,
            format!("table `{name}` could not be created in {attempts} attempts: run again"),
        ))
    }

    /// Refuses to work on a local table that lies outside of its warehouse: a table's files name each other by their whole paths,
    /// so a copy of a warehouse would write into the one that it was made of.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] naming both places.
    pub fn check_home(&self, table: &LoadedTable) -> Result<()> {
        let location = table.metadata().location();
        let (Some(home), Some(place)) = (store::local_path(self.location())?, store::local_path(location)?) else {
            return Ok(());
        };
        // Links in a path are another name of the same folder.
        let real = |path: std::path::PathBuf| path.canonicalize().unwrap_or(path);
        if real(place).starts_with(real(home)) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "table `{}` lies at `{location}`, outside of the warehouse `{}`, which was copied or moved: work on it where it lies, \
             or bring a moved one back to its place",
            table.name(),
            self.location()
        )))
    }

    async fn write_first_metadata(&self, name: &TableName, definition: &TableDefinition) -> Result<String> {
        let creation = TableCreation::builder()
            .name(name.name.clone())
            .location(format!("{}/{}/{}", self.location(), name.namespace, name.name))
            .schema(definition.schema.clone())
            .partition_spec(definition.partition_spec.clone())
            .properties(definition.properties.clone())
            .format_version(FormatVersion::V2)
            .build();
        let refused = |e| Error::invalid(format!("the definition of table `{name}` is refused")).because(e);
        let builder = TableMetadataBuilder::from_table_creation(creation).map_err(refused)?;
        let builder = builder.assign_uuid(self.0.ids.next());
        let first = metadata::first(builder, self.0.clock.now_ms()).map_err(refused)?;
        let location = iceberg::MetadataLocation::new_with_metadata(first.location(), &first);
        metadata::write_at(&self.0.store, &location, &first).await
    }

    /// Takes a table out of the catalog; its objects stay.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Conflict`] when it changed meanwhile, [`ErrorKind::OutcomeUnknown`].
    pub async fn drop_table(&self, table: &str) -> Result<()> {
        let loaded = self.load(table).await?;
        self.0.pointers.drop_table(&loaded.name, &loaded.pointer).await.map_err(|e| match e {
            SwapError::Conflict => {
                Error::new(ErrorKind::Conflict, format!("table `{table}` changed while it was dropped: drop it again"))
            }
            SwapError::Unknown(e) => Error::new(
                ErrorKind::OutcomeUnknown,
                format!("table `{table}` may have been dropped: look with `icefold tables`"),
            )
            .because(e),
            SwapError::Transient(e) | SwapError::Refused(e) => e,
        })
    }
}

fn catalog_of(settings: &Settings) -> Result<String> {
    match &settings.catalog {
        Some(uri) => Ok(uri.clone()),
        None => default_catalog(&settings.warehouse),
    }
}

/// The catalog database lies inside a local warehouse, or in the default folder for a remote one.
fn default_catalog(warehouse: &str) -> Result<String> {
    let folder = match store::local_path(warehouse)? {
        Some(path) => path,
        None => std::path::PathBuf::from(Settings::default().warehouse),
    };
    Ok(format!("sqlite:{}", folder.join("catalog.db").display()))
}

impl Warehouse {
    /// Points a table at another metadata file, as another engine's commit or a restore from a backup does.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when that file is gone or unreadable, [`ErrorKind::NotFound`], [`ErrorKind::Conflict`] when the
    /// table changed meanwhile, errors of the catalog.
    pub async fn repoint(&self, table: &str, metadata_location: &str) -> Result<()> {
        let name = self.name(table);
        let missing = || Error::new(ErrorKind::NotFound, format!("no table `{table}` in `{}`", self.location()));
        let pointer = self.pointer(&name).await?.ok_or_else(missing)?;
        self.load_at(&name, metadata_location).await?;
        self.0.pointers.swap(&name, &pointer, metadata_location).await.map_err(|e| match e {
            SwapError::Conflict => {
                Error::new(ErrorKind::Conflict, format!("table `{table}` changed meanwhile: look again"))
            }
            SwapError::Unknown(e) => {
                Error::new(ErrorKind::OutcomeUnknown, format!("table `{table}` may have been repointed: look again"))
                    .because(e)
            }
            SwapError::Transient(e) | SwapError::Refused(e) => e,
        })
    }
}

//! The names that a query can use: every table of the warehouse, its metadata tables, and the views.
//!
//! Tables are loaded once, when the session opens, so that all queries of a session see the same versions. A table that
//! cannot be queried keeps its error, which comes out when a query names it and never otherwise.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result, TableReference};
use datafusion::datasource::TableType;
use futures::{StreamExt, stream};
use icefold_catalog::{LoadedTable, Warehouse};
use icefold_core::{Error, ErrorKind};

use crate::as_of::AsOf;
use crate::error::{copy, external};
use crate::hints::nearest;
use crate::metadata_tables::{MetadataKind, MetadataTable};
use crate::table::IcefoldTable;
use crate::views::{VIEWS, View};

/// Name of the one catalog of a session.
pub(crate) const CATALOG: &str = "icefold";

/// Tables loaded at a time when a session opens.
const TABLES_AT_A_TIME: usize = 8;

/// Every table of a warehouse, at the versions that a session reads.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    tables: BTreeMap<String, Entry>,
    /// Made once, after the tables can be found.
    views: OnceLock<BTreeMap<&'static str, Arc<dyn TableProvider>>>,
}

#[derive(Debug)]
struct Entry {
    loaded: icefold_core::Result<LoadedTable>,
    pinned: Option<i64>,
    provider: icefold_core::Result<Arc<IcefoldTable>>,
}

impl Namespace {
    /// Loads every table of the warehouse; those named in `pinned` at that snapshot.
    ///
    /// # Errors
    /// `NotFound` when `pinned` names a table or a snapshot that does not exist; errors of the catalog.
    pub(crate) async fn load(warehouse: &Warehouse, pinned: &BTreeMap<String, i64>) -> icefold_core::Result<Self> {
        let names = warehouse.tables().await?;
        let loads = names.into_iter().map(|name| async move {
            let loaded = warehouse.load(&name).await;
            (name, loaded)
        });
        let loaded: Vec<_> = stream::iter(loads).buffered(TABLES_AT_A_TIME).collect().await;
        let mut tables = BTreeMap::new();
        for (name, loaded) in loaded {
            let entry = Entry::new(loaded, pinned.get(&name).copied())?;
            tables.insert(name, entry);
        }
        let name = warehouse.settings().namespace.clone();
        let namespace = Namespace { name, tables, views: OnceLock::new() };
        match pinned.keys().find(|name| !namespace.tables.contains_key(*name)) {
            None => Ok(namespace),
            Some(name) => Err(namespace.unknown(name)),
        }
    }

    /// Returns the name of the namespace.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether there is a table that can be queried.
    pub(crate) fn can_query(&self, table: &str) -> bool {
        self.tables.get(table).is_some_and(|entry| entry.provider.is_ok())
    }

    /// Adds the views.
    pub(crate) fn set_views(&self, views: BTreeMap<&'static str, Arc<dyn TableProvider>>) {
        // A session sets them once, when it opens.
        let _ = self.views.set(views);
    }

    fn view(&self, name: &str) -> Option<&Arc<dyn TableProvider>> {
        self.views.get()?.get(name)
    }

    /// Iterates over the views that no table of the same name hides.
    fn view_names(&self) -> impl Iterator<Item = &'static str> {
        let views = self.views.get().into_iter().flat_map(BTreeMap::keys).copied();
        views.filter(move |view| !self.tables.contains_key(*view))
    }

    /// Returns the error for a table that does not exist.
    pub(crate) fn unknown(&self, name: &str) -> Error {
        let tables: Vec<_> = self.tables.keys().map(|name| format!("`{name}`")).collect();
        let views: Vec<_> = self.view_names().map(|name| format!("`{name}`")).collect();
        let hint = match (tables.is_empty(), views.is_empty()) {
            (true, _) => "there is none yet: ingest something first".to_owned(),
            (false, true) => format!("the tables are {}", tables.join(", ")),
            (false, false) => format!("the tables are {}, the views {}", tables.join(", "), views.join(", ")),
        };
        let mut all: Vec<&str> = self.tables.keys().map(String::as_str).collect();
        for view in self.view_names() {
            all.push(view);
        }
        let meant = nearest(name, all).map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
        Error::new(ErrorKind::NotFound, format!("no table `{name}`{meant}: {hint}"))
    }

    /// Returns what a name stands for: a table, or `<table>$<kind>` for one of its metadata tables.
    ///
    /// # Errors
    /// The reason why the table cannot be queried.
    pub(crate) fn find(&self, name: &str) -> icefold_core::Result<Option<Arc<dyn TableProvider>>> {
        if let Some(entry) = self.tables.get(name) {
            let provider: Arc<dyn TableProvider> = entry.provider.as_ref().map_err(copy)?.clone();
            return Ok(Some(provider));
        }
        if let Some(view) = self.view(name) {
            return Ok(Some(Arc::clone(view)));
        }
        let Some((table, kind)) = name.rsplit_once('$') else { return Ok(None) };
        match MetadataKind::of_name(kind) {
            Some(kind) if self.tables.contains_key(table) => Ok(Some(self.metadata_table(table, kind)?)),
            _ => Ok(None),
        }
    }

    /// Returns the view of that name that no table hides.
    pub(crate) fn view_named(&self, name: &str) -> Option<&'static View> {
        let there = !self.tables.contains_key(name) && self.view(name).is_some();
        VIEWS.iter().find(|view| there && view.name == name)
    }

    /// Returns what [`Namespace::find`] does, a view excepted, at another version than the session's.
    ///
    /// # Errors
    /// `NotFound` when the table has no such version; why the table cannot be queried.
    pub(crate) fn at(&self, name: &str, as_of: &AsOf) -> icefold_core::Result<Option<Arc<dyn TableProvider>>> {
        if let Some(entry) = self.tables.get(name) {
            let table = entry.loaded.as_ref().map_err(copy)?;
            return Ok(Some(Arc::new(IcefoldTable::of(table, Some(as_of.snapshot(table)?))?)));
        }
        let Some((table, kind)) = name.rsplit_once('$') else { return Ok(None) };
        let (Some(kind), Some(entry)) = (MetadataKind::of_name(kind), self.tables.get(table)) else { return Ok(None) };
        if !kind.is_of_a_snapshot() {
            return Err(Error::invalid(format!(
                "`{name}` has no versions: it lists all retained snapshots, choose with `WHERE snapshot_id = …`"
            )));
        }
        let table = entry.loaded.as_ref().map_err(copy)?;
        Ok(Some(Arc::new(MetadataTable::new(kind, table.clone(), Some(as_of.snapshot(table)?)))))
    }

    /// Returns a metadata table.
    ///
    /// # Errors
    /// `NotFound` for an unknown table; the reason why the table could not be loaded.
    pub(crate) fn metadata_table(&self, name: &str, kind: MetadataKind) -> icefold_core::Result<Arc<MetadataTable>> {
        let entry = self.tables.get(name).ok_or_else(|| self.unknown(name))?;
        let table = entry.loaded.as_ref().map_err(copy)?;
        Ok(Arc::new(MetadataTable::new(kind, table.clone(), entry.pinned)))
    }

    /// Returns the one table that `reference` means, `None` if it lies in another schema or catalog.
    pub(crate) fn own_name<'a>(&self, reference: &'a TableReference) -> Option<&'a str> {
        let own = reference.catalog().is_none_or(|catalog| catalog == CATALOG)
            && reference.schema().is_none_or(|schema| schema == self.name);
        own.then(|| reference.table())
    }
}

impl Entry {
    fn new(loaded: icefold_core::Result<LoadedTable>, pinned: Option<i64>) -> icefold_core::Result<Self> {
        let provider = match &loaded {
            Err(error) => Err(copy(error)),
            Ok(table) => {
                // An unknown snapshot is a mistake of who opens the session, not a property of the table.
                pinned.map(|id| AsOf::Snapshot(id).snapshot(table)).transpose()?;
                IcefoldTable::of(table, pinned).map(Arc::new)
            }
        };
        Ok(Entry { loaded, pinned, provider })
    }
}

#[async_trait]
impl SchemaProvider for Namespace {
    /// Tables that can be queried, and views; `information_schema` would fail as a whole on any other.
    fn table_names(&self) -> Vec<String> {
        let tables = self.tables.iter().filter(|(_, entry)| entry.provider.is_ok()).map(|(name, _)| name.clone());
        tables.chain(self.view_names().map(str::to_owned)).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        self.find(name).map_err(external)
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        let view = self.view(name).map(|_| TableType::View);
        Ok(if self.tables.contains_key(name) { Some(TableType::Base) } else { view })
    }

    fn table_exist(&self, name: &str) -> bool {
        !matches!(self.find(name), Ok(None))
    }
}

/// The catalog of a session: one namespace.
#[derive(Debug)]
pub(crate) struct SessionCatalog(pub(crate) Arc<Namespace>);

impl CatalogProvider for SessionCatalog {
    fn schema_names(&self) -> Vec<String> {
        vec![self.0.name.clone()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == self.0.name).then(|| Arc::clone(&self.0) as Arc<dyn SchemaProvider>)
    }
}

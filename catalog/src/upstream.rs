//! The same tables through `iceberg`'s own [`Catalog`] trait, so that anything built on that crate opens them.
//!
//! Reading, listing, creating, registering and dropping work as upstream means them. `update_table` applies a commit by
//! one compare-and-swap: a conflict is reported as such and upstream may retry; a lost reply is reported as an error that
//! upstream does *not* retry, because its blind retry would append the batch twice.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::TableMetadataBuilder;
use iceberg::table::Table;
use iceberg::{
    Catalog, Error, ErrorKind, MetadataLocation, Namespace, NamespaceIdent, Result, Runtime, TableCommit,
    TableCreation, TableIdent, TableUpdate,
};

use crate::metadata;
use crate::pointer::{Pointer, SwapError, TableName};
use crate::table::LoadedTable;
use crate::warehouse::Warehouse;

/// Shows a warehouse as an `iceberg` catalog with one namespace, the warehouse's own.
#[derive(Debug, Clone)]
pub struct UpstreamCatalog(Warehouse);

impl UpstreamCatalog {
    /// Shows `warehouse`.
    pub fn new(warehouse: Warehouse) -> Self {
        UpstreamCatalog(warehouse)
    }

    fn own_namespace(&self) -> NamespaceIdent {
        NamespaceIdent::new(self.0.settings().namespace.clone())
    }

    fn check_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        if *namespace == self.own_namespace() {
            return Ok(());
        }
        let message = format!(
            "namespace `{}` does not exist: the warehouse has `{}`",
            namespace.to_url_string(),
            self.own_namespace().to_url_string()
        );
        Err(Error::new(ErrorKind::NamespaceNotFound, message))
    }

    fn name(&self, ident: &TableIdent) -> Result<TableName> {
        self.check_namespace(ident.namespace())?;
        Ok(self.0.name(ident.name()))
    }

    async fn loaded(&self, ident: &TableIdent) -> Result<LoadedTable> {
        self.name(ident)?;
        self.0.load(ident.name()).await.map_err(outward)
    }

    fn table(&self, ident: &TableIdent, loaded: &LoadedTable) -> Result<Table> {
        Table::builder()
            .file_io(loaded.store().file_io())
            .metadata_location(loaded.metadata_location())
            .metadata(loaded.metadata().clone())
            .identifier(ident.clone())
            .runtime(Runtime::try_current()?)
            .build()
    }
}

fn outward(error: icefold_core::Error) -> Error {
    let kind = match error.kind() {
        icefold_core::ErrorKind::NotFound => ErrorKind::TableNotFound,
        icefold_core::ErrorKind::Corrupt | icefold_core::ErrorKind::InvalidInput => ErrorKind::DataInvalid,
        _ => ErrorKind::Unexpected,
    };
    Error::new(kind, error.to_string()).with_source(error)
}

fn swap_error(error: SwapError) -> Error {
    match error {
        SwapError::Conflict => {
            Error::new(ErrorKind::CatalogCommitConflicts, "another commit was faster").with_retryable(true)
        }
        SwapError::Unknown(e) => Error::new(
            ErrorKind::Unexpected,
            "the reply was lost and the commit may be in: load the table and look before committing again",
        )
        .with_source(e),
        SwapError::Transient(e) | SwapError::Refused(e) => outward(e),
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::FeatureUnsupported, format!("{what}: the namespace is chosen when the warehouse is opened"))
}

/// A snapshot that was made by another clock obeys the same rule as ours.
fn not_before(time: i64, update: TableUpdate) -> Result<TableUpdate> {
    let TableUpdate::AddSnapshot { .. } = &update else { return Ok(update) };
    let mut value = serde_json::to_value(update)?;
    let made = value["snapshot"]["timestamp-ms"].as_i64().unwrap_or(time);
    value["snapshot"]["timestamp-ms"] = made.max(time).into();
    Ok(serde_json::from_value(value)?)
}

#[async_trait]
impl Catalog for UpstreamCatalog {
    async fn list_namespaces(&self, parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
        Ok(if parent.is_none() { vec![self.own_namespace()] } else { Vec::new() })
    }

    async fn create_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> Result<Namespace> {
        Err(unsupported("namespaces are not created here"))
    }

    async fn get_namespace(&self, namespace: &NamespaceIdent) -> Result<Namespace> {
        self.check_namespace(namespace)?;
        Ok(Namespace::new(namespace.clone()))
    }

    async fn namespace_exists(&self, namespace: &NamespaceIdent) -> Result<bool> {
        Ok(*namespace == self.own_namespace())
    }

    async fn update_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> Result<()> {
        Err(unsupported("namespaces have no properties here"))
    }

    async fn drop_namespace(&self, _: &NamespaceIdent) -> Result<()> {
        Err(unsupported("namespaces are not dropped here"))
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        self.check_namespace(namespace)?;
        let names = self.0.tables().await.map_err(outward)?;
        Ok(names.into_iter().map(|name| TableIdent::new(namespace.clone(), name)).collect())
    }

    async fn create_table(&self, namespace: &NamespaceIdent, creation: TableCreation) -> Result<Table> {
        let ident = TableIdent::new(namespace.clone(), creation.name.clone());
        let name = self.name(&ident)?;
        let location = creation
            .location
            .clone()
            .unwrap_or_else(|| format!("{}/{}/{}", self.0.location(), name.namespace, name.name));
        let creation = TableCreation { location: Some(location), ..creation };
        let first = metadata::first(TableMetadataBuilder::from_table_creation(creation)?, self.0.clock().now_ms())?;
        let at = MetadataLocation::new_with_metadata(first.location(), &first);
        let at = metadata::write_at(self.0.store(), &at, &first).await.map_err(outward)?;
        self.register_table(&ident, at).await
    }

    async fn load_table(&self, ident: &TableIdent) -> Result<Table> {
        let loaded = self.loaded(ident).await?;
        self.table(ident, &loaded)
    }

    async fn drop_table(&self, ident: &TableIdent) -> Result<()> {
        self.name(ident)?;
        self.0.drop_table(ident.name()).await.map_err(outward)
    }

    async fn purge_table(&self, ident: &TableIdent) -> Result<()> {
        let table = self.load_table(ident).await?;
        self.drop_table(ident).await?;
        iceberg::drop_table_data(&table).await
    }

    async fn table_exists(&self, ident: &TableIdent) -> Result<bool> {
        let name = self.name(ident)?;
        Ok(self.0.0.pointers.load(&name).await.map_err(outward)?.is_some())
    }

    async fn rename_table(&self, _: &TableIdent, _: &TableIdent) -> Result<()> {
        Err(Error::new(ErrorKind::FeatureUnsupported, "tables are not renamed: the writer finds them by name"))
    }

    async fn register_table(&self, ident: &TableIdent, metadata_location: String) -> Result<Table> {
        let name = self.name(ident)?;
        // Read first: a name must never point at what nobody can read.
        let pointer = Pointer::to(metadata_location.as_str());
        self.0.load_version(name.clone(), pointer).await.map_err(outward)?;
        self.0.0.pointers.create(&name, &metadata_location).await.map_err(|e| match e {
            SwapError::Conflict => Error::new(ErrorKind::TableAlreadyExists, format!("table `{name}` exists already")),
            other => swap_error(other),
        })?;
        let loaded = self.0.load_version(name, Pointer::to(metadata_location)).await.map_err(outward)?;
        self.table(ident, &loaded)
    }

    async fn update_table(&self, mut commit: TableCommit) -> Result<Table> {
        let ident = commit.identifier().clone();
        let base = self.loaded(&ident).await?;
        for requirement in commit.take_requirements() {
            requirement.check(Some(base.metadata()))?;
        }
        let now_ms = self.0.clock().now_ms();
        let time = metadata::next_ms(base.metadata(), now_ms);
        let updates = commit.take_updates().into_iter().map(|update| not_before(time, update));
        let updates = updates.collect::<Result<Vec<_>>>()?;
        let next = metadata::amended(&base, now_ms, |builder| {
            updates.into_iter().try_fold(builder, |builder, update| update.apply(builder))
        })?;
        let location = metadata::write(&base, &next).await.map_err(outward)?;
        self.0.0.pointers.swap(&base.name, &base.pointer, &location).await.map_err(swap_error)?;
        let next = LoadedTable { metadata: Arc::new(next), pointer: Pointer::to(location), ..base };
        self.table(&ident, &next)
    }
}

//! Pointers in SQLite (the embedded default: one file) and Postgres, in the schema of Iceberg's JDBC catalog, so that
//! PyIceberg, Spark and others open the same catalog.
//!
//! The swap is one `UPDATE … WHERE metadata_location = old`: the database makes it atomic, the number of changed rows
//! tells who won.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use icefold_core::{Error, ErrorKind, Result};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::{Pointer, PointerStore, SwapError, TableName};

/// Name under which the tables stand in the catalog database; PyIceberg and Spark must use it as catalog name.
pub const CATALOG_NAME: &str = "icefold";
/// How long SQLite waits for another process's lock before it answers "locked".
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a Postgres connection may take.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections to Postgres: commits of one process are few.
const MAX_CONNECTIONS: u32 = 4;

// Written by hand, not by a migration tool: the schema is the JDBC catalog's and will not change under us.
const CREATE_TABLES: &str = "CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name))";
const CREATE_NAMESPACES: &str = "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL,
    property_value VARCHAR(1000), PRIMARY KEY (catalog_name, namespace, property_key))";
const INSERT_NAMESPACE: &str = "INSERT INTO iceberg_namespace_properties
    (catalog_name, namespace, property_key, property_value) VALUES ($1, $2, 'exists', 'true') ON CONFLICT DO NOTHING";
const LOAD: &str = "SELECT metadata_location FROM iceberg_tables
    WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3 AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)";
const LIST: &str = "SELECT table_name FROM iceberg_tables
    WHERE catalog_name = $1 AND table_namespace = $2 AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL) ORDER BY table_name";
const INSERT: &str = "INSERT INTO iceberg_tables
    (catalog_name, table_namespace, table_name, metadata_location, iceberg_type) VALUES ($1, $2, $3, $4, 'TABLE')
    ON CONFLICT DO NOTHING";
const SWAP: &str = "UPDATE iceberg_tables SET metadata_location = $4, previous_metadata_location = $5
    WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3 AND metadata_location = $5";
const DROP: &str = "DELETE FROM iceberg_tables
    WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3 AND metadata_location = $4";

/// Pointers in a SQL database.
#[derive(Debug, Clone)]
pub struct SqlPointers(Pool);

#[derive(Debug, Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs a statement with text parameters on either database and gives the number of rows it changed.
macro_rules! execute {
    ($pool:expr, $sql:expr $(, $bind:expr)*) => {
        match $pool {
            Pool::Sqlite(pool) => sqlx::query($sql)$(.bind($bind))*.execute(pool).await.map(|done| done.rows_affected()),
            Pool::Postgres(pool) => sqlx::query($sql)$(.bind($bind))*.execute(pool).await.map(|done| done.rows_affected()),
        }
    };
}

/// Reads one text column with text parameters from either database.
macro_rules! texts {
    ($pool:expr, $sql:expr $(, $bind:expr)*) => {
        match $pool {
            Pool::Sqlite(pool) => sqlx::query_scalar::<_, String>($sql)$(.bind($bind))*.fetch_all(pool).await,
            Pool::Postgres(pool) => sqlx::query_scalar::<_, String>($sql)$(.bind($bind))*.fetch_all(pool).await,
        }
    };
}

impl SqlPointers {
    /// Opens `sqlite:PATH` or `postgres://…`, creating file, folder and tables as needed.
    ///
    /// # Errors
    /// `InvalidInput` for another scheme, `Refused` or `Transient` when the database does not open.
    pub async fn open(uri: &str) -> Result<Self> {
        if let Some(path) = sqlite_file(uri) {
            Self::open_sqlite(path).await
        } else if uri.starts_with("postgres://") || uri.starts_with("postgresql://") {
            Self::open_postgres(uri).await
        } else {
            let scheme = uri.split(':').next().unwrap_or_default();
            Err(Error::invalid(format!(
                "catalog `{scheme}:…` is unknown: use sqlite:PATH or postgres://user@host/database"
            )))
        }
    }

    async fn open_sqlite(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| {
                let message = format!(
                    "cannot create folder `{}` for the catalog: make it writable or choose another",
                    folder.display()
                );
                Error::new(ErrorKind::Refused, message).because(e)
            })?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            // One file, and a commit that was acknowledged survives a power cut.
            .journal_mode(SqliteJournalMode::Delete)
            .synchronous(SqliteSynchronous::Full)
            // A wait for another process's lock is no slow statement to warn of; when it is too long, that is an error.
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
        let at = path.display().to_string();
        let pool = pool.connect_with(options).await.map_err(|e| explain(e).with("catalog", &at))?;
        Self::prepare(Pool::Sqlite(pool)).await.map_err(|e| e.with("catalog", at))
    }

    async fn open_postgres(uri: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(uri).map_err(|e| {
            Error::invalid("the catalog URL is malformed: write postgres://user:password@host/database").because(e)
        })?;
        let pool = PgPoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        Self::prepare(Pool::Postgres(pool.connect_with(options).await.map_err(explain)?)).await
    }

    async fn prepare(pool: Pool) -> Result<Self> {
        // A catalog that is only read may be read-only: create the tables only when they are missing.
        if texts!(&pool, "SELECT table_name FROM iceberg_tables WHERE 1 = 0").is_err() {
            execute!(&pool, CREATE_TABLES).map_err(explain)?;
            execute!(&pool, CREATE_NAMESPACES).map_err(explain)?;
        }
        Ok(SqlPointers(pool))
    }

    /// Closes the connections; what is under way ends first.
    pub async fn close(&self) {
        match &self.0 {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

/// Returns the file of a catalog in SQLite.
pub(crate) fn sqlite_file(uri: &str) -> Option<&Path> {
    let path = uri.strip_prefix("sqlite:")?;
    Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
}

/// Turns a statement that changes one row into the outcome of a swap.
fn outcome(changed: Result<u64, sqlx::Error>) -> Result<(), SwapError> {
    match changed {
        Ok(1..) => Ok(()),
        Ok(0) => Err(SwapError::Conflict),
        Err(e) => {
            let certain = nothing_happened(&e);
            let error = explain(e);
            Err(match error.kind() {
                ErrorKind::Refused if certain => SwapError::Refused(error),
                _ if certain => SwapError::Transient(error),
                _ => SwapError::Unknown(error),
            })
        }
    }
}

/// Whether the database itself said that the statement failed, which undoes it, or it was never sent. A broken
/// connection says neither. SQLite's I/O errors (disk full among them) roll back.
fn nothing_happened(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
}

fn explain(error: sqlx::Error) -> Error {
    let message = error.to_string();
    let (kind, text) = match &error {
        sqlx::Error::Database(e) if message.contains("database is locked") || e.code().as_deref() == Some("5") => {
            (ErrorKind::Transient, "the catalog database is locked by another process: stop it or wait, then run again")
        }
        sqlx::Error::Database(_) if message.contains("readonly") => {
            (ErrorKind::Refused, "the catalog database is read-only: make the file and its folder writable")
        }
        sqlx::Error::Database(_) if message.contains("disk is full") => {
            (ErrorKind::Refused, "the disk of the catalog database is full: free space and run again, nothing was lost")
        }
        sqlx::Error::Database(_) if message.contains("not a database") || message.contains("malformed") => {
            (ErrorKind::Corrupt, "the catalog database is damaged: restore it from a backup")
        }
        sqlx::Error::Database(_) if message.contains("unable to open") => {
            (ErrorKind::Refused, "the catalog database cannot be opened: check that folder and file are writable")
        }
        sqlx::Error::PoolTimedOut => (ErrorKind::Transient, "the catalog database does not answer: check that it runs"),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
            (ErrorKind::Transient, "the catalog database cannot be reached: check host, port and network")
        }
        sqlx::Error::Database(_) => (ErrorKind::Refused, "the catalog database refuses"),
        _ => (ErrorKind::Transient, "the catalog database does not answer as it should"),
    };
    Error::new(kind, text).because(error)
}

#[async_trait]
impl PointerStore for SqlPointers {
    async fn load(&self, table: &TableName) -> Result<Option<Pointer>> {
        let found = texts!(&self.0, LOAD, CATALOG_NAME, &table.namespace, &table.name).map_err(explain)?;
        Ok(found.into_iter().next().map(Pointer::to))
    }

    async fn list(&self, namespace: &str) -> Result<Vec<String>> {
        texts!(&self.0, LIST, CATALOG_NAME, namespace).map_err(explain)
    }

    async fn create(&self, table: &TableName, metadata_location: &str) -> Result<(), SwapError> {
        match execute!(&self.0, INSERT_NAMESPACE, CATALOG_NAME, &table.namespace) {
            Ok(_) => outcome(execute!(&self.0, INSERT, CATALOG_NAME, &table.namespace, &table.name, metadata_location)),
            Err(e) => Err(SwapError::Transient(explain(e))),
        }
    }

    async fn swap(&self, table: &TableName, expected: &Pointer, new_location: &str) -> Result<(), SwapError> {
        let (namespace, name) = (&table.namespace, &table.name);
        outcome(execute!(&self.0, SWAP, CATALOG_NAME, namespace, name, new_location, &expected.metadata_location))
    }

    async fn drop_table(&self, table: &TableName, expected: &Pointer) -> Result<(), SwapError> {
        let (namespace, name) = (&table.namespace, &table.name);
        outcome(execute!(&self.0, DROP, CATALOG_NAME, namespace, name, &expected.metadata_location))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn sqlite_pointers_conform() {
        let dir = tempfile::tempdir().expect("dir");
        let uri = format!("sqlite:{}/deep/catalog.db", dir.path().display());
        crate::pointer::conformance::check(&SqlPointers::open(&uri).await.expect("open")).await;
    }

    #[tokio::test]
    async fn two_processes_share_one_sqlite_file() {
        let dir = tempfile::tempdir().expect("dir");
        let uri = format!("sqlite:{}/catalog.db", dir.path().display());
        let one = SqlPointers::open(&uri).await.expect("open");
        let two = SqlPointers::open(&uri).await.expect("open");
        let table = TableName { namespace: "n".into(), name: "t".into() };
        one.create(&table, "m/0").await.expect("create");
        let seen = two.load(&table).await.expect("load").expect("table");
        two.swap(&table, &seen, "m/1").await.expect("swap");
        assert!(matches!(one.swap(&table, &seen, "m/2").await, Err(SwapError::Conflict)));
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_named_damaged() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("catalog.db");
        std::fs::write(&path, vec![b'x'; 5000]).expect("write");
        let error = SqlPointers::open(&format!("sqlite:{}", path.display())).await.expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    }
}

//! Pointers in SQLite (the embedded default: one file) and Postgres, in the schema of Iceberg's JDBC catalog, so that
//! PyIceberg, Spark and others open the same catalog.
//!
//! The swap is one `UPDATE … WHERE metadata_location = old`: the database makes it atomic, the number of changed rows
//! tells who won.

mod verdict;

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use icefold_core::{Error, ErrorKind, Result};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgPool, PgPoolOptions, PgSeverity};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use self::verdict::{Phase, Verdict};
use super::{Pointer, PointerStore, SwapError, TableName};

/// Name under which the tables stand in the catalog database; PyIceberg and Spark must use it as catalog name.
pub const CATALOG_NAME: &str = "icefold";
/// How long SQLite waits for another process's lock before it answers "locked".
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a Postgres connection may take.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a statement may take. A server that vanished without a word would be waited for for ever; what becomes of the
/// statement is then unknown.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
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

/// Why a statement failed, and how far it was.
#[derive(Debug)]
struct Failure {
    error: sqlx::Error,
    phase: Phase,
}

impl Failure {
    fn not_sent(error: sqlx::Error) -> Self {
        Failure { error, phase: Phase::NotSent }
    }

    fn sent(error: sqlx::Error) -> Self {
        let last_word = |e: &PgDatabaseError| matches!(e.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        let phase = match &error {
            sqlx::Error::Database(e) if e.try_downcast_ref().is_some_and(last_word) => Phase::Ended,
            sqlx::Error::Database(_) => Phase::Answered,
            _ => Phase::Ended,
        };
        Failure { error, phase }
    }

    fn timed_out() -> Self {
        let message = format!("no answer in {} s", ANSWER_TIMEOUT.as_secs());
        Failure::sent(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, message)))
    }

    fn verdict(&self) -> Verdict {
        match (&self.error, self.phase) {
            (sqlx::Error::Database(e), phase) => {
                let code = e.code().unwrap_or_default();
                match e.try_downcast_ref::<PgDatabaseError>() {
                    Some(_) => verdict::of_postgres(&code, phase),
                    None => verdict::of_sqlite(code.parse().unwrap_or_default()),
                }
            }
            (_, Phase::NotSent) => Verdict::Transient,
            _ => Verdict::Unknown,
        }
    }

    /// Returns the error for people, of what changes nothing or can be said again.
    fn of_look(self) -> Error {
        let kind = match self.verdict() {
            Verdict::Refused => ErrorKind::Refused,
            _ => ErrorKind::Transient,
        };
        explain(kind, self.error)
    }
}

/// Waits for the answer to a statement, not for ever.
#[expect(
    clippy::disallowed_methods,
    reason = "what is cut short is told as unknown; the simulation's pointers are in memory"
)]
async fn answered<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(Failure::sent),
        Err(_) => Err(Failure::timed_out()),
    }
}

/// Runs a statement on a connection of either pool: `$statement` makes it. A connection that answered with an error is not used
/// again: after a fail-over it may lead to what is a replica now.
macro_rules! run {
    ($pool:expr, $connection:ident => $statement:expr) => {
        match $pool {
            Pool::Sqlite(pool) => run_on!(pool, $connection => $statement),
            Pool::Postgres(pool) => run_on!(pool, $connection => $statement),
        }
    };
}

macro_rules! run_on {
    ($pool:expr, $connection:ident => $statement:expr) => {
        match $pool.acquire().await {
            Err(e) => Err(Failure::not_sent(e)),
            Ok(mut acquired) => {
                let $connection = &mut *acquired;
                let answer = answered($statement).await;
                if answer.is_err() {
                    drop(acquired.detach());
                }
                answer
            }
        }
    };
}

/// Runs a statement with text parameters on either database and gives the number of rows it changed.
macro_rules! execute {
    ($pool:expr, $sql:expr $(, $bind:expr)*) => {
        run!($pool, connection => async { sqlx::query($sql)$(.bind($bind))*.execute(connection).await.map(|done| done.rows_affected()) })
    };
}

/// Reads one text column with text parameters from either database.
macro_rules! texts {
    ($pool:expr, $sql:expr $(, $bind:expr)*) => {
        run!($pool, connection => sqlx::query_scalar::<_, String>($sql)$(.bind($bind))*.fetch_all(connection))
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
            // One file, and a commit that was acknowledged survives a power cut. A transaction ends by the removal of its
            // journal; `FULL` leaves that in the folder's cache, so that a power cut may bring the journal back, which
            // undoes the commit. `EXTRA` syncs the folder too (`integration/tests/durability.rs` looks at the calls).
            .journal_mode(SqliteJournalMode::Delete)
            .synchronous(SqliteSynchronous::Extra)
            // A wait for another process's lock is no slow statement to warn of; when it is too long, that is an error.
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
        let at = path.display().to_string();
        let pool = pool.connect_with(options).await.map_err(|e| Failure::not_sent(e).of_look().with("catalog", &at))?;
        Self::prepare(Pool::Sqlite(pool)).await.map_err(|e| e.with("catalog", at))
    }

    async fn open_postgres(uri: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(uri).map_err(|e| {
            Error::invalid("the catalog URL is malformed: write postgres://user:password@host/database").because(e)
        })?;
        let pool = PgPoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = pool.connect_with(options).await.map_err(|e| Failure::not_sent(e).of_look())?;
        Self::prepare(Pool::Postgres(pool)).await
    }

    async fn prepare(pool: Pool) -> Result<Self> {
        // A catalog that is only read may be read-only: create the tables only when they are missing.
        if texts!(&pool, "SELECT table_name FROM iceberg_tables WHERE 1 = 0").is_err() {
            execute!(&pool, CREATE_TABLES).map_err(Failure::of_look)?;
            execute!(&pool, CREATE_NAMESPACES).map_err(Failure::of_look)?;
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
fn outcome(changed: Result<u64, Failure>) -> Result<(), SwapError> {
    match changed {
        Ok(1..) => Ok(()),
        Ok(0) => Err(SwapError::Conflict),
        Err(failure) => Err(match failure.verdict() {
            Verdict::Conflict => SwapError::Conflict,
            Verdict::Transient => SwapError::Transient(explain(ErrorKind::Transient, failure.error)),
            Verdict::Unknown => SwapError::Unknown(explain(ErrorKind::OutcomeUnknown, failure.error)),
            Verdict::Refused => SwapError::Refused(explain(ErrorKind::Refused, failure.error)),
        }),
    }
}

/// Says in words what `kind` was decided to be; a damaged file is its own kind.
fn explain(kind: ErrorKind, error: sqlx::Error) -> Error {
    let (kind, text) = match &error {
        sqlx::Error::Database(e) => match e.try_downcast_ref::<PgDatabaseError>() {
            Some(e) => (kind, in_words_of_postgres(e.code())),
            None => in_words_of_sqlite(kind, e.code().and_then(|code| code.parse().ok()).unwrap_or_default()),
        },
        sqlx::Error::PoolTimedOut => (kind, "the catalog database does not answer: check that it runs"),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
            (kind, "the catalog database cannot be reached: check host, port and network")
        }
        _ => (kind, "the catalog database does not answer as it should"),
    };
    Error::new(kind, text).because(error)
}

fn in_words_of_sqlite(kind: ErrorKind, code: i32) -> (ErrorKind, &'static str) {
    match code & 0xff {
        5 | 6 => (kind, "the catalog database is locked by another process: stop it or wait, then run again"),
        8 => (kind, "the catalog database is read-only: make the file and its folder writable"),
        10 => (kind, "the catalog database cannot be read or written: check its disk"),
        11 | 26 => (ErrorKind::Corrupt, "the catalog database is damaged: restore it from a backup"),
        13 => (kind, "the disk of the catalog database is full: free space and run again, nothing was lost"),
        14 => (kind, "the catalog database cannot be opened: check that folder and file are writable"),
        _ => (kind, "the catalog database refuses"),
    }
}

fn in_words_of_postgres(state: &str) -> &'static str {
    match state.get(..2).unwrap_or_default() {
        _ if state == "25006" => "the catalog database is read-only: wait for the fail-over, or connect to the primary",
        "08" | "57" => "the catalog database goes away or comes up: wait, or check that it runs",
        "28" => "the catalog database does not let this user in: check user and password",
        "3D" => "the catalog database does not exist: check its name, or create it",
        "40" | "55" => "the catalog database is busy with another process",
        "53" => "the catalog database has no disk, memory or connections left: give it more",
        _ => "the catalog database refuses",
    }
}

#[async_trait]
impl PointerStore for SqlPointers {
    async fn load(&self, table: &TableName) -> Result<Option<Pointer>> {
        let found = texts!(&self.0, LOAD, CATALOG_NAME, &table.namespace, &table.name).map_err(Failure::of_look)?;
        Ok(found.into_iter().next().map(Pointer::to))
    }

    async fn list(&self, namespace: &str) -> Result<Vec<String>> {
        texts!(&self.0, LIST, CATALOG_NAME, namespace).map_err(Failure::of_look)
    }

    async fn create(&self, table: &TableName, metadata_location: &str) -> Result<(), SwapError> {
        if let Err(failure) = execute!(&self.0, INSERT_NAMESPACE, CATALOG_NAME, &table.namespace) {
            // Whatever became of the namespace, the table was not touched.
            let error = failure.of_look();
            return Err(match error.kind() {
                ErrorKind::Transient => SwapError::Transient(error),
                _ => SwapError::Refused(error),
            });
        }
        outcome(execute!(&self.0, INSERT, CATALOG_NAME, &table.namespace, &table.name, metadata_location))
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

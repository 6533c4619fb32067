//! Reads the tables of [`icefold_fixture`].

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat_batches;
use arrow::util::display::array_value_to_string;
use iceberg::spec::DataContentType;
use icefold_catalog::LiveFile;
use icefold_core::Result;
use icefold_fixture::Fixture;

use crate::{Deletes, LiveRows, ParquetFile};

/// What a table of tests has to read.
pub(crate) trait Reads {
    /// The deletes that stand.
    fn deletes(&self) -> Result<Deletes>;

    /// The data files.
    fn data_files(&self) -> impl Iterator<Item = &LiveFile>;

    /// Opens a data file.
    async fn open(&self, live: &LiveFile) -> ParquetFile;

    /// Reads the live rows of all data files, one line per row with values separated by `|`, in the order of the files.
    async fn live(&self, field_ids: &[i32]) -> Vec<String>;
}

impl Reads for Fixture {
    fn deletes(&self) -> Result<Deletes> {
        Deletes::new(&self.store, &self.metadata, &self.files)
    }

    fn data_files(&self) -> impl Iterator<Item = &LiveFile> {
        self.files.iter().filter(|file| file.file.content_type() == DataContentType::Data)
    }

    async fn open(&self, live: &LiveFile) -> ParquetFile {
        let (uri, size) = (live.file.file_path(), live.file.file_size_in_bytes());
        ParquetFile::open(&self.store, uri, size).await.expect("opens")
    }

    async fn live(&self, field_ids: &[i32]) -> Vec<String> {
        let deletes = self.deletes().expect("deletes");
        let mut found = Vec::new();
        for live in self.data_files() {
            let (file, deletes) = (self.open(live).await, deletes.of(live).await.expect("deletes"));
            found.extend(read(LiveRows::new(&file, &deletes, field_ids, file.row_groups()).expect("columns")).await);
        }
        found
    }
}

/// Reads what is left, one line per row.
pub(crate) async fn read(mut rows: LiveRows<'_>) -> Vec<String> {
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await.expect("reads") {
        assert!(batch.num_rows() > 0, "never no rows");
        batches.push(batch);
    }
    let Some(first) = batches.first() else { return Vec::new() };
    let all = concat_batches(&first.schema(), &batches).expect("one schema");
    let value = |column: &ArrayRef, row| match column.is_null(row) {
        true => "-".to_owned(),
        false => array_value_to_string(column, row).expect("printable"),
    };
    let line = |row| all.columns().iter().map(|column| value(column, row)).collect::<Vec<_>>().join("|");
    (0..all.num_rows()).map(line).collect()
}

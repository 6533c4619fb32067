//! Builds the plan node that reads Parquet files, of data and of deletes alike.
//!
//! DataFusion's own Parquet source does the reading, so that row groups, pages and bloom filters are pruned, filters and
//! projections are pushed into the decoder and footers are cached. What is ours: columns are found by field id, each file
//! carries constant columns that deletes need (its sequence number and its scope), and files are split so that all cores
//! have work.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_plan::ExecutionPlan;
use iceberg::spec::{DataFile, DataFileFormat};
use icefold_catalog::LiveFile;
use icefold_core::Error;
use icefold_files::deletes::{Scope, ScopedDelete};
use object_store::ObjectMeta;

use crate::columns::Columns;
use crate::error::external;
use crate::field_ids::FieldIdAdapterFactory;
use crate::files::Place;
use crate::split::split;

/// Constant columns behind the file's own: the sequence number and the scope of the file.
const AGE_COLUMN: &str = "$icefold_sequence_number";
const SCOPE_COLUMN: &str = "$icefold_scope";

/// A file to read.
#[derive(Debug)]
pub(crate) struct ScanFile {
    pub(crate) file: PartitionedFile,
    /// Where row groups start, if the manifest says so.
    pub(crate) row_group_offsets: Vec<i64>,
    /// Sequence number and scope, for deletes.
    age: i64,
    scope: Scope,
    /// What is known of the file's own columns, deletes not counted.
    statistics: Option<Arc<Statistics>>,
}

impl ScanFile {
    /// Takes a data file.
    ///
    /// # Errors
    /// `InvalidInput` when it is not Parquet.
    pub(crate) fn of_data(place: &Place, live: &LiveFile, scope: Scope) -> Result<Self> {
        if live.file.file_format() != DataFileFormat::Parquet {
            return Err(external(
                Error::invalid(format!("data files of format `{}` cannot be queried", live.file.file_format()))
                    .with("file", live.file.file_path()),
            ));
        }
        let file = partitioned_file(place, &live.file)?;
        let row_group_offsets = live.file.split_offsets().unwrap_or_default().to_vec();
        Ok(ScanFile { file, row_group_offsets, age: live.data_sequence_number, scope, statistics: None })
    }

    /// Takes a delete file, whose format was checked.
    ///
    /// # Errors
    /// When its path is not one of the store.
    pub(crate) fn of_delete(place: &Place, delete: &ScopedDelete) -> Result<Self> {
        let live = &delete.file;
        let file = partitioned_file(place, &live.file)?;
        Ok(ScanFile {
            file,
            row_group_offsets: Vec::new(),
            age: live.data_sequence_number,
            scope: delete.scope,
            statistics: None,
        })
    }

    /// Tells the reader what is known of the columns of the scan.
    pub(crate) fn with_statistics(mut self, statistics: Statistics) -> Self {
        self.statistics = Some(Arc::new(statistics));
        self
    }

    fn finish(mut self, with_constants: bool) -> Self {
        if with_constants {
            let values = vec![ScalarValue::Int64(Some(self.age)), ScalarValue::Int32(Some(self.scope))];
            self.file = self.file.with_partition_values(values);
        }
        if let Some(statistics) = self.statistics.take() {
            // Adds those of the constants, so it comes after them.
            self.file = self.file.with_statistics(statistics);
        }
        self
    }
}

fn partitioned_file(place: &Place, file: &DataFile) -> Result<PartitionedFile> {
    Ok(PartitionedFile::new_from_meta(ObjectMeta {
        location: place.path(file.file_path()).map_err(external)?,
        // Files never change under their name, so any fixed time will do for the footer cache.
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size: file.file_size_in_bytes(),
        e_tag: None,
        version: None,
    }))
}

/// A read of some columns of some files.
#[derive(Debug)]
pub(crate) struct ParquetScan {
    columns: Columns,
    pub(crate) files: Vec<ScanFile>,
    constants: Vec<FieldRef>,
    projection: Option<Vec<usize>>,
    is_exact: bool,
    tells_bounds: bool,
    limit: Option<usize>,
    has_name_mapping: bool,
}

impl ParquetScan {
    /// Reads all of `columns` from `files`.
    pub(crate) fn new(columns: Columns, files: Vec<ScanFile>) -> Self {
        ParquetScan {
            columns,
            files,
            constants: Vec::new(),
            projection: None,
            is_exact: true,
            tells_bounds: false,
            limit: None,
            has_name_mapping: false,
        }
    }

    /// Adds the constant columns, behind the file's own: sequence number (`Int64`) and scope (`Int32`).
    pub(crate) fn with_delete_constants(mut self) -> Self {
        self.constants = vec![
            Arc::new(Field::new(AGE_COLUMN, DataType::Int64, false)),
            Arc::new(Field::new(SCOPE_COLUMN, DataType::Int32, false)),
        ];
        self
    }

    /// Reads only the columns at `indices`; constants count on behind the file's own.
    pub(crate) fn with_projection(mut self, indices: Vec<usize>) -> Self {
        self.projection = Some(indices);
        self
    }

    /// Says whether no row of the files is left out later, so that counts and bounds may stand for answers.
    pub(crate) fn with_exact_statistics(mut self, is_exact: bool) -> Self {
        self.is_exact = is_exact;
        self
    }

    /// Tells the optimizer the least and greatest values of columns. Files are left out by their own either way.
    pub(crate) fn with_bounds(mut self, tells_bounds: bool) -> Self {
        self.tells_bounds = tells_bounds;
        self
    }

    /// Stops after that many rows. Not for files with deletes.
    pub(crate) fn with_limit(mut self, limit: Option<usize>) -> Self {
        self.limit = limit;
        self
    }

    /// Refuses files without field ids when the table maps names to ids for them.
    pub(crate) fn with_name_mapping(mut self, has_name_mapping: bool) -> Self {
        self.has_name_mapping = has_name_mapping;
        self
    }

    /// Makes the plan node, with as many partitions as there is work for.
    ///
    /// # Errors
    /// When the projection names no column.
    pub(crate) fn into_exec(self, state: &dyn Session, place: &Place) -> Result<Arc<dyn ExecutionPlan>> {
        let adapter = FieldIdAdapterFactory::new(&self.columns, self.has_name_mapping);
        let schema = TableSchema::new(Arc::clone(self.columns.schema()), self.constants);
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let options =
            TableParquetOptions { global: state.config_options().execution.parquet.clone(), ..Default::default() };
        let with_constants = !schema.table_partition_cols().is_empty();
        let files: Vec<_> = self.files.into_iter().map(|file| file.finish(with_constants)).collect();
        let mut statistics = merge(&files, self.is_exact, schema.table_schema())?;
        if !self.tells_bounds {
            statistics.column_statistics.iter_mut().for_each(hide_bounds);
        }
        let source = ParquetSource::new(schema).with_table_parquet_options(options).with_parquet_file_reader_factory(
            Arc::new(CachedParquetFileReaderFactory::new(place.object_store(), cache)),
        );
        let config = FileScanConfigBuilder::new(place.url().clone(), Arc::new(source))
            .with_file_groups(split(files, state.config().target_partitions()))
            .with_statistics(statistics)
            .with_expr_adapter(Some(Arc::new(adapter)))
            .with_limit(self.limit)
            .with_projection_indices(self.projection)?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

fn hide_bounds(column: &mut ColumnStatistics) {
    column.min_value = Precision::Absent;
    column.max_value = Precision::Absent;
}

/// Returns what is known of all files together; nothing, if one of them is unknown.
fn merge(files: &[ScanFile], is_exact: bool, schema: &Schema) -> Result<Statistics> {
    let each: Option<Vec<&Statistics>> = files.iter().map(|file| file.file.statistics.as_deref()).collect();
    let Some(each) = each else { return Ok(Statistics::new_unknown(schema)) };
    let all = Statistics::try_merge_iter(each, schema)?;
    Ok(if is_exact { all } else { all.to_inexact() })
}

//! Small tables for tests: any schema, spec, sequence number and delete, in memory and without a catalog.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::util::display::array_value_to_string;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{
    DataContentType, DataFileBuilder, FormatVersion, Literal, NestedField, PrimitiveType, Schema, SortOrder, Struct,
    TableMetadata, TableMetadataBuilder, Transform, Type, UnboundPartitionSpec,
};
use iceberg::writer::file_writer::{FileWriter, FileWriterBuilder, ParquetWriterBuilder};
use icefold_catalog::{LiveFile, Store};
use icefold_core::Result;
use parquet::file::properties::WriterProperties;

use crate::{Deletes, LiveRows, ParquetFile};

const LOCATION: &str = "memory:///warehouse/t";

/// An optional column.
pub(crate) fn column(id: i32, name: &str, kind: PrimitiveType) -> NestedField {
    NestedField::optional(id, name, Type::Primitive(kind))
}

/// A schema of these columns.
pub(crate) fn schema(fields: Vec<NestedField>) -> Schema {
    Schema::builder().with_fields(fields.into_iter().map(Arc::new)).build().expect("schema")
}

/// `(1: id long, 2: name string)`.
pub(crate) fn people() -> Schema {
    schema(vec![column(1, "id", PrimitiveType::Long), column(2, "name", PrimitiveType::String)])
}

/// Columns for [`people`].
pub(crate) fn rows(rows: &[(Option<i64>, Option<&str>)]) -> Vec<ArrayRef> {
    vec![
        Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.0))),
        Arc::new(StringArray::from_iter(rows.iter().map(|r| r.1))),
    ]
}

/// Columns for [`people`] with the ids and the names `n<id>`.
pub(crate) fn numbered(ids: std::ops::Range<i64>) -> Vec<ArrayRef> {
    vec![
        Arc::new(Int64Array::from_iter_values(ids.clone())),
        Arc::new(StringArray::from_iter_values(ids.map(|id| format!("n{id}")))),
    ]
}

/// Where in the table a file goes.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) sequence: i64,
    pub(crate) spec_id: i32,
    pub(crate) partition: Struct,
}

/// A file of the unpartitioned spec, at a sequence number.
pub(crate) fn at(sequence: i64) -> At {
    At { sequence, spec_id: 0, partition: Struct::empty() }
}

impl At {
    /// The same in the partition `name` of a spec of [`Fixture::by_name`].
    pub(crate) fn of(self, spec_id: i32, name: &str) -> At {
        At { spec_id, partition: Struct::from_iter([Some(Literal::string(name))]), ..self }
    }
}

/// A table whose files are put together by hand.
pub(crate) struct Fixture {
    pub(crate) metadata: TableMetadata,
    pub(crate) files: Vec<LiveFile>,
    pub(crate) row_group_rows: usize,
    pub(crate) store: Store,
}

impl Fixture {
    /// An empty, unpartitioned table; spec 0 is the unpartitioned one.
    pub(crate) fn new(schema: Schema) -> Self {
        let (spec, order) = (UnboundPartitionSpec::builder().build(), SortOrder::unsorted_order());
        let location = LOCATION.to_owned();
        let builder = TableMetadataBuilder::new(schema, spec, order, location, FormatVersion::V2, Default::default());
        let metadata = builder.expect("definition").build().expect("metadata").metadata;
        Fixture { metadata, files: Vec::new(), row_group_rows: 1_000_000, store: Store::in_memory() }
    }

    /// Gives the table another current schema.
    pub(crate) fn evolve(&mut self, schema: Schema) {
        let builder = self.metadata.clone().into_builder(None).add_current_schema(schema).expect("schema");
        self.metadata = builder.build().expect("metadata").metadata;
    }

    /// Partitions the table by column 2, from here on; returns the id of the spec.
    pub(crate) fn by_name(&mut self) -> i32 {
        let spec = UnboundPartitionSpec::builder().add_partition_field(2, "of", Transform::Identity).expect("spec");
        let builder = self.metadata.clone().into_builder(None).add_default_partition_spec(spec.build()).expect("spec");
        self.metadata = builder.build().expect("metadata").metadata;
        self.metadata.default_partition_spec_id()
    }

    /// Writes a data file in the current schema; returns its path.
    pub(crate) async fn data(&mut self, at: At, columns: Vec<ArrayRef>) -> String {
        let schema = self.metadata.current_schema().as_ref().clone();
        self.write(at, &schema, columns, |_| ()).await
    }

    /// Writes position deletes.
    pub(crate) async fn position_deletes(&mut self, at: At, rows: &[(&str, i64)]) {
        let required = |id, name, kind| NestedField::required(id, name, Type::Primitive(kind));
        let schema = schema(vec![
            required(2_147_483_546, "file_path", PrimitiveType::String),
            required(2_147_483_545, "pos", PrimitiveType::Long),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1))),
        ];
        let kind = |b: &mut DataFileBuilder| {
            b.content(DataContentType::PositionDeletes);
        };
        self.write(at, &schema, columns, kind).await;
    }

    /// Writes equality deletes on the columns of `key`.
    pub(crate) async fn equality_deletes(&mut self, at: At, key: &Schema, columns: Vec<ArrayRef>) {
        let ids = key.as_struct().fields().iter().map(|f| f.id).collect::<Vec<_>>();
        let kind = |b: &mut DataFileBuilder| {
            b.content(DataContentType::EqualityDeletes).equality_ids(Some(ids));
        };
        self.write(at, key, columns, kind).await;
    }

    /// Equality deletes on `id`.
    pub(crate) async fn delete_ids(&mut self, at: At, ids: &[Option<i64>]) {
        let key = schema(vec![column(1, "id", PrimitiveType::Long)]);
        self.equality_deletes(at, &key, vec![Arc::new(Int64Array::from(ids.to_vec()))]).await;
    }

    async fn write(
        &mut self,
        at: At,
        schema: &Schema,
        columns: Vec<ArrayRef>,
        tell: impl FnOnce(&mut DataFileBuilder),
    ) -> String {
        let path = format!("{LOCATION}/data/{}.parquet", self.files.len());
        let arrow = Arc::new(schema_to_arrow_schema(schema).expect("arrow"));
        let batch = RecordBatch::try_new(arrow, columns).expect("columns of the schema");
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(self.row_group_rows)).build();
        let output = self.store.file_io().new_output(&path).expect("path");
        let builder = ParquetWriterBuilder::new(properties, Arc::new(schema.clone()));
        let mut writer = builder.build(output).await.expect("writer");
        writer.write(&batch).await.expect("write");
        let mut written = writer.close().await.expect("close").remove(0);
        written.content(DataContentType::Data).partition(at.partition).partition_spec_id(at.spec_id);
        tell(&mut written);
        self.files.push(LiveFile {
            file: written.build().expect("data file"),
            spec_id: at.spec_id,
            snapshot_id: at.sequence,
            data_sequence_number: at.sequence,
            file_sequence_number: at.sequence,
        });
        path
    }

    /// The deletes that stand.
    pub(crate) fn deletes(&self) -> Result<Deletes> {
        Deletes::new(&self.store, &self.metadata, &self.files)
    }

    /// The data files.
    pub(crate) fn data_files(&self) -> impl Iterator<Item = &LiveFile> {
        self.files.iter().filter(|file| file.file.content_type() == DataContentType::Data)
    }

    /// Opens a data file.
    pub(crate) async fn open(&self, live: &LiveFile) -> ParquetFile {
        let (uri, size) = (live.file.file_path(), live.file.file_size_in_bytes());
        ParquetFile::open(&self.store, uri, size).await.expect("opens")
    }

    /// Reads the live rows of all data files, one line per row with values separated by `|`, in the order of the files.
    pub(crate) async fn live(&self, field_ids: &[i32]) -> Vec<String> {
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

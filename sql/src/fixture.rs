//! Small Iceberg tables for tests: any schema, spec, sequence number and delete, without a catalog in the way.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use async_trait::async_trait;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{
    DataContentType, DataFileBuilder, FormatVersion, Literal, NestedField, PrimitiveType, Schema, SortOrder, Struct,
    TableMetadata, TableMetadataBuilder, Type, UnboundPartitionSpec,
};
use iceberg::writer::file_writer::{FileWriter, FileWriterBuilder, ParquetWriterBuilder};
use icefold_catalog::{LiveFile, Store};
use icefold_core::Result;
use parquet::file::properties::WriterProperties;

use crate::files::{Place, SnapshotFiles};
use crate::session::{SessionSettings, bare_context};
use crate::table::IcefoldTable;

const LOCATION: &str = "memory:///warehouse/t";

/// An optional column.
pub(crate) fn column(id: i32, name: &str, kind: PrimitiveType) -> NestedField {
    NestedField::optional(id, name, Type::Primitive(kind))
}

/// A schema of these columns.
pub(crate) fn schema(fields: Vec<NestedField>) -> Schema {
    Schema::builder().with_fields(fields.into_iter().map(Arc::new)).build().expect("schema")
}

/// `(id long, name string)`.
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

/// A partition of one value.
pub(crate) fn partition(value: Literal) -> Struct {
    Struct::from_iter([Some(value)])
}

/// A table named `t` whose files are put together by hand.
pub(crate) struct Fixture {
    pub(crate) metadata: TableMetadata,
    pub(crate) files: Vec<LiveFile>,
    pub(crate) row_group_rows: usize,
    store: Store,
}

/// Which file to write.
pub(crate) struct NewFile {
    pub(crate) sequence: i64,
    pub(crate) spec_id: i32,
    pub(crate) partition: Struct,
}

/// A file of the unpartitioned spec, at a sequence number.
pub(crate) fn at(sequence: i64) -> NewFile {
    NewFile { sequence, spec_id: 0, partition: Struct::empty() }
}

impl NewFile {
    pub(crate) fn of(mut self, spec_id: i32, partition: Struct) -> Self {
        (self.spec_id, self.partition) = (spec_id, partition);
        self
    }
}

impl Fixture {
    /// An empty, unpartitioned table; spec 0 is the unpartitioned one.
    pub(crate) fn new(schema: Schema) -> Self {
        let spec = UnboundPartitionSpec::builder().build();
        let builder = TableMetadataBuilder::new(
            schema,
            spec,
            SortOrder::unsorted_order(),
            LOCATION.to_owned(),
            FormatVersion::V2,
            Default::default(),
        );
        let metadata = builder.expect("definition").build().expect("metadata").metadata;
        Fixture { metadata, files: Vec::new(), row_group_rows: 1_000_000, store: Store::in_memory() }
    }

    /// Gives the table another current schema.
    pub(crate) fn evolve(&mut self, schema: Schema) {
        let builder = self.metadata.clone().into_builder(None).add_current_schema(schema).expect("schema");
        self.metadata = builder.build().expect("metadata").metadata;
    }

    /// Adds a partition spec and returns its id.
    pub(crate) fn add_spec(&mut self, spec: UnboundPartitionSpec) -> i32 {
        let builder = self.metadata.clone().into_builder(None).add_default_partition_spec(spec).expect("spec");
        self.metadata = builder.build().expect("metadata").metadata;
        self.metadata.default_partition_spec_id()
    }

    /// Writes a data file in the current schema; returns its path.
    pub(crate) async fn data(&mut self, file: NewFile, columns: Vec<ArrayRef>) -> String {
        let schema = self.metadata.current_schema().as_ref().clone();
        self.write(file, &schema, columns, |_| ()).await
    }

    /// Writes position deletes.
    pub(crate) async fn position_deletes(&mut self, file: NewFile, rows: &[(&str, i64)]) {
        let schema = schema(vec![
            NestedField::required(2_147_483_546, "file_path", Type::Primitive(PrimitiveType::String)),
            NestedField::required(2_147_483_545, "pos", Type::Primitive(PrimitiveType::Long)),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1))),
        ];
        self.write(file, &schema, columns, |b| {
            b.content(DataContentType::PositionDeletes);
        })
        .await;
    }

    /// Writes equality deletes on the columns of `key`.
    pub(crate) async fn equality_deletes(&mut self, file: NewFile, key: &Schema, columns: Vec<ArrayRef>) {
        let ids = key.as_struct().fields().iter().map(|f| f.id).collect::<Vec<_>>();
        self.write(file, key, columns, |b| {
            b.content(DataContentType::EqualityDeletes).equality_ids(Some(ids));
        })
        .await;
    }

    /// Equality deletes on `id`.
    pub(crate) async fn delete_ids(&mut self, file: NewFile, ids: &[Option<i64>]) {
        let key = schema(vec![column(1, "id", PrimitiveType::Long)]);
        self.equality_deletes(file, &key, vec![Arc::new(Int64Array::from(ids.to_vec()))]).await;
    }

    async fn write(
        &mut self,
        file: NewFile,
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
        written.content(DataContentType::Data).partition(file.partition).partition_spec_id(file.spec_id);
        tell(&mut written);
        self.files.push(LiveFile {
            file: written.build().expect("data file"),
            spec_id: file.spec_id,
            snapshot_id: file.sequence,
            data_sequence_number: file.sequence,
            file_sequence_number: file.sequence,
        });
        path
    }

    /// A session that knows the table as `t`.
    pub(crate) fn session(&self) -> SessionContext {
        self.session_with(4)
    }

    pub(crate) fn session_with(&self, target_partitions: usize) -> SessionContext {
        let place = Place::new(self.store.clone()).expect("place");
        let files = Arc::new(FixedFiles { files: self.files.clone(), place });
        let table = IcefoldTable::new("t", &Arc::new(self.metadata.clone()), None, files).expect("table");
        let settings = SessionSettings { target_partitions, ..SessionSettings::default() };
        let context = bare_context(&settings, &self.store).expect("context");
        context.register_table("t", Arc::new(table)).expect("register");
        context
    }

    /// Runs a query; one line per row, values separated by `|`, sorted.
    pub(crate) async fn query(&self, sql: &str) -> Vec<String> {
        let mut lines = self.try_query(sql).await.expect("query");
        lines.sort_unstable();
        lines
    }

    pub(crate) async fn try_query(&self, sql: &str) -> datafusion::common::Result<Vec<String>> {
        Ok(lines(&self.session().sql(sql).await?.collect().await?))
    }

    /// Plans a query.
    pub(crate) async fn plan(&self, sql: &str) -> Arc<dyn ExecutionPlan> {
        self.session().sql(sql).await.expect("plan").create_physical_plan().await.expect("plan")
    }

    /// Returns how many data files a query would open.
    pub(crate) async fn planned_files(&self, sql: &str) -> usize {
        scans(&self.plan(sql).await)
            .iter()
            .flat_map(|scan| scan.file_groups.iter().flat_map(|group| group.iter()))
            .map(|file| file.object_meta.location.clone())
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    }
}

/// Returns the Parquet scans of a plan.
pub(crate) fn scans(plan: &Arc<dyn ExecutionPlan>) -> Vec<FileScanConfig> {
    let mut found = Vec::new();
    plan.apply(|node| {
        if let Some(scan) = node.downcast_ref::<DataSourceExec>()
            && let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>()
        {
            found.push(config.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .expect("walk");
    found
}

/// Formats batches as one line per row.
pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let values = batch
                .columns()
                .iter()
                .map(|column| arrow::util::display::array_value_to_string(column, row).expect("printable"));
            lines.push(values.collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

#[derive(Debug)]
struct FixedFiles {
    files: Vec<LiveFile>,
    place: Place,
}

#[async_trait]
impl SnapshotFiles for FixedFiles {
    async fn live_files(&self) -> Result<Vec<LiveFile>> {
        Ok(self.files.clone())
    }

    fn place(&self) -> &Place {
        &self.place
    }
}

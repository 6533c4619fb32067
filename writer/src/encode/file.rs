//! Row groups to one Parquet file in memory, and to the entry that a manifest will hold for it.

use std::collections::HashMap;
use std::io::{self, Write};

use bytes::Bytes;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, NestedFieldRef, Struct, TableMetadata,
};
use icefold_catalog::BatchFile;
use icefold_core::tables::ColumnType;
use icefold_core::{Error, Result};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::writer::SerializedFileWriter;

use super::bounds::Bounds;
use super::layout::{bound_length, has_bounds};
use super::{EncodedRowGroup, TableEncoder, WrittenColumn};

/// Size of the parts that a file is handed over in.
const PART_BYTES: usize = 8 << 20;

/// A Parquet file that is still in memory.
#[derive(Debug, Clone)]
pub struct EncodedFile {
    /// Its bytes, in order.
    pub parts: Vec<Bytes>,
    /// What the manifest will say about it.
    pub file: DataFile,
}

impl TableEncoder {
    /// Strings row groups together to the file `path` of the partition `day`.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](icefold_core::ErrorKind::Bug) when Parquet refuses what it has encoded itself.
    pub fn assemble(&self, path: String, day: i32, row_groups: Vec<EncodedRowGroup>) -> Result<EncodedFile> {
        let nulls = self.nulls(&row_groups);
        let written = self.write(row_groups);
        let (parts, metadata) = written.map_err(|e| Error::bug("a Parquet file cannot be closed").because(e))?;
        let size = parts.iter().map(|p| p.len() as u64).sum();
        let columns = self.columns.iter().zip(nulls).enumerate();
        let columns = columns.map(|(leaf, (column, nulls))| FileColumn { column, leaf, nulls: Some(nulls) });
        let entry = Entry { path, spec_id: self.partition_spec_id, day, bytes: size, footer: &metadata };
        let file = entry.of(columns)?;
        Ok(EncodedFile { parts, file })
    }

    fn nulls(&self, row_groups: &[EncodedRowGroup]) -> Vec<u64> {
        (0..self.schema.fields().len()).map(|column| row_groups.iter().map(|g| g.nulls[column]).sum()).collect()
    }

    fn write(&self, row_groups: Vec<EncodedRowGroup>) -> Result<(Vec<Bytes>, ParquetMetaData), ParquetError> {
        let mut writer =
            SerializedFileWriter::new(Parts::default(), self.parquet_schema.clone(), self.properties.clone())?;
        for encoded in row_groups {
            let mut row_group = writer.next_row_group()?;
            for column in encoded.columns {
                column.append_to_row_group(&mut row_group)?;
            }
            row_group.close()?;
        }
        let metadata = writer.finish()?;
        writer.flush()?;
        Ok((std::mem::take(writer.inner_mut()).finish(), metadata))
    }
}

/// A column of a file, and where it is.
#[derive(Debug, Clone, Copy)]
struct FileColumn<'a> {
    column: &'a WrittenColumn,
    /// Place among the leaves of the Parquet schema.
    leaf: usize,
    /// How many values are null, where that is known.
    nulls: Option<u64>,
}

/// What a manifest says about a file.
struct Entry<'a> {
    path: String,
    spec_id: i32,
    day: i32,
    bytes: u64,
    footer: &'a ParquetMetaData,
}

impl Entry<'_> {
    fn of<'c>(&self, columns: impl Iterator<Item = FileColumn<'c>>) -> Result<DataFile> {
        let rows = self.footer.file_metadata().num_rows() as u64;
        let mut file = DataFileBuilder::default();
        let (mut lower, mut upper, mut sizes) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (mut values, mut nulls) = (HashMap::new(), HashMap::new());
        for FileColumn { column, leaf, nulls: known } in columns {
            let chunks = self.footer.row_groups().iter().map(|group| group.column(leaf));
            let id = column.id;
            sizes.insert(id, chunks.clone().map(|c| c.compressed_size() as u64).sum());
            values.insert(id, rows);
            nulls.extend(known.map(|known| (id, known)));
            if !has_bounds(&column.name, column.kind) {
                continue;
            }
            let bounds = chunks.fold(Bounds::Unseen, |bounds, chunk| {
                let nulls = chunk.statistics().and_then(|s| s.null_count_opt()).unwrap_or(0);
                bounds.and(chunk.statistics(), chunk.num_values() as u64 - nulls)
            });
            let (low, high) = bounds.datums(column.kind, bound_length(&column.name, column.kind));
            lower.extend(low.map(|datum| (id, datum)));
            upper.extend(high.map(|datum| (id, datum)));
        }
        file.content(DataContentType::Data)
            .file_path(self.path.clone())
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::from_iter([Some(Literal::date(self.day))]))
            .partition_spec_id(self.spec_id)
            .record_count(rows)
            .file_size_in_bytes(self.bytes)
            .value_counts(values)
            .null_value_counts(nulls)
            .column_sizes(sizes)
            .lower_bounds(lower)
            .upper_bounds(upper)
            .split_offsets(Some(self.footer.row_groups().iter().filter_map(|group| group.file_offset()).collect()));
        file.build().map_err(|e| Error::bug("a data file entry lacks a field").because(e))
    }
}

/// Says about a file that a batch states what its footer tells, as its writer would have: only where the footer keeps no
/// statistics of a column, its nulls are not counted.
///
/// # Errors
/// [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt) when the file is not the one that is stated.
pub(crate) fn entry_of(table: &TableMetadata, stated: &BatchFile, footer: &ParquetMetaData) -> Result<DataFile> {
    if footer.file_metadata().num_rows() as u64 != stated.rows {
        let (found, path) = (footer.file_metadata().num_rows(), &stated.path);
        return Err(Error::corrupt(format!(
            "`{path}` has {found} rows, its batch says {}: restore it from a backup",
            stated.rows
        )));
    }
    let mut columns = Vec::new();
    for (leaf, column) in footer.file_metadata().schema_descr().columns().iter().enumerate() {
        let info = column.self_type().get_basic_info();
        let field = info.has_id().then(|| field_of(table, info.id())).flatten();
        if let Some((field, kind)) = field.and_then(|field| Some((field, ColumnType::of(field)?))) {
            columns.push((leaf, WrittenColumn { id: field.id, name: field.name.clone(), kind }));
        }
    }
    let nulls = |leaf: usize| -> Option<u64> {
        footer.row_groups().iter().map(|group| group.column(leaf).statistics()?.null_count_opt()).sum()
    };
    let entry =
        Entry { path: stated.path.clone(), spec_id: stated.spec_id, day: stated.day, bytes: stated.bytes, footer };
    entry.of(columns.iter().map(|(leaf, column)| FileColumn { column, leaf: *leaf, nulls: nulls(*leaf) }))
}

/// Finds a field in the newest schema that has it.
fn field_of(table: &TableMetadata, id: i32) -> Option<&NestedFieldRef> {
    let current = table.current_schema().field_by_id(id);
    current.or_else(|| table.schemas_iter().find_map(|schema| schema.field_by_id(id)))
}

/// Collects written bytes in parts, so that no file needs one large piece of memory.
#[derive(Debug, Default)]
struct Parts {
    full: Vec<Bytes>,
    open: Vec<u8>,
}

impl Parts {
    fn finish(mut self) -> Vec<Bytes> {
        self.full.push(Bytes::from(self.open));
        self.full
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.open.capacity() == 0 {
            self.open.reserve_exact(PART_BYTES + bytes.len());
        }
        self.open.extend_from_slice(bytes);
        if self.open.len() >= PART_BYTES {
            self.full.push(Bytes::from(std::mem::take(&mut self.open)));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "file/tests.rs"]
pub(crate) mod tests;

//! Row groups to one Parquet file in memory, and to the entry that a manifest will hold for it.

use std::collections::HashMap;
use std::io::{self, Write};

use bytes::Bytes;
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, Struct};
use icefold_core::{Error, Result};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::writer::SerializedFileWriter;

use super::bounds::Bounds;
use super::layout::{bound_length, has_bounds};
use super::{EncodedRowGroup, TableEncoder};

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
        let file = self.data_file(path, day, size, &metadata, nulls)?;
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

    fn data_file(
        &self,
        path: String,
        day: i32,
        size: u64,
        metadata: &ParquetMetaData,
        nulls: Vec<u64>,
    ) -> Result<DataFile> {
        let rows = metadata.file_metadata().num_rows() as u64;
        let mut file = DataFileBuilder::default();
        let (mut lower, mut upper, mut sizes) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (index, column) in self.columns.iter().enumerate() {
            let chunks = metadata.row_groups().iter().map(|group| group.column(index));
            let id = column.id;
            sizes.insert(id, chunks.clone().map(|c| c.compressed_size() as u64).sum());
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
            .file_path(path)
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::from_iter([Some(Literal::date(day))]))
            .partition_spec_id(self.partition_spec_id)
            .record_count(rows)
            .file_size_in_bytes(size)
            .value_counts(self.columns.iter().map(|column| (column.id, rows)).collect())
            .null_value_counts(self.columns.iter().map(|column| column.id).zip(nulls).collect())
            .column_sizes(sizes)
            .lower_bounds(lower)
            .upper_bounds(upper)
            .split_offsets(Some(metadata.row_groups().iter().filter_map(|group| group.file_offset()).collect()));
        file.build().map_err(|e| Error::bug("a data file entry lacks a field").because(e))
    }
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

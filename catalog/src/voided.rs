//! Manifests of a table of format 1 from whose partitioning a column was taken.
//!
//! Format 1 keeps the field in the partition spec and makes its transform `void` (Iceberg spec, "Partition Evolution"), under the
//! name that it had, which for an identity is the column's. `iceberg` refuses a manifest in whose header such a field and a column
//! share their name. Columns are found by id there, so here the column gets another name in the header before it is read.

use iceberg::io::FileIO;
use iceberg::spec::{Manifest, ManifestFile, PartitionSpec, Transform};
use serde_json::Value;

/// First bytes of an Avro file (Apache Avro specification, "Object Container Files").
const MAGIC: &[u8] = b"Obj\x01";
/// Where the table's schema is in the header of a manifest.
const SCHEMA: &[u8] = b"schema";
/// Where the copy for the reader is kept while it is read.
const COPY: &str = "memory:///manifest.avro";

/// Returns whether a partition spec has a field that was dropped.
pub(crate) fn has_void(spec: &PartitionSpec) -> bool {
    spec.fields().iter().any(|field| field.transform == Transform::Void)
}

/// Reads a manifest whose partition spec has dropped fields, given its bytes.
///
/// # Errors
/// Those of `iceberg`.
pub(crate) async fn load(manifest: &ManifestFile, spec: &PartitionSpec, bytes: &[u8]) -> iceberg::Result<Manifest> {
    let dropped = |name: &str| spec.fields().iter().any(|f| f.transform == Transform::Void && f.name == name);
    let copy = FileIO::new_with_memory();
    let readable = renamed(bytes, dropped).unwrap_or_else(|| bytes.to_vec());
    copy.new_output(COPY)?.write(readable.into()).await?;
    ManifestFile { manifest_path: COPY.to_owned(), ..manifest.clone() }.load_manifest(&copy).await
}

/// Returns a manifest with other names for those columns of the schema in its header that `dropped` chooses; `None` for a file that
/// is no manifest.
fn renamed(bytes: &[u8], dropped: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut entries = Vec::new();
    loop {
        let count = long(&mut rest)?;
        if count == 0 {
            break;
        }
        if count < 0 {
            // A negative count is followed by the size of its block.
            long(&mut rest)?;
        }
        for _ in 0..count.unsigned_abs() {
            entries.push((sized(&mut rest)?, sized(&mut rest)?.to_vec()));
        }
    }
    let (_, schema) = entries.iter_mut().find(|(key, _)| *key == SCHEMA)?;
    let mut columns: Value = serde_json::from_slice(schema).ok()?;
    for column in columns.get_mut("fields")?.as_array_mut()? {
        let name = column["name"].as_str()?;
        if dropped(name) {
            column["name"] = format!("{name} (column {})", column["id"]).into();
        }
    }
    *schema = serde_json::to_vec(&columns).ok()?;
    let mut renamed = MAGIC.to_vec();
    put_long(i64::try_from(entries.len()).ok()?, &mut renamed);
    for (key, value) in entries {
        for part in [key, &value] {
            put_long(i64::try_from(part.len()).ok()?, &mut renamed);
            renamed.extend_from_slice(part);
        }
    }
    put_long(0, &mut renamed);
    renamed.extend_from_slice(rest);
    Some(renamed)
}

/// Reads a `long`: zigzag, seven bits a byte, lowest first.
fn long(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

fn put_long(value: i64, into: &mut Vec<u8>) {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while left >= 0x80 {
        into.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    into.push(left as u8);
}

/// Reads a `string` or `bytes`.
fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(long(rest)?).ok()?;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use iceberg::spec::{
        DataContentType, DataFileBuilder, DataFileFormat, Literal, ManifestWriterBuilder, NestedField, PrimitiveType,
        Schema, Struct, Type,
    };
    use serde_json::json;

    use super::*;

    const PATH: &str = "memory:///m0.avro";

    fn spec() -> PartitionSpec {
        let fields = json!([
            {"source-id": 1, "field-id": 1000, "name": "kind", "transform": "void"},
            {"source-id": 2, "field-id": 1001, "name": "day", "transform": "identity"},
        ]);
        serde_json::from_value(json!({"spec-id": 1, "fields": fields})).expect("a spec")
    }

    /// A manifest of a table that was partitioned by `kind` and `day` once.
    async fn manifest() -> (ManifestFile, Vec<u8>) {
        let column = |id, name| NestedField::optional(id, name, Type::Primitive(PrimitiveType::String)).into();
        let schema = Schema::builder().with_fields([column(1, "kind"), column(2, "day")]).build().expect("a schema");
        let io = FileIO::new_with_memory();
        let output = io.new_output(PATH).expect("an output");
        let mut writer = ManifestWriterBuilder::new(output, Some(7), Arc::new(schema), spec()).build_v1();
        let file = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path("memory:///a.parquet".to_owned())
            .file_format(DataFileFormat::Parquet)
            .partition_spec_id(1)
            .partition(Struct::from_iter([None, Some(Literal::string("monday"))]))
            .record_count(3)
            .file_size_in_bytes(10)
            .column_sizes(HashMap::new())
            .build()
            .expect("a data file");
        writer.add_file(file, 1).expect("added");
        let manifest = writer.write_manifest_file().await.expect("written");
        let bytes = io.new_input(PATH).expect("an input").read().await.expect("read");
        (manifest, bytes.to_vec())
    }

    #[tokio::test]
    async fn a_manifest_with_a_dropped_field_under_the_name_of_a_column_is_read() {
        let (manifest, bytes) = manifest().await;
        Manifest::parse_avro(&bytes).expect_err("`iceberg` reads it by itself now: this file can go");
        let loaded = load(&manifest, &spec(), &bytes).await.expect("read");
        let [entry] = loaded.entries() else { panic!("one file: {loaded:?}") };
        assert_eq!(entry.snapshot_id(), Some(7), "inherited from the manifest list");
        let partition = Struct::from_iter([None, Some(Literal::string("monday"))]);
        assert_eq!(entry.data_file().partition(), &partition, "the other field keeps its value");
    }

    #[tokio::test]
    async fn what_is_cut_off_is_an_error_of_the_manifest() {
        let (manifest, bytes) = manifest().await;
        for length in 0..bytes.len() / 2 {
            let cut = load(&manifest, &spec(), &bytes[..length]).await;
            cut.expect_err("a manifest without its end");
        }
    }

    #[test]
    fn longs_come_back_as_they_were() {
        for value in [0, -1, 1, 63, 64, -64, -65, 300, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            put_long(value, &mut bytes);
            assert_eq!(long(&mut &bytes[..]), Some(value));
        }
    }
}

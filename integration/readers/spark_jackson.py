"""Makes the jar that the Iceberg Spark runtime from PyPI lacks: Jackson under Iceberg's shaded package name.

The wheel that carries `iceberg-spark-runtime` leaves out `org.apache.iceberg.shaded.com.fasterxml.jackson`, which every
class of Iceberg that reads JSON refers to. PySpark ships plain Jackson, so its classes are renamed here: the entries of
the jar, and the names that stand in the constant pool of each class. The result lies beside the runtime on Spark's class
path. Nothing but Python's standard library is needed.

usage: spark_jackson.py FOLDER_OF_SPARK_JARS OUTPUT_JAR
"""

import os
import re
import struct
import sys
import zipfile
from pathlib import Path

MODULES = ("core", "databind", "annotations")
RENAMES = (
    (b"com/fasterxml/jackson", b"org/apache/iceberg/shaded/com/fasterxml/jackson"),
    (b"com.fasterxml.jackson", b"org.apache.iceberg.shaded.com.fasterxml.jackson"),
)

CLASS_MAGIC = 0xCAFEBABE
UTF8 = 1
# Bytes that follow the tag of each kind of constant (JVM specification, 4.4), but for Utf8, whose length varies.
CONSTANT_BYTES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
# Long and Double take two places in the pool.
TWO_PLACES = (5, 6)
MAX_UTF8_BYTES = 0xFFFF


def main(jars: Path, output: Path) -> None:
    """Writes the jar to a name of its own first, so that a reader never sees half of it."""
    partial = output.with_name(f"{output.name}.{os.getpid()}.partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as shaded:
        written = set()
        for module in MODULES:
            copy_renamed(module_jar(jars, module), shaded, written)
    os.replace(partial, output)


def module_jar(jars: Path, module: str) -> Path:
    """Finds the one jar of a Jackson module, and not, say, that of Jackson 1 (`jackson-core-asl`)."""
    pattern = re.compile(rf"jackson-{module}-\d[\d.]*\.jar")
    found = [jar for jar in jars.iterdir() if pattern.fullmatch(jar.name)]
    if len(found) != 1:
        sys.exit(f"expected one jar of jackson-{module} in `{jars}`, found {len(found)}; reinstall pyspark")
    return found[0]


def copy_renamed(jar: Path, shaded: zipfile.ZipFile, written: set[str]) -> None:
    """Copies the classes and services of a jar under their new names."""
    with zipfile.ZipFile(jar) as source:
        for entry in source.infolist():
            name = renamed(entry.filename.encode()).decode()
            if entry.is_dir() or not wanted(entry.filename) or name in written:
                continue
            body = source.read(entry)
            body = renamed_class(body) if name.endswith(".class") else renamed(body)
            shaded.writestr(name, body)
            written.add(name)


def wanted(name: str) -> bool:
    """Leaves out module descriptors, signatures and manifests: they speak of the original jar."""
    if name.endswith("module-info.class"):
        return False
    return name.endswith(".class") or name.startswith("META-INF/services/")


def renamed(text: bytes) -> bytes:
    """Puts Iceberg's package before every mention of Jackson's."""
    for old, new in RENAMES:
        text = text.replace(old, new)
    return text


def renamed_class(body: bytes) -> bytes:
    """Renames packages in the constant pool of a class and keeps the rest byte for byte."""
    magic, _minor, _major, count = struct.unpack_from(">IHHH", body)
    if magic != CLASS_MAGIC:
        raise ValueError("not a class file")
    out = bytearray(body[:10])
    at, index = 10, 1
    while index < count:
        tag = body[at]
        if tag == UTF8:
            end = at + 3 + struct.unpack_from(">H", body, at + 1)[0]
            text = renamed(body[at + 3 : end])
            if len(text) > MAX_UTF8_BYTES:
                raise ValueError("a renamed constant does not fit its class file")
            out += struct.pack(">BH", UTF8, len(text)) + text
        else:
            end = at + 1 + CONSTANT_BYTES[tag]
            out += body[at:end]
        at = end
        index += 2 if tag in TWO_PLACES else 1
    return bytes(out + body[at:])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))

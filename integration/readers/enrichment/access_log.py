"""Reads an access log in common or combined log format, by a regular expression."""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

QUOTED = r'"((?:[^"\\]|\\.)*)"'
LINE = re.compile(
    rf"(\S+) \S+ .+? \[([^\]]+)\] {QUOTED} (?:\d+|-) (?:\d+|-)(?: {QUOTED} {QUOTED}.*)?",
)
TIME = "%d/%b/%Y:%H:%M:%S %z"
ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|(["\\ntr]))')
ESCAPED = {b'"': b'"', b"\\": b"\\", b"n": b"\n", b"t": b"\t", b"r": b"\r"}


@dataclass(frozen=True)
class Line:
    """What enrichment needs of a line; `offset` is its first byte in the uncompressed file."""

    offset: int
    host: str
    time: datetime
    user_agent: str | None

    @property
    def device(self) -> tuple[str, str]:
        """Returns what stands for a device in a log."""
        return self.host, self.user_agent or ""


def read(file: Path) -> tuple[list[Line], list[int]]:
    """Returns the lines in their order, and the offsets of those that are in neither format."""
    lines, refused = [], []
    for offset, text in lines_of(file):
        match = LINE.fullmatch(text)
        if match is None:
            refused.append(offset)
        else:
            host, time, _request, _referrer, agent = match.groups()
            lines.append(Line(offset, host, datetime.strptime(time, TIME), unescaped(agent)))
    return lines, refused


def lines_of(file: Path) -> Iterator[tuple[int, str]]:
    """Yields the lines that are not blank with their offsets."""
    offset = 0
    with gzip.open(file, "rb") as log:
        for line in log:
            if line.strip():
                yield offset, line.rstrip(b"\r\n").decode()
            offset += len(line)


def unescaped(logged: str | None) -> str | None:
    """Undoes a server's escapes where the result is printable text; `-` means none."""
    if logged in (None, "", "-"):
        return None
    raw = ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()) if m[1] else ESCAPED[m[2]], logged.encode())
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return logged
    is_text = not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text)
    return text if is_text else logged

"""What every engine computes of a table at a snapshot, and the SQL for it.

The figures of one table at one snapshot are plain JSON:

    rows, distinct_ids             counts
    min_time, max_time             microseconds since 1970 of the time column that partitions the table
    sums                           integer column -> sum; time column -> sum of its microseconds since midnight; day -> sum of
                                   its days since 1970; fraction -> sum in hundredths, which is exact; boolean -> how many are true
    non_null, bytes                column -> rows that have it, and the bytes of its texts or binaries
    json_number                    sum of a number inside a JSON column, as decimal text; null where nobody asked
    by_group, by_day               value or day (UTC) -> rows
    promoted                       column that a data contract promoted -> contract -> rows that have it
    aggregates_alone               count, minima and maxima asked for without anything else: engines answer from manifests
    filtered                       rows under filters that engines prune files by: equality with the greatest value of a
                                   column (a text's bound that was cut must not hide it), null, true, one day

Columns that data contracts promote stand in a table from the snapshot on that has them; they are asked for there only.

An engine that has no words for a question answers `CANNOT`, which agrees with everything.

Reading the same number by different roads (all rows, manifests only, a pruned scan) is the point: statistics in a
manifest that are wrong lose rows in silence.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

MICROS_PER_DAY = 86_400_000_000
# Fractions are rounded to two decimals in the table; their sum depends on the order of adding, that of whole numbers not.
HUNDREDTHS = 100
CANNOT = "cannot say"


@dataclass(frozen=True)
class Table:
    """One of icefold's tables: which of its columns play which part in the figures.

    `nullable` is None where no column is. Columns that are promotable are none of the table's until `at` finds them there.
    """

    name: str
    time: str
    id: str
    group: str
    nullable: str | None
    integers: tuple[str, ...]
    timestamps: tuple[str, ...]
    texts: tuple[str, ...]
    looked_up: tuple[str, ...]
    binaries: tuple[str, ...] = ()
    fractions: tuple[str, ...] = ()
    booleans: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    promotable_texts: tuple[str, ...] = ()
    promotable_fractions: tuple[str, ...] = ()
    promoted: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        numbers = self.integers + self.timestamps + self.fractions + self.booleans + self.days
        return numbers + self.binaries + self.texts

    @property
    def nullables(self) -> tuple[str, ...]:
        """Columns to filter by null; files from before a promotion have not even the column."""
        return ((self.nullable,) if self.nullable else ()) + self.promoted

    def at(self, columns: set[str]) -> "Table":
        """The table at a snapshot that has these columns: with those that are promoted by then."""
        texts = tuple(c for c in self.promotable_texts if c in columns)
        fractions = tuple(c for c in self.promotable_fractions if c in columns)
        return replace(
            self,
            texts=self.texts + texts,
            fractions=self.fractions + fractions,
            looked_up=self.looked_up + texts + fractions,
            promoted=texts + fractions,
        )


POSITION = ("shard", "segment")

TABLES = {
    table.name: table
    for table in (
        Table(
            name="raw_events",
            time="stream_time",
            id="anonymous_id",
            group="shard",
            nullable="user_id",
            integers=("source_offset", "sub_offset"),
            timestamps=("stream_time", "arrival_time"),
            binaries=("payload", "batch_envelope"),
            texts=(*POSITION, "partition_key", "anonymous_id", "user_id"),
            looked_up=("segment", "anonymous_id"),
        ),
        Table(
            name="events",
            time="event_time",
            id="message_id",
            group="event_type",
            nullable="user_id",
            integers=(
                *("source_offset", "sub_offset", "screen_width", "screen_height"),
                *("geo_asn", "session_event_number"),
            ),
            timestamps=(
                *("event_time", "stream_time", "arrival_time", "original_timestamp", "sent_at"),
                *("session_start", "session_latest"),
            ),
            fractions=("geo_latitude", "geo_longitude"),
            booleans=("is_bot",),
            days=("user_signup_date",),
            texts=(
                *("message_id", "event_type", "event_name", "anonymous_id", "user_id", "group_id", "previous_id"),
                *("ip", "user_agent", "locale", "timezone"),
                *("page_url", "page_path", "page_referrer", "page_title", "page_search"),
                *("campaign_name", "campaign_source", "campaign_medium", "campaign_term", "campaign_content"),
                *("app_name", "app_version", "os_name", "os_version"),
                *("device_type", "device_manufacturer", "device_model", "library_name", "library_version"),
                *("properties", "traits", "context", "extra", "contract", *POSITION),
                *("browser_name", "browser_version", "browser_os_name", "browser_os_version"),
                *("device_family", "device_brand", "device_class"),
                *("geo_country", "geo_region", "geo_city", "geo_as_organization"),
                *("session_id", "resolved_user_id", "resolved_by", "user_plan", "user_consent"),
            ),
            looked_up=(
                *("message_id", "user_agent", "page_url", "properties"),
                *("geo_country", "geo_latitude", "session_id", "user_signup_date"),
            ),
            promotable_texts=("order_id",),
            promotable_fractions=("revenue",),
        ),
        Table(
            name="quarantine",
            time="stream_time",
            id="message_id",
            group="reason",
            nullable="json_pointer",
            integers=("source_offset", "sub_offset"),
            timestamps=("stream_time", "arrival_time"),
            binaries=("payload", "batch_envelope"),
            texts=(
                *("reason", "json_pointer", "expected", "found", "contract", "event_type", "event_name"),
                *("message_id", "anonymous_id", "user_id", "library_name", "library_version", *POSITION),
            ),
            looked_up=("found",),
        ),
        Table(
            name="identities",
            time="stream_time",
            id="message_id",
            group="kind",
            nullable=None,
            integers=("source_offset", "sub_offset", "binding_number", "sightings"),
            timestamps=("stream_time", "arrival_time", "first_seen", "last_seen"),
            texts=("known_id", "user_id", "kind", "message_id", *POSITION),
            looked_up=("known_id", "user_id"),
        ),
    )
}


@dataclass(frozen=True)
class JsonNumber:
    """A number to add up: `key` at the top of the JSON object in `column` of `table`."""

    table: str
    column: str
    key: str

    @classmethod
    def parse(cls, text: str) -> "JsonNumber":
        table, column, key = text.split(".", 2)
        return cls(table, column, key)


@dataclass(frozen=True)
class Dialect:
    """How an SQL engine spells what differs between engines; every function takes a column's name, or a value to write.

    `binary_bytes` is None where the engine cannot tell the length of a binary.
    """

    micros: Callable[[str], str]
    day: Callable[[str], str]
    days_since_1970: Callable[[str], str]
    text_bytes: Callable[[str], str]
    binary_bytes: Callable[[str], str] | None
    json_decimal: Callable[[str, str], str]
    timestamp: Callable[[int], str]
    literal: Callable[[str], str]


class Source:
    """A table at a snapshot inside an engine that speaks SQL; `name` is what stands after FROM.

    `query` runs one statement and returns its rows as tuples; it is told how many columns to expect, which are called
    c0, c1 and so on.
    """

    def __init__(self, name: str, query: Callable[[str, int], list[tuple]]):
        self.name = name
        self.query = query

    def select(self, expressions: list[str], tail: str = "") -> list[tuple]:
        """Selects expressions; `tail` is what comes after FROM and its table."""
        columns = ", ".join(f"{expression} AS c{i}" for i, expression in enumerate(expressions))
        return self.query(f"SELECT {columns} FROM {self.name} {tail}", len(expressions))

    def one(self, expressions: list[str], tail: str = "") -> tuple:
        """Selects aggregates: one row."""
        return self.select(expressions, tail)[0]

    def counts(self, expression: str) -> dict[str, int]:
        """Counts the rows of each value of an expression."""
        return {str(value): rows for value, rows in self.select([expression, "count(*)"], "GROUP BY 1")}


def from_sql(table: Table, source: Source, dialect: Dialect, json_number: JsonNumber | None) -> dict:
    """Computes the figures through an engine that speaks SQL."""
    figures = whole_scan(table, source, dialect, json_number)
    figures["by_group"] = source.counts(table.group)
    figures["by_day"] = source.counts(dialect.day(table.time))
    figures["promoted"] = {c: dict(source.select(["contract", f"count({c})"], "GROUP BY 1")) for c in table.promoted}
    figures["aggregates_alone"] = aggregates_alone(table, source, dialect)
    figures["filtered"] = filtered(table, source, dialect, figures["by_day"])
    return figures


def whole_scan(table: Table, source: Source, dialect: Dialect, json_number: JsonNumber | None) -> dict:
    """Everything that one pass over all rows gives."""
    expressions = {
        ("rows",): "count(*)",
        ("distinct_ids",): f"count(DISTINCT {table.id})",
        ("min_time",): dialect.micros(f"min({table.time})"),
        ("max_time",): dialect.micros(f"max({table.time})"),
    }
    expressions |= {("sums", c): f"sum({c})" for c in table.integers}
    expressions |= {("sums", c): f"sum(abs({dialect.micros(c)}) % {MICROS_PER_DAY})" for c in table.timestamps}
    expressions |= {("sums", c): f"sum(CAST(round({c} * {HUNDREDTHS}) AS BIGINT))" for c in table.fractions}
    expressions |= {("sums", c): f"sum(CASE WHEN {c} THEN 1 ELSE 0 END)" for c in table.booleans}
    expressions |= {("sums", c): f"sum({dialect.days_since_1970(c)})" for c in table.days}
    expressions |= {("non_null", c): f"count({c})" for c in table.columns}
    expressions |= {("bytes", c): f"sum({dialect.text_bytes(c)})" for c in table.texts}
    if dialect.binary_bytes:
        expressions |= {("bytes", c): f"sum({dialect.binary_bytes(c)})" for c in table.binaries}
    if asked(json_number, table):
        expressions[("json_number",)] = f"sum({dialect.json_decimal(json_number.column, json_number.key)})"
    figures = nested(zip(expressions, source.one(list(expressions.values())), strict=True))
    figures["json_number"] = decimal_text(figures.get("json_number"))
    if not dialect.binary_bytes:
        figures["bytes"] |= dict.fromkeys(table.binaries, CANNOT)
    return figures


def aggregates_alone(table: Table, source: Source, dialect: Dialect) -> dict:
    """The aggregates that an engine may answer from the statistics in manifests, without opening a file."""
    names = ("rows", "min_time", "max_time", "min_source_offset", "max_source_offset")
    times = [dialect.micros(f"{end}({table.time})") for end in ("min", "max")]
    offsets = [f"{end}(source_offset)" for end in ("min", "max")]
    return dict(zip(names, source.one(["count(*)", *times, *offsets]), strict=True))


def filtered(table: Table, source: Source, dialect: Dialect, by_day: dict[str, int]) -> dict:
    """Counts under filters that let an engine skip partitions, files and row groups."""
    figures = {}
    for column in table.looked_up:
        (greatest,) = source.one([f"max({column})"])
        if greatest is not None:
            (rows,) = source.one(["count(*)"], f"WHERE {column} = {literal(table, dialect, column, greatest)}")
            figures[f"{column} at its greatest"] = rows
    for column in table.booleans:
        (figures[f"{column} is true"],) = source.one(["count(*)"], f"WHERE {column} = true")
    for column in table.nullables:
        (figures[f"{column} is null"],) = source.one(["count(*)"], f"WHERE {column} IS NULL")
    if by_day:
        start = day_start(middle_day(by_day))
        bounds = (dialect.timestamp(start), dialect.timestamp(start + MICROS_PER_DAY))
        where = f"WHERE {table.time} >= {bounds[0]} AND {table.time} < {bounds[1]}"
        (figures["on the middle day"],) = source.one(["count(*)"], where)
    return figures


def literal(table: Table, dialect: Dialect, column: str, value) -> str:
    """Writes a value of a column; days come as dates or as texts, according to the engine."""
    if column in table.fractions:
        return f"CAST({value} AS DOUBLE)"
    return f"DATE '{value}'" if column in table.days else dialect.literal(value)


def asked(json_number: JsonNumber | None, table: Table) -> bool:
    """Tells whether the JSON number is one of this table."""
    return json_number is not None and json_number.table == table.name


def middle_day(by_day: dict[str, int]) -> str:
    """Picks the day to filter by: every engine must pick the same."""
    return sorted(by_day)[len(by_day) // 2]


def day_start(day: str) -> int:
    """Returns a day's first microsecond since 1970."""
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * MICROS_PER_DAY


def decimal_text(number) -> str | None:
    """Writes a sum of decimals so that equal sums are equal texts."""
    return None if number is None else f"{Decimal(number):.6f}"


def nested(pairs) -> dict:
    """Turns `("sums", "a"): 1` into `{"sums": {"a": 1}}`; SQL's sum of nothing is no number, here it is 0."""
    figures: dict = {}
    for path, number in pairs:
        if number is None and path[0] in ("sums", "bytes"):
            number = 0
        if isinstance(number, Decimal) and path[0] != "json_number":
            number = int(number)
        if len(path) == 1:
            figures[path[0]] = number
        else:
            figures.setdefault(path[0], {})[path[1]] = number
    return figures

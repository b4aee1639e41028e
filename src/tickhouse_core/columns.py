"""The types of columns of every dataset, and what a value of each may be: a range of instants, a length of text."""

from dataclasses import dataclass

import pyarrow as pa

DECIMAL = pa.decimal128(38, 18)
"""Prices and quantities: exact; 18 digits before the point hold the largest real quantity (1e11) with room."""

INSTANT = pa.timestamp("us", tz="UTC")
NAME = pa.dictionary(pa.int32(), pa.string())
"""Few distinct values: dictionary-encoded in memory and in the file."""

LEVELS = pa.list_(
    pa.field(
        "element",
        pa.struct([pa.field("price", DECIMAL, nullable=False), pa.field("quantity", DECIMAL, nullable=False)]),
        nullable=False,
    )
)
"""One side of a book or of a diff, in the venue's order."""


def required(kind: pa.DataType, *names: str) -> tuple[pa.Field, ...]:
    """Columns of one type that hold no null."""
    return tuple(pa.field(name, kind, nullable=False) for name in names)


def nullable(kind: pa.DataType, *names: str) -> tuple[pa.Field, ...]:
    """Columns of one type, null where the venue does not send the value."""
    return tuple(pa.field(name, kind) for name in names)


@dataclass(frozen=True, slots=True)
class InstantRange:
    """The instants that a column can hold, in microseconds: from `first` on, up to but not including `end`."""

    first: int
    end: int

    def holds(self, instant_us: int) -> bool:
        return self.first <= instant_us < self.end


_END_US = 4_102_444_800_000_000  # 2100-01-01: ClickHouse's DateTime, which gold counts in, ends in 2106
MARKET_TIMES = InstantRange(1_230_940_800_000_000, _END_US)
"""What a venue can say, and when it can be received: nothing was traded before the first Bitcoin block, 2009-01-03.

It does not follow the clock, so that a file is judged the same on every day and machine.
"""

_SPAN_TIMES = InstantRange(0, _END_US)
"""A gap of klines begins where a backfill was asked to begin, which may be before the first market."""

_NAME_BYTES = 256
"""Of a venue, symbol, interval, cause, ...: far longer than any, and short enough for every page and index."""

_DETAIL_BYTES = 1024**2
"""Of what an event or a heartbeat says about itself, as JSON."""

_INSTANT_RANGES = {"started_at": _SPAN_TIMES, "ended_at": _SPAN_TIMES}


def instant_range(column: str) -> InstantRange:
    """What is plausible in a column of instants: outside of it an object is quarantined and a venue's message refused."""
    return _INSTANT_RANGES.get(column, MARKET_TIMES)


def most_text_bytes(field: pa.Field) -> int | None:
    """The longest text, in bytes of UTF-8, that a column may hold; None for a column of something else."""
    if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type):
        return _DETAIL_BYTES if field.name == "detail" else _NAME_BYTES
    return None

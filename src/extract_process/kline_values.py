"""PURE. What the values of any kline must be, whatever the venue: instants that a market can have, nothing negative."""

import pyarrow as pa
import pyarrow.compute as pc

from tickhouse_core.timestamps import DAY_US

EARLIEST_US = 1_230_940_800_000_000
"""2009-01-03, the first Bitcoin block: no market is older."""

LATEST_US = 4_102_444_800_000_000
"""2100-01-01. This range has one place: here, until the catalogue of datasets has one per column."""

_LONGEST_KLINE_US = 31 * DAY_US


def check_klines(rows: pa.Table) -> pa.Table:
    """The rows as they are. Raises ValueError that names the column and the value which cannot be."""
    for field in rows.schema if rows.num_rows else ():
        bounds = pc.min_max(rows[field.name]) if _is_ordered(field.type) else None
        if bounds is None:
            continue
        low, high = bounds["min"], bounds["max"]
        if pa.types.is_timestamp(field.type):
            latest_us = LATEST_US + (_LONGEST_KLINE_US if field.name == "close_time" else 0)
            if field.name != "receipt_time" and not EARLIEST_US <= low.value <= high.value <= latest_us:
                wrong = low if low.value < EARLIEST_US else high
                raise ValueError(f"{field.name} {wrong.value} us since 1970 is no time that a kline can have")
        elif low.as_py() < 0:
            raise ValueError(f"{field.name} {low.as_py()} is negative")
    return rows


def _is_ordered(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_decimal(kind) or pa.types.is_integer(kind))

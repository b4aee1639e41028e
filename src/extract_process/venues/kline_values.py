"""PURE. What the values of any kline must be, whatever the venue: not negative, and not in contradiction with each other.

Oddities that venues do have stay as they are: an open time off the grid, a kline that closes early.
"""

import pyarrow as pa
import pyarrow.compute as pc

from tickhouse_core.timestamps import format_instant


def check_klines(rows: pa.Table) -> pa.Table:
    """The rows as they are. Raises ValueError that names the column and the value which cannot be."""
    if not rows.num_rows:
        return rows
    for field in rows.schema:
        if pa.types.is_decimal(field.type) or pa.types.is_integer(field.type):
            lowest = pc.min(rows[field.name]).as_py()
            if lowest < 0:
                raise ValueError(f"{field.name} {lowest} is negative")
    _check_order(rows, "low", "high")
    _check_order(rows, "open_time", "close_time")
    return rows


def _check_order(rows: pa.Table, lower: str, upper: str) -> None:
    wrong = pc.greater(rows[lower], rows[upper])
    if pc.any(wrong).as_py():
        row = rows.filter(wrong)
        said = " is below ".join(f"{name} {_said(row[name][0])}" for name in (upper, lower))
        raise ValueError(f"in the kline of {_said(row['open_time'][0])} {said}")


def _said(value: pa.Scalar) -> str:
    return format_instant(value.value) if pa.types.is_timestamp(value.type) else str(value.as_py().normalize())

"""PURE. What the values of any kline must be, whatever the venue: no price, volume or count is negative."""

import pyarrow as pa
import pyarrow.compute as pc


def check_klines(rows: pa.Table) -> pa.Table:
    """The rows as they are. Raises ValueError that names the column and the value which cannot be."""
    for field in rows.schema if rows.num_rows else ():
        if pa.types.is_decimal(field.type) or pa.types.is_integer(field.type):
            lowest = pc.min(rows[field.name]).as_py()
            if lowest < 0:
                raise ValueError(f"{field.name} {lowest} is negative")
    return rows

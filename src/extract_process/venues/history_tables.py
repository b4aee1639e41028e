"""PURE. Columns of a venue's history (trades of files, their aggregates, funding rates, open interest) as checked rows."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from extract_process.decimals import decimals
from extract_process.venues.parsing import complete_array, decimals_of, instants_of, integers_of, repeated
from tickhouse_core.columns import INSTANT
from tickhouse_core.datasets import AGG_TRADES, FUNDING_RATES, OPEN_INTEREST, TRADES


def trades_table(columns: dict[str, Any], *, venue: str, symbol: str, receipt_time: int) -> pa.Table:
    """Columns of trades that were not received live (times in microseconds, numbers as text) as rows of the dataset trades.

    No message said them, so their event_time is when they happened. Raises ValueError or ArrowInvalid for values that no trade
    can have.
    """
    rows = len(columns["trade_id"])
    filled: dict[str, Any] = {"venue": repeated(venue, rows), "symbol": repeated(symbol, rows)}
    filled["trade_id"] = integers_of(columns["trade_id"])
    filled["is_buyer_maker"] = complete_array(columns["is_buyer_maker"], pa.bool_())
    filled |= {name: decimals_of(columns[name]) for name in ("price", "quantity")}
    filled["trade_time"] = filled["event_time"] = instants_of(columns["trade_time"], grain=1)
    return _history_table(TRADES.schema, filled, receipt_time)


def agg_trades_table(columns: dict[str, Any], *, venue: str, symbol: str, receipt_time: int) -> pa.Table:
    """Columns of aggregate trades (times in microseconds, prices and quantities as text) as rows of the dataset agg_trades.

    A row with a first trade below 0 is a placeholder, and left out. Raises ValueError or ArrowInvalid for values that cannot be.
    """
    given = pa.table(columns)
    given = given.filter(pc.greater_equal(complete_array(given["first_trade_id"], pa.int64()), 0))
    if pc.any(pc.less(given["last_trade_id"], given["first_trade_id"])).as_py():
        raise ValueError("an aggregate ends before its first trade")
    filled: dict[str, Any] = {"venue": repeated(venue, given.num_rows), "symbol": repeated(symbol, given.num_rows)}
    for name in ("agg_trade_id", "first_trade_id", "last_trade_id"):
        filled[name] = integers_of(given[name]).cast(pa.uint64())
    filled["is_buyer_maker"] = complete_array(given["is_buyer_maker"], pa.bool_())
    filled |= {name: decimals_of(given[name]) for name in ("price", "quantity")}
    filled["trade_time"] = instants_of(given["trade_time"], grain=1)
    return _history_table(AGG_TRADES.schema, filled, receipt_time)


def funding_rates_table(columns: dict[str, Any], *, venue: str, symbol: str, receipt_time: int) -> pa.Table:
    """Settled rates, which may be negative, as rows of the dataset funding_rates; a mark price may be missing.

    Times in microseconds, numbers as text. Raises ValueError or ArrowInvalid for values that cannot be.
    """
    rows = len(columns["funding_time"])
    filled: dict[str, Any] = {"venue": repeated(venue, rows), "symbol": repeated(symbol, rows)}
    filled["funding_time"] = instants_of(columns["funding_time"], grain=1)
    filled["funding_rate"] = decimals_of(columns["funding_rate"])
    filled["mark_price"] = decimals(columns["mark_price"])
    return _history_table(FUNDING_RATES.schema, filled, receipt_time, may_be_negative=("funding_rate",))


def open_interest_table(
    columns: dict[str, Any], *, venue: str, symbol: str, period: str, source: str, receipt_time: int
) -> pa.Table:
    """Rows of the dataset open_interest, otherwise as `funding_rates_table`."""
    rows = len(columns["event_time"])
    named = {"venue": venue, "symbol": symbol, "period": period, "source": source}
    filled: dict[str, Any] = {name: repeated(value, rows) for name, value in named.items()}
    filled["event_time"] = instants_of(columns["event_time"], grain=1)
    filled |= {name: decimals_of(columns[name]) for name in ("open_interest", "open_interest_value")}
    return _history_table(OPEN_INTEREST.schema, filled, receipt_time)


def _history_table(
    schema: pa.Schema, filled: dict[str, Any], receipt_time: int, may_be_negative: tuple[str, ...] = ()
) -> pa.Table:
    filled["receipt_time"] = pa.repeat(pa.scalar(receipt_time, INSTANT), len(filled["venue"]))
    table = pa.table([filled[field.name] for field in schema], schema=schema)
    for field in schema:
        if pa.types.is_decimal(field.type) and field.name not in may_be_negative:
            lowest = pc.min(table[field.name]).as_py()
            if lowest is not None and lowest < 0:
                raise ValueError(f"{field.name} {lowest} is negative")
    return table

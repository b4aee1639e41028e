"""What the page shows, as a file: candles, coverage, events and health as CSV or Parquet. Numbers of the market are exact."""

import io
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from status_page.history import History
from status_page.market import INTERVALS, NEVER_US, Series, parameters
from status_page.queries import Queries
from status_page.vitals import COLUMNS, Vitals
from tickhouse_core.errors import UsageError, WarehouseUnavailable
from tickhouse_core.timestamps import SECOND_US, now_us

MOST_CANDLES = 20_000
"""As many steps as the chart holds."""

MOST_EVENTS = 10_000
_AT_ONCE = 2
"""A file is some tens of megabytes while it is made, and the process that makes it may be the recorder."""

_STEPS_AT_ONCE = 4_000

_INSTANT = pa.timestamp("us", tz="UTC")
_MONEY = pa.decimal128(38, 18)
_COUNT = pa.uint64()
_WORDS = pa.string()

CANDLES = pa.schema(
    {
        "open_time": _INSTANT,
        "open": _MONEY,
        "high": _MONEY,
        "low": _MONEY,
        "close": _MONEY,
        "volume": _MONEY,
        "is_complete": pa.bool_(),
        "source": _WORDS,
    }
)
COVERAGE = pa.schema(
    {
        "opened": _INSTANT,
        **dict.fromkeys(("complete_minutes", "minutes_of_trades", "klines", "verified_book_seconds"), _COUNT),
        **dict.fromkeys(("trade_gaps", "book_gaps", "kline_gaps", "healed"), _COUNT),
    }
)
EVENTS = pa.schema(
    {
        "started_at": _INSTANT,
        **dict.fromkeys(("venue", "symbol", "channel", "instance", "event", "cause", "detail"), _WORDS),
        "from_update_id": _COUNT,
        "to_update_id": _COUNT,
        "ended_at": _INSTANT,
    }
)
HEALTH = pa.schema({name: _INSTANT if name == "opened" else pa.float64() for name in COLUMNS})


class Exports:
    """Thread-safe. Errors: the warehouse's, and UsageError for more than a file may hold."""

    def __init__(self, queries: Queries, past: History, vitals: Vitals) -> None:
        self._queries = queries
        self._past = past
        self._vitals = vitals
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    @contextmanager
    def place(self) -> Iterator[None]:
        """For one file, until it is written. Raises WarehouseUnavailable where two are made already."""
        if not self._places.acquire(blocking=False):
            raise WarehouseUnavailable(f"{_AT_ONCE} files are made already: try again in a moment")
        try:
            yield
        finally:
            self._places.release()

    def candles(self, series: Series, since_us: int, until_us: int) -> pa.Table:
        """Those that are stored, [since, until); of the candle that runs the page knows more."""
        step = INTERVALS[series[2]] * SECOND_US
        until_us = min(until_us, now_us() + step)
        if (until_us - since_us) // step > MOST_CANDLES:
            raise UsageError(f"at most {MOST_CANDLES:,} candles: choose a shorter time, or `tickhouse export parquet`")
        rows: list[Sequence[Any]] = []
        for begin in range(since_us, until_us, _STEPS_AT_ONCE * step):
            end = min(begin + _STEPS_AT_ONCE * step, until_us)
            asked = parameters(series, begin, end) | {"minutes_us": NEVER_US}
            rows += [row[: len(CANDLES)] for row in self._queries.ask("candles", asked)]
        return _table(CANDLES, rows)

    def coverage(self, venue: str, symbol: str, unit: str) -> pa.Table:
        """The cells of the calendar that have anything."""
        return _table(COVERAGE, self._past.calendar(venue, symbol, unit)["cells"])

    def events(self, venue: str, symbol: str, kind: str, until_us: int) -> pa.Table:
        """The newest before an instant, at most 10,000."""
        return _table(EVENTS, self._past.events(venue, symbol, kind, until_us, 0, MOST_EVENTS))

    def health(self) -> pa.Table:
        """A row for every five minutes of 24 hours."""
        return _table(HEALTH, self._vitals.day()["slots"])


def _table(schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema)


def _csv(table: pa.Table) -> bytes:
    body = io.BytesIO()
    pa.csv.write_csv(table, body)
    return body.getvalue()


def _parquet(table: pa.Table) -> bytes:
    body = io.BytesIO()
    pa.parquet.write_table(table, body, compression="zstd")
    return body.getvalue()


FORMATS: Mapping[str, tuple[Callable[[pa.Table], bytes], str]] = {
    "csv": (_csv, "text/csv; charset=utf-8"),
    "parquet": (_parquet, "application/vnd.apache.parquet"),
}
"""By the file's ending: how it is written, and its media type."""

"""Binance's bulk files of trades and of aggregate trades: one zip for a day or month of a symbol, read in blocks.

"The `trades` files' data is obtained from /api/v3/historicalTrades", of futures "from /fapi/v1/trades" and "/dapi/v1/trades";
"the timestamp for SPOT data from January 1st 2025 onwards will be in microseconds"
(https://github.com/binance/binance-public-data). Newer files of futures have a header, spot's have none. Of aggregates "p = 0,
q = 0, f = -1, l = -1" is a placeholder (changelog of 2022-04-12): no row.
"""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from extract_process.venues.binance.archive_files import DAY_LENGTH, folder_of
from extract_process.venues.binance.archive_zip import UNREADABLE, Shape, blocks_of_lines, in_one_line
from extract_process.venues.binance.klines import in_us
from extract_process.venues.history_tables import agg_trades_table, trades_table
from tickhouse_core.columns import INSTANT
from tickhouse_core.datasets import AGG_TRADES, TRADES, Dataset
from tickhouse_core.errors import VenueRefused
from tickhouse_core.timestamps import DAY_US, MINUTE_US, now_us, parse_instant

MOST_TRADE_BYTES = 32 * 1024**3
"""Of a zip file: several times a month of the busiest market."""

_LAST_ID = 2**63 - 2
_MOST_ROWS = 2**31
_ROW_BYTES = 192
"""The longest row there can be: an id, three numbers, a time and two words."""

_VALUES = {"price": pa.string(), "quantity": pa.string(), "trade_time": pa.int64(), "is_buyer_maker": pa.bool_()}


@dataclass(frozen=True, slots=True)
class _Layout:
    """Files of one kind. `folder`: their place in the archive; `places` of a row, of which futures lack the last one."""

    folder: str
    shape: Shape
    places: tuple[str, ...]
    types: dict[str, pa.DataType]
    table: Callable[..., pa.Table]


_LAYOUTS = {
    TRADES.name: _Layout(
        "trades",
        Shape(re.compile(rb'"?(trade[ _]?)?id"?,', re.IGNORECASE), _ROW_BYTES, "trades"),
        ("trade_id", "price", "quantity", "quote_quantity", "trade_time", "is_buyer_maker", "is_best_match"),
        {"trade_id": pa.uint64(), **_VALUES},
        trades_table,
    ),
    AGG_TRADES.name: _Layout(
        "aggTrades",
        Shape(re.compile(rb'"?agg[ _]?trade[ _]?id"?,', re.IGNORECASE), _ROW_BYTES, "aggregate trades"),
        (
            *("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "trade_time", "is_buyer_maker"),
            "is_best_match",
        ),
        {"agg_trade_id": pa.uint64(), "first_trade_id": pa.int64(), "last_trade_id": pa.int64(), **_VALUES},
        agg_trades_table,
    ),
}
"""By dataset."""

_SPARE_US = MINUTE_US
"""So far outside of its day a trade may be; farther it is another day's, or in another unit of time."""


class BinanceTradeFile:
    """A TradeFile; see there. Repeated ids stay."""

    def __init__(
        self, file: IO[bytes], path: str, sha256: str, venue: str, symbol: str, date: str, dataset: Dataset = TRADES
    ) -> None:
        self.name = path.rpartition("/")[2]
        self.sha256 = sha256
        self.date = date
        self._file = file
        self._path = path
        self._named = {"venue": venue, "symbol": symbol}
        self.dataset = dataset
        self._period = _period_of(date)

    def tables(self) -> Iterator[pa.Table]:
        """Rows without a price are left out: they are no trades of the market."""
        rows, layout = 0, _LAYOUTS[self.dataset.name]
        try:
            for lines in blocks_of_lines(self._file, layout.shape, _MOST_ROWS):
                columns = _read_csv(lines, layout)
                table = layout.table(columns, **self._named, receipt_time=now_us())
                self._check_times(table)
                rows += table.num_rows
                trades = table.filter(pc.greater(table["price"], 0))
                _check_ids(trades, layout)
                yield trades
        except UNREADABLE as error:
            raise VenueRefused(f"{self._path} cannot be read: {in_one_line(error)}") from error
        if not rows:
            raise VenueRefused(f"{self._path} has no trade in it")

    def _check_times(self, table: pa.Table) -> None:
        """Raises ValueError for trades of another time."""
        if not table.num_rows:  # of placeholders alone
            return
        times = table["trade_time"].cast(pa.int64())
        first, last = pc.min(times).as_py(), pc.max(times).as_py()
        if first < self._period[0] - _SPARE_US or last >= self._period[1] + _SPARE_US:
            found = " to ".join(str(pa.scalar(at, INSTANT).as_py()) for at in (first, last))
            raise ValueError(f"it has trades of another time: {found}")


def _check_ids(table: pa.Table, layout: _Layout) -> None:
    """Raises ValueError for ids that are none of a trade: what counts them has no room for those from 2^63 on."""
    for name in layout.types:
        if name.endswith("_id") and table.num_rows:
            ids = pc.min_max(table[name]).as_py()
            if ids["min"] < 0 or ids["max"] > _LAST_ID:
                raise ValueError(f"it has an id that no trade can have: {min(ids['min'], 0) or ids['max']}")


def trades_path(market: str, symbol: str, date: str, dataset: Dataset = TRADES) -> str:
    folder = _LAYOUTS[dataset.name].folder
    return f"{folder_of(market, folder, symbol, date)}/{quote(symbol)}-{folder}-{date}.zip"


def _period_of(date: str) -> tuple[int, int]:
    """Half-open, in microseconds."""
    if len(date) == DAY_LENGTH:
        start = parse_instant(date)
        return start, start + DAY_US
    start = parse_instant(f"{date}-01")
    return start, start + 31 * DAY_US


def _read_csv(lines: bytes, layout: _Layout) -> dict[str, pa.ChunkedArray]:
    """Numbers as the text they are, times in microseconds."""
    places = lines.partition(b"\n")[0].count(b",") + 1
    table = pyarrow.csv.read_csv(
        io.BytesIO(lines),
        pyarrow.csv.ReadOptions(column_names=list(layout.places[:places])),
        convert_options=pyarrow.csv.ConvertOptions(column_types=layout.types, include_columns=list(layout.types)),
    )
    columns = {name: table.column(name) for name in layout.types}
    return columns | {"trade_time": in_us(columns["trade_time"])}

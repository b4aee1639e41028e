"""The bulk archive's trades and aggregates: a finished day or month of a symbol, a zip with a CHECKSUM, rows equal to REST's.

Spot has no header, `is_best_match` and "microseconds from 2025-01-01 on"; futures have a header and milliseconds. A trade is
there as far as the venue knows it: since its book was started, and not longer than the log of trades reaches back.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from simulated_exchange.binance.agg_trades import aggregates
from simulated_exchange.binance.archive import MICROSECONDS_SINCE, as_sent, checksum_of, period_of, zipped
from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.faults import FaultKind

_PATH = re.compile(
    r"(?P<period>daily|monthly)/(?P<kind>trades|aggTrades)/(?P<symbol>[^/]+)"
    r"/(?P=symbol)-(?P=kind)-(?P<date>\d{4}-\d\d(?:-\d\d)?)\.zip(?P<checksum>\.CHECKSUM)?"
)
_HEADERS = {
    "trades": "id,price,qty,quote_qty,time,is_buyer_maker",
    "aggTrades": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
}
_KEPT = 8


@dataclass(frozen=True, slots=True)
class TradesFile:
    """Which file a path names: trades in [start, end), milliseconds."""

    symbol: str
    start: int
    end: int
    name: str
    wants_checksum: bool
    kind: str
    """`trades` or `aggTrades`."""


def parse_trades_path(path: str, folder: str) -> TradesFile | None:
    """The file behind a (percent-decoded) path, with or without `.CHECKSUM`; None if the folder has no such path."""
    match = _PATH.fullmatch(path.removeprefix(folder)) if path.startswith(folder) else None
    period = period_of(match["period"], match["date"]) if match else None
    if not match or not period:
        return None
    name = f"{match['symbol']}-{match['kind']}-{match['date']}"
    return TradesFile(match["symbol"], *period, name, bool(match["checksum"]), match["kind"])


class TradesArchive:
    """Keeps the last few files: a zip and its CHECKSUM are two requests. Not for several threads at once."""

    def __init__(self, *, is_spot: bool) -> None:
        self._is_spot = is_spot
        self._zips: OrderedDict[tuple[TradesFile, frozenset[FaultKind]], bytes | None] = OrderedDict()

    def read(
        self, file: TradesFile, trades: Callable[[TimeUnit], str], faults: frozenset[FaultKind] = frozenset()
    ) -> bytes | None:
        """The bytes of the zip or of its CHECKSUM; None where no trade of the time is known. `trades`: all, as REST has them."""
        key = replace(file, wants_checksum=False), faults
        if key not in self._zips:
            unit = TimeUnit.MICROSECOND if self._is_spot and file.start >= MICROSECONDS_SINCE else TimeUnit.MILLISECOND
            self._zips[key] = self._build(file, orjson.loads(trades(unit)), unit, faults)
            if len(self._zips) > _KEPT:
                self._zips.popitem(last=False)
        content = self._zips[key]
        if content is None:
            return None
        return checksum_of(content, file.name, faults) if file.wants_checksum else as_sent(content, faults)

    def _build(
        self, file: TradesFile, trades: Iterable[dict[str, Any]], unit: TimeUnit, faults: frozenset[FaultKind]
    ) -> bytes | None:
        time = "T" if file.kind == "aggTrades" else "time"
        known = aggregates(trades) if file.kind == "aggTrades" else trades
        rows = [row for row in known if file.start * unit <= row[time] < file.end * unit]
        if FaultKind.ARCHIVE_MISSING_ROWS in faults:
            rows = rows[: len(rows) // 2] + rows[len(rows) // 2 + max(1, len(rows) // 10) :]
        if not rows:
            return None
        line = _aggregate_line if file.kind == "aggTrades" else _trade_line
        header = [] if self._is_spot else [_HEADERS[file.kind]]
        lines = (line(row, is_spot=self._is_spot) for row in rows)
        return zipped(f"{file.name}.csv", "\n".join([*header, *lines, ""]).encode())


def _trade_line(trade: dict[str, Any], *, is_spot: bool) -> str:
    quote = trade.get("quoteQty", trade.get("baseQty", "0"))
    numbers = f"{trade['id']},{trade['price']},{trade['qty']},{quote},{trade['time']}"
    return f"{numbers},{_words(trade['isBuyerMaker'], trade.get('isBestMatch', True), is_spot=is_spot)}"


def _aggregate_line(one: dict[str, Any], *, is_spot: bool) -> str:
    numbers = f"{one['a']},{one['p']},{one['q']},{one['f']},{one['l']},{one['T']}"
    return f"{numbers},{_words(one['m'], one['M'], is_spot=is_spot)}"


def _words(is_buyer_maker: bool, is_best_match: bool, *, is_spot: bool) -> str:
    """Of spot two words as Python writes them."""
    return f"{is_buyer_maker},{is_best_match}" if is_spot else str(is_buyer_maker).lower()

"""The bulk archive's trades: a finished day or month of a symbol as a zip with a CHECKSUM, rows equal to REST's.

Spot has 7 columns and no header, "microseconds from 2025-01-01 on"; futures have 6, a header, and milliseconds. A trade is there
as far as the venue knows it: since its book was started, and not longer than the log of trades reaches back.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from simulated_exchange.binance.archive import MICROSECONDS_SINCE, as_sent, checksum_of, period_of, zipped
from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.faults import FaultKind

_PATH = re.compile(
    r"(?P<period>daily|monthly)/trades/(?P<symbol>[^/]+)"
    r"/(?P=symbol)-trades-(?P<date>\d{4}-\d\d(?:-\d\d)?)\.zip(?P<checksum>\.CHECKSUM)?"
)
_HEADER = "id,price,qty,quote_qty,time,is_buyer_maker"
_KEPT = 8


@dataclass(frozen=True, slots=True)
class TradesFile:
    """Which file a path names: trades in [start, end), milliseconds."""

    symbol: str
    start: int
    end: int
    name: str
    wants_checksum: bool


def parse_trades_path(path: str, folder: str) -> TradesFile | None:
    """The file behind a (percent-decoded) path, with or without `.CHECKSUM`; None if the folder has no such path."""
    match = _PATH.fullmatch(path.removeprefix(folder)) if path.startswith(folder) else None
    period = period_of(match["period"], match["date"]) if match else None
    if not match or not period:
        return None
    return TradesFile(match["symbol"], *period, f"{match['symbol']}-trades-{match['date']}", bool(match["checksum"]))


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
        rows = [trade for trade in trades if file.start * unit <= trade["time"] < file.end * unit]
        if FaultKind.ARCHIVE_MISSING_ROWS in faults:
            rows = rows[: len(rows) // 2] + rows[len(rows) // 2 + max(1, len(rows) // 10) :]
        if not rows:
            return None
        lines = map(_spot_line if self._is_spot else _futures_line, rows)
        return zipped(f"{file.name}.csv", "\n".join([*([] if self._is_spot else [_HEADER]), *lines, ""]).encode())


def _spot_line(trade: dict[str, Any]) -> str:
    """Words as Python writes them."""
    return f"{_numbers(trade)},{trade['isBuyerMaker']},{trade.get('isBestMatch', True)}"


def _futures_line(trade: dict[str, Any]) -> str:
    return f"{_numbers(trade)},{str(trade['isBuyerMaker']).lower()}"


def _numbers(trade: dict[str, Any]) -> str:
    quote = trade.get("quoteQty", trade.get("baseQty", "0"))
    return f"{trade['id']},{trade['price']},{trade['qty']},{quote},{trade['time']}"

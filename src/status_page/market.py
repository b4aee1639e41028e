"""One market for the charts: klines and the book, cached for a moment so that many viewers cost as much as one."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from status_page.queries import Queries
from tickhouse_core.timestamps import MINUTE_US, SECOND_US, now_us, to_datetime

KLINES_SHOWN = 500
LEVELS_SHOWN = 200
_FRESH_SECONDS = 0.9
_LIVE_US, _MOST_LIVE_US = 3 * MINUTE_US, 60 * MINUTE_US
"""How far back trades are read: as far as the transformer is behind, within bounds."""

_MOST_MINUTES_US = 2 * 24 * 60 * MINUTE_US
_DIFFS_US = 60 * MINUTE_US
_MOST_REMEMBERED = 64
_MOST_HOLES = 4
_END_US = 4_000_000_000 * SECOND_US

Series = tuple[str, str, str]
"""Venue, symbol, interval."""

INTERVALS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "4h": 14_400, "1d": 86_400}
"""What gold has, in seconds."""


class Candle(NamedTuple):
    """One kline; the instant it opened in microseconds, prices as floats: they are drawn, not computed with."""

    opened: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    is_complete: bool


def candle(row: Sequence[object]) -> Candle:
    """A row of the status queries."""
    opened, first, high, low, close, volume = (float(str(value)) for value in row[:6])
    return Candle(int(opened), first, high, low, close, volume, bool(row[6]))


def with_the_youngest(
    stored: Sequence[Candle], minutes: Iterable[Candle], live: Iterable[Candle], interval_seconds: int
) -> list[Candle]:
    """The stored klines, the last of them and those after it made of minutes (or of `live` alone, below a minute).

    A live minute wins over a stored one: it is made of at least the same trades.
    """
    youngest = stored[-1].opened if stored else 0
    parts = {part.opened: part for part in minutes} | {part.opened: part for part in live}
    rolled = roll_up([parts[opened] for opened in sorted(parts) if opened >= youngest], interval_seconds)
    known = {kline.opened: kline for kline in stored}
    for kline in rolled:
        before = known.get(kline.opened)
        if before is None or not before.is_complete or kline.volume > before.volume:
            known[kline.opened] = kline
    return [known[opened] for opened in sorted(known)]


def roll_up(parts: Iterable[Candle], interval_seconds: int) -> list[Candle]:
    """Merges ordered klines into longer ones."""
    length = interval_seconds * 1_000_000
    rolled: list[Candle] = []
    for part in parts:
        opened = part.opened // length * length
        if rolled and rolled[-1].opened == opened:
            last = rolled[-1]
            rolled[-1] = Candle(
                opened,
                last.open,
                max(last.high, part.high),
                min(last.low, part.low),
                part.close,
                last.volume + part.volume,
                False,
            )
        else:
            rolled.append(part._replace(opened=opened, is_complete=part.is_complete and part.opened == opened))
    return rolled


class Markets:
    """Thread-safe. Errors: the warehouse's."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[str, ...], tuple[float, Any]] = OrderedDict()

    def klines(self, venue: str, symbol: str, interval: str) -> list[Candle]:
        """The last 500, including the running one."""
        return list(
            self._remember(("klines", venue, symbol, interval), lambda: self._klines(venue, symbol, interval, KLINES_SHOWN))
        )

    def live(self, venue: str, symbol: str, interval: str) -> dict[str, Any]:
        """The youngest three klines and the best levels of the book."""
        klines = self._remember(("young", venue, symbol, interval), lambda: self._klines(venue, symbol, interval, 3))
        book = self._remember(("book", venue, symbol), lambda: self._book(venue, symbol))
        return {"venue": venue, "symbol": symbol, "interval": interval, "klines": list(map(tuple, klines)), "book": book}

    def _remember(self, what: tuple[str, ...], read: Any) -> Any:
        with self._lock:
            known = self._remembered.get(what)
            if known is None or time.monotonic() - known[0] > _FRESH_SECONDS:
                known = self._remembered[what] = (time.monotonic(), read())
                self._remembered.move_to_end(what)
                while len(self._remembered) > _MOST_REMEMBERED:
                    self._remembered.popitem(last=False)
            return known[1]

    def _klines(self, venue: str, symbol: str, interval: str, most: int) -> list[Candle]:
        seconds = INTERVALS[interval]
        now = now_us()
        market: dict[str, Any] = {"venue": venue, "symbol": symbol}
        stored = self._stored(market | {"interval": interval}, seconds, most)
        young = stored[-1].opened if stored else 0
        part_seconds = min(60, seconds)
        minutes: list[Candle] = []
        if seconds > 60:
            since = max(young, now - _MOST_MINUTES_US)
            asked = market | {"interval": "1m", "since_us": since, "until_us": _END_US}
            minutes = [candle(row) for row in self._queries.ask("candles", asked)]
        behind = now - (minutes[-1].opened if minutes else young)
        back = min(max(_LIVE_US, behind), _MOST_LIVE_US) if seconds >= 60 else MINUTE_US
        since = (now - back) // (part_seconds * SECOND_US) * part_seconds * SECOND_US
        rows = self._queries.ask("live_candles", market | {"seconds": part_seconds, "since_us": since})
        return with_the_youngest(stored, minutes, map(candle, rows), seconds)[-most:]

    def _stored(self, series: dict[str, Any], seconds: int, most: int) -> list[Candle]:
        """The last klines, across a few holes of any length: a backfill may end long before the capture began."""
        stored: list[Candle] = []
        for _ in range(_MOST_HOLES):
            until = stored[0].opened if stored else _END_US
            [[newest]] = self._queries.ask("newest_candle", series | {"until_us": until})
            if not newest or len(stored) >= most:
                break
            since = int(newest) - (most - len(stored) - 1) * seconds * SECOND_US
            rows = self._queries.ask("candles", series | {"since_us": max(0, since), "until_us": until})
            stored = [*map(candle, rows), *stored]
        return stored

    def _book(self, venue: str, symbol: str) -> dict[str, Any] | None:
        """None without a diff in the last hour of loads."""
        market: dict[str, Any] = {"venue": venue, "symbol": symbol}
        [[event_us, update_id]] = self._queries.ask("newest_diff", market | {"since_us": now_us() - _DIFFS_US})
        if not update_id:
            return None
        at = to_datetime(int(event_us)).strftime("%Y-%m-%d %H:%M:%S.%f")
        rows = self._queries.ask("book", market | {"at": at, "levels": LEVELS_SHOWN})
        sides = {side: [(price, quantity) for which, price, quantity, _, _ in rows if which == side] for side in ("bid", "ask")}
        return {
            "event_time": int(event_us),
            "last_update_id": int(rows[0][3]) if rows else 0,
            "is_proven": bool(rows[0][4]) if rows else False,
            "bids": sides["bid"],
            "asks": sides["ask"],
        }

"""One market for the charts: klines and the book, cached for a moment so that many viewers cost as much as one."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from status_page.queries import Queries, Recent
from status_page.remedies import Running, for_book
from tickhouse_core.timestamps import DAY_US, MINUTE_US, SECOND_US, now_us, to_datetime

WINDOW_STEPS = 1_000
"""Most steps in a window of the chart, each with or without a kline."""

LEVELS_SHOWN = 200
_FRESH_SECONDS = 0.9
_LOOK_SECONDS, _BOOK_SECONDS = 2.0, 10.0
"""Of a book: how often its newest update is looked for, and when it is read again without one: an older update may have come.

It is the dearest query of the page, and its updates are loaded in batches of two seconds and more."""

_LIVE_US, _MOST_LIVE_US = 3 * MINUTE_US, 60 * MINUTE_US
"""How far back trades are read: as far as the transformer is behind, within bounds."""

_MOST_MINUTES_US = 2 * 24 * 60 * MINUTE_US
_DIFFS_US = 60 * MINUTE_US
NEVER_US = 4_000_000_000 * SECOND_US
"""After every kline."""

_PROOF_US = DAY_US

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
    source: str
    """`trades`, `klines`, or `mixed` where a longer one was made of both."""


def candle(row: Sequence[object]) -> Candle:
    """A row of the status queries."""
    opened, first, high, low, close, volume = (float(str(value)) for value in row[:6])
    return Candle(int(opened), first, high, low, close, volume, bool(row[6]), str(row[7]))


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
                last.source if last.source == part.source else "mixed",
            )
        else:
            rolled.append(part._replace(opened=opened, is_complete=part.is_complete and part.opened == opened))
    return rolled


class Markets:
    """Thread-safe. Errors: the warehouse's."""

    def __init__(self, windows: Queries, gaps: Queries, live: Queries, running: Callable[[], Running] = Running) -> None:
        """Three connections: klines of a window and its gaps are read at the same time, and who pages through history does not
        wait for all who watch, nor they for the one.

        `running`: how the pipeline runs now, for the command of a book that is unverified.
        """
        self._running = running
        self._gaps = gaps
        self._windows = Recent(windows, _FRESH_SECONDS)
        self._live = Recent(live, _FRESH_SECONDS)
        self._looks = Recent(live, _LOOK_SECONDS)
        self._books = Recent(live, _BOOK_SECONDS)

    def window(self, venue: str, symbol: str, interval: str, until_us: int | None = None) -> dict[str, Any]:
        """The klines of 1,000 steps before `until_us`, and their gaps. Without it up to now, or up to the last kline there is.

        `since`, `until`; `klines`; `gaps`: channel, cause, from, to, first and last missing id, whether healed, when the book was
        in sync again; `before`, `after`: when the klines beside the window opened, 0 without any. `loaded`: where there is no
        kline at all, what the market has instead, each kind with its rows. Instants in microseconds.
        """
        series, step = (venue, symbol, interval), INTERVALS[interval] * SECOND_US
        if until_us is not None:
            return self._window(series, step, -(-until_us // step) * step)
        return dict(self._windows.get(("newest", *series), lambda: self._window(series, step, None)))

    def live(self, venue: str, symbol: str, interval: str) -> dict[str, Any]:
        """The youngest three klines and the best levels of the book."""
        klines = self._live.get(("young", venue, symbol, interval), lambda: self._young((venue, symbol, interval)))
        book = self._looks.get((venue, symbol), lambda: self._book(venue, symbol))
        return {"venue": venue, "symbol": symbol, "interval": interval, "klines": list(map(tuple, klines)), "book": book}

    def _window(self, series: Series, step: int, asked: int | None) -> dict[str, Any]:
        now = -(-now_us() // step) * step
        until = now if asked is None else asked
        window = self._stretch(series, step, until, now)
        if asked is None and not window["klines"] and window["before"]:
            window = self._stretch(series, step, window["before"] + step, now)
        return window

    def _stretch(self, series: Series, step: int, until: int, now: int) -> dict[str, Any]:
        since = until - WINDOW_STEPS * step
        queries = self._windows.queries
        with ThreadPoolExecutor(1, "gaps") as meanwhile:
            gaps = meanwhile.submit(self._gaps.ask, "gaps", parameters(series, since, until))
            wide = self._between(series, since - step, until + step)
            before = next((kline.opened for kline in wide if kline.opened < since), 0)
            after = next((kline.opened for kline in wide if kline.opened >= until), 0)
            if not before or not (after or until >= now):  # none right beside the window: the next one is looked for
                before, after = _beside(queries, series, since, until)
        klines = [tuple(kline) for kline in wide if since <= kline.opened < until]
        is_empty = not (klines or before or after)
        return {
            "since": since,
            "until": until,
            "klines": klines,
            "gaps": gaps.result(),
            "before": before,
            "after": after,
            "loaded": queries.ask("loaded_rows", {"venue": series[0], "symbol": series[1]}) if is_empty else [],
        }

    def _between(self, series: Series, since: int, until: int) -> list[Candle]:
        """The stored klines of a stretch, and of trades whatever is younger than storage."""
        stored, minutes = _stored(self._windows.queries, series, since, until)
        if until + _MOST_LIVE_US < now_us():
            return stored
        return [kline for kline in _with_trades(self._windows.queries, series, stored, minutes) if since <= kline.opened < until]

    def _young(self, series: Series) -> list[Candle]:
        """The youngest three, including the running one."""
        queries, step = self._live.queries, INTERVALS[series[2]] * SECOND_US
        stored, minutes = _stored(queries, series, (now_us() // step - 3) * step, NEVER_US)
        if not stored and (last := _beside(queries, series, NEVER_US, NEVER_US)[0]):
            stored, minutes = _stored(queries, series, last - 2 * step, NEVER_US)
        return _with_trades(queries, series, stored, minutes)[-3:]

    def _book(self, venue: str, symbol: str) -> dict[str, Any] | None:
        """None without a diff in the last hour of loads."""
        market: dict[str, Any] = {"venue": venue, "symbol": symbol}
        [[event_us, update_id]] = self._live.queries.ask("newest_diff", market | {"since_us": now_us() - _DIFFS_US})
        if not update_id:
            return None
        at = to_datetime(int(event_us)).strftime("%Y-%m-%d %H:%M:%S.%f")
        known = (venue, symbol, at, str(update_id))
        rows = self._books.get(known, lambda: self._live.queries.ask("book", market | {"at": at, "levels": LEVELS_SHOWN}))
        [[proven, broken]] = self._live.queries.ask("book_proof", market | {"since_us": now_us() - _PROOF_US})
        sides = {side: [(price, quantity) for which, price, quantity, _, _ in rows if which == side] for side in ("bid", "ask")}
        is_proven = bool(rows[0][4]) if rows else False
        return {
            "event_time": int(event_us),
            "last_update_id": int(rows[0][3]) if rows else 0,
            "is_proven": is_proven,
            "command": "" if is_proven else for_book(self._running(), venue, symbol),
            "proven_at": int(proven),
            "broken_at": int(broken),
            "bids": sides["bid"],
            "asks": sides["ask"],
        }


def parameters(series: Series, since_us: int, until_us: int) -> dict[str, Any]:
    """Of the queries about a stretch of klines."""
    venue, symbol, interval = series
    return {"venue": venue, "symbol": symbol, "interval": interval, "since_us": since_us, "until_us": until_us}


def _beside(queries: Queries, series: Series, since: int, until: int) -> tuple[int, int]:
    [[before, after]] = queries.ask("candles_beside", parameters(series, since, until))
    return int(before), int(after)


def _stored(queries: Queries, series: Series, since: int, until: int) -> tuple[list[Candle], list[Candle]]:
    """The stored klines of a stretch and, of an interval above a minute that reaches now, the minutes from its last kline on."""
    venue, symbol, interval = series
    step, now = INTERVALS[interval] * SECOND_US, now_us()
    if step <= MINUTE_US or until + _MOST_LIVE_US < now:
        return _read(queries, series, since, until, NEVER_US)[0], []
    minutes_since = max(now - _MOST_MINUTES_US, (now // step - 1) * step)
    stored, minutes = _read(queries, series, since, until, minutes_since)
    young = max(stored[-1].opened if stored else 0, now - _MOST_MINUTES_US)
    if young < minutes_since:  # the longer klines are behind
        minutes = _read(queries, (venue, symbol, "1m"), young, minutes_since, NEVER_US)[0] + minutes
    return stored, minutes


def _read(queries: Queries, series: Series, since: int, until: int, minutes_since: int) -> tuple[list[Candle], list[Candle]]:
    """The klines of a stretch, and the minutes since an instant."""
    rows = queries.ask("candles", parameters(series, since, until) | {"minutes_us": minutes_since})
    return ([candle(row) for row in rows if row[8] == series[2]], [candle(row) for row in rows if row[8] != series[2]])


def _with_trades(queries: Queries, series: Series, stored: list[Candle], minutes: list[Candle]) -> list[Candle]:
    """The stored klines, and of trades whatever is younger than they; `minutes` as in `_stored`."""
    venue, symbol, interval = series
    seconds, now = INTERVALS[interval], now_us()
    young = stored[-1].opened if stored else 0
    part_seconds = min(60, seconds)
    behind = now - (minutes[-1].opened if minutes else young)
    back = min(max(_LIVE_US, behind), _MOST_LIVE_US) if seconds >= 60 else MINUTE_US
    since = (now - back) // (part_seconds * SECOND_US) * part_seconds * SECOND_US
    rows = queries.ask("live_candles", {"venue": venue, "symbol": symbol, "seconds": part_seconds, "since_us": since})
    return with_the_youngest(stored, minutes, map(candle, rows), seconds)

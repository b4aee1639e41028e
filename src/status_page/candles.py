"""PURE. Klines for the chart: stored ones, and the newest ones made from rows that were just loaded."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MINUTE_US = 60_000_000
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

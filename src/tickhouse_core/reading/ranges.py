"""PURE. What a caller asks for: instants in any spelling, one symbol or several, steps of time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from operator import index
from typing import SupportsIndex

from tickhouse_core.errors import UsageError
from tickhouse_core.timestamps import format_instant, from_datetime, parse_instant

Instant = str | datetime | date | SupportsIndex
"""`"2024-08-09"` or `"2024-08-09T12:30:00.5+02:00"` (UTC without an offset), a datetime (UTC without a zone), microseconds."""

_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


@dataclass(frozen=True, slots=True)
class Request:
    """Rows of these symbols of a venue (none named: of all), from `start` up to but not including `end`.

    Both in microseconds of the venue's time. `interval`: of klines, or the period of open interest.
    """

    venue: str
    symbols: tuple[str, ...]
    start: int
    end: int
    interval: str = ""

    def __str__(self) -> str:
        """For people."""
        named = " ".join(part for part in (self.venue, ", ".join(self.symbols), self.interval) if part)
        return f"{named} from {format_instant(self.start)} to {format_instant(self.end)}"


LATEST_US = 4_102_444_800_000_000
_EARLIEST_US = 100_000_000_000_000
"""The years 2100 and 1973: milliseconds and nanoseconds of our days lie outside."""


def instant_us(instant: Instant, name: str) -> int:
    """Microseconds since the epoch. Raises UsageError that names the argument."""
    if isinstance(instant, datetime):
        return from_datetime(instant)
    if isinstance(instant, str | date):
        try:
            return parse_instant(str(instant))
        except ValueError:
            raise UsageError(f"{name}={instant!r} is no instant: write 2024-08-09 or 2024-08-09T12:30:00Z") from None
    if isinstance(instant, bool) or not isinstance(instant, SupportsIndex):
        raise UsageError(f"{name}={instant!r}: an instant is a text in ISO 8601, a datetime, or microseconds since 1970")
    number = index(instant)
    if number and not _EARLIEST_US <= number <= LATEST_US:
        raise UsageError(f"{name}={number}: a number is microseconds since 1970, such as 1723161600000000")
    return number


def request(venue: str, symbols: str | Iterable[str], start: Instant, end: Instant, interval: str = "") -> Request:
    """Raises UsageError for a range that is empty or turned round, and for no symbol."""
    several = () if isinstance(symbols, str) or not isinstance(symbols, Iterable) else symbols
    named = (symbols,) if isinstance(symbols, str) else tuple(dict.fromkeys(several))
    if not named or not all(isinstance(symbol, str) and symbol for symbol in named):
        raise UsageError("no symbol: name one, or a list of them, in the venue's spelling (BTCUSDT)")
    for name, value in (("venue", venue), ("interval", interval)):
        if not isinstance(value, str):
            raise UsageError(f"{name}={value!r}: write it as a text, as the lake spells it")
    since, until = instant_us(start, "start"), instant_us(end, "end")
    if since >= until:
        raise UsageError(f"start={start!r} is not before end={end!r}")
    return Request(venue, named, since, until, interval)


def step_us(every: str) -> int:
    """`100ms`, `1s`, `5m`, `1h`, `1d` in microseconds. Raises UsageError."""
    text = every if isinstance(every, str) else ""
    digits = text.rstrip("msdh")
    unit = _UNITS.get(text[len(digits) :])
    if unit is None or not digits.isascii() or not digits.isdigit() or int(digits) == 0:
        raise UsageError(f"every={every!r}: write a number and ms, s, m, h or d, such as 1s")
    return int(digits) * unit


def counted(number: SupportsIndex, name: str, whose: str) -> int:
    """A number of at least one. Raises UsageError that names the argument: `whose` is what a batch or a side has of it."""
    if isinstance(number, bool) or not isinstance(number, SupportsIndex) or index(number) < 1:
        raise UsageError(f"{name}={number!r}: {whose} at least one")
    return index(number)

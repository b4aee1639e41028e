"""PURE. Reads the venue's query parameters; everything wrong is a `VenueError` with the venue's own code and words."""

import re
from collections.abc import Iterable, Mapping

import orjson

from simulated_exchange.market.intervals import INTERVALS, Interval
from simulated_exchange.market.klines import TimeUnit

EARLIEST = 1_483_228_800_000  # "requests outside [2017-01-01, now+10s] are clamped"
LATEST_AHEAD = 10_000

_MICROSECONDS_FROM = 100_000_000_000_000  # as milliseconds this would be the year 5138
_DIGITS = r"^[0-9]{1,20}$"
# Symbols can be non-ASCII since 2025-12: word characters that are not lower-case a to z.
_SYMBOL = r"^[\w\-._&&[^a-z]]{1,50}$"
_SYMBOL_PATTERN = re.compile(r"(?:(?![a-z])[\w\-.]){1,50}")
_UNITS = {
    "MILLISECOND": TimeUnit.MILLISECOND,
    "millisecond": TimeUnit.MILLISECOND,
    "MICROSECOND": TimeUnit.MICROSECOND,
    "microsecond": TimeUnit.MICROSECOND,
}


class VenueError(Exception):
    """An answer of the venue that is not 200: HTTP status, the venue's code, its message."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> bytes:
        """`{"code":-1121,"msg":"Invalid symbol."}`"""
        return orjson.dumps({"code": self.code, "msg": self.message})


def read_parameters(
    pairs: Iterable[tuple[str, str]], mandatory: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> dict[str, str]:
    """The sent parameters by name. Refused: duplicates (-1101), missing (-1102), unknown (-1104), empty (-1105)."""
    sent: dict[str, str] = {}
    for name, value in pairs:
        if name in sent:
            raise VenueError(-1101, f"Duplicate values for parameter '{name}' detected.")
        sent[name] = value
    for name in mandatory:
        if name not in sent:
            raise VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    read = [name for name in sent if name in mandatory or name in optional]
    if len(read) < len(sent):
        counts = f"read '{len(read)}' parameter(s) but was sent '{len(sent)}'"
        raise VenueError(-1104, f"Not all sent parameters were read; {counts}.")
    for name in read:
        if not sent[name]:
            raise VenueError(-1105, f"Parameter '{name}' was empty.")
    return sent


def known_symbol(text: str, listed: Mapping[str, object], name: str = "symbol") -> str:
    """The symbol, if it is spelled as one (-1100) and listed (-1121)."""
    if not _SYMBOL_PATTERN.fullmatch(text):
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_SYMBOL}'.")
    if text not in listed:
        raise VenueError(-1121, "Invalid symbol.")
    return text


def known_symbols(text: str, listed: Mapping[str, object]) -> list[str]:
    """`symbols` is a JSON array of strings, each symbol once (-1151)."""
    try:
        symbols = orjson.loads(text)
    except orjson.JSONDecodeError:
        symbols = None
    if not isinstance(symbols, list) or not symbols or not all(isinstance(symbol, str) for symbol in symbols):
        legal = r'^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'
        raise VenueError(-1100, f"Illegal characters found in parameter 'symbols'; legal range is '{legal}'.")
    if len(set(symbols)) < len(symbols):
        raise VenueError(-1151, "Symbol is present multiple times in the list.")
    return [known_symbol(symbol, listed, "symbols") for symbol in symbols]


def known_interval(text: str) -> Interval:
    """The interval by its case-sensitive name (-1120)."""
    if text not in INTERVALS:
        raise VenueError(-1120, "Invalid interval.")
    return INTERVALS[text]


def whole_number(sent: Mapping[str, str], name: str) -> int | None:
    """A parameter of digits only (-1100), None if it was not sent."""
    if name not in sent:
        return None
    if not re.fullmatch(r"[0-9]{1,20}", sent[name]):
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_DIGITS}'.")
    return int(sent[name])


def row_limit(sent: Mapping[str, str], usual: int, most: int) -> int:
    """`limit`: more than `most` is `most`, none is refused (-1130)."""
    limit = whole_number(sent, "limit")
    if limit == 0:
        raise VenueError(-1130, "Data sent for parameter 'limit' is not valid.")
    return usual if limit is None else min(limit, most)


def time_bound(sent: Mapping[str, str], name: str, now: int, *, rounding_up: bool) -> int | None:
    """A time sent in ms or us ("timestamps params accept ms or us"), as milliseconds inside what the venue knows."""
    instant = whole_number(sent, name)
    if instant is None:
        return None
    if instant >= _MICROSECONDS_FROM:
        instant = -(-instant // 1000) if rounding_up else instant // 1000
    return min(max(instant, EARLIEST), now + LATEST_AHEAD)


def time_unit(header: str | None) -> TimeUnit:
    """`X-MBX-TIME-UNIT`; a bad value is -1194."""
    if header is None:
        return TimeUnit.MILLISECOND
    if header not in _UNITS:
        raise VenueError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    return _UNITS[header]

"""PURE. The names of streams: `btcusdt@depth@100ms`, `!miniTicker@arr`, … Symbols are lower case in them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from simulated_exchange.intervals import INTERVALS, Interval

ALL_MINI_TICKERS = "!miniTicker@arr"


class Channel(StrEnum):
    """What kind of messages a stream carries."""

    TRADE = "trade"
    AGG_TRADE = "aggTrade"
    DEPTH = "depth"
    PARTIAL_DEPTH = "partialDepth"
    BOOK_TICKER = "bookTicker"
    KLINE = "kline"
    MINI_TICKER = "miniTicker"
    ALL_MINI_TICKERS = "!miniTicker"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Stream:
    """`pace` in milliseconds between messages, 0 = as things happen; `levels` of partial depth."""

    name: str
    symbol: str
    channel: Channel
    pace: int = 0
    levels: int = 0
    interval: Interval | None = None


_SUFFIX = re.compile(
    r"(?P<plain>trade|aggTrade|bookTicker|miniTicker)|depth(?P<levels>5|10|20)?(?P<fast>@100ms)?|kline_(?P<interval>\w+)"
)
_PLAIN = {
    "trade": (Channel.TRADE, 0),
    "aggTrade": (Channel.AGG_TRADE, 0),
    "bookTicker": (Channel.BOOK_TICKER, 0),
    "miniTicker": (Channel.MINI_TICKER, 1000),
}


def parse_stream(name: str, symbols: Mapping[str, str]) -> Stream | None:
    """The stream of that name, None if there is no such one; `symbols` by their lower-case spelling."""
    if name == ALL_MINI_TICKERS:
        return Stream(name, "", Channel.ALL_MINI_TICKERS, 1000)
    lower, _, suffix = name.partition("@")
    match = _SUFFIX.fullmatch(suffix)
    symbol = symbols.get(lower)
    if symbol is None or match is None:
        return None
    if match["plain"]:
        return Stream(name, symbol, *_PLAIN[match["plain"]])
    if match["interval"]:
        interval = INTERVALS.get(match["interval"])
        return Stream(name, symbol, Channel.KLINE, 1000 if interval.name == "1s" else 2000, 0, interval) if interval else None
    pace = 100 if match["fast"] else 1000
    if match["levels"]:
        return Stream(name, symbol, Channel.PARTIAL_DEPTH, pace, int(match["levels"]))
    return Stream(name, symbol, Channel.DEPTH, pace)


def channel_of(name: str) -> tuple[str, Channel]:
    """Symbol (upper case) and channel of any stream name, recorded ones included."""
    lower = name.partition("@")[0]
    stream = parse_stream(name, {lower: lower.upper()})
    if stream:
        return stream.symbol, stream.channel
    return lower.upper(), Channel.OTHER

"""PURE. The names of streams: `btcusdt@depth@100ms`, `!miniTicker@arr`, … Symbols are lower case in them."""

from collections.abc import Mapping
from dataclasses import dataclass

from simulated_exchange.market.intervals import INTERVALS, Interval
from simulated_exchange.server.messages import Channel

ALL_MINI_TICKERS = "!miniTicker@arr"


@dataclass(frozen=True, slots=True)
class Stream:
    """`interval` of klines only."""

    name: str
    symbol: str
    channel: Channel
    interval: Interval | None = None


_CHANNELS = {"trade": Channel.TRADE, "bookTicker": Channel.BOOK_TICKER, "depth@100ms": Channel.DEPTH}
_KLINE = "kline_"


def parse_stream(name: str, symbols: Mapping[str, str]) -> Stream | None:
    """The stream of that name, None if there is no such one; `symbols` by their lower-case spelling."""
    if name == ALL_MINI_TICKERS:
        return Stream(name, "", Channel.ALL_MINI_TICKERS)
    lower, _, suffix = name.partition("@")
    symbol = symbols.get(lower)
    if symbol is None:
        return None
    if suffix.startswith(_KLINE):
        interval = INTERVALS.get(suffix.removeprefix(_KLINE))
        return Stream(name, symbol, Channel.KLINE, interval) if interval else None
    channel = _CHANNELS.get(suffix)
    return Stream(name, symbol, channel) if channel else None


def channel_of(name: str) -> tuple[str, Channel]:
    """Symbol (upper case) and channel of any stream name, recorded ones included."""
    lower = name.partition("@")[0]
    stream = parse_stream(name, {lower: lower.upper()})
    if stream:
        return stream.symbol, stream.channel
    return lower.upper(), Channel.OTHER

"""PURE. Binance's channels, intervals, stream names and control messages: what a capture wants, and how to ask for it."""

from collections.abc import Iterator, Mapping, Sequence

import orjson

from extract_process.records import ALL_SYMBOLS, StreamKey
from extract_process.venues.api import Limit, SocketRules

CHANNELS = ("trades", "depth", "klines", "ticker")
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
"""Case-sensitive, as the venue spells them."""

SOCKETS = SocketRules(
    streams_per_connection=1_024,
    messages=Limit(5, 1.25),
    connects=Limit(300, 300.0),
)
"""Client messages are 5 a second, pings and pongs included; above it the venue closes the connection. The venue counts in a
second of its own clock: messages may be a quarter second closer together there than they were here. Connects are counted per
process, although the venue counts per address; request weight is the address's, by the server's own tally.
"""

NAMES_PER_SUBSCRIBE = 100
"""A SUBSCRIBE of more than about 4 KB (200 names) was seen to hang silently."""

STREAM_PATH = "/stream?timeUnit=MICROSECOND"
"""Combined streams; times in microseconds instead of milliseconds."""

_SUFFIXES = {"trades": "trade", "depth": "depth@100ms"}
_ALL_MINI_TICKERS = "!miniTicker@arr"
"""The whole market in one stream; only rows of the collected symbols are kept."""


def stream_names(wanted: Mapping[str, Sequence[str]], interval: str) -> list[str]:
    """The streams for these channels of each symbol, a symbol's together; names are lower case."""
    names = []
    for symbol, channels in wanted.items():
        names += [f"{symbol.lower()}@{_SUFFIXES[channel]}" for channel in channels if channel in _SUFFIXES]
        if "klines" in channels:
            names.append(f"{symbol.lower()}@kline_{interval}")
    return [*names, _ALL_MINI_TICKERS] if any("ticker" in channels for channels in wanted.values()) else names


def key_of_stream(stream: str) -> StreamKey:
    """What a stream name of `stream_names` delivers; its symbol is in the name's lower case."""
    symbol, _, kind = stream.partition("@")
    if stream == _ALL_MINI_TICKERS:
        return StreamKey("ticker", ALL_SYMBOLS)
    if kind.startswith("kline_"):
        return StreamKey("klines", symbol, kind.removeprefix("kline_"))
    return StreamKey({suffix: channel for channel, suffix in _SUFFIXES.items()}[kind], symbol)


def subscribe_messages(names: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """The SUBSCRIBE messages for these streams with their ids, at most 100 names each."""
    for number, start in enumerate(range(0, len(names), NAMES_PER_SUBSCRIBE), start=1):
        part = list(names[start : start + NAMES_PER_SUBSCRIBE])
        yield number, orjson.dumps({"method": "SUBSCRIBE", "params": part, "id": number})

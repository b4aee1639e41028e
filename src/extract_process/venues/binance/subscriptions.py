"""PURE. Binance's stream names and control messages: which streams a capture wants, and how to ask for them."""

from collections.abc import Iterator, Mapping, Sequence

import orjson

from extract_process.first_messages import ALL_SYMBOLS
from extract_process.stream_key import StreamKey

CHANNELS = ("trades", "depth", "klines", "ticker")

MOST_STREAMS = 1_024
"""Of one connection."""

NAMES_PER_SUBSCRIBE = 100
"""A SUBSCRIBE of more than about 4 KB (200 names) was seen to hang silently."""

MOST_MESSAGES_A_SECOND = 5
"""From the client, pings and pongs included; above it the venue closes the connection."""

MOST_CONNECTS, CONNECTS_WINDOW_SECONDS = 300, 300.0
"""Attempts per address."""

LIFE_SECONDS = 24 * 3600
"""The venue ends every connection at this age."""

STREAM_PATH = "/stream?timeUnit=MICROSECOND"
"""Combined streams; times in microseconds instead of milliseconds."""

_SUFFIXES = {"trades": "trade", "depth": "depth@100ms"}
_ALL_MINI_TICKERS = "!miniTicker@arr"


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

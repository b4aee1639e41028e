"""PURE. KuCoin's channels, intervals, topics and control messages: what a capture wants, and how to ask for it.

A stream is one topic of one symbol, `/market/level2:BTC-USDT`; a message asks for up to 100 of them at once.
"""

from collections.abc import Iterator, Mapping, Sequence

import orjson

from extract_process.records import ALL_SYMBOLS, StreamKey
from extract_process.venues.api import Limit, SocketRules

CHANNELS = ("trades", "depth", "klines", "ticker")
VENUE_INTERVALS = {
    **{f"{number}m": f"{number}min" for number in (1, 3, 5, 15, 30)},
    **{f"{number}h": f"{number}hour" for number in (1, 2, 4, 6, 8, 12)},
    "1d": "1day",
    "1w": "1week",
    "1M": "1month",
}
"""The venue's names in topics and requests, by ours, the shortest first."""

OUR_INTERVALS = {name: interval for interval, name in VENUE_INTERVALS.items()}

SOCKETS = SocketRules(
    streams_per_connection=400,
    messages=Limit(100, 12.5),
    connects=Limit(150, 300.0),
)
"""Each symbol of a topic counts as a stream (spot and margin; the 2023 text said 300). Client messages are 100 in 10 s, pings
included, with a quarter to spare for the venue's clock. The classic feed limits connections (800), not attempts; these are
the newer feed's, the strictest there are.
"""

TOPICS_PER_SUBSCRIBE = 100

MOST_SINGLE_TICKERS = 100
"""Symbols; above it the ticker of the whole market is one topic instead of one each."""

ALL_TICKERS = "/market/ticker:all"

_PREFIXES = {"trades": "/market/match", "depth": "/market/level2", "ticker": "/market/ticker"}
_CHANNELS = {prefix: channel for channel, prefix in _PREFIXES.items()}
_CANDLES = "/market/candles"


def stream_names(wanted: Mapping[str, Sequence[str]], interval: str) -> list[str]:
    """The topics for these channels of each symbol, a symbol's together; klines of this interval (in our words)."""
    tickers = [symbol for symbol, channels in wanted.items() if "ticker" in channels]
    alone = len(tickers) <= MOST_SINGLE_TICKERS
    names = []
    for symbol, channels in wanted.items():
        names += [f"{_PREFIXES[name]}:{symbol}" for name in channels if name in _PREFIXES and (alone or name != "ticker")]
        if "klines" in channels:
            names.append(f"{_CANDLES}:{symbol}_{VENUE_INTERVALS[interval]}")
    return names if alone else [*names, ALL_TICKERS]


def key_of_stream(stream: str) -> StreamKey:
    """What a topic of `stream_names` delivers."""
    if stream == ALL_TICKERS:
        return StreamKey("ticker", ALL_SYMBOLS)
    prefix, _, symbol = stream.partition(":")
    if prefix == _CANDLES:
        symbol, _, interval = symbol.rpartition("_")
        return StreamKey("klines", symbol, OUR_INTERVALS[interval])
    return StreamKey(_CHANNELS[prefix], symbol)


def subscribe_messages(names: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """The subscriptions to these topics with their ids: symbols of one kind together, at most 100, without a blank.

    Candles go one by one: their lists are documented nowhere.
    """
    by_prefix: dict[str, list[str]] = {}
    for name in names:
        prefix, _, symbol = name.partition(":")
        by_prefix.setdefault(name if prefix == _CANDLES or name == ALL_TICKERS else prefix, []).append(symbol)
    number = 0
    for prefix, symbols in by_prefix.items():
        for start in range(0, len(symbols), TOPICS_PER_SUBSCRIBE):
            number += 1
            part = symbols[start : start + TOPICS_PER_SUBSCRIBE]
            topic = prefix if ":" in prefix else f"{prefix}:{','.join(part)}"
            yield number, _subscription(number, topic)


def ping_message(instant_us: int) -> bytes:
    """Due at the interval that the token's answer names; the venue closes a silent connection after about a minute."""
    return orjson.dumps({"id": str(instant_us // 1_000), "type": "ping"})


def _subscription(number: int, topic: str) -> bytes:
    return orjson.dumps({"id": number, "type": "subscribe", "topic": topic, "privateChannel": False, "response": True})

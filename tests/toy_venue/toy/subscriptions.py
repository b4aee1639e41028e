"""PURE. The toy venue's channels, stream names and the messages that ask for them."""

from collections.abc import Iterator, Mapping, Sequence

import orjson

from extract_process.records import StreamKey
from extract_process.venues.api import Limit, SocketRules

CHANNELS = ("trades", "depth")
SOCKETS = SocketRules(streams_per_connection=50, messages=Limit(5, 1.25), connects=Limit(100, 60.0))
NAMES_PER_MESSAGE = 10


def stream_names(wanted: Mapping[str, Sequence[str]], interval: str) -> list[str]:
    return [f"{channel} {symbol}" for symbol, channels in wanted.items() for channel in channels]


def key_of_stream(stream: str) -> StreamKey:
    channel, _, symbol = stream.partition(" ")
    return StreamKey(channel, symbol)


def subscribe_messages(names: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    for number, start in enumerate(range(0, len(names), NAMES_PER_MESSAGE), start=1):
        yield number, orjson.dumps({"do": number, "ask": list(names[start : start + NAMES_PER_MESSAGE])})

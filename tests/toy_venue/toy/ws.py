"""PURE. The toy venue's socket: stream names and how to ask for them, and its messages in our records."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from extract_process.decimals import plain_levels, plain_number
from extract_process.records import DepthDiff, Trade
from extract_process.stream_ids import StreamKey
from extract_process.venues.api import Limit, Reply, SocketRules, Unknown
from extract_process.venues.parsing import id_of, instant_of, name_of, pairs_of, read_frame
from tickhouse_core.timestamps import unit_to_us

CHANNELS = ("trades", "depth")
SOCKETS = SocketRules(streams_per_connection=50, messages=Limit(5, 1.25), connects=Limit(100, 60.0))
NAMES_PER_MESSAGE = 10


def stream_names(wanted: Mapping[str, Sequence[str]], intervals: Mapping[str, str]) -> list[str]:
    return [f"{channel} {symbol}" for symbol, channels in wanted.items() for channel in channels]


def key_of_stream(stream: str) -> StreamKey:
    channel, _, symbol = stream.partition(" ")
    return StreamKey(channel, symbol)


def subscribe_messages(names: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    for number, start in enumerate(range(0, len(names), NAMES_PER_MESSAGE), start=1):
        yield number, orjson.dumps({"do": number, "ask": list(names[start : start + NAMES_PER_MESSAGE])})


def parse_frame(frame: bytes, receipt_time: int) -> list[Any]:
    """One message a frame. Raises FrameRefused."""
    return read_frame(frame, receipt_time, _parse_messages)


def _parse_messages(message: Any, receipt_time: int) -> list[Any]:
    match message:
        case {"did": int(number), "error": str(error)}:
            return [Reply(number, error)]
        case {"kind": "trade"}:
            return [read_trade(message, name_of(message["market"]))]
        case {"kind": "book"}:
            first, last, at = id_of(message["first"]), id_of(message["last"]), instant_of(message["at"], unit_to_us)
            bids, asks = (plain_levels(pairs_of(message[side])) for side in ("bids", "asks"))
            return [DepthDiff(name_of(message["market"]), first, last, bids, asks, at)]
    return [Unknown(str(message)[:40])]


def read_trade(item: dict[str, Any], symbol: str) -> Trade:
    """`{"id":7,"price":"1.5","amount":"2","taker":"seller","at":<ms>}`."""
    at, price, quantity = instant_of(item["at"], unit_to_us), plain_number(item["price"]), plain_number(item["amount"])
    return Trade(symbol, id_of(item["id"]), price, quantity, item["taker"] == "seller", at, at)

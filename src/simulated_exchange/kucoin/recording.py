"""Recorded KuCoin connections: messages by topic and the REST snapshots among them, as the shared data set has them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from simulated_exchange.market.instruments import DECIMALS, Instrument
from simulated_exchange.server.messages import Channel
from simulated_exchange.server.recorded_session import Recorded, Session, read_session

_BOOK_PATHS = ("/api/v3/market/orderbook/level2", "/api/v1/market/orderbook/level2_100")


def read_recording(paths: Sequence[Path]) -> Session | None:
    """None if there are no KuCoin messages in the files; ReplayError if one cannot be read."""
    return read_session(paths, _convert, _instrument, changes_of)


def changes_of(text: str) -> tuple[list[list[str]], list[list[str]]]:
    """Bids and asks that a level2 message changes: price and quantity, in the order of their sequences."""
    changes = orjson.loads(text)["data"]["changes"]
    bids, asks = (sorted(changes[side], key=lambda change: int(change[2])) for side in ("bids", "asks"))
    return [change[:2] for change in bids if float(change[0])], [change[:2] for change in asks if float(change[0])]


def _convert(record: dict[str, Any], received: int) -> tuple[int, Recorded] | None:
    raw = record.get("raw")
    message: Any = orjson.loads(raw) if isinstance(raw, str) else raw
    if record.get("src") == "ws" and isinstance(message, dict) and message.get("type") == "message":
        return received, _message(message)
    if record.get("src") == "rest" and urlsplit(record["url"]).path in _BOOK_PATHS:
        return received, _snapshot(record["url"], message["data"])
    return None


def _message(message: dict[str, Any]) -> Recorded:
    topic, data = message["topic"], message["data"]
    kind, _, symbol = topic.partition(":")
    match kind:
        case "/market/level2":
            channel, first, last = Channel.DEPTH, data["sequenceStart"], data["sequenceEnd"]
        case "/market/match":
            channel, first, last = Channel.OTHER, int(data["sequence"]), int(data["sequence"])
        case "/market/candles":
            channel, first, last, symbol = Channel.KLINE, 0, 0, symbol.rpartition("_")[0]
        case _:
            channel, first, last = Channel.OTHER, 0, 0
    return Recorded(0, topic, symbol, channel, first, last, orjson.dumps(message).decode())


def _snapshot(url: str, data: dict[str, Any]) -> Recorded:
    symbol, sequence = parse_qs(urlsplit(url).query)["symbol"][0], int(data["sequence"])
    body = {"lastUpdateId": sequence, "bids": data["bids"], "asks": data["asks"]}
    return Recorded(0, "", symbol, Channel.DEPTH, sequence, sequence, orjson.dumps(body).decode())


def _instrument(symbol: str, session: Session) -> Instrument:
    """Prices and sizes are only ever repeated as recorded: their decimals do not matter."""
    base, _, quote = symbol.partition("-")
    return Instrument(symbol, base, quote, DECIMALS, 0, session.start, 1.0, 1.0)

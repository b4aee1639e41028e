"""Recorded Binance connections: lines with `src` `ws`, and the REST depth snapshots among them."""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from simulated_exchange.binance.futures.product import PRODUCTS, Product
from simulated_exchange.binance.messages import ALL_MINI_TICKERS, channel_of
from simulated_exchange.market.instruments import Instrument
from simulated_exchange.server.messages import Channel
from simulated_exchange.server.recorded_klines import base_and_quote, decimals_in_use, lines_of
from simulated_exchange.server.recorded_session import Levels, Recorded, Session, read_session

_DEPTH = "/depth"
_SPEED = re.compile(r"(?<=@depth)@\d+ms$")
_KEY = re.compile(r'"(\w+)\\?":')
"""Also of a message that is a text in the line."""

_LOOKED_AT = 1_000
"""Lines of a file in which its market shows."""

_EVENTS = {
    "trade": "trade",
    "aggTrade": "aggTrade",
    "depthUpdate": "depth@100ms",
    "24hrMiniTicker": "miniTicker",
    "24hrTicker": "ticker",
    "avgPrice": "avgPrice",
}
_IDS = {Channel.DEPTH: ("U", "u"), Channel.TRADE: ("t", "t"), Channel.BOOK_TICKER: ("u", "u")}


def read_recording(paths: Sequence[Path], product: Product | None = None) -> Session | None:
    """Of a futures market, or of spot: None if the files have no socket messages of it; ReplayError if one cannot be read."""
    return read_session([path for path in paths if _product_of(path) is product], _convert, _instrument, _changes_of)


def _product_of(path: Path) -> Product | None:
    """The futures market that a file is of, by its requests or its diffs; else None."""
    for line in islice(lines_of(path), _LOOKED_AT):
        for product in PRODUCTS:
            if f"{product.api}/".encode() in line:
                return product
        if b'"depthUpdate"' in line:
            keys = set(_KEY.findall(line.decode(errors="replace")))
            fitting = [product for product in PRODUCTS if product.diff_keys <= keys]
            return max(fitting, key=lambda product: len(product.diff_keys), default=None)
    return None


def stream_of(message: Any) -> str:
    """The stream a bare message belongs to, by its `e` and `s`; empty for replies and for what we do not know."""
    if isinstance(message, list):
        return ALL_MINI_TICKERS
    symbol, event = str(message.get("s", "")).lower(), message.get("e", "")
    if event == "kline":
        return f"{symbol}@kline_{message['k']['i']}"
    if not event and "A" in message:
        return f"{symbol}@bookTicker"
    return f"{symbol}@{_EVENTS[event]}" if event in _EVENTS else ""


def _convert(record: dict[str, Any], received: int) -> tuple[int, Recorded] | None:
    match record.get("src"):
        case "ws":
            return _message(record["raw"], received)
        case "rest" if urlsplit(record["url"]).path.endswith(_DEPTH):
            return received, _snapshot(record)
    return None


def _message(raw: Any, received: int) -> tuple[int, Recorded]:
    message = orjson.loads(raw) if isinstance(raw, str) else raw
    stream, data = "", message
    if isinstance(message, dict) and "stream" in message:
        stream, data = message["stream"], message["data"]
    stream = stream or stream_of(data)
    if not stream:
        return received, Recorded(0, "", "", Channel.OTHER, 0, 0, "")
    stream = _SPEED.sub("@100ms", stream)  # recorded at another speed, sent to who subscribes as usual
    symbol, channel = channel_of(stream)
    first, last = _ids(channel, data)
    event = data.get("E", 0) * 1000 if isinstance(data, dict) else 0
    return received or event, Recorded(0, stream, symbol, channel, first, last, orjson.dumps(data).decode())


def _changes_of(text: str) -> tuple[Levels, Levels]:
    diff = orjson.loads(text)
    return diff["b"], diff["a"]


def _ids(channel: Channel, data: Any) -> tuple[int, int]:
    if channel is Channel.DEPTH and "pu" in data:
        return data["pu"] + 1, data["u"]
    if channel in _IDS:
        first, last = _IDS[channel]
        return data[first], data[last]
    if channel is Channel.KLINE:
        return data["k"]["t"], data["k"]["t"]
    return 0, 0


def _snapshot(record: dict[str, Any]) -> Recorded:
    raw = record["raw"]
    body = orjson.loads(raw) if isinstance(raw, str) else raw
    symbol = parse_qs(urlsplit(record["url"]).query)["symbol"][0]
    update_id = body["lastUpdateId"]
    return Recorded(0, "", symbol, Channel.DEPTH, update_id, update_id, orjson.dumps(body).decode())


def _instrument(symbol: str, session: Session) -> Instrument:
    prices, quantities = zip(*_some_levels(symbol, session), ("1", "1"), strict=True)
    base, quote = base_and_quote(symbol)
    tick_decimals = decimals_in_use(prices)
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick_decimals=tick_decimals,
        step_decimals=min(decimals_in_use(quantities), 8 - tick_decimals),
        listed=session.start,
        usual_price=float(prices[0]),
        usual_quantity=1.0,
    )


def _some_levels(symbol: str, session: Session) -> list[tuple[str, str]]:
    """Prices and quantities out of the first messages, to see how many decimals the symbol has."""
    found: list[tuple[str, str]] = []
    for line in session.lines[:5000]:
        if line.symbol != symbol or line.channel not in (Channel.DEPTH, Channel.TRADE):
            continue
        message: Mapping[str, Any] = orjson.loads(line.text)
        if "p" in message:
            found.append((message["p"], message["q"]))
        for side in ("b", "a", "bids", "asks"):
            levels = message.get(side)
            found += [(price, quantity) for price, quantity in levels] if isinstance(levels, list) else []
    return found

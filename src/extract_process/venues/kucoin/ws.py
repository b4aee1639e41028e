"""PURE. KuCoin's socket: channels, topics and how to ask for them, and its messages in our records.

A stream is one topic of one symbol, `/market/level2:BTC-USDT`; a message asks for up to 100 of them at once. Four units of
time in one feed: seconds (candles), milliseconds (level2, ticker), nanoseconds (match).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from extract_process.decimals import UnreadableNumber, plain_levels, plain_number
from extract_process.records import ALL_SYMBOLS, BookTicker, DepthDiff, Kline, Levels, Ticker, Trade, UnreadableRow
from extract_process.stream_ids import StreamKey
from extract_process.venues.api import Limit, Pong, Reply, SocketRules, Unknown, Welcome
from extract_process.venues.parsing import (
    MOST_ID,
    FrameRefused,
    close_time_of,
    from_ms,
    from_ns,
    from_seconds,
    id_of,
    instant_of,
    name_of,
    object_of,
    pairs_of,
    read_frame,
)

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

_PREFIXES = {
    "trades": "/market/match",
    "depth": "/market/level2",
    "book_tickers": "/spotMarket/level1",
    "ticker": "/market/ticker",
}
_CHANNELS = {prefix: channel for channel, prefix in _PREFIXES.items()}
_CANDLES = "/market/candles"
CHANNELS = (*_PREFIXES, "klines")


def stream_names(wanted: Mapping[str, Sequence[str]], intervals: Mapping[str, str]) -> list[str]:
    """The topics for these channels of each symbol, a symbol's together; klines of these intervals (in our words)."""
    tickers = [symbol for symbol, channels in wanted.items() if "ticker" in channels]
    alone = len(tickers) <= MOST_SINGLE_TICKERS
    names = []
    for symbol, channels in wanted.items():
        names += [f"{_PREFIXES[name]}:{symbol}" for name in channels if name in _PREFIXES and (alone or name != "ticker")]
        if "klines" in channels:
            names.append(f"{_CANDLES}:{symbol}_{VENUE_INTERVALS[intervals[symbol]]}")
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


Message = Trade | DepthDiff | BookTicker | Ticker | Kline | UnreadableRow | Reply | Welcome | Pong | Unknown


def parse_frame(frame: bytes, receipt_time: int) -> list[Message]:
    """The message of a frame; none for a pong. Raises FrameRefused.

    `receipt_time` stands in for the time of a level2 message that has none: the venue sent none until 2023.
    """
    return read_frame(frame, receipt_time, _parse_messages)


def _parse_messages(item: Any, receipt_time: int) -> list[Message]:
    message = object_of(item, "a message")
    return [_parse_event(message, receipt_time) if message.get("type") == "message" else _parse_control(message)]


def _parse_event(message: dict[str, Any], receipt_time: int) -> Message:
    """By topic: the subject of `/market/ticker:all` is the symbol."""
    if type(message["topic"]) is not str:
        raise FrameRefused("wrong_type", f"topic {message['topic']!r:.40} is no text")
    topic, _, what = message["topic"].partition(":")
    parse = _PARSERS.get(topic)
    if parse is None:
        return Unknown(topic[:40])
    return parse(object_of(message["data"], "data"), message["subject"] if what == "all" else what, receipt_time)


def _parse_control(message: dict[str, Any]) -> Message:
    """`{"id":"1","type":"ack"}`, `{"id":"1","type":"error","code":404,"data":"topic does not exist"}`, welcome, pong."""
    match message.get("type"):
        case "welcome":
            return Welcome()
        case "pong":
            return Pong()
        case "ack":
            return Reply(_reply_id(message["id"]), "")
        case "error":
            return Reply(_reply_id(message.get("id")), f"{message.get('code', '')} {message.get('data', '')}".strip()[:300])
        case str(kind):
            return Unknown(kind[:40])
    raise FrameRefused("unknown_shape", "no type")


def _parse_diff(data: dict[str, Any], symbol: str, receipt_time: int) -> DepthDiff | UnreadableRow:
    """`{"changes":{"asks":[["67993.3","1.2","14701689783"]],"bids":[]},"sequenceStart":…,"sequenceEnd":…,"time":…}`."""
    first, last = data["sequenceStart"], data["sequenceEnd"]
    if not (type(first) is type(last) is int and 0 <= first <= last <= MOST_ID):
        raise FrameRefused("wrong_id", f"sequences {first!r} to {last!r}")
    changes = data["changes"]
    event_time = instant_of(data["time"], from_ms) if "time" in data else receipt_time
    try:
        bids, asks = _levels(changes["bids"]), _levels(changes["asks"])
    except UnreadableNumber as error:
        return UnreadableRow("depth", name_of(data["symbol"]), "", first, last, str(error))
    return DepthDiff(name_of(data["symbol"]), first, last, bids, asks, event_time)


def _parse_trade(data: dict[str, Any], symbol: str, receipt_time: int) -> Trade | UnreadableRow:
    """`{"sequence":"11067996711960577","price":"67523","size":"0.003","side":"buy","time":"1729843222921000000",…}`.

    `side` is the taker's; the one time there is serves as both.
    """
    side = data["side"]
    if side not in ("buy", "sell"):
        raise FrameRefused("wrong_type", f"side {side!r:.40}")
    at, sequence = instant_of(int(data["time"]), from_ns), id_of(int(name_of(data["sequence"])))
    try:
        price, size = plain_number(data["price"]), plain_number(data["size"])
    except UnreadableNumber as error:
        return UnreadableRow("trades", name_of(data["symbol"]), "", sequence, sequence, str(error))
    return Trade(name_of(data["symbol"]), sequence, price, size, side == "sell", at, at)


def _parse_ticker(data: dict[str, Any], symbol: str, receipt_time: int) -> Ticker | UnreadableRow:
    """The last trade and the best of both sides; the venue's ticker has no rolling day. `Time` is its example's spelling.

    `sequence` is the update id of the book that the best prices are of.
    """
    symbol, at = name_of(symbol), instant_of(data["time"] if "time" in data else data["Time"], from_ms)
    best = (data.get(key) or None for key in ("bestBid", "bestBidSize", "bestAsk", "bestAskSize"))
    try:
        close, (bid, bid_size, ask, ask_size) = plain_number(data["price"]), map(_number_or_none, best)
    except UnreadableNumber as error:
        return UnreadableRow("ticker", symbol, "", None, None, str(error))
    sequence = _sequence_of(data.get("sequence"))
    return Ticker(symbol, at, None, None, None, close, None, None, bid, bid_size, ask, ask_size, sequence)


def _parse_book_ticker(data: dict[str, Any], symbol: str, receipt_time: int) -> BookTicker | UnreadableRow:
    """`{"asks":["68145.8","0.51987471"],"bids":["68145.7","1.29267802"],"timestamp":1729816058766}`, at most every 10 ms.

    It has no sequence: its time in milliseconds is the id.
    """
    symbol, at = name_of(symbol), data["timestamp"]
    event_time = instant_of(at, from_ms)
    try:
        (bid, bid_size), (ask, ask_size) = plain_levels(pairs_of([data["bids"], data["asks"]]))
    except UnreadableNumber as error:
        return UnreadableRow("book_tickers", symbol, "", at, at, str(error))
    return BookTicker(symbol, at, bid, bid_size, ask, ask_size, event_time)


def _parse_kline(data: dict[str, Any], symbol: str, receipt_time: int) -> Kline | UnreadableRow:
    """`["1729839600","67644.9","67437.6","67724.8","67243.8","44.88","3027558.99"]`: time, open, close, high, low, volume,
    turnover. Nothing says that it is closed. The venue counts neither trades nor what takers bought.
    """
    interval = OUR_INTERVALS.get(symbol.rpartition("_")[2])
    if interval is None:
        raise FrameRefused("wrong_interval", f"{symbol!r:.60} names no interval")
    at, *numbers = data["candles"]
    opened = instant_of(int(name_of(at)), from_seconds)
    try:
        open_, close, high, low, volume, turnover = map(plain_number, numbers)
    except UnreadableNumber as error:  # it is not over yet: no id is lost
        return UnreadableRow("klines", name_of(data["symbol"]), interval, None, None, str(error))
    closes = close_time_of(interval, opened)
    return Kline(name_of(data["symbol"]), interval, opened, closes, open_, high, low, close, volume, turnover, 0, "0", "0", False)


_PARSERS: dict[str, Callable[[dict[str, Any], str, int], Message]] = {
    "/market/level2": _parse_diff,
    "/market/match": _parse_trade,
    "/spotMarket/level1": _parse_book_ticker,
    "/market/ticker": _parse_ticker,
    "/market/candles": _parse_kline,
}


def _reply_id(value: object) -> int | str | None:
    """Our numbers come back as text."""
    return int(value) if type(value) is str and value.isascii() and value.isdigit() else None


def _sequence_of(value: object) -> int | None:
    """Text in the topics that were recorded; None for what is no id."""
    text = str(value)[:21]
    return number if text.isascii() and text.isdigit() and (number := int(text)) <= MOST_ID else None


def _number_or_none(value: object) -> str | None:
    return None if value is None else plain_number(value)


def _levels(changes: Any) -> Levels:
    """Price and size of each change in the order of their sequences, so that the last one of a price counts.

    A change with price 0 is no level: it only says that its sequence was used. Raises UnreadableNumber.
    """
    if type(changes) is not list:
        raise UnreadableNumber("changes are no list")
    for change in changes:
        if type(change) is not list or len(change) != 3 or type(change[2]) is not str or not change[2].isdecimal():
            raise UnreadableNumber(f"{change!r:.60} is no change")
    ordered = changes if len(changes) == 1 else sorted(changes, key=lambda change: int(change[2]))
    levels = plain_levels([[price, size] for price, size, _ in ordered])
    return [level for level in levels if level[0].strip("0.")]

"""PURE. Binance's socket: channels, stream names and how to ask for them, and its frames in our records.

JSON keys differ only by case (`t`/`T`, `u`/`U`, `e`/`E`, …); prices and quantities stay the venue's text.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from extract_process.decimals import UnreadableNumber, plain_levels, plain_number
from extract_process.level_text import PLACES, LevelText
from extract_process.records import (
    ALL_SYMBOLS,
    BookTicker,
    DepthDiff,
    Kline,
    Liquidation,
    MarkPrice,
    NoTrade,
    Ticker,
    Trade,
    UnreadableRow,
)
from extract_process.stream_ids import StreamKey
from extract_process.venues.api import Limit, Reply, ServerShutdown, SocketRules, Unknown
from extract_process.venues.binance.plain_top import MOST_TOP_BYTES, plain_top
from extract_process.venues.parsing import (
    MOST_ID,
    FrameRefused,
    flag_of,
    id_of,
    instant_of,
    name_of,
    object_of,
    pairs_of,
    read_frame,
)
from tickhouse_core.timestamps import unit_to_us

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

SUFFIXES = {"trades": "trade", "depth": "depth@100ms", "book_tickers": "bookTicker"}
CHANNELS = (*SUFFIXES, "klines", "ticker")
_ALL_MINI_TICKERS = "!miniTicker@arr"
"""The whole market in one stream; only rows of the collected symbols are kept."""


def stream_names(
    wanted: Mapping[str, Sequence[str]], intervals: Mapping[str, str], suffixes: Mapping[str, str] = SUFFIXES
) -> list[str]:
    """The streams for these channels of each symbol, a symbol's together; names are lower case. `suffixes`: by channel."""
    names = []
    for symbol, channels in wanted.items():
        names += [f"{symbol.lower()}@{suffixes[channel]}" for channel in channels if channel in suffixes]
        if "klines" in channels:
            names.append(f"{symbol.lower()}@kline_{intervals[symbol]}")
    return [*names, _ALL_MINI_TICKERS] if any("ticker" in channels for channels in wanted.values()) else names


def key_of_stream(stream: str, suffixes: Mapping[str, str] = SUFFIXES) -> StreamKey:
    """What a stream name of `stream_names` delivers; its symbol is in the name's lower case."""
    symbol, _, kind = stream.partition("@")
    if stream == _ALL_MINI_TICKERS:
        return StreamKey("ticker", ALL_SYMBOLS)
    if kind.startswith("kline_"):
        return StreamKey("klines", symbol, kind.removeprefix("kline_"))
    return StreamKey({suffix: channel for channel, suffix in suffixes.items()}[kind], symbol)


def subscribe_messages(names: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """The SUBSCRIBE messages for these streams with their ids, at most 100 names each."""
    for number, start in enumerate(range(0, len(names), NAMES_PER_SUBSCRIBE), start=1):
        part = list(names[start : start + NAMES_PER_SUBSCRIBE])
        yield number, orjson.dumps({"method": "SUBSCRIBE", "params": part, "id": number})


_VALUE = rb'"\w++":(?:"[^"\\]*+"|[0-9]++)'
_NUMBER = rb"(?:0|[1-9][0-9]{0,19}+)\.[0-9]{%d}" % PLACES
_LEVEL = rb'\["%b","%b"\]' % (_NUMBER, _NUMBER)
_VALUES, _LEVELS = (rb"%b(?:,%b)*+" % (part, part) for part in (_VALUE, _LEVEL))
_PLAIN_DIFF = re.compile(
    rb'(\{(?:"stream":"[^"\\]*+","data":\{)?+%b),"b":\[((?:%b)?+)\],"a":\[((?:%b)?+)\](\}{1,2})' % (_VALUES, _LEVELS, _LEVELS)
)
"""A whole compact diff, combined or raw, whose levels are all pairs of plain numbers with a point: what stands before its
levels, both sides, and the braces after them. Other frames tell nothing.

Nothing stands between its keys but single values: its lists of levels are the message's. No pattern goes back: one pass
over the bytes, which costs less than a look at every level.
"""

_OfFutures = NoTrade | MarkPrice | Liquidation
Message = Trade | DepthDiff | BookTicker | Ticker | Kline | _OfFutures | UnreadableRow | Reply | ServerShutdown | Unknown


def parse_frame(frame: bytes, receipt_time: int = 0) -> list[Message]:
    """The messages of a frame, combined (`{"stream":…,"data":…}`) or raw. Raises FrameRefused."""
    if len(frame) < MOST_TOP_BYTES and (top := plain_top(frame)):
        return [top]
    if b'"depthUpdate"' in frame and (plain := _PLAIN_DIFF.fullmatch(frame)):
        before, bids, asks, braces = plain.groups()
        levels = {"b": LevelText(bids), "a": LevelText(asks)}
        return read_frame(before + braces, receipt_time, partial(parse_messages, levels=levels))
    return read_frame(frame, receipt_time, parse_messages)


def parse_messages(
    message: Any,
    receipt_time: int,
    levels: Mapping[str, LevelText] | None = None,
    parsers: "Mapping[str, Callable[[dict[str, Any]], Message]] | None" = None,
) -> list[Message]:
    """`levels` are those that were taken out of the frame, the last keys of a single message.

    `parsers` by kind of event: those of a market whose messages differ from spot's.
    """
    if type(message) is dict and "data" in message and "stream" in message:
        message = message["data"]
    if type(message) is list:
        return [_parse_event(item, parsers or PARSERS) for item in message]
    if levels and type(message) is dict:
        message.update(levels)
    return [_parse_event(message, parsers or PARSERS)]


def _parse_event(item: Any, parsers: "Mapping[str, Callable[[dict[str, Any]], Message]]") -> Message:
    message = object_of(item, "a message")
    kind = message.get("e")
    if kind is None:
        return parse_book_ticker(message) if "u" in message else _parse_control(message)
    parse = parsers.get(kind) if type(kind) is str else None
    return Unknown(str(kind)[:40]) if parse is None else parse(message)


def _parse_control(message: dict[str, Any]) -> Message:
    """`{"result":…,"id":1}`, `{"code":2,"msg":"…"}`; partial depth has no `e` either."""
    if "code" in message:
        return Reply(message.get("id"), f"{message['code']} {message.get('msg', '')}"[:300])
    if "error" in message:
        return Reply(message.get("id"), str(message["error"])[:300])
    if "result" in message and "id" in message:
        return Reply(message["id"], "")
    if "lastUpdateId" in message:
        return Unknown("partialDepth")
    raise FrameRefused("unknown_shape", "neither an event nor an answer")


def _parse_diff(message: dict[str, Any]) -> DepthDiff | UnreadableRow:
    """`{"e":"depthUpdate","E":…,"s":"BNBBTC","U":157,"u":160,"b":[["0.0024","10"]],"a":[…]}`."""
    return diff_of(message, message["U"], message["u"])


def diff_of(message: dict[str, Any], first: object, last: object) -> DepthDiff | UnreadableRow:
    """With these ids, the first and the last that it accounts for. Raises FrameRefused where they are none."""
    if not (type(first) is type(last) is int and 0 <= first <= last <= MOST_ID):
        raise FrameRefused("wrong_id", f"update ids {first!r} to {last!r}")
    symbol, bids, asks = name_of(message["s"]), message["b"], message["a"]
    if not type(bids) is type(asks) is LevelText:
        try:
            bids, asks = plain_levels(pairs_of(bids)), plain_levels(pairs_of(asks))
        except UnreadableNumber as error:
            return UnreadableRow("depth", symbol, "", first, last, str(error))
    return DepthDiff(symbol, first, last, bids, asks, instant_of(message["E"], unit_to_us))


def parse_trade(message: dict[str, Any]) -> Trade | UnreadableRow:
    """`{"e":"trade","E":…,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":…,"m":true,"M":true}`."""
    symbol, trade_id = name_of(message["s"]), id_of(message["t"])
    try:
        price, quantity = plain_number(message["p"]), plain_number(message["q"])
    except UnreadableNumber as error:
        return UnreadableRow("trades", symbol, "", trade_id, trade_id, str(error))
    return Trade(
        symbol,
        trade_id,
        price,
        quantity,
        flag_of(message["m"]),
        instant_of(message["T"], unit_to_us),
        instant_of(message["E"], unit_to_us),
    )


def parse_book_ticker(message: dict[str, Any]) -> BookTicker | UnreadableRow:
    """`{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}`.

    Spot sends neither `e` nor `E` with it. `u` is the book's update id; between two of them others may be missing.
    """
    symbol, update_id = name_of(message["s"]), id_of(message["u"])
    try:
        bid, bid_quantity, ask, ask_quantity = (plain_number(message[key]) for key in "bBaA")
    except UnreadableNumber as error:
        return UnreadableRow("book_tickers", symbol, "", update_id, update_id, str(error))
    event_time = instant_of(message["E"], unit_to_us) if "E" in message else None
    return BookTicker(symbol, update_id, bid, bid_quantity, ask, ask_quantity, event_time)


def _parse_mini_ticker(message: dict[str, Any]) -> Ticker | UnreadableRow:
    """`{"e":"24hrMiniTicker","E":…,"s":"BNBBTC","c":"0.0025","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18"}`."""
    symbol = name_of(message["s"])
    try:
        open_, high, low, close, volume, quote_volume = (plain_number(message[key]) for key in "ohlcvq")
    except UnreadableNumber as error:
        return UnreadableRow("ticker", symbol, "", None, None, str(error))
    return Ticker(symbol, instant_of(message["E"], unit_to_us), open_, high, low, close, volume, quote_volume)


def _parse_kline(message: dict[str, Any]) -> Kline | UnreadableRow:
    """`{"e":"kline",…,"k":{"t":…,"T":…,"s":…,"i":"1m",…,"x":false,…}}`; `x` marks the final update.

    The close time is cut to milliseconds, as REST gives it: the same kline must be the same row.
    """
    kline = object_of(message["k"], "k")
    symbol, interval = name_of(kline["s"]), _interval_of(kline["i"])
    opened, is_closed = instant_of(kline["t"], unit_to_us), flag_of(kline["x"])
    try:
        open_, high, low, close, volume, quote_volume, taker, taker_quote = (plain_number(kline[key]) for key in "ohlcvqVQ")
    except UnreadableNumber as error:
        open_time = opened if is_closed else None  # one that is not over yet is no row: no id is lost
        return UnreadableRow("klines", symbol, interval, open_time, open_time, str(error))
    return Kline(
        symbol,
        interval,
        opened,
        instant_of(kline["T"], unit_to_us) // 1_000 * 1_000,
        open_,
        high,
        low,
        close,
        volume,
        quote_volume,
        id_of(kline["n"]),
        taker,
        taker_quote,
        is_closed,
    )


def _parse_shutdown(message: dict[str, Any]) -> ServerShutdown:
    return ServerShutdown(instant_of(message["E"], unit_to_us))


PARSERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "depthUpdate": _parse_diff,
    "trade": parse_trade,
    "bookTicker": parse_book_ticker,
    "24hrMiniTicker": _parse_mini_ticker,
    "kline": _parse_kline,
    "serverShutdown": _parse_shutdown,
}


def _interval_of(value: object) -> str:
    if type(value) is not str or value not in INTERVALS:  # of another one nobody knows which open times exist
        raise FrameRefused("wrong_interval", f"{value!r:.40} is no interval")
    return value

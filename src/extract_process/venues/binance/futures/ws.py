"""Binance futures' socket: its streams, and its frames in our records. What is not here is spot's (`binance.ws`).

Book diffs name the last id before them (`pu`): "each new event's `pu` should be equal to the previous event's `u`".
"""

from functools import partial
from typing import Any

from extract_process.decimals import UnreadableNumber, plain_number, plain_rate
from extract_process.records import DepthDiff, Liquidation, MarkPrice, NoTrade, Trade, UnreadableRow, liquidation_id
from extract_process.venues.api import Limit, SocketRules
from extract_process.venues.binance.plain_top import MOST_TOP_BYTES, plain_top
from extract_process.venues.binance.ws import INTERVALS as SPOT_INTERVALS
from extract_process.venues.binance.ws import PARSERS, SUFFIXES, Message, diff_of, parse_messages, parse_trade
from extract_process.venues.binance.ws import key_of_stream as spot_key_of_stream
from extract_process.venues.binance.ws import stream_names as spot_stream_names
from extract_process.venues.parsing import FrameRefused, id_of, instant_of, name_of, object_of, read_frame
from tickhouse_core.timestamps import unit_to_us

_OF_MARKET = "MARKET"
_NOT_OF_MARKET = frozenset({"INSURANCE_FUND", "ADL", "NA"})
INTERVALS = SPOT_INTERVALS[1:]
"""As spot's, without `1s`."""

SOCKETS = SocketRules(streams_per_connection=1_024, messages=Limit(10, 1.25), connects=Limit(300, 300.0), quiet_seconds=200.0)
"""10 messages a second; see spot's. How many connects an address may make is not documented: spot's number. The venue pings
every 3 minutes, so that a quiet market's connection is silent in between.
"""

_SUFFIXES = {**SUFFIXES, "mark_prices": "markPrice@1s", "liquidations": "forceOrder"}
CHANNELS = (*_SUFFIXES, "klines", "ticker", "open_interest")
stream_names = partial(spot_stream_names, suffixes=_SUFFIXES)
key_of_stream = partial(spot_key_of_stream, suffixes=_SUFFIXES)
_SIDES = {"BUY": "buy", "SELL": "sell"}


def parse_frame(frame: bytes, receipt_time: int = 0) -> list[Message]:
    """The messages of a frame, combined (`{"stream":…,"data":…}`) or raw. Raises FrameRefused."""
    if len(frame) < MOST_TOP_BYTES and (top := plain_top(frame)):
        return [top]
    return read_frame(frame, receipt_time, _parse_messages)


def _parse_diff(message: dict[str, Any]) -> DepthDiff | UnreadableRow:
    """`{"e":"depthUpdate","E":…,"T":…,"s":"BTCUSDT","U":157,"u":160,"pu":149,"b":[["0.0024","10"]],"a":[…]}`.

    Ids jump: between `pu` and `U` are other symbols'. The diff accounts for all after `pu`, so that is where it begins.
    It then continues a book by the rule of every venue, and the venue's own follows: a snapshot's id L is inside of
    `pu`..`u` of the first diff, and a diff whose `pu` is not the last `u` is a gap of what lies between.
    """
    before, first, last = id_of(message["pu"]), id_of(message["U"]), id_of(message["u"])
    if not before < first <= last:
        raise FrameRefused("wrong_id", f"update ids {first!r} to {last!r} after {before!r}")
    return diff_of(message, before + 1, last)


def _parse_trade(message: dict[str, Any]) -> Trade | NoTrade | UnreadableRow:
    """`{"e":"trade","E":…,"T":…,"s":"BTCUSDT","t":12345,"p":"0.001","q":"100","X":"MARKET","m":true}`.

    INSURANCE_FUND, ADL and NA are no trades of the market: their prices, which may be far from it, or 0, must not become a
    candle's. REST and the venue's candles leave them out too. They have ids of the same numbering, so that each is told: NA
    alone was seen 15 times a minute for BTCUSDT.

    Any other `X`, a word that nobody knows yet too, says neither that the id is a trade nor that it is none. It is no row and
    its id is a gap, which REST then heals or leaves out. A message without `X` is a trade, as spot's and REST's are, which have
    none: nothing in it says otherwise, and a venue that no longer sent it would make every trade a gap.
    """
    kind = message.get("X", _OF_MARKET)
    if kind == _OF_MARKET:
        return parse_trade(message)
    symbol, trade_id = name_of(message["s"]), id_of(message["t"])
    why = f"X={kind!r:.40}, {message.get('q')!r:.60} at {message.get('p')!r:.60}, trade time {message.get('T')!r:.40}"
    if type(kind) is str and kind in _NOT_OF_MARKET:
        return NoTrade(symbol, trade_id, instant_of(message["E"], unit_to_us), why)
    return UnreadableRow("trades", symbol, "", trade_id, trade_id, why)


def _parse_mark_price(message: dict[str, Any]) -> MarkPrice | UnreadableRow:
    """`{"e":"markPriceUpdate","E":…,"s":"BTCUSDT","p":"11794.15","i":"11784.62","P":"11784.25","r":"0.00038167","T":…}`.

    Of a contract with a delivery date `r` is "" and `T` is 0: there is no funding.
    """
    symbol, at = name_of(message["s"]), instant_of(message["E"], unit_to_us)
    funding_at = instant_of(message["T"], unit_to_us) if message.get("T") else None
    index, settle, rate = (message.get(key) or None for key in "iPr")
    try:
        return MarkPrice(
            symbol,
            at,
            plain_number(message["p"]),
            None if index is None else plain_number(index),
            None if settle is None else plain_number(settle),
            None if rate is None else plain_rate(rate),
            funding_at,
        )
    except UnreadableNumber as error:
        return UnreadableRow("mark_prices", symbol, "", None, None, str(error))


def _parse_liquidation(message: dict[str, Any]) -> Liquidation | UnreadableRow:
    """`{"e":"forceOrder","E":…,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910","ap":"9910",
    "X":"FILLED","l":"0.014","z":"0.014","T":…}}`: at most one a second of each symbol is sent, the others are not told.
    """
    order = object_of(message["o"], "o")
    symbol, at, sent_at = name_of(order["s"]), instant_of(order["T"], unit_to_us), instant_of(message["E"], unit_to_us)
    kind, in_force, status = (name_of(order[key]) for key in ("o", "f", "X"))
    if (side := _SIDES.get(name_of(order["S"]))) is None:
        raise FrameRefused("wrong_type", f"{order['S']!r:.40} is no side")
    try:
        quantity, price, average, last, filled = (plain_number(order[key]) for key in ("q", "p", "ap", "l", "z"))
    except UnreadableNumber as error:
        return UnreadableRow("liquidations", symbol, "", None, None, str(error))
    values = side, kind, in_force, status, quantity, price, average, last, filled
    return Liquidation(symbol, liquidation_id(at, *values), *values, at, sent_at)


_PARSERS = {
    **PARSERS,
    "depthUpdate": _parse_diff,
    "trade": _parse_trade,
    "markPriceUpdate": _parse_mark_price,
    "forceOrder": _parse_liquidation,
}
_parse_messages = partial(parse_messages, parsers=_PARSERS)

"""PURE. KuCoin's REST answers in our words: `{"code":"200000","data":…}` in, records or Arrow columns out."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple, TypeVar

import orjson
import pyarrow as pa

from extract_process.decimal_text import UnreadableNumber, decimals, plain_levels, plain_number
from extract_process.kline_values import check_klines
from extract_process.records import DepthSnapshot, Trade
from extract_process.venues.kucoin.intervals import close_time_of
from extract_process.venues.parsing import DATA_ERRORS
from tickhouse_core.datasets import INSTANT, KLINES, MARKET_TIMES, NAME
from tickhouse_core.errors import VenueUnavailable
from tickhouse_core.timestamps import SECOND_US

VENUE = "kucoin"
SUCCESS = "200000"
"""`code` is text in every answer."""

EARLIEST_US = 1_504_224_000_000_000
"""2017-09-01: the venue opened that month and has nothing older."""

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class Token:
    """One connection's way in: valid for a day, asked anew for every connect. Seconds."""

    token: str
    endpoint: str
    ping_seconds: float
    pong_seconds: float


class _Candle(NamedTuple):
    time: str
    open: str
    close: str
    high: str
    low: str
    volume: str
    turnover: str


def parse_token(body: bytes) -> Token:
    """POST /api/v1/bullet-public; the first of its servers."""

    def read(data: dict[str, Any]) -> Token:
        server = data["instanceServers"][0]
        seconds = [int(server[name]) / 1_000 for name in ("pingInterval", "pingTimeout")]
        if min(seconds) <= 0 or not server["endpoint"].startswith(("ws://", "wss://")):
            raise ValueError(f"server {server!r:.200}")
        return Token(str(data["token"]), server["endpoint"], *seconds)

    return _parsed(body, read)


def parse_server_time(body: bytes) -> int:
    """/api/v1/timestamp (milliseconds) as microseconds since the epoch."""
    return _parsed(body, lambda data: int(data) * 1_000)


def parse_symbols(body: bytes) -> dict[str, bool]:
    """/api/v2/symbols: whether each symbol trades."""
    return _parsed(body, lambda data: {item["symbol"]: item["enableTrading"] is True for item in data})


def parse_error(body: bytes) -> tuple[str, str]:
    """`{"code":"400100","msg":"…"}` as code and text; empty and the body's start if it is something else."""
    try:
        answer = orjson.loads(body)
        return str(answer["code"]), str(answer.get("msg", ""))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "", body[:200].decode(errors="replace")


def parse_depth(body: bytes, *, symbol: str, reason: str) -> DepthSnapshot:
    """level2_20 and level2_100: `{"time":…,"sequence":"14610502970","bids":[["66976.4","0.69"]],"asks":[…]}`."""

    def read(data: dict[str, Any]) -> DepthSnapshot:
        sequence, bids, asks = int(data["sequence"]), data["bids"], data["asks"]
        if not 0 <= sequence < 2**64:
            raise ValueError(f"sequence is {sequence}")
        if any(len(level) != 2 for level in chain(bids, asks)):
            raise ValueError("a level is no pair")
        return DepthSnapshot(symbol, sequence, plain_levels(bids), plain_levels(asks), reason)

    return _parsed(body, read)


def parse_trades(body: bytes, *, symbol: str) -> list[Trade]:
    """/api/v1/market/histories, whatever its order: `{"sequence":"…","price":"…","size":"…","side":"buy","time":<ns>}`.

    A trade whose numbers cannot be read is left out: it stays a gap, and its neighbours are healed.
    """

    def read(data: list[dict[str, Any]]) -> list[Trade]:
        readable = (trade for item in data if (trade := _trade(item, symbol)) is not None)
        trades = sorted(readable, key=lambda trade: trade.trade_id)
        if any(later.trade_id == earlier.trade_id for earlier, later in pairwise(trades)):
            raise ValueError("a sequence is there twice")
        return trades

    return _parsed(body, read)


def parse_klines(body: bytes, *, symbol: str, interval: str, receipt_time: int) -> pa.Table:
    """/api/v1/market/candles, newest first there, oldest first here; every one marked closed: ask for closed ones only.

    The venue counts neither trades nor what takers bought: those columns are 0.
    """

    def read(data: list[list[str]]) -> pa.Table:
        if not isinstance(data, list):
            raise TypeError("not an array")
        candles = [_Candle(*row) for row in reversed(data)]
        opens = [int(candle.time) * SECOND_US for candle in candles]
        if not all(map(MARKET_TIMES.holds, opens)):
            raise ValueError("a candle has a time that no market can have")
        if any(later <= earlier for earlier, later in pairwise(opens)):
            raise ValueError("candles are not in descending order")
        return _klines_table(candles, opens, symbol=symbol, interval=interval, receipt_time=receipt_time)

    return _parsed(body, read)


def _klines_table(candles: list[_Candle], opens: list[int], *, symbol: str, interval: str, receipt_time: int) -> pa.Table:
    rows = len(candles)
    constants = {"venue": VENUE, "symbol": symbol, "interval": interval, "source": "rest"}
    columns: dict[str, Any] = {name: pa.array([value] * rows, pa.string()).cast(NAME) for name, value in constants.items()}
    columns |= {"open_time": pa.array(opens, INSTANT), "receipt_time": pa.repeat(pa.scalar(receipt_time, INSTANT), rows)}
    columns["close_time"] = pa.array([close_time_of(interval, opened) for opened in opens], INSTANT)
    columns |= {name: _decimals([getattr(candle, name) for candle in candles]) for name in ("open", "high", "low", "close")}
    columns |= {"volume": _decimals([candle.volume for candle in candles])}
    columns |= {"quote_volume": _decimals([candle.turnover for candle in candles])}
    columns |= {name: _decimals(["0"] * rows) for name in ("taker_buy_volume", "taker_buy_quote_volume")}
    columns |= {"trade_count": pa.repeat(pa.scalar(0, pa.int64()), rows), "is_closed": pa.repeat(pa.scalar(True), rows)}
    return check_klines(pa.table([columns[field.name] for field in KLINES.schema], schema=KLINES.schema))


def _decimals(texts: list[str]) -> Any:
    """Exact. Raises ArrowInvalid for what does not fit, TypeError for what is no text."""
    return decimals(pa.array(texts, pa.string()))


def _trade(item: dict[str, Any], symbol: str) -> Trade | None:
    sequence, side = int(item["sequence"]), item["side"]
    if not 0 <= sequence < 2**64 or side not in ("buy", "sell"):
        raise ValueError(f"trade {item!r:.100}")
    at = int(item["time"]) // 1_000
    if not MARKET_TIMES.holds(at):
        raise ValueError(f"the time of trade {sequence} is {item['time']!r:.40}")
    try:
        price, size = plain_number(item["price"]), plain_number(item["size"])
    except UnreadableNumber:
        return None
    return Trade(symbol, sequence, price, size, side == "sell", at, at)


def _parsed(body: bytes, read: Callable[[Any], Parsed]) -> Parsed:
    """A body that is cut or of another shape is the venue's passing trouble: the question is asked again."""
    try:
        return read(orjson.loads(body)["data"])
    except (*DATA_ERRORS, pa.ArrowException) as error:
        raise VenueUnavailable(f"unusable answer of {len(body)} bytes ({error}): {body[:80]!r}") from error

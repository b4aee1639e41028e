"""PURE. Binance's letters in our words: bytes of an answer in, records or Arrow columns out."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, TypeVar

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from extract_process.decimal_text import UnreadableNumber, decimals, plain_levels, plain_number
from extract_process.kline_values import check_klines
from extract_process.records import DepthSnapshot, Trade
from extract_process.venues.parsing import DATA_ERRORS
from tickhouse_core.datasets import INSTANT, KLINES, MARKET_TIMES, NAME
from tickhouse_core.errors import VenueUnavailable
from tickhouse_core.timestamps import unit_to_us

VENUE = "binance"
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
"""Case-sensitive, as the venue spells them."""

KLINE_COLUMNS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignored",
)
"""The 12 places of a kline, the same in REST answers and in the archive's CSV; the last one is unused."""

EARLIEST_US = 1_483_228_800_000_000
"""2017-01-01: the venue has nothing older, and takes no earlier time for an answerable question."""

_FIRST_MICROSECONDS = 100_000_000_000_000  # as an instant in ms this is the year 5138, in us 1973
_MILLISECOND_US = 1_000
Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class ExchangeInfo:
    """What a collector needs of /api/v3/exchangeInfo: status by symbol, and request weight allowed a minute.

    `weight_limit` is None where the answer has no limits at all.
    """

    statuses: dict[str, str]
    weight_limit: int | None


def parse_server_time(body: bytes) -> int:
    """/api/v3/time as microseconds since the epoch."""
    return _parsed(body, lambda answer: int(answer["serverTime"]) * 1_000)


def parse_exchange_info(body: bytes) -> ExchangeInfo:
    """Symbols may be any text (non-ASCII ones exist), statuses any word (new ones appear)."""

    def read(answer: Any) -> ExchangeInfo:
        limits = answer.get("rateLimits")
        return ExchangeInfo(
            statuses={item["symbol"]: item["status"] for item in answer["symbols"]},
            weight_limit=None if limits is None else next(int(limit["limit"]) for limit in limits if _is_weight_a_minute(limit)),
        )

    return _parsed(body, read)


def parse_error(body: bytes) -> tuple[int, str]:
    """`{"code":-1121,"msg":"Invalid symbol."}` as code and text; 0 and the body's start if it is something else."""
    try:
        answer = orjson.loads(body)
        return int(answer["code"]), str(answer["msg"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        return 0, body[:200].decode(errors="replace")


def parse_klines(body: bytes, *, symbol: str, interval: str, receipt_time: int) -> pa.Table:
    """An answer of /api/v3/klines as rows of the dataset klines, every one marked closed: ask for closed ones only.

    Raises VenueUnavailable for anything that is not an array of 12-place klines in ascending order (a cut body).
    """

    def read(answer: list[list[Any]]) -> pa.Table:
        rows = klines_table(
            _columns(answer),
            symbol=symbol,
            interval=interval,
            source="rest",
            receipt_time=receipt_time,
        )
        times = rows["open_time"]
        if rows.num_rows > 1 and not pc.all(pc.greater(times[1:], times[:-1])).as_py():
            raise ValueError("klines are not in ascending order")
        return rows

    return _parsed(body, read)


def parse_depth(body: bytes, *, symbol: str, reason: str) -> DepthSnapshot:
    """An answer of /api/v3/depth: `{"lastUpdateId":1027024,"bids":[["4.0","431.0"]],"asks":[…]}`, best levels first."""

    def read(answer: dict[str, Any]) -> DepthSnapshot:
        last_update_id, bids, asks = answer["lastUpdateId"], answer["bids"], answer["asks"]
        if type(last_update_id) is not int or not 0 <= last_update_id < 2**64:
            raise ValueError(f"lastUpdateId is {last_update_id!r}")
        if any(len(level) != 2 for level in chain(bids, asks)):
            raise ValueError("a level is no pair")
        return DepthSnapshot(symbol, last_update_id, plain_levels(bids), plain_levels(asks), reason)

    return _parsed(body, read)


def parse_trades(body: bytes, *, symbol: str) -> list[Trade]:
    """An answer of /api/v3/trades or /historicalTrades, oldest first. REST says no event time: it is the trade time.

    A trade whose numbers cannot be read is left out: it stays a gap, and its neighbours are healed.
    """

    def read(answer: list[dict[str, Any]]) -> list[Trade]:
        if not isinstance(answer, list):
            raise TypeError("not an array")
        trades = [trade for item in answer if (trade := _trade(item, symbol)) is not None]
        if any(later.trade_id <= earlier.trade_id for earlier, later in pairwise(trades)):
            raise ValueError("trades are not in ascending order")
        return trades

    return _parsed(body, read)


def klines_table(columns: dict[str, Any], *, symbol: str, interval: str, source: str, receipt_time: int) -> pa.Table:
    """The venue's twelve columns (lists or Arrow arrays) as the dataset's, times of either unit in microseconds.

    Raises ValueError or ArrowInvalid for values that no kline can have.
    """
    rows = len(columns["open_time"])
    constants = {"venue": VENUE, "symbol": symbol, "interval": interval, "source": source}
    filled: dict[str, Any] = {name: _repeated(value, rows) for name, value in constants.items()}
    filled["open_time"] = _instants(columns["open_time"], grain=1)
    filled["close_time"] = _instants(columns["close_time"], grain=_MILLISECOND_US)
    filled["trade_count"] = _integers(columns["trade_count"])
    filled["is_closed"] = pa.repeat(pa.scalar(True), rows)
    filled["receipt_time"] = pa.repeat(pa.scalar(receipt_time, INSTANT), rows)
    return check_klines(
        pa.table(
            [filled[field.name] if field.name in filled else _decimals(columns[field.name]) for field in KLINES.schema],
            schema=KLINES.schema,
        )
    )


def _trade(item: dict[str, Any], symbol: str) -> Trade | None:
    trade_id, is_buyer_maker = item["id"], item["isBuyerMaker"]
    if type(trade_id) is not int or not 0 <= trade_id < 2**64 or type(is_buyer_maker) is not bool:
        raise TypeError(f"trade {item!r:.100}")
    trade_time = unit_to_us(int(item["time"]))
    if not MARKET_TIMES.holds(trade_time):
        raise ValueError(f"the time of trade {trade_id} is {item['time']!r:.40}")
    try:
        price, quantity = plain_number(item["price"]), plain_number(item["qty"])
    except UnreadableNumber:
        return None
    return Trade(symbol, trade_id, price, quantity, is_buyer_maker, trade_time, trade_time)


def _columns(answer: list[list[Any]]) -> dict[str, tuple[Any, ...]]:
    if not isinstance(answer, list):
        raise TypeError("not an array")
    if not answer:
        return dict.fromkeys(KLINE_COLUMNS, ())
    return dict(zip(KLINE_COLUMNS, zip(*answer, strict=True), strict=True))


def _decimals(texts: Any) -> Any:
    """Exact. Raises ArrowInvalid for what does not fit, ValueError for a missing value."""
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        texts = pa.array(texts, pa.string())
    if texts.null_count:
        raise ValueError("a price or quantity is missing")
    return decimals(texts)


def _instants(numbers: Any, grain: int) -> pa.Array:
    """Milliseconds or microseconds, told apart by magnitude, cut to `grain` microseconds.

    The archive gives close times as ...999999 us since 2025 and REST as ...999 ms: the same kline must be the same row.
    """
    values = _integers(numbers)
    in_us = pc.if_else(pc.greater_equal(values, _FIRST_MICROSECONDS), values, pc.multiply(values, 1_000))
    if len(values):
        least, first, last = pc.min(values).as_py(), pc.min(in_us).as_py(), pc.max(in_us).as_py()
        if least < 0 or not (MARKET_TIMES.holds(first) and MARKET_TIMES.holds(last)):  # a product of less than 0 may wrap
            raise ValueError(f"times from {first} to {last} us are none that a market can have")
    return pc.cast(pc.multiply(pc.divide(in_us, grain), grain), INSTANT)


def _integers(numbers: Any) -> pa.Array:
    array = numbers if isinstance(numbers, pa.Array | pa.ChunkedArray) else pa.array(numbers, pa.int64())
    if array.null_count:
        raise ValueError("a time or count is missing")
    return array


def _repeated(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([value], pa.string())).cast(NAME)


def _is_weight_a_minute(limit: dict[str, Any]) -> bool:
    return (limit["rateLimitType"], limit["interval"], limit["intervalNum"]) == ("REQUEST_WEIGHT", "MINUTE", 1)


def _parsed(body: bytes, read: Callable[[Any], Parsed]) -> Parsed:
    """A body that is cut or of another shape is the venue's passing trouble: the question is asked again."""
    try:
        return read(orjson.loads(body))
    except (*DATA_ERRORS, StopIteration, pa.ArrowException) as error:
        raise VenueUnavailable(f"unusable answer of {len(body)} bytes ({error}): {body[:80]!r}") from error

"""PURE. Checks that every venue's frames and answers must pass: names, ids, instants, levels, trades and klines.

Unreadable input is refused, never guessed: FrameRefused for a frame, UnusableAnswer for an answer.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from extract_process.decimals import UnreadableNumber, decimals, plain_levels, plain_number
from extract_process.ranges import grid_of
from extract_process.records import AnsweredTrade, DepthSnapshot, Trade, UnreadableTrade
from tickhouse_core.columns import INSTANT, MARKET_TIMES, NAME, most_text_bytes
from tickhouse_core.datasets import KLINES, TRADES
from tickhouse_core.errors import UnusableAnswer
from tickhouse_core.timestamps import SECOND_US, format_instant

MOST_ID = 2**64 - 1
DATA_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What our code raises on unforeseen data. It costs the message or the symbol that had it, and is logged."""

_MOST_NAME_BYTES = most_text_bytes(TRADES.schema.field("symbol")) or 0
_MILLISECOND_US = 1_000
Parsed = TypeVar("Parsed")


class FrameRefused(ValueError):
    """A frame that is not one of the venue's messages. `reason` is a short machine-readable word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_frame(frame: bytes, receipt_time: int, read: Callable[[Any, int], list[Any]]) -> list[Any]:
    """The messages that `read` makes of a frame's JSON and its receipt_time. Raises FrameRefused."""
    try:
        return read(orjson.loads(frame), receipt_time)
    except FrameRefused:
        raise
    except orjson.JSONDecodeError as error:
        raise FrameRefused("not_json", f"not JSON: {error}") from error
    except KeyError as error:
        raise FrameRefused("missing_key", f"no key {error}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameRefused("wrong_type", str(error)) from error


def read_answer(body: bytes, read: Callable[[Any], Parsed]) -> Parsed:
    """What `read` makes of a body's JSON. Raises UnusableAnswer for a truncated or malformed body: the request is retried."""
    try:
        return read(orjson.loads(body))
    except (*DATA_ERRORS, StopIteration, pa.ArrowException) as error:
        raise UnusableAnswer(f"unusable answer of {len(body)} bytes ({error}): {body[:80]!r}") from error


def name_of(value: object) -> str:
    """A symbol, or the like, as a column of names holds it. Raises FrameRefused for anything else.

    The loader refuses a whole object, valid rows included, if one name is longer.
    """
    if type(value) is not str or not value:
        raise FrameRefused("wrong_type", f"{value!r:.40} is no text")
    if len(value) * 4 > _MOST_NAME_BYTES and len(value.encode()) > _MOST_NAME_BYTES:
        raise FrameRefused("wrong_type", f"{value!r:.40}… has {len(value):,} characters and is no name")
    return value


def object_of(value: object, name: str) -> dict[str, Any]:
    """A JSON object. Raises FrameRefused that names the wrong part of the message."""
    if type(value) is not dict:
        raise FrameRefused("wrong_type", f"{name} is {type(value).__name__}, not an object")
    return value


def flag_of(value: object) -> bool:
    """Raises FrameRefused."""
    if type(value) is not bool:
        raise FrameRefused("wrong_type", f"{value!r:.40} is neither true nor false")
    return value


def id_of(value: object) -> int:
    """An unsigned integer of 64 bits. Raises FrameRefused."""
    if type(value) is not int or not 0 <= value <= MOST_ID:
        raise FrameRefused("wrong_id", f"{value!r:.40} is no id")
    return value


def instant_of(value: object, to_us: Callable[[int], int]) -> int:
    """Microseconds since the epoch, converted from the venue's unit. Raises FrameRefused for an implausible instant."""
    if type(value) is not int or not MARKET_TIMES.holds(instant := to_us(value)):
        raise FrameRefused("wrong_time", f"{value!r:.40} is no time")
    return instant


def from_seconds(instant: int) -> int:
    """Microseconds."""
    return instant * SECOND_US


def from_ms(instant: int) -> int:
    """Microseconds."""
    return instant * 1_000


def from_ns(instant: int) -> int:
    """Microseconds."""
    return instant // 1_000


def pairs_of(value: Any) -> list[list[str]]:
    """A list of pairs. Raises UnreadableNumber: the message has ids that must be accounted for."""
    if type(value) is not list:
        raise UnreadableNumber("levels are no list")
    for level in value:
        if type(level) is not list or len(level) != 2:
            raise UnreadableNumber(f"{level!r:.60} is no level")
    levels: list[list[str]] = value
    return levels


def snapshot_of(symbol: str, last_update_id: object, bids: object, asks: object, reason: str) -> DepthSnapshot:
    """Raises ValueError for an id or a level that cannot be read."""
    return DepthSnapshot(symbol, id_of(last_update_id), plain_levels(pairs_of(bids)), plain_levels(pairs_of(asks)), reason)


def trades_of(answer: object, read: Callable[[Any], AnsweredTrade]) -> list[AnsweredTrade]:
    """The trades of an answer, in its order; `read` makes one of each item."""
    if type(answer) is not list:
        raise TypeError("not an array")
    return [read(item) for item in answer]


def answered_trade(
    symbol: str, trade_id: int, price: object, quantity: object, *, is_buyer_maker: bool, at: int
) -> AnsweredTrade:
    """REST says no event time: it is the trade time. One whose numbers cannot be read stays a gap; its neighbours are healed."""
    try:
        return Trade(symbol, trade_id, plain_number(price), plain_number(quantity), is_buyer_maker, at, at)
    except UnreadableNumber as error:
        return UnreadableTrade(trade_id, at, str(error))


def rising_trades(trades: list[AnsweredTrade]) -> list[AnsweredTrade]:
    """Raises ValueError where their ids do not rise."""
    if any(later.trade_id <= earlier.trade_id for earlier, later in pairwise(trades)):
        raise ValueError("trades are not in ascending order")
    return trades


def close_time_of(interval: str, open_time: int) -> int:
    """For a venue that sends none: the last millisecond before the next kline opens, in microseconds."""
    return grid_of(interval).after(open_time) - _MILLISECOND_US


def klines_table(columns: dict[str, Any], *, venue: str, symbol: str, interval: str, source: str, receipt_time: int) -> pa.Table:
    """Columns (lists or Arrow arrays; times in microseconds, numbers as text) as rows of the dataset klines, all closed.

    Close times are cut to milliseconds: the archive has ...999999 us since 2025 and REST ...999 ms, and the same kline
    must be the same row. Raises ValueError or ArrowInvalid for values that no kline can have.
    """
    rows = len(columns["open_time"])
    constants = {"venue": venue, "symbol": symbol, "interval": interval, "source": source}
    filled: dict[str, Any] = {name: repeated(value, rows) for name, value in constants.items()}
    filled["open_time"] = instants_of(columns["open_time"], grain=1)
    filled["close_time"] = instants_of(columns["close_time"], grain=_MILLISECOND_US)
    filled["trade_count"] = integers_of(columns["trade_count"])
    filled["is_closed"] = pa.repeat(pa.scalar(True), rows)
    filled["receipt_time"] = pa.repeat(pa.scalar(receipt_time, INSTANT), rows)
    arrays = [filled[field.name] if field.name in filled else decimals_of(columns[field.name]) for field in KLINES.schema]
    return check_klines(pa.table(arrays, schema=KLINES.schema))


def rising_klines(rows: pa.Table) -> pa.Table:
    """Raises ValueError where their open times do not rise."""
    times = rows["open_time"]
    if rows.num_rows > 1 and not pc.all(pc.greater(times[1:], times[:-1])).as_py():
        raise ValueError("klines are not in ascending order")
    return rows


def integers_of(numbers: Any) -> pa.Array:
    """Raises ValueError where one is missing."""
    return complete_array(numbers, pa.int64())


def complete_array(values: Any, kind: pa.DataType) -> pa.Array:
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, kind)
    if array.null_count:
        raise ValueError("a time, count, id or side is missing")
    return array


def decimals_of(texts: Any) -> Any:
    """Exact. Raises ArrowInvalid for what does not fit, ValueError for a missing value."""
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        texts = pa.array(texts, pa.string())
    if texts.null_count:
        raise ValueError("a price or quantity is missing")
    return decimals(texts)


def instants_of(microseconds: Any, grain: int) -> pa.Array:
    values = integers_of(microseconds)
    if len(values):
        first, last = pc.min(values).as_py(), pc.max(values).as_py()
        if not (MARKET_TIMES.holds(first) and MARKET_TIMES.holds(last)):
            raise ValueError(f"times from {first} to {last} us are none that a market can have")
    return pc.cast(pc.multiply(pc.divide(values, grain), grain), INSTANT)


def repeated(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([value], pa.string())).cast(NAME)


def check_klines(rows: pa.Table) -> pa.Table:
    """The rows as they are. Raises ValueError that names the column and the value which cannot be.

    Oddities that venues do have stay: an open time off the grid, a kline that closes early.
    """
    if not rows.num_rows:
        return rows
    for field in rows.schema:
        if pa.types.is_decimal(field.type) or pa.types.is_integer(field.type):
            lowest = pc.min(rows[field.name]).as_py()
            if lowest < 0:
                raise ValueError(f"{field.name} {lowest} is negative")
    _check_order(rows, "low", "high")
    _check_order(rows, "open_time", "close_time")
    return rows


def _check_order(rows: pa.Table, lower: str, upper: str) -> None:
    wrong = pc.greater(rows[lower], rows[upper])
    if pc.any(wrong).as_py():
        row = rows.filter(wrong)
        said = " is below ".join(f"{name} {_said(row[name][0])}" for name in (upper, lower))
        raise ValueError(f"in the kline of {_said(row['open_time'][0])} {said}")


def _said(value: pa.Scalar) -> str:
    return format_instant(value.value) if pa.types.is_timestamp(value.type) else str(value.as_py().normalize())

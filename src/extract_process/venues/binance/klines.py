"""PURE. Binance's klines, from REST answers and the archive's files: the venue's columns as rows of the dataset."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from extract_process.venues import parsing

NAME = "binance"
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

_FIRST_MICROSECONDS = 100_000_000_000_000  # as an instant in ms this is the year 5138, in us 1973


def parse_klines(body: bytes, symbol: str, interval: str, receipt_time: int, venue: str = NAME) -> pa.Table:
    """An answer of `klines` as rows of the dataset klines, every one marked closed: ask for closed ones only.

    Raises VenueUnavailable for anything that is not an array of 12-place klines in ascending order (a cut body).
    """

    def read(answer: list[list[Any]]) -> pa.Table:
        named = {"venue": venue, "symbol": symbol, "interval": interval, "source": "rest"}
        return parsing.rising_klines(klines_table(_columns(answer), **named, receipt_time=receipt_time))

    return parsing.read_answer(body, read)


def klines_table(
    columns: dict[str, Any], *, symbol: str, interval: str, source: str, receipt_time: int, venue: str = NAME
) -> pa.Table:
    """The venue's columns (lists or Arrow arrays) as the dataset's, times of either unit in microseconds.

    Raises ValueError or ArrowInvalid for values that no kline can have.
    """
    times = {name: in_us(columns[name]) for name in ("open_time", "close_time")}
    return parsing.klines_table(
        columns | times, venue=venue, symbol=symbol, interval=interval, source=source, receipt_time=receipt_time
    )


def _columns(answer: list[list[Any]]) -> dict[str, tuple[Any, ...]]:
    if not isinstance(answer, list):
        raise TypeError("not an array")
    if not answer:
        return dict.fromkeys(KLINE_COLUMNS, ())
    return dict(zip(KLINE_COLUMNS, zip(*answer, strict=True), strict=True))


def in_us(numbers: Any) -> pa.Array:
    """Milliseconds or microseconds, told apart by magnitude. What is negative stays so: a product might wrap around."""
    values = parsing.integers_of(numbers)
    is_other = pc.or_(pc.greater_equal(values, _FIRST_MICROSECONDS), pc.less(values, 0))
    return pc.if_else(is_other, values, pc.multiply(values, 1_000))

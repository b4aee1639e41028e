"""PURE. Klines as integers, and as the text rows the venue sends: `[openTime,"open","high","low","close","volume",
closeTime,"quoteVolume",trades,"takerBase","takerQuote","0"]`, kept as one long text so that a page is a slice of it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from simulated_exchange.market.instruments import DECIMALS, Instrument
from simulated_exchange.market.intervals import Interval


class TimeUnit(IntEnum):
    """How many of the venue's time units one millisecond has."""

    MILLISECOND = 1
    MICROSECOND = 1_000


class Kline(NamedTuple):
    """Prices in ticks, quantities in steps, quote volumes in tick times step: whole numbers, so that sums are exact."""

    open_time: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trade_count: int
    taker_buy_volume: int
    taker_buy_quote_volume: int


@dataclass(frozen=True, slots=True)
class KlineQuery:
    """Rows of one series with first <= open time <= last (milliseconds), the oldest `limit` of them or the newest."""

    symbol: str
    interval: Interval
    first: int
    last: int
    limit: int
    newest: bool
    now: int
    unit: TimeUnit = TimeUnit.MILLISECOND


class NotRecorded(LookupError):
    """A recording has klines of the symbol, and none of the interval; which it has, for people."""


class KlineSource(Protocol):
    """Where rows come from: the generated market or a recording."""

    @property
    def instruments(self) -> "dict[str, Instrument]": ...

    def rows(self, query: KlineQuery) -> bytes:
        """The rows asked for, ascending, commas between them, no brackets around; maybe empty. Raises NotRecorded."""

    def traded(self, symbol: str, opened: int, now: int) -> list[Kline]:
        """Klines that together cover [opened, now]; nothing where there is no more than rows."""

    def minutes(self, symbol: str, start: int, end: int) -> list[Kline]:
        """The one-minute klines that open in [start, end); nothing where there is no more than rows."""

    def minute_opens(self, symbol: str, start: int, number: int) -> Sequence[int]:
        """The price at `number` whole minutes from `start` on, in ticks."""

    def is_halted(self, symbol: str, now: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class Rows:
    """Rendered rows in ascending order: row i is `text[offsets[i]:offsets[i + 1]]`, its comma included."""

    open_times: Sequence[int]
    offsets: Sequence[int]
    text: bytes

    def pick(self, first: int, last: int, limit: int, *, newest: bool) -> tuple[bytes, int]:
        """The rows with first <= open time <= last (at most `limit`, from the old or the new end), and their number."""
        start, stop = bisect_left(self.open_times, first), bisect_right(self.open_times, last)
        if newest:
            start = max(start, stop - limit)
        stop = max(start, min(stop, start + limit))
        return self.text[self.offsets[start] : self.offsets[stop]], stop - start


def merge(klines: Sequence[Kline], open_time: int) -> Kline:
    """The kline of a longer interval, opening at `open_time`: first open, highest, lowest, last close, exact sums."""
    return Kline(
        open_time,
        klines[0].open,
        max(kline.high for kline in klines),
        min(kline.low for kline in klines),
        klines[-1].close,
        *(sum(column) for column in zip(*(kline[5:] for kline in klines), strict=True)),
    )


def text_rows(klines: Iterable[Kline], instrument: Instrument, interval: Interval, unit: TimeUnit) -> Rows:
    """Renders a few klines; `text_rows_of_table` is the one for many."""
    return joined_rows([(kline.open_time, _row(kline, instrument, interval, unit)) for kline in klines])


def joined_rows(rows: Sequence[tuple[int, str]]) -> Rows:
    """Rows from (open time, `[...]`) pairs in ascending order."""
    offsets = [0]
    encoded = [f"{row},".encode() for _, row in rows]
    for row in encoded:
        offsets.append(offsets[-1] + len(row))
    return Rows([open_time for open_time, _ in rows], offsets, b"".join(encoded))


def text_rows_of_table(table: pa.Table, instrument: Instrument, length: int, unit: TimeUnit) -> Rows:
    """Renders a table with the columns of `Kline`, whose klines are `length` milliseconds long."""
    if not table.num_rows:
        return Rows((), (0,), b"")
    column = {name: table.column(name).combine_chunks() for name in table.column_names}
    price, quantity = instrument.price_scale, instrument.quantity_scale
    turnover = _turnovers(instrument, column["volume"], column["quote_volume"])
    taken = _turnovers(instrument, column["taker_buy_volume"], column["taker_buy_quote_volume"])
    closes = pc.add(pc.multiply(pc.add(column["open_time"], length), int(unit)), -1)
    joined = pc.binary_join_element_wise(
        "[", pc.multiply(column["open_time"], int(unit)).cast(pa.string()),
        ',"', decimals_of(column["open"], price),
        '","', decimals_of(column["high"], price),
        '","', decimals_of(column["low"], price),
        '","', decimals_of(column["close"], price),
        '","', decimals_of(column["volume"], quantity),
        '",', closes.cast(pa.string()),
        ',"', turnover,
        '",', column["trade_count"].cast(pa.string()),
        ',"', decimals_of(column["taker_buy_volume"], quantity),
        '","', taken,
        '","0"],', "",
    )  # fmt: skip
    _, offsets, text = joined.buffers()
    opens = memoryview(column["open_time"].buffers()[1]).cast("q")[column["open_time"].offset :]
    return Rows(opens[: len(joined)], memoryview(offsets).cast("i")[: len(joined) + 1], text.to_pybytes())


def _turnovers(instrument: Instrument, steps: pa.Array, notional: pa.Array) -> pa.Array:
    """`Instrument.turnover` of each row, as text."""
    if not instrument.contract_size:
        return decimals_of(notional, instrument.notional_scale)
    return decimals_of(pa.array(map(instrument.turnover, steps.to_pylist(), notional.to_pylist()), pa.int64()), 1)


def decimals_of(column: pa.Array, scale: int) -> pa.Array:
    """Whole numbers of `scale` times 10^-8 as texts with eight places."""
    digits = pc.utf8_lpad(pc.multiply(column, scale).cast(pa.string()), DECIMALS + 1, "0")
    return pc.binary_replace_slice(digits, start=-DECIMALS, stop=-DECIMALS, replacement=".")


def _row(kline: Kline, instrument: Instrument, interval: Interval, unit: TimeUnit) -> str:
    prices = [decimal_text(ticks * instrument.price_scale) for ticks in kline[1:5]]
    volume, taken = (decimal_text(steps * instrument.quantity_scale) for steps in (kline.volume, kline.taker_buy_volume))
    quote_volume = decimal_text(instrument.turnover(kline.volume, kline.quote_volume))
    quote_taken = decimal_text(instrument.turnover(kline.taker_buy_volume, kline.taker_buy_quote_volume))
    joined = '","'.join(prices)
    close_time = interval.next_open(kline.open_time) * unit - 1
    return (
        f'[{kline.open_time * unit},"{joined}","{volume}",{close_time},'
        f'"{quote_volume}",{kline.trade_count},"{taken}","{quote_taken}","0"]'
    )


def decimal_text(units: int) -> str:
    """A whole number of 10^-8 as the venue writes it: 4200000000 -> "42.00000000"."""
    digits = f"{units:09d}"
    return f"{digits[:-DECIMALS]}.{digits[-DECIMALS:]}"

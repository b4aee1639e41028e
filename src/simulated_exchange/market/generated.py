"""PURE. The generated market: any page of any series at any `now`, from a seed alone. Minutes are made a day at a time
(`price_path`); longer klines are exact sums of minutes, seconds are exact parts of one.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import DAY, HOUR, INTERVALS, MINUTE, SECOND, Interval
from simulated_exchange.market.klines import Kline, KlineQuery, Rows, TimeUnit, merge, text_rows, text_rows_of_table
from simulated_exchange.market.price_path import day_of_minutes, seconds_of

_MERGES = [
    ("open", "first"),
    ("high", "max"),
    ("low", "min"),
    ("close", "last"),
    ("volume", "sum"),
    ("quote_volume", "sum"),
    ("trade_count", "sum"),
    ("taker_buy_volume", "sum"),
    ("taker_buy_quote_volume", "sum"),
]


@dataclass(frozen=True, slots=True)
class Halt:
    """No klines of `symbol` open in [start, end), milliseconds, widened to whole minutes."""

    symbol: str
    start: int
    end: int

    @property
    def first_minute(self) -> int:
        return self.start - self.start % MINUTE

    @property
    def end_minute(self) -> int:
        return self.end + -self.end % MINUTE


class Market:
    """A `KlineSource` whose rows depend on seed, symbol, interval, open time and halts alone."""

    def __init__(self, seed: int, instruments: Mapping[str, Instrument], halts: Sequence[Halt] = ()) -> None:
        self.seed = seed
        self.instruments = dict(instruments)
        self.halts = tuple(halts)
        self._minutes = lru_cache(maxsize=32)(self._generate_minutes)
        self._day = lru_cache(maxsize=8192)(self._merge_day)
        self._block = lru_cache(maxsize=64)(self._render_block)

    def rows(self, query: KlineQuery) -> bytes:
        """Closed klines out of whole blocks, and the open one as far as it has come by `query.now`."""
        opened = query.interval.floor(query.now)
        if query.newest:
            open_row = self._open_row(query, opened)
            closed, _ = self._closed_rows(query, opened, query.limit - bool(open_row))
            return b"".join([*reversed(closed), open_row])[:-1]
        closed, left = self._closed_rows(query, opened, query.limit)
        return b"".join([*closed, self._open_row(query, opened) if left else b""])[:-1]

    def is_halted(self, symbol: str, now: int) -> bool:
        return any(halt.symbol == symbol and halt.first_minute <= now < halt.end_minute for halt in self.halts)

    def traded(self, symbol: str, opened: int, now: int) -> list[Kline]:
        """From `opened` (of a kline of a day at most, or a midnight) to `now`: whole days, minutes of today, seconds."""
        today, minute, second = now - now % DAY, now - now % MINUTE, now - now % SECOND
        days = [self._day(symbol, day) for day in range(opened - opened % DAY, today, DAY)]
        klines = [day for day in days if day]
        klines += _klines(_between(self._minutes(symbol, today), max(opened, today), minute))
        for kline in _klines(_between(self._minutes(symbol, today), minute, minute + MINUTE)):
            seconds = seconds_of(kline, self._salt(symbol))
            klines += [passed for passed in seconds if max(opened, minute) <= passed.open_time < second]
            klines.append(_untraded(seconds[(second - minute) // SECOND]))
        return klines

    def minutes(self, symbol: str, start: int, end: int) -> list[Kline]:
        """The one-minute klines that open in [start, end), both whole minutes."""
        days = range(start - start % DAY, end, DAY)
        return [kline for day in days for kline in _klines(_between(self._minutes(symbol, day), start, end))]

    def minute_opens(self, symbol: str, start: int, number: int) -> Sequence[int]:
        """The price at `number` whole minutes from `start` on, in ticks, as if there were no halts."""
        opens = array("q")
        for day in range(start - start % DAY, start + number * MINUTE, DAY):
            table = day_of_minutes(self.seed, self.instruments[symbol], day)
            opens.extend(table.column("open").combine_chunks().to_pylist())
        first = start % DAY // MINUTE
        return opens[first : first + number]

    def _closed_rows(self, query: KlineQuery, opened: int, left: int) -> tuple[list[bytes], int]:
        """Pieces of text in the order they were looked for, and how many rows of `left` are still wanted."""
        first = max(query.first, query.interval.floor(self.instruments[query.symbol].listed))
        last = min(query.last, opened - 1)
        pieces = []
        for start in _blocks(query.interval, first, last, newest=query.newest):
            if not left:
                break
            block: Rows = self._block(query.symbol, query.interval, start, query.unit)
            piece, taken = block.pick(first, last, left, newest=query.newest)
            pieces.append(piece)
            left -= taken
        return pieces, left

    def _open_row(self, query: KlineQuery, opened: int) -> bytes:
        if not query.first <= opened <= query.last:
            return b""
        parts = self.traded(query.symbol, opened, query.now)
        klines = [merge(parts, opened)] if parts else []
        return text_rows(klines, self.instruments[query.symbol], query.interval, query.unit).text

    def _render_block(self, symbol: str, interval: Interval, start: int, unit: TimeUnit) -> Rows:
        instrument = self.instruments[symbol]
        if interval.is_within_a_day and interval.length >= MINUTE:
            table = self._minutes(symbol, start)
            if interval.length > MINUTE:
                table = _merged_by(interval.length, table)
            return text_rows_of_table(table, instrument, interval.length, unit)
        if interval.length == SECOND:
            return text_rows(self._hour_of_seconds(symbol, start), instrument, interval, unit)
        days = [self._day(symbol, day) for day in range(start, interval.next_open(start), DAY)]
        traded = [day for day in days if day]
        return text_rows([merge(traded, start)] if traded else [], instrument, interval, unit)

    def _hour_of_seconds(self, symbol: str, hour: int) -> Iterator[Kline]:
        for minute in _klines(_between(self._minutes(symbol, hour - hour % DAY), hour, hour + HOUR)):
            yield from seconds_of(minute, self._salt(symbol))

    def _merge_day(self, symbol: str, day: int) -> Kline | None:
        merged = _klines(_merged_by(DAY, self._minutes(symbol, day)))
        return merged[0] if merged else None

    def _generate_minutes(self, symbol: str, day: int) -> pa.Table:
        instrument = self.instruments[symbol]
        if day + DAY <= instrument.listed:
            return _EMPTY
        table = day_of_minutes(self.seed, instrument, day)
        for halt in self.halts:
            if halt.symbol == symbol and halt.start < day + DAY and day < halt.end_minute:
                opens = table.column("open_time")
                table = table.filter(pc.or_(pc.less(opens, halt.first_minute), pc.greater_equal(opens, halt.end_minute)))
        return table if instrument.listed <= day else _between(table, instrument.listed, day + DAY)

    def _salt(self, symbol: str) -> str:
        return f"{self.seed}/{symbol}/seconds"


def _blocks(interval: Interval, first: int, last: int, *, newest: bool) -> Iterator[int]:
    """Starts of the blocks that hold open times from first to last, in the order they are looked through."""
    span = _block_span(interval)
    if first > last:
        return
    start, edge = span.floor(first), span.floor(last)
    step = (lambda at: span.floor(at - 1)) if newest else span.next_open
    at = edge if newest else start
    while start <= at <= edge:
        yield at
        at = step(at)


def _block_span(interval: Interval) -> Interval:
    if interval.length == SECOND:
        return INTERVALS["1h"]
    return INTERVALS["1d"] if interval.is_within_a_day else interval


def _merged_by(length: int, table: pa.Table) -> pa.Table:
    opens = table.column("open_time")
    grid = pc.multiply(pc.divide(opens, length), length)
    grouped = table.set_column(0, "open_time", grid).group_by("open_time", use_threads=False).aggregate(_MERGES)
    ordered = grouped.sort_by("open_time")  # Arrow promises no order of groups
    return ordered.select(["open_time", *(f"{name}_{how}" for name, how in _MERGES)]).rename_columns(Kline._fields)


def _between(table: pa.Table, start: int, end: int) -> pa.Table:
    opens = table.column("open_time")
    return table.filter(pc.and_(pc.greater_equal(opens, start), pc.less(opens, end)))


def _klines(table: pa.Table) -> list[Kline]:
    return [Kline(*values) for values in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def _untraded(kline: Kline) -> Kline:
    """A second that has just begun: it has a price, nobody has traded in it yet."""
    return Kline(kline.open_time, kline.open, kline.open, kline.open, kline.open, 0, 0, 0, 0, 0)


_EMPTY = pa.schema([(name, pa.int64()) for name in Kline._fields]).empty_table()

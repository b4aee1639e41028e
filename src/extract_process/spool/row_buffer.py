"""RowBuffer: the rows of one micro-batch, by dataset, and the objects they become. The same records give the same keys.

Thousands of decoded messages held alive cost three to four times the conversion, so every 256 records become Arrow.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import accumulate, chain
from typing import Any, TypeAlias

import pyarrow as pa

from extract_process.decimals import decimals, separated
from extract_process.level_text import LevelText, numbers_of
from extract_process.parquet import parquet_bytes
from extract_process.ranges import Range
from extract_process.records import DATASET_OF, AnsweredTrade, DepthSnapshot, Heartbeat, Kline, Levels, StreamEvent, Ticker, Trade
from extract_process.sequence import UNREADABLE
from extract_process.spool.segments import RestAnswer
from extract_process.stream_ids import ids_of, key_of
from extract_process.venues import Venue
from tickhouse_core.columns import INSTANT, LEVELS, NAME
from tickhouse_core.datasets import HEARTBEATS, KLINES, STREAM_EVENTS, Dataset
from tickhouse_core.event_kinds import EventKind
from tickhouse_core.lake_keys import hourly_key, stream_klines_key

Parsed: TypeAlias = DepthSnapshot | list[AnsweredTrade] | Any
"""What a REST answer is, by its request: a snapshot, trades, records of a polled channel, or a table of klines."""

CHUNK_RECORDS = 256
_FLAT_CHUNK_RECORDS = 1_024
"""Of records without lists, which are small: fewer calls of Arrow."""

Refused = tuple[Any, int, str]
"""A record whose numbers cannot be read, its receipt_time, and why."""


class ArrowRows:
    """Records of one kind, appended one by one; `table` is called once, at the end.

    A record whose number text is no decimal(38, 18) is left out and handed out by `take_refused`: it does not spoil
    the others. What comes out depends on the appended records alone.
    """

    def __init__(self, dataset: Dataset, venue: str) -> None:
        self.dataset = dataset
        self._venue = venue
        self._fields = list(dataset.schema)
        self._numbers = [field.name for field in self._fields if pa.types.is_decimal(field.type)]
        is_flat = not any(pa.types.is_nested(field.type) for field in self._fields)
        self._chunk_records = _FLAT_CHUNK_RECORDS if is_flat else CHUNK_RECORDS
        self._records: list[Any] = []
        self._receipts: list[int] = []
        self._chunks: list[pa.Table] = []
        self._refused: list[Refused] = []

    def append(self, record: Any, receipt_time: int) -> None:
        """`receipt_time` in microseconds."""
        self._records.append(record)
        self._receipts.append(receipt_time)
        if len(self._receipts) == self._chunk_records:
            self._convert()

    def table(self) -> pa.Table:
        """All rows, of the dataset's schema."""
        self._convert()
        return pa.concat_tables(self._chunks).unify_dictionaries() if self._chunks else self.dataset.schema.empty_table()

    def take_refused(self) -> list[Refused]:
        """The records that have no row; complete after `table`."""
        refused, self._refused = self._refused, []
        return refused

    def _convert(self) -> None:
        records, receipts = self._records, self._receipts
        self._records, self._receipts = [], []
        if records:
            self._convert_part(records, receipts)

    def _convert_part(self, records: list[Any], receipts: list[int]) -> None:
        """By halves where one of them cannot be converted, until it is alone."""
        try:
            self._chunks.append(self._rows(records, receipts))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            if len(records) == 1:
                self._refused.append((records[0], receipts[0], f"{type(error).__name__}: {error}"))
                return
            middle = len(records) // 2
            self._convert_part(records[:middle], receipts[:middle])
            self._convert_part(records[middle:], receipts[middle:])

    def _rows(self, records: list[Any], receipts: list[int]) -> pa.Table:
        filled = self._columns(records) | {"venue": _constant(self._venue, len(records)), "receipt_time": receipts}
        filled |= _number_columns(filled, self._numbers)
        return pa.Table.from_arrays([_array(filled[field.name], field) for field in self._fields], schema=self.dataset.schema)

    def _columns(self, records: list[Any]) -> dict[str, Sequence[Any]]:
        """By name, in the order of the record's own fields."""
        return dict(zip(records[0]._fields, zip(*records, strict=True), strict=True))


class KlineRows(ArrowRows):
    """Closed klines, marked as streamed."""

    def __init__(self, venue: str) -> None:
        super().__init__(KLINES, venue)

    def _columns(self, records: list[Any]) -> dict[str, Sequence[Any]]:
        return super()._columns(records) | {"source": ["stream"] * len(records)}


def _constant(name: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([name], pa.string()))


def _number_columns(columns: dict[str, Sequence[Any]], names: Sequence[str]) -> dict[str, pa.Array]:
    """The columns of prices and quantities, read in one go: a call of Arrow costs as much as some hundred numbers."""
    if not names:
        return {}
    numbers = decimals([*chain.from_iterable(columns[name] for name in names)])
    rows = len(columns["receipt_time"])
    return {name: numbers[place * rows : (place + 1) * rows] for place, name in enumerate(names)}


def _array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    """Raises ArrowException, TypeError, ValueError or OverflowError for values that are not the field's."""
    array = values if isinstance(values, pa.Array) else _typed(values, field.type)
    if array.null_count and not field.nullable:
        raise ValueError(f"{field.name} is missing")
    return array


def _typed(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    if type_ == LEVELS:
        return _levels(values)
    if type_ == NAME:
        return pa.array(values, pa.string()).dictionary_encode()
    if type_ == INSTANT:
        return pa.array(values, pa.int64()).cast(INSTANT)
    return pa.array(values, type_)


def _levels(sides: Sequence[Levels]) -> pa.Array:
    """One side of many messages: all their levels flat, then cut by message. Raises ValueError for a missing number."""
    numbers = decimals(_flat(sides))
    if numbers.null_count:
        raise ValueError("a price or quantity is missing")
    flat = pa.StructArray.from_arrays([numbers[::2], numbers[1::2]], fields=list(LEVELS.value_type))
    offsets = pa.array([0, *accumulate(map(len, sides))], pa.int32())
    return pa.ListArray.from_arrays(offsets, flat, type=LEVELS)


def _flat(sides: Sequence[Levels]) -> pa.Array | list[str]:
    """Price and quantity of every level in turn."""
    texts = [side for side in sides if type(side) is LevelText]
    if len(texts) == len(sides):
        return separated(numbers_of(texts))
    return list(chain.from_iterable(chain.from_iterable(sides)))


class RowBuffer:
    """Collects in memory what the spool holds on disk. `symbols` limits tickers, which come for the whole market."""

    def __init__(self, venue: Venue, instance: str, symbols: frozenset[str]) -> None:
        self.rows = 0
        self._venue = venue
        self.instance = instance
        self._symbols = symbols
        self._batches: dict[type, ArrowRows] = {}
        self._klines: dict[tuple[str, str], KlineRows] = {}
        self._healed_klines: dict[tuple[str, str], list[pa.Table]] = {}
        self._events: list[StreamEvent] = []
        self._heartbeats: list[Heartbeat] = []
        self._first_receipts: dict[object, int] = {}

    def add_messages(self, messages: Iterable[object], receipt_time: int) -> None:
        """Records of a frame; control messages, open klines and other symbols' tickers have no row."""
        for message in messages:
            kind = type(message)
            if isinstance(message, Kline):
                if message.is_closed:
                    series = (message.symbol, message.interval)
                    self._first_receipts.setdefault(series, receipt_time)
                    self._klines.setdefault(series, KlineRows(self._venue.name)).append(message, receipt_time)
                    self.rows += 1
            elif kind in DATASET_OF and self.is_collected(message):
                self._batch(kind, receipt_time).append(message, receipt_time)
                self.rows += 1

    def is_collected(self, message: object) -> bool:
        """Not another market's ticker: a stream of the whole market has those too."""
        return type(message) is not Ticker or message.symbol in self._symbols

    def add_answer(self, answer: RestAnswer, receipt_time: int, parsed: Parsed | None = None) -> None:
        """The rows of a REST answer: a snapshot, what fills a gap, or what was polled; `parsed` unless it is from disk."""
        if answer.what == "depth":
            self.add_messages([parsed or self._venue.parse_depth(answer.body, answer.symbol, answer.reason)], receipt_time)
        elif answer.what == "trades":
            trades = parsed if isinstance(parsed, list) else self._venue.parse_trades(answer.body, answer.symbol)
            ids = Range(answer.from_id, answer.to_id)
            wanted = [trade for trade in trades if isinstance(trade, Trade) and trade.trade_id in ids]
            self.add_messages(wanted, receipt_time)
        elif (poll := self._venue.polls.get(answer.what)) is not None:
            self.add_messages(parsed if parsed is not None else poll.parse(answer.body, answer.symbol), receipt_time)
        else:
            series = (answer.symbol, answer.interval)
            rows = parsed
            if not isinstance(rows, pa.Table):
                rows = self._venue.parse_klines(answer.body, answer.symbol, answer.interval, receipt_time)
            self._first_receipts.setdefault(series, receipt_time)
            self._healed_klines.setdefault(series, []).append(rows)
            self.rows += rows.num_rows

    def add_event(self, event: StreamEvent, receipt_time: int) -> None:
        self._first_receipts.setdefault(StreamEvent, receipt_time)
        self._events.append(event)
        self.rows += 1

    def add_heartbeat(self, heartbeat: Heartbeat) -> None:
        self._first_receipts.setdefault(Heartbeat, heartbeat.beat_time)
        self._heartbeats.append(heartbeat)
        self.rows += 1

    def objects(self, sequence: int) -> Iterator[tuple[str, bytes]]:
        """Key and bytes of every object: one a dataset, of klines one a series. Called once, at the end.

        Rows whose numbers cannot be read are events instead, so the events come last.
        """
        for kind, batch in self._batches.items():
            table = batch.table()
            self._note_refused(batch)
            if table.num_rows:
                yield self._key(batch.dataset, kind, sequence), parquet_bytes(table, batch.dataset)
        for series in self._klines.keys() | self._healed_klines.keys():
            if (rows := self._kline_rows(series)).num_rows:
                first_receipt = self._first_receipts[series]
                key = stream_klines_key(self._venue.name, *series, first_receipt, self.instance, sequence)
                yield key, parquet_bytes(rows, KLINES)
        yield from self._small_objects(sequence)

    def _kline_rows(self, series: tuple[str, str]) -> pa.Table:
        tables = list(self._healed_klines.get(series, []))
        if (batch := self._klines.get(series)) is not None:
            tables.insert(0, batch.table())
            self._note_refused(batch)
        return pa.concat_tables(tables)

    def _small_objects(self, sequence: int) -> Iterator[tuple[str, bytes]]:
        if self._events:
            rows = pa.Table.from_pylist([asdict(event) for event in self._events], schema=STREAM_EVENTS.schema)
            yield self._key(STREAM_EVENTS, StreamEvent, sequence), parquet_bytes(rows, STREAM_EVENTS)
        if self._heartbeats:
            rows = pa.Table.from_pylist([asdict(beat) for beat in self._heartbeats], schema=HEARTBEATS.schema)
            yield self._key(HEARTBEATS, Heartbeat, sequence), parquet_bytes(rows, HEARTBEATS)

    def _key(self, dataset: Dataset, kind: type, sequence: int) -> str:
        return hourly_key(dataset, self._venue.name, self._first_receipts[kind], self.instance, sequence)

    def _batch(self, kind: type, receipt_time: int) -> ArrowRows:
        if (batch := self._batches.get(kind)) is None:
            self._first_receipts[kind] = receipt_time
            batch = self._batches[kind] = ArrowRows(DATASET_OF[kind], self._venue.name)
        return batch

    def _note_refused(self, batch: ArrowRows) -> None:
        for record, receipt_time, reason in batch.take_refused():
            key, (first, last) = key_of(record), ids_of(record) or (None, None)
            channel, symbol, interval = (key.channel, key.symbol, f"{key.interval} ") if key else ("", "", "")
            names: tuple[EventKind, ...] = ("refused_row",) if first is None else ("refused_row", "gap")
            for name in names:
                event = StreamEvent(
                    self._venue.name, symbol, channel, self.instance, name, first, last,
                    receipt_time, receipt_time, UNREADABLE, f"{interval}{reason}: {str(record)[:500]}".lstrip(),
                )  # fmt: skip
                self.add_event(event, receipt_time)

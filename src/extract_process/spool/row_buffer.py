"""RowBuffer: the rows of one micro-batch, by dataset, and the objects they become. The same records give the same keys."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, TypeAlias

import pyarrow as pa

from extract_process.parquet import parquet_bytes
from extract_process.records import DATASET_OF, DepthSnapshot, Heartbeat, Kline, StreamEvent, Ticker, Trade
from extract_process.sequence import UNREADABLE
from extract_process.spool.arrow_rows import ArrowRows, KlineRows
from extract_process.spool.segments import RestAnswer
from extract_process.stream_key import ids_of, key_of
from extract_process.venues import Venue
from tickhouse_core.datasets import HEARTBEATS, KLINES, STREAM_EVENTS, Dataset
from tickhouse_core.lake_keys import hourly_key, stream_klines_key

Parsed: TypeAlias = DepthSnapshot | list[Trade] | Any
"""What a REST answer is, by its request: a snapshot, trades, or a table of klines."""


class RowBuffer:
    """Collects in memory what the spool holds on disk. `symbols` limits tickers, which come for the whole market."""

    def __init__(self, venue: Venue, instance: str, symbols: frozenset[str]) -> None:
        self.rows = 0
        self._venue = venue
        self._instance = instance
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
            elif kind in DATASET_OF and (kind is not Ticker or message.symbol in self._symbols):  # type: ignore[attr-defined]
                self._batch(kind, receipt_time).append(message, receipt_time)
                self.rows += 1

    def add_answer(self, answer: RestAnswer, receipt_time: int, parsed: Parsed | None = None) -> None:
        """The rows of a REST answer: a snapshot, or what fills a gap; `parsed` unless it is from disk."""
        if answer.what == "depth":
            self.add_messages([parsed or self._venue.parse_depth(answer.body, answer.symbol, answer.reason)], receipt_time)
        elif answer.what == "trades":
            trades = parsed if isinstance(parsed, list) else self._venue.parse_trades(answer.body, answer.symbol)
            wanted = [trade for trade in trades if answer.from_id <= trade.trade_id <= answer.to_id]
            self.add_messages(wanted, receipt_time)
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
                key = stream_klines_key(self._venue.name, *series, first_receipt, self._instance, sequence)
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
        return hourly_key(dataset, self._venue.name, self._first_receipts[kind], self._instance, sequence)

    def _batch(self, kind: type, receipt_time: int) -> ArrowRows:
        if (batch := self._batches.get(kind)) is None:
            self._first_receipts[kind] = receipt_time
            batch = self._batches[kind] = ArrowRows(DATASET_OF[kind], self._venue.name)
        return batch

    def _note_refused(self, batch: ArrowRows) -> None:
        for record, receipt_time, reason in batch.take_refused():
            key, (first, last) = key_of(record), ids_of(record) or (None, None)
            channel, symbol, interval = (key.channel, key.symbol, f"{key.interval} ") if key else ("", "", "")
            for name in ("refused_row",) if first is None else ("refused_row", "gap"):
                event = StreamEvent(
                    self._venue.name, symbol, channel, self._instance, name, first, last,
                    receipt_time, receipt_time, UNREADABLE, f"{interval}{reason}: {str(record)[:500]}".lstrip(),
                )  # fmt: skip
                self.add_event(event, receipt_time)

"""The lake as Python sees it: `open` finds it, `Lake` answers in Rows."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import pyarrow as pa

from tickhouse_core.datasets import (
    AGG_TRADES,
    BOOK_TICKERS,
    CHANNELS,
    DATASET_OF,
    DEPTH_DIFFS,
    DEPTH_SNAPSHOTS,
    FUNDING_RATES,
    KLINES,
    LIQUIDATIONS,
    MARK_PRICES,
    OPEN_INTEREST,
    TICKERS,
    TRADES,
    Dataset,
)
from tickhouse_core.errors import UsageError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.book_at import BookState, book_at
from tickhouse_core.reading.books import BOOKS, BookSteps
from tickhouse_core.reading.certainty import Certainty, certainty
from tickhouse_core.reading.contents import contents_table
from tickhouse_core.reading.events import healed_times
from tickhouse_core.reading.known import checked_tables
from tickhouse_core.reading.ranges import Instant, Request, counted, instant_us, request, step_us
from tickhouse_core.reading.reasons import held_days
from tickhouse_core.reading.result import Book, Books, Rows
from tickhouse_core.reading.source import LakeSource, SnapshotSource, Source
from tickhouse_core.timestamps import format_instant

Symbols = str | Iterable[str]
"""In the venue's spelling: `BTCUSDT`, `BTC-USDT`."""


def open_lake(place: str | Path, *, snapshot: int | None = None) -> "Lake":
    """The lake of a data folder (`data`, or its `data/lake`), of a bucket (`s3://bucket`, by AWS's own variables), or what a
    warehouse holds (`http://host:8123/crypto`, with the account of CLICKHOUSE_USERNAME and CLICKHOUSE_PASSWORD).

    `snapshot`: the lake as `tickhouse catalog` registered it under this id, whatever was recorded or compacted since; the
    catalogue is the data folder's own, or that of TICKHOUSE_CATALOG_URI.

    Raises UsageError where there is none, NotProvisioned, AccessRefused, LakeUnavailable, WarehouseUnavailable,
    CatalogUnavailable.
    """
    text = str(place)
    if text.startswith(("http://", "https://")):
        if snapshot is not None:
            raise UsageError("a warehouse has no snapshots: open the data folder or s3://bucket")
        from tickhouse_core.reading.warehouse_rows import WarehouseSource  # clickhouse-connect takes half a second

        return Lake(WarehouseSource(text))
    store = open_store(place)
    return Lake(LakeSource(store) if snapshot is None else snapshot_source(store, snapshot))


def snapshot_source(store: ObjectStore, snapshot: int) -> SnapshotSource:
    """Raises UsageError for a snapshot that is not there, CatalogUnavailable."""
    from tickhouse_core.iceberg.catalogue import open_catalogue  # pyiceberg takes a second
    from tickhouse_core.iceberg.snapshots import snapshot_of

    return SnapshotSource(store, snapshot_of(open_catalogue(store, must_exist=True), snapshot))


def open_store(place: str | Path) -> ObjectStore:
    """The objects of a lake; see `open_lake`."""
    text = str(place)
    if text.startswith("s3://"):
        from tickhouse_core.s3_store import S3Store  # boto3 takes a third of a second

        bucket = text.removeprefix("s3://").strip("/")
        if not bucket or "/" in bucket:
            raise UsageError(f"{text}: name the bucket alone, s3://bucket")
        store = S3Store(bucket)
        store.check_access()
        return store
    if "://" in text:
        raise UsageError(
            f"{text.partition('://')[0]}://…: a lake is a data folder, s3://bucket, or a warehouse's http://host:port/database"
        )
    for folder in (Path(text) / "lake", Path(text)):
        if (folder / "data_sources").is_dir():
            return FolderStore(folder)
    raise UsageError(f"{text}: no lake there: it has no folder lake/data_sources, and no data_sources")


class Lake:
    """What was recorded, each row once and in order, without ClickHouse. Thread-safe; it only reads.

    Everywhere: `symbols` is one symbol or a list of them in the venue's spelling; `start` counts, `end` does not; an instant is
    a text in ISO 8601 (UTC without an offset), a datetime (UTC without a zone) or microseconds since 1970. Prices are in the
    quote asset, quantities in the base asset: float64, or decimal128(38, 18) with `exact=True`. Instants are timestamp[us, UTC].
    Nothing is read before the result is asked. Raises UsageError for a wrong argument; the result raises it for a venue, a
    symbol or an interval that the lake never had.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def __repr__(self) -> str:
        return f"<Lake {self._source.place}: .contents() lists its venues, channels and symbols>"

    def contents(self) -> pa.Table:
        """What it has: venue, channel, symbol, interval (of klines, or the period of open interest), first_day, last_day.

        Of a snapshot what was compacted by then. A month of klines counts up to the day on which its object was written.
        """
        return contents_table(self._source.held())

    def trades(self, symbols: Symbols, start: Instant, end: Instant, venue: str = "binance", *, exact: bool = False) -> Rows:
        """By trade_time: venue, symbol, trade_id, price, quantity, is_buyer_maker, trade_time, event_time, receipt_time."""
        return self.rows_of(TRADES, request(venue, symbols, start, end), exact)

    def agg_trades(self, symbols: Symbols, start: Instant, end: Instant, venue: str = "binance", *, exact: bool = False) -> Rows:
        """By trade_time, in the columns of the view `agg_trades`: trades of one order, price and instant are one row."""
        return self.rows_of(AGG_TRADES, request(venue, symbols, start, end), exact)

    def klines(
        self, symbols: Symbols, interval: str, start: Instant, end: Instant, venue: str = "binance", *, exact: bool = False
    ) -> Rows:
        """By open_time, in the columns of the view `klines`. `interval` as the lake spells it: `1m`, `1h`, `1d`."""
        return self.rows_of(KLINES, request(venue, symbols, start, end, interval), exact)

    def depth_diffs(self, symbols: Symbols, start: Instant, end: Instant, venue: str = "binance", *, exact: bool = False) -> Rows:
        """By event_time: venue, symbol, first_update_id, last_update_id, bids, asks, event_time, receipt_time.

        Sides are lists of {price, quantity}: the changed levels, quantity 0 for a level that is gone.
        """
        return self.rows_of(DEPTH_DIFFS, request(venue, symbols, start, end), exact)

    def depth_snapshots(
        self, symbols: Symbols, start: Instant, end: Instant, venue: str = "binance", *, exact: bool = False
    ) -> Rows:
        """By receipt_time: venue, symbol, last_update_id, bids, asks, reason, receipt_time; levels best first."""
        return self.rows_of(DEPTH_SNAPSHOTS, request(venue, symbols, start, end), exact)

    def tickers(self, symbols: Symbols, start: Instant, end: Instant, venue: str = "binance", *, exact: bool = False) -> Rows:
        """By event_time, in the columns of the view `tickers`: rolling 24 hours; null where the venue sends nothing."""
        return self.rows_of(TICKERS, request(venue, symbols, start, end), exact)

    def book_tickers(
        self, symbols: Symbols, start: Instant, end: Instant, venue: str = "binance", *, exact: bool = False
    ) -> Rows:
        """By receipt_time: venue, symbol, update_id, bid_price, bid_quantity, ask_price, ask_quantity, event_time, receipt_time.

        The best of both sides whenever it changed; event_time is null where the venue sends none.
        """
        return self.rows_of(BOOK_TICKERS, request(venue, symbols, start, end), exact)

    def mark_prices(
        self, symbols: Symbols, start: Instant, end: Instant, venue: str = "binance-usdm", *, exact: bool = False
    ) -> Rows:
        """By event_time, in the columns of the view `mark_prices`; funding is null for contracts with a delivery date."""
        return self.rows_of(MARK_PRICES, request(venue, symbols, start, end), exact)

    def funding_rates(
        self, symbols: Symbols, start: Instant, end: Instant, venue: str = "binance-usdm", *, exact: bool = False
    ) -> Rows:
        """Settled ones, by funding_time: venue, symbol, funding_time, funding_rate, mark_price, receipt_time."""
        return self.rows_of(FUNDING_RATES, request(venue, symbols, start, end), exact)

    def liquidations(
        self, symbols: Symbols, start: Instant, end: Instant, venue: str = "binance-usdm", *, exact: bool = False
    ) -> Rows:
        """By trade_time, in the columns of the view `liquidations`; `side` is the order's: `sell` ends a long position."""
        return self.rows_of(LIQUIDATIONS, request(venue, symbols, start, end), exact)

    def open_interest(
        self,
        symbols: Symbols,
        start: Instant,
        end: Instant,
        period: str = "",
        venue: str = "binance-usdm",
        *,
        exact: bool = False,
    ) -> Rows:
        """By event_time, in the columns of the view `open_interest`, of one `period` of the venue's history; empty: of polls."""
        return self.rows_of(OPEN_INTEREST, request(venue, symbols, start, end, period), exact)

    def book(self, symbol: str, at: Instant, venue: str = "binance", *, exact: bool = False) -> Book:
        """The whole book at an instant of the venue's clock: side (`bid`, `ask`), price, quantity; best levels first.

        Equal to the view gold_book_at: the newest snapshot up to the last diff, and every diff since. It is empty where there
        is no diff in the day before, or no snapshot. `.is_proven` says whether the diffs go on without a hole.
        """
        until = instant_us(at, "at")
        asked = request(venue, symbol, until - 1, until)

        def since_snapshot(since: int) -> Certainty:
            return self.certainty_of(DEPTH_DIFFS, replace(asked, start=since))

        def at_instant() -> BookState:
            state = book_at(self._source, asked)
            if state.last_update_id is None:
                self._source.check(asked)
                state = replace(state, why="; ".join(filter(None, [state.why, self._held(DEPTH_DIFFS, asked)])))
            return state

        return Book(at_instant, since_snapshot, exact, f"{asked.venue} {symbol} at {format_instant(until)}")

    def books(
        self,
        symbols: Symbols,
        start: Instant,
        end: Instant,
        every: str = "1s",
        levels: int = 20,
        venue: str = "binance",
        *,
        exact: bool = False,
    ) -> Rows:
        """The best `levels` a side at the end of every step: venue, symbol, open_time, last_update_id, bids, asks.

        `open_time` is the beginning of the step, a multiple of `every` (`100ms`, `1s`, `5m`, `1h`, `1d`); sides are lists of
        {price, quantity}, best first. A step in which the book is not provably right has no row, as in gold_book_top_1s.
        Rows go symbol by symbol.
        """
        step, most = step_us(every), counted(levels, "levels", "a side shows")
        asked = request(venue, symbols, start, end)
        steps = {symbol: BookSteps(self._source, replace(asked, symbols=(symbol,)), step, most) for symbol in asked.symbols}

        def tables() -> Iterator[pa.Table]:
            return chain.from_iterable(
                checked_tables(books.tables(), replace(asked, symbols=(symbol,)), self._source.check)
                for symbol, books in steps.items()
            )

        known, check = partial(self.certainty_of, DEPTH_DIFFS, asked), partial(self._source.check, asked)
        return Books(BOOKS, list(steps.values()), tables, known, exact, f"{asked}, every {every}", check)

    def gaps(
        self,
        symbols: Symbols,
        start: Instant,
        end: Instant,
        channel: str = "trades",
        venue: str = "binance",
        interval: str = "1m",
    ) -> pa.Table:
        """See `Rows.gaps`. `channel`: one of a capture (of klines with this `interval`)."""
        return self._of_channel(symbols, start, end, channel, venue, interval).gaps

    def coverage(
        self,
        symbols: Symbols,
        start: Instant,
        end: Instant,
        channel: str = "trades",
        venue: str = "binance",
        interval: str = "1m",
    ) -> pa.Table:
        """See `Rows.coverage`. `channel`: one of a capture (of klines with this `interval`)."""
        return self._of_channel(symbols, start, end, channel, venue, interval).coverage

    def _of_channel(self, symbols: Symbols, start: Instant, end: Instant, channel: str, venue: str, interval: str) -> Certainty:
        dataset = DATASET_OF.get(channel) if isinstance(channel, str) else None
        if dataset is None:
            raise UsageError(f"channel={channel!r}: choose from {', '.join(CHANNELS)}")
        return self.certainty_of(dataset, request(venue, symbols, start, end, interval if dataset is KLINES else ""))

    def rows_of(self, dataset: Dataset, asked: Request, exact: bool) -> Rows:
        """Of any dataset of a channel; see the method of its name."""
        schema = self._source.scan(dataset, asked).schema
        left_out: list[str] = []
        tables = partial(self._tables, dataset, asked, left_out)
        return Rows(schema, tables, partial(self.certainty_of, dataset, asked), exact, f"{dataset.name} of {asked}", left_out)

    def _tables(self, dataset: Dataset, asked: Request, left_out: list[str]) -> Iterator[pa.Table]:
        scan = self._source.scan(dataset, asked, healed_times(self._source.events(dataset, asked)))
        yield from checked_tables(scan.tables(), asked, partial(self._check, dataset))
        left_out += scan.unreadable

    def certainty_of(self, dataset: Dataset, asked: Request) -> Certainty:
        found = certainty(self._source, dataset, asked)
        empty = [row["symbol"] for row in found.coverage.to_pylist() if not row["rows"]]
        if empty and not found.gaps.num_rows:
            self._check(dataset, replace(asked, symbols=tuple(empty)))
        return replace(found, held=self._held(dataset, asked)) if empty else found

    def _held(self, dataset: Dataset, asked: Request) -> str:
        """Which days there are, in words; the keys of klines name none."""
        days = [] if dataset is KLINES else self._source.days(dataset, asked.venue, asked.symbols)
        return held_days(f"{dataset.name} of {asked.venue}", days)

    def _check(self, dataset: Dataset, asked: Request) -> None:
        """What is known of intervals is klines'."""
        self._source.check(asked if dataset is KLINES else replace(asked, interval=""))

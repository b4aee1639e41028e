"""Rows of a warehouse for the read API: from the tables of silver over ClickHouse's HTTP interface, as a lake gives them."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from tickhouse_core.datasets import DATASETS, STREAM_EVENTS, Dataset
from tickhouse_core.errors import UsageError
from tickhouse_core.reading.contents import LISTED, Held
from tickhouse_core.reading.events import about, joined, told_of
from tickhouse_core.reading.known import WAREHOUSE, unknown_interval, unknown_symbol, unknown_venue
from tickhouse_core.reading.object_rows import plain_schema
from tickhouse_core.reading.ordering import Ordering
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.rows import APART_US, cut, needed_columns, split
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.timestamps import HOUR_US, SECOND_US
from tickhouse_core.warehouse import Warehouse, connect_reader

CHUNK_ROWS = 200_000
"""Rows that are asked for in one go, or those of one hour where it has more."""

_RECORDED = [dataset for dataset in DATASETS if dataset.channel and "symbol" in dataset.schema.names]


class WarehouseSource:
    """Thread-safe: every pass has a connection of its own. See `reading.source.Source`.

    Errors: UsageError for an address that is none, WarehouseUnavailable, WarehouseRefused.
    """

    unreadable_events: Sequence[str] = ()
    """A warehouse has no objects that cannot be read."""

    def __init__(self, url: str) -> None:
        """`http://host:8123/crypto`; an account may stand in it, else it is that of the environment."""
        self._settings = _settings(url)
        self.place = f"{self._settings.host}:{self._settings.port}/{self._settings.database}"
        connect_reader(self._settings).close()

    def scan(
        self,
        dataset: Dataset,
        request: Request,
        healed_at: Collection[int] = (),
        columns: Sequence[str] | None = None,
        id_range: tuple[int, int] | None = None,
    ) -> "WarehouseScan":
        return WarehouseScan(self._settings, dataset, request, columns, id_range)

    def events(self, dataset: Dataset, request: Request) -> pa.Table:
        names = ", ".join(STREAM_EVENTS.schema.names)
        sql = (
            f"select {names} from silver_stream_events final where event in ('gap', 'healed', 'backfilled') "  # noqa: S608  # our own names
            "and venue = {venue:String} and channel = {channel:String} "
            "and (empty({symbols:Array(String)}) or symbol in {symbols:Array(String)}) "
            "and (channel = 'klines' or greatest(started_at, ifNull(ended_at, started_at)) "
            ">= fromUnixTimestamp64Micro({since:Int64}) - toIntervalDay(2 * (event = 'backfilled'))) "
            "order by object_key, load_time"  # as it was said: loads come in any order
        )
        asked = {"venue": request.venue, "channel": dataset.channel, "symbols": list(request.symbols), "since": request.start}
        with closing(connect_reader(self._settings)) as warehouse:
            rows = warehouse.query_arrow(sql, asked).cast(plain_schema(STREAM_EVENTS))
        return about(rows, request.interval) if dataset.series_columns else rows

    def no_trades(self, dataset: Dataset, request: Request) -> list[tuple[int, int]]:
        sql = (
            "select from_update_id, to_update_id + 1 from silver_stream_events final where event = 'no_trade' "
            "and venue = {venue:String} and channel in {channels:Array(String)} and has({symbols:Array(String)}, symbol) "
            "and started_at >= fromUnixTimestamp64Micro({since:Int64}) and started_at < fromUnixTimestamp64Micro({until:Int64})"
        )
        asked = {"venue": request.venue, "symbols": list(request.symbols), "channels": told_of(dataset)}
        bounds = {"since": request.start - HOUR_US, "until": request.end + HOUR_US}
        with closing(connect_reader(self._settings)) as warehouse:
            return joined((int(str(first)), int(str(end))) for first, end in warehouse.query(sql, asked | bounds))

    def known_until(self, venue: str) -> int | None:
        return None

    def check(self, request: Request) -> None:
        tables = " union distinct ".join(f"select distinct venue, symbol from {_silver(one)}" for one in _RECORDED)  # noqa: S608
        with closing(connect_reader(self._settings)) as warehouse:
            markets = sorted((str(venue), str(symbol)) for venue, symbol in warehouse.query(tables))
            venues = sorted({venue for venue, _ in markets})
            if not venues:
                return
            if request.venue not in venues:
                raise unknown_venue(request.venue, venues, WAREHOUSE)
            names = [symbol for venue, symbol in markets if venue == request.venue]
            for symbol in request.symbols:
                if symbol not in names:
                    raise unknown_symbol(symbol, request.venue, names, WAREHOUSE)
                if request.interval:
                    _check_interval(warehouse, request, symbol)

    def held(self) -> Iterator[Held]:
        with closing(connect_reader(self._settings)) as warehouse:
            for dataset in LISTED:
                (interval, *_) = (*dataset.series_columns, "''")
                days = ", ".join(f"toUnixTimestamp(toStartOfDay({one}({dataset.time_column})))" for one in ("min", "max"))
                sql = f"select venue, symbol, {interval}, {days} from {_silver(dataset)} group by all"  # noqa: S608
                for venue, symbol, series, first, last in warehouse.query(sql):
                    days_us = (int(str(first)) * SECOND_US, int(str(last)) * SECOND_US)
                    yield Held(str(venue), str(dataset.channel), str(symbol), str(series), *days_us)

    def days(self, dataset: Dataset, venue: str, symbols: Sequence[str] = ()) -> list[int]:
        sql = (
            f"select distinct toUnixTimestamp(toStartOfDay(receipt_time)) * 1000000 as day from {_silver(dataset)} "  # noqa: S608
            "where venue = {venue:String} and (empty({symbols:Array(String)}) or symbol in {symbols:Array(String)}) order by day"
        )
        with closing(connect_reader(self._settings)) as warehouse:
            return [int(day) for (day,) in warehouse.query(sql, {"venue": venue, "symbols": list(symbols)})]


class WarehouseScan:
    """One pass over a range; see `RowScan`."""

    def __init__(
        self,
        settings: WarehouseSettings,
        dataset: Dataset,
        request: Request,
        columns: Sequence[str] | None,
        id_range: tuple[int, int] | None,
    ) -> None:
        self._settings, self._dataset, self._request, self._ids = settings, dataset, request, id_range
        self.unreadable: list[str] = []
        fields = [field for field in plain_schema(dataset) if columns is None or field.name in columns]
        self.schema = pa.schema(fields)
        needed = set(dataset.schema.names) if columns is None else {*columns, *needed_columns(dataset, request)}
        self._read = pa.schema([field for field in plain_schema(dataset) if field.name in needed])

    def tables(self) -> Iterator[pa.Table]:
        ordering = Ordering(self._dataset, self._request.symbols)
        pending = self._read.empty_table()
        with closing(connect_reader(self._settings)) as warehouse:
            spans = self._spans(warehouse)
            for place, (start, end) in enumerate(spans):
                is_last = place + 1 == len(spans)
                pending = pa.concat_tables([pending, self._rows(warehouse, start, end)])
                pending, ready = split(pending, ordering, None if is_last else end - APART_US)
                if (table := cut(ready, self._dataset, self._request).select(self.schema.names)).num_rows:
                    yield table

    def _spans(self, warehouse: Warehouse) -> list[tuple[int, int]]:
        """Hours that have rows, as many together as have CHUNK_ROWS; in microseconds, the ends do not count."""
        hour = f"toUnixTimestamp(toStartOfHour({self._dataset.time_column})) * 1000000 as hour"
        sql = f"select {hour}, count() {self._from()} group by hour order by hour"
        spans: list[tuple[int, int]] = []
        size = 0
        for began, count in warehouse.query(sql, self._asked(*self._range())):
            if spans and size + count <= CHUNK_ROWS:
                spans[-1] = spans[-1][0], int(began) + HOUR_US
            else:
                spans.append((int(began), int(began) + HOUR_US))
                size = 0
            size += int(count)
        return spans

    def _rows(self, warehouse: Warehouse, start: int, end: int) -> pa.Table:
        since, until = self._range()
        sql = f"select {', '.join(self._read.names)} {self._from()} order by {self._dataset.id_column}"
        rows = warehouse.query_arrow(sql, self._asked(max(since, start), min(until, end)))
        return rows.cast(self._read)

    def _from(self) -> str:
        dataset = self._dataset
        named = " and symbol in {symbols:Array(String)}" if self._request.symbols else ""
        interval = "".join(f" and {name} = {{interval:String}}" for name in dataset.series_columns)
        ids = "" if self._ids is None else f" and {dataset.id_column} between {{first:UInt64}} and {{last:UInt64}}"
        return (
            f"from {_silver(dataset)} final where venue = {{venue:String}}{named}{interval}{ids} "
            f"and {dataset.time_column} >= fromUnixTimestamp64Micro({{since:Int64}}) "
            f"and {dataset.time_column} < fromUnixTimestamp64Micro({{until:Int64}})"
        )

    def _range(self) -> tuple[int, int]:
        apart = 0 if self._dataset.time_column in self._dataset.natural_key else APART_US
        return self._request.start - apart, self._request.end + apart

    def _asked(self, since: int, until: int) -> dict[str, object]:
        first, last = self._ids or (0, 0)
        asked = self._request
        named = {"venue": asked.venue, "symbols": list(asked.symbols), "interval": asked.interval}
        return {**named, "since": since, "until": until, "first": first, "last": last}


def _check_interval(warehouse: Warehouse, request: Request, symbol: str) -> None:
    sql = (
        "select distinct interval from silver_klines where venue = {venue:String} and symbol = {symbol:String} order by interval"
    )
    found = [str(interval) for (interval,) in warehouse.query(sql, {"venue": request.venue, "symbol": symbol})]
    if found and request.interval not in found:
        raise unknown_interval(request.interval, symbol, found, WAREHOUSE)


def _silver(dataset: Dataset) -> str:
    return f"silver_{dataset.name}"


def _settings(url: str) -> WarehouseSettings:
    """Those of the environment, with what the address says. Raises UsageError."""
    parts = urlsplit(url)
    database = parts.path.strip("/")
    try:
        port = parts.port or (8443 if parts.scheme == "https" else 8123)
    except ValueError as error:
        raise UsageError(f"{parts.scheme}://{parts.hostname}: {error}") from error
    if not parts.hostname or parts.query or "/" in database or (parts.scheme == "https") != (port in (443, 8443)):
        raise UsageError(f"{parts.scheme}://{parts.hostname}:{port}: write http://host:8123/database, or https with 443 or 8443")
    account = {} if parts.username is None else {"username": unquote(parts.username), "password": unquote(parts.password or "")}
    named = {"database": database} if database else {}
    return read(WarehouseSettings).model_copy(update={"host": parts.hostname, "port": port, "path": None, **account, **named})

"""Candles of days that were recorded whole from the venue's files: their first and last minutes are complete, as in Python."""

from collections.abc import Iterable
from pathlib import Path

import pytest

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.timestamps import DAY_US, HOUR_US, MINUTE_US
from tickhouse_core.warehouse import Warehouse
from transform_process.transformer import Transformer, TransformOptions

from . import warehouse_rows as rows
from .warehouse_rows import STREAM_EVENTS, TRADES, Row, land, same_after_rebuild, select, us

DAY, READ_US = us("2024-08-09"), us("2024-08-20")


class Market:
    """Of one symbol: the same rows in a lake and in a warehouse, whose gold follows every step."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        self.warehouse, self._store, self._objects = warehouse, FolderStore(folder / "lake"), 0
        self._folder = folder
        self._gold = Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0))

    def trades(self, ids: Iterable[int], began: int, step: int = 4 * HOUR_US) -> None:
        """A trade every `step` from `began` on, and a pass."""
        ids = list(ids)
        self._land(TRADES, rows.trades(ids, times_us=[began + place * step for place in range(len(ids))]))

    def whole(self, first: int, last: int, began: int, step: int = 4 * HOUR_US, *, said_us: int = 0) -> None:
        """The event that a file's day has, of trades as above, and a pass; `said_us` after everything else so far."""
        event = rows.stream_event("backfilled", "trades", first, last, started_us=began, ended_us=began + (last - first) * step)
        self._land(STREAM_EVENTS, event, said_us)

    def days_recorded(self, count: int, symbols: int) -> None:
        """That many up to the day, of one trade each, of each of so many other symbols."""
        starts = [DAY - place * DAY_US for place in range(count)] * symbols
        names = [f"S{place // count}" for place in range(count * symbols)]
        columns: Row = {"venue": "binance", "symbol": names, "channel": "trades", "instance": "archive", "event": "backfilled"}
        columns |= {"from_update_id": starts, "to_update_id": starts, "started_at": starts, "ended_at": starts}
        self._land(STREAM_EVENTS, rows.table_of(STREAM_EVENTS, columns | {"cause": "", "detail": ""}))

    def rows_read(self) -> int:
        """By the engine, so far."""
        return int(self.warehouse.query("select value from system.events where event = 'SelectedRows'")[0][0])

    def no_trade(self, first: int, last: int, at: int) -> None:
        """As the files of two days leave them out, and a pass."""
        self._land(STREAM_EVENTS, rows.stream_event("no_trade", "trades", first, last, started_us=at))

    def _land(self, dataset: Dataset, table: object, said_us: int = 0) -> None:
        self._objects += 1
        key = hourly_key(dataset, "binance", READ_US + self._objects + said_us, "archive", self._objects)
        self._store.write(key, parquet_bytes(table, dataset))
        land(self.warehouse, dataset, table, key)
        self._gold.run_pass()

    def complete(self, interval: str = "1m") -> list[bool]:
        found = same_after_rebuild(self.warehouse, lambda warehouse: _candles(warehouse, interval), ["stored_ohlcv"])
        return [row["is_complete"] for row in found]

    def complete_in_python(self) -> list[bool]:
        """Of the same minutes."""
        lake, found = th.open(self._folder), _candles(self.warehouse, "1m")
        starts = [round(row["open_time"].timestamp()) * 1_000_000 for row in found]
        return [lake.trades("BTCUSDT", start, start + MINUTE_US).is_complete for start in starts]


def _candles(warehouse: Warehouse, interval: str) -> list[Row]:
    wanted = "open_time, is_complete, trade_count, close"
    return select(warehouse, f"select {wanted} from gold_ohlcv_{interval} order by open_time")


@pytest.fixture
def market(warehouse: Warehouse, tmp_path: Path) -> Market:
    return Market(warehouse, tmp_path)


def test_the_first_and_the_last_minute_of_a_whole_day_are_complete_once_its_event_is_loaded(market: Market) -> None:
    """It comes after the last row, and nothing else may be loaded then."""
    began = DAY + 5 * MINUTE_US
    market.trades(range(200, 206), began)
    assert market.complete() == [False, True, True, True, True, False]
    market.whole(200, 205, began)
    assert market.complete() == [True] * 6 == market.complete_in_python()
    assert market.complete("1h") == [True] * 6, "there is no trade before the first one in its hour"
    assert market.complete("1d") == [True]


def test_what_is_missing_beside_a_whole_day_is_missing_there(market: Market) -> None:
    market.whole(200, 205, DAY)
    market.trades(range(200, 206), DAY)
    market.trades([100, 101], DAY - 40_000_000, 20_000_000)
    market.trades([300], DAY + DAY_US + 1_000_000)
    assert market.complete("1d") == [False, True, False]
    assert market.complete() == [False, *[True] * 6, False] == market.complete_in_python()


@pytest.mark.slow
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
@pytest.mark.parametrize(("first", "is_whole"), [(206, True), (207, False)])
def test_between_two_whole_days_their_ids_say_whether_any_is_missing(
    market: Market, order: tuple[int, ...], first: int, is_whole: bool
) -> None:
    """Whatever is loaded first. A gap of the files says it in Python."""
    later = DAY + DAY_US
    market.trades(range(200, 206), DAY)
    steps = [
        lambda: market.whole(200, 205, DAY),
        lambda: market.trades(range(first, first + 3), later),
        lambda: market.whole(first, first + 2, later),
    ]
    for place in order:
        steps[place]()
    assert market.complete() == [*[True] * 5, is_whole, is_whole, True, True]
    assert market.complete("1d") == [is_whole, is_whole]


def test_ids_of_no_trade_at_midnight_between_two_whole_days_are_missing_in_neither(market: Market) -> None:
    later = DAY + DAY_US
    market.trades(range(200, 206), DAY)
    market.trades(range(210, 213), later)
    market.whole(200, 205, DAY)
    market.whole(210, 212, later)
    assert market.complete() == [*[True] * 5, False, False, True, True]
    market.no_trade(206, 209, DAY + 20 * HOUR_US)
    assert market.complete() == [True] * 9 == market.complete_in_python()
    assert market.complete("1d") == [True, True]


def test_what_is_read_of_whole_days_is_of_the_days_that_changed(market: Market) -> None:
    """However many were recorded before."""
    market.days_recorded(1_000, 20)
    market.trades(range(100, 106), DAY)
    before = market.rows_read()
    market.trades(range(106, 109), DAY + 23 * HOUR_US, MINUTE_US)
    assert market.rows_read() - before < 6 * 20_000  # five questions look for what was loaded since the last pass


def test_a_day_that_was_recorded_again_ends_where_its_new_file_does(market: Market) -> None:
    market.trades(range(200, 206), DAY)
    market.whole(200, 205, DAY)
    market.trades([206], DAY + 23 * HOUR_US)
    assert market.complete() == [*[True] * 6, False]
    market.whole(200, 206, DAY, 23 * HOUR_US // 6)
    assert market.complete() == [True] * 7


@pytest.mark.parametrize("is_in_order", [True, False])
def test_the_file_that_was_recorded_last_counts_whichever_event_is_loaded_first(market: Market, is_in_order: bool) -> None:
    """The first one lacked 200 to 204, whose rows are away again."""
    market.trades(range(205, 211), DAY + 5 * HOUR_US, HOUR_US)
    for is_new in (False, True) if is_in_order else (True, False):
        if is_new:
            market.whole(200, 210, DAY, HOUR_US, said_us=MINUTE_US)
        else:
            market.whole(205, 210, DAY + 5 * HOUR_US, HOUR_US)
    assert market.complete() == [False, *[True] * 5]
    assert market.complete("1d") == [False]


def test_a_first_trade_that_was_taken_away_leaves_its_minute_incomplete(market: Market) -> None:
    market.whole(200, 205, DAY)
    market.trades(range(201, 206), DAY + 4 * HOUR_US)
    assert market.complete() == [False, *[True] * 4]

"""Acceptance a: a recorded session through sockets, spool, S3, SQS, loader and silver, exactly once; its book is right."""

import gzip
from bisect import bisect_right
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.waiting import wait_until

from simulated_exchange.config import ExchangeConfig
from tickhouse_core.warehouse import Warehouse

from .live import capturing, events_of, row_count, tables_of

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import OpenVenue

RECORDING = "binance_session_BTCUSDT_20240808.jsonl.gz"
LEVELS = "arrayMap(level -> (level.1, level.2), {})"


@pytest.mark.parametrize(
    "speed",
    [
        pytest.param(60.0, id="sixtyfold"),
        pytest.param(10.0, id="tenfold", marks=pytest.mark.long),
        pytest.param(0.0, id="full speed", marks=pytest.mark.heart),
    ],
)
def test_a_recorded_session_is_in_silver_exactly_once_and_its_book_is_the_venues(
    speed: float, open_venue: "OpenVenue", moto_lake: "Lake", warehouse: Warehouse, load: Callable[[], None], shared_data: Path
) -> None:
    exchange = open_venue(ExchangeConfig(replay=(shared_data / RECORDING,), replay_speed=speed)).exchange
    with capturing("BTCUSDT") as run:
        wait_until(lambda: exchange.tally()["sockets"]["replay"]["state"] == "finished", "the end of the replay", 120)
        wait_until(lambda: row_count(moto_lake.store, "trades") == 19_904, "the last trade in S3")
        wait_until(lambda: row_count(moto_lake.store, "depth_diffs") == 6_495, "the last diff in S3")
    load()

    assert run.report is not None
    assert run.report.objects_left == 0
    assert events_of(moto_lake.store, "gap") == []
    for view, key, rows in (("trades", "trade_id", 19_904), ("depth_diffs", "last_update_id", 6_495)):
        _, [counts] = warehouse.query_table(f"select count(), uniqExact({key}) from {view}")
        assert counts == (rows, rows)
        _, [[in_bronze]] = warehouse.query_table(f"select count() from bronze_{view}")
        assert in_bronze == rows
    assert _compare_books(warehouse, shared_data) == (6_491, 6_493)
    assert max(table.num_rows for table in tables_of(moto_lake.store, "trades")) > 1, "one object a dataset and flush"


def _compare_books(warehouse: Warehouse, shared_data: Path) -> tuple[int, int]:
    """Diffs after which the rebuilt best bid and ask equal the recorded bookTicker, and diffs compared."""
    tickers: dict[int, Any] = {}
    with gzip.open(shared_data / RECORDING) as lines:
        for line in map(orjson.loads, lines):
            if line["src"] == "ws" and line["raw"]["stream"].endswith("@bookTicker"):
                tickers[line["raw"]["data"]["u"]] = line["raw"]["data"]
    ids = sorted(tickers)
    sides = f"{LEVELS.format('bids')}, {LEVELS.format('asks')}"
    _, [snapshot] = warehouse.query_table(f"select last_update_id, {sides} from depth_snapshots order by last_update_id limit 1")
    _, diffs = warehouse.query_table(f"select last_update_id, {sides} from depth_diffs order by last_update_id")
    bids, asks = dict(snapshot[1]), dict(snapshot[2])
    equal = compared = 0
    for last_update_id, *changes in diffs:
        if last_update_id <= snapshot[0]:
            continue
        for book, levels in zip((bids, asks), changes, strict=True):
            book.update(levels)
            for price in [price for price, quantity in levels if not quantity]:
                del book[price]
        ticker = tickers[ids[bisect_right(ids, last_update_id) - 1]]
        bid, ask = max(bids), min(asks)
        equal += (bid, bids[bid], ask, asks[ask]) == tuple(Decimal(ticker[key]) for key in "bBaA")
        compared += 1
    return equal, compared

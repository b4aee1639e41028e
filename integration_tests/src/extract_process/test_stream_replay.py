"""Acceptance a: a recorded session through sockets, spool, S3, SQS, loader and silver, exactly once; its book is right."""

import gzip
from bisect import bisect_right
from collections.abc import Callable, Iterator
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


FUTURES = [
    ("binance-usdm", "BTCUSDT", "binance_usdm_session_BTCUSDT_20240808.jsonl.gz", (21_313, 6_551, 66_089), 629),
    ("binance-coinm", "BTCUSD_PERP", "binance_coinm_session_BTCUSD_PERP_20240808.jsonl.gz", (2_286, 26_847, 19_136), 1_124),
]
"""Trades, diffs and best prices, and the update ids that diffs and best prices have in common behind the snapshot."""

KEYS = {"trades": "trade_id", "depth_diffs": "last_update_id", "book_tickers": "update_id"}


@pytest.mark.parametrize(("venue", "symbol", "recording", "counts", "common"), FUTURES, ids=["usdm", "coinm"])
def test_a_recorded_futures_session_is_in_silver_exactly_once_and_its_book_is_the_venues(
    venue: str,
    symbol: str,
    recording: str,
    counts: tuple[int, int, int],
    common: int,
    open_venue: "OpenVenue",
    moto_lake: "Lake",
    warehouse: Warehouse,
    load: Callable[[], None],
    shared_data: Path,
) -> None:
    exchange = open_venue(ExchangeConfig(replay=(shared_data / recording,), replay_speed=0.0)).exchange
    with capturing(symbol, venue=venue, channels=("trades", "depth", "book_tickers")):
        part = venue.removeprefix("binance-")
        wait_until(lambda: exchange.tally()[part]["sockets"]["replay"]["state"] == "finished", "the end of the replay", 120)
        for dataset, rows in zip(KEYS, counts, strict=True):
            wait_until(lambda dataset=dataset, rows=rows: row_count(moto_lake.store, dataset) == rows, f"all {dataset} in S3")  # type: ignore[misc]
    load()
    assert events_of(moto_lake.store, "gap") == []
    assert events_of(moto_lake.store, "mismatch") == [], "the running book and the best prices agree at every common id"
    for (view, key), rows in zip(KEYS.items(), counts, strict=True):
        _, [found] = warehouse.query_table(f"select count(), uniqExact({key}) from {view} where venue = '{venue}'")
        assert found == (rows, rows)
    assert _compare_at_common_ids(warehouse, shared_data / recording) == (common, common)
    worth = {(event["symbol"], event["detail"]) for event in events_of(moto_lake.store, "contract")}
    assert worth == ({(symbol, "100")} if symbol.endswith("_PERP") else set()), "a contract of BTCUSD_PERP is 100 USD"


def _compare_at_common_ids(warehouse: Warehouse, recording: Path) -> tuple[int, int]:
    """Of the update ids that diffs and bookTicker both have: at how many the rebuilt best levels are equal, and how many."""
    with gzip.open(recording) as lines:
        messages = [line["raw"]["data"] for line in map(orjson.loads, lines) if line["src"] == "ws"]
    tickers = {message["u"]: message for message in messages if message["e"] == "bookTicker"}
    equal = compared = 0
    for last_update_id, bids, asks in _books(warehouse):
        bid, ask = max(bids), min(asks)
        assert bid < ask, "crossed"
        if ticker := tickers.get(last_update_id):
            equal += (bid, bids[bid], ask, asks[ask]) == tuple(Decimal(ticker[key]) for key in "bBaA")
            compared += 1
    return equal, compared


def _books(warehouse: Warehouse) -> Iterator[tuple[int, dict[Decimal, Decimal], dict[Decimal, Decimal]]]:
    """After each diff behind the first snapshot: its id, bids and asks."""
    sides = f"{LEVELS.format('bids')}, {LEVELS.format('asks')}"
    _, [snapshot] = warehouse.query_table(f"select last_update_id, {sides} from depth_snapshots order by last_update_id limit 1")
    _, diffs = warehouse.query_table(f"select last_update_id, {sides} from depth_diffs order by last_update_id")
    bids, asks = dict(snapshot[1]), dict(snapshot[2])
    for last_update_id, *changes in diffs:
        if last_update_id <= snapshot[0]:
            continue
        for book, levels in zip((bids, asks), changes, strict=True):
            book.update(levels)
            for price in [price for price, quantity in levels if not quantity]:
                del book[price]
        yield last_update_id, bids, asks


def _compare_books(warehouse: Warehouse, shared_data: Path) -> tuple[int, int]:
    """Diffs after which the rebuilt best bid and ask equal the recorded bookTicker, and diffs compared."""
    tickers: dict[int, Any] = {}
    with gzip.open(shared_data / RECORDING) as lines:
        for line in map(orjson.loads, lines):
            if line["src"] == "ws" and line["raw"]["stream"].endswith("@bookTicker"):
                tickers[line["raw"]["data"]["u"]] = line["raw"]["data"]
    ids = sorted(tickers)
    equal = compared = 0
    for last_update_id, bids, asks in _books(warehouse):
        ticker = tickers[ids[bisect_right(ids, last_update_id) - 1]]
        bid, ask = max(bids), min(asks)
        equal += (bid, bids[bid], ask, asks[ask]) == tuple(Decimal(ticker[key]) for key in "bBaA")
        compared += 1
    return equal, compared

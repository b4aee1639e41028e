"""A recorded session of each venue, with a gap, a restart and a repair, before and after its objects are compacted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.load_process.operating import drain, redrive
from tests.tickhouse.compact.lakes import DAY_US, HOUR, objects, options, replaced, run
from tests.transform_process.warehouse_rows import transform

import tickhouse as th
from extract_process.spool.limits import BatchLimits
from load_process.on_demand import Outcome
from load_process.reconcile import run_reconcile
from load_process.redrive import Selection
from simulated_exchange.config import ExchangeConfig
from tickhouse.audit import run_audit
from tickhouse.clear import tables_of
from tickhouse.compact.passes import BY_DAY
from tickhouse_core.datasets import DATASETS, QUEUES, TRADES
from tickhouse_core.lake_keys import compacted_name, instance_of
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.parquet_check import read_checked
from tickhouse_core.timestamps import now_us

from .live import capturing, events_of, wait_until

if TYPE_CHECKING:
    from conftest import Lake
    from integration_tests.src.extract_process.conftest import OpenVenue

    from tickhouse_core.warehouse import Warehouse


@pytest.mark.parametrize(("venue", "symbol"), [("binance", "BTCUSDT"), ("kucoin", "BTC-USDT")])
def test_everybody_reads_the_same_of_recorded_mixed_and_compacted_objects(
    venue: str, symbol: str, open_venue: OpenVenue, moto_lake: Lake, warehouse: Warehouse
) -> None:
    open_venue(ExchangeConfig(seed=8))
    began = now_us()
    record_session(venue, symbol, moto_lake)
    load(moto_lake, warehouse)
    repaired(moto_lake)
    load(moto_lake, warehouse)
    later = now_us() + 5 * DAY_US
    read, stored = answers(moto_lake, venue, symbol, began), contents(warehouse)
    assert len(read[0]) > 5, "trades"
    assert len(read[1]) > 20, "diffs"
    assert {"silver_trades", "stored_ohlcv", "stored_book_top"} <= stored.keys()
    before = [one for dataset in BY_DAY for one in objects(moto_lake.store, dataset)]

    run(moto_lake.store, options(at=later))
    assert answers(moto_lake, venue, symbol, began) == read
    load(moto_lake, warehouse)
    assert contents(warehouse) == stored
    run(moto_lake.store, options(at=later + 2 * DAY_US))
    after = [one for dataset in BY_DAY for one in objects(moto_lake.store, dataset)]
    assert all(compacted_name(one.key) for one in after)
    assert len(after) < len(before) / 5
    assert answers(moto_lake, venue, symbol, began) == read
    load(moto_lake, warehouse)
    assert contents(warehouse) == stored
    run_audit(DATASETS, symbol=None, by=(), footers=True, samples=10)
    assert {(one.missing, one.orphans) for one in run_reconcile(list(BY_DAY), StopRequest(), min_age_seconds=0).values()} == {
        (0, 0)
    }
    assert set(redrive(Selection(prefix="data_sources/"))) == {Outcome.ALREADY}


def record_session(venue: str, symbol: str, lake: Lake) -> None:
    """By two instances; the second one ends and starts again."""

    def count(instance: str) -> int:
        return sum(instance_of(one.key) == instance for one in objects(lake.store, TRADES))

    kwargs: dict[str, Any] = {"venue": venue, "limits": BatchLimits(age_seconds=0.5)}
    with capturing(symbol, instance="a", **kwargs):
        with capturing(symbol, instance="b", **kwargs):
            wait_until(lambda: count("b") >= 6, "six batches of the second")
        pause = count("a") + 4
        wait_until(lambda: count("a") >= pause, "batches that the second has not")
        with capturing(symbol, instance="b", **kwargs):
            wait_until(lambda: len([one for one in events_of(lake.store, "gap") if one["instance"] == "b"]) > 0, "the gap")
            wait_until(lambda: count("b") >= 10, "more batches of the second")


def repaired(lake: Lake) -> None:
    """An object of trades is written again without one of its trades."""
    key = next(one.key for one in objects(lake.store, TRADES) if instance_of(one.key) == "a")
    replaced(lake.store, key, without=read_checked(lake.store.read(key).body, TRADES, key).column("trade_id")[0].as_py())


def load(lake: Lake, warehouse: Warehouse) -> None:
    """All that is there, up to gold."""
    for queue in QUEUES:
        drain(lake, queue)
    transform(warehouse)


def answers(lake: Lake, venue: str, symbol: str, began: int) -> list[list[dict[str, Any]]]:
    """Of the Python API: rows, coverage and gaps of every kind."""
    found = th.open(f"s3://{lake.store.bucket}")
    span = (symbol, began, began + HOUR, venue)
    kinds = [read(*span, exact=True) for read in (found.trades, found.depth_diffs, found.depth_snapshots)]
    rows = [kind.arrow().to_pylist() for kind in kinds]
    return [*rows, *(kind.coverage.to_pylist() for kind in kinds), *(kind.gaps.to_pylist() for kind in kinds)]


def contents(warehouse: Warehouse) -> dict[str, object]:
    """Every bit of silver and gold."""
    return {
        table: warehouse.query(f"select * from {table} final order by all")
        for table, _ in tables_of(warehouse, ["silver", "gold"], None)
    }

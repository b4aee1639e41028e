"""What holds on tables that replicate: no row of ours is taken for a repeat, a replica that is away is waited for."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from conftest import Lake
from tests.load_process.test_every_dataset import body_of, rows_of
from tests.waiting import wait_until

from load_process.ledger import LOADED, REPLACED, Ledger, LedgerEntry
from load_process.objects import ObjectVersion
from tickhouse_core.datasets import DATASETS
from tickhouse_core.errors import WarehouseUnavailable
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.warehouse import Warehouse
from transform_process.transformer import Transformer, TransformOptions

from ..load_process.conftest import drain, klines
from .conftest import Replicas
from .sites import LEDGER, Site

VERSION = ObjectVersion("crypto", "data_sources/trades/a.parquet", "1")


def entry(status: str) -> LedgerEntry:
    return LedgerEntry(*VERSION, "trades", 1, 1, status, 1)


WAITING = "select count() from system.replication_queue where table = 'silver_klines' and database = currentDatabase()"


def insert_kline(warehouse: Warehouse, *, minute: int) -> None:
    row = klines(1, first_minute=minute).append_column("object_key", pa.array([f"{minute}"]).dictionary_encode())
    warehouse.insert_arrow("bronze_klines", row, token=f"late {minute}")


def test_every_dataset_is_the_same_on_both(site: Site, moto_lake: Lake) -> None:
    """Bronze, silver, gold and the ledgers, by the hash of every column of every row."""
    for dataset in DATASETS:
        moto_lake.store.write(f"{dataset.prefix}venue=binance/one.parquet", body_of(rows_of(dataset, *range(1, 40)), dataset))
    site.work_on(1)
    drain()
    with site.replicas.connected(1) as one, site.replicas.connected(2) as two:
        transformer = Transformer(one, StopRequest(), TransformOptions(lag_seconds=0))
        wait_until(lambda: transformer.run_pass() > 0)
        site.replicas.settle()
        found = site.hashes(one)
        assert site.hashes(two) == found
        assert all(found[table][0] > 0 for dataset in DATASETS for table in (dataset.bronze_table, f"silver_{dataset.name}"))
        assert found["stored_ohlcv"][0] > 0
        assert one.query(LEDGER) == two.query(LEDGER) == [(LOADED, len(DATASETS))]
    for number in site.replicas.ports:
        site.audit(number)


def test_the_last_row_of_the_ledger_counts_also_when_it_says_what_an_earlier_one_said(replicas: Replicas) -> None:
    with replicas.connected(1) as warehouse:
        ledger = Ledger(warehouse)
        for status in (LOADED, REPLACED, LOADED):
            ledger.record([entry(status)])
        assert ledger.statuses([VERSION.key]) == {VERSION: LOADED}
    replicas.settle()
    with replicas.connected(2) as warehouse:
        assert Ledger(warehouse).statuses([VERSION.key]) == {VERSION: LOADED}


def test_a_row_that_somebody_inserts_again_is_there_again(replicas: Replicas) -> None:
    with replicas.connected(1) as warehouse:
        for key in ("a", "b", "a"):
            warehouse.query_as("TSV", f"insert into ops_load_errors (bucket, key) values ('by hand', '{key}')")
        counted = warehouse.query("select key, count() from ops_load_errors group by key order by key")
    assert counted == [("a", 2), ("b", 1)]


def test_gold_has_rows_that_arrive_late(replicas: Replicas) -> None:
    """The transformer works on a replica that lags: it must not count the time as done in which they were loaded."""
    with replicas.connected(1) as one, replicas.connected(2) as two:
        insert_kline(one, minute=0)
        replicas.settle()
        transformer = Transformer(two, StopRequest(), TransformOptions(lag_seconds=0))
        wait_until(lambda: transformer.run_pass() > 0)
        with replicas.lag():
            insert_kline(one, minute=1)
            insert_kline(one, minute=2)
            wait_until(lambda: two.query(WAITING)[0][0] == 2)
            insert_kline(two, minute=3)
            transformer.run_pass()
        replicas.settle()
        transformer.run_pass()
        assert two.query("select count() from gold_ohlcv_1m") == [(4,)]


QUORUM: dict[str, Any] = {"insert_quorum": 2, "insert_quorum_parallel": 0, "insert_quorum_timeout": 500}


@pytest.fixture
def one_and_two(replicas: Replicas) -> Iterator[tuple[Warehouse, Warehouse]]:
    """Both, with a table `away`."""
    with replicas.connected(1) as one, replicas.connected(2) as two:
        for warehouse in (one, two):
            warehouse.command("create table away (a UInt8) engine = ReplicatedMergeTree order by a")
        one.command("insert into away values (1), (2)")
        two.command("system sync replica away")
        yield one, two
        for warehouse in (one, two):
            warehouse.command("drop table away sync")


@pytest.fixture
def left_alone(one_and_two: tuple[Warehouse, Warehouse]) -> Iterator[Warehouse]:
    """Replica 1, while replica 2 has its table `away` not at hand."""
    one, two = one_and_two
    two.command("detach table away")
    yield one
    two.command("attach table away")


def test_a_deletion_that_a_replica_has_yet_to_do_is_no_refusal(left_alone: Warehouse) -> None:
    with pytest.raises(WarehouseUnavailable, match="UNFINISHED"):
        left_alone.command("delete from away where a = 1")
    assert left_alone.query("select a from away") == [(2,)]


def test_an_insert_that_lacks_its_quorum_is_no_refusal(left_alone: Warehouse) -> None:
    with pytest.raises(WarehouseUnavailable, match="TOO_FEW_LIVE_REPLICAS"):
        left_alone.command("insert into away values (3)", **QUORUM)


def test_an_insert_behind_another_that_lacks_its_quorum_is_no_refusal(one_and_two: tuple[Warehouse, Warehouse]) -> None:
    """Two loaders do that all the time where an account brings a quorum and sequential reads."""
    one, two = one_and_two
    two.command("system stop fetches away")
    with pytest.raises(WarehouseUnavailable):
        one.command("insert into away values (3)", **QUORUM)
    with pytest.raises(WarehouseUnavailable, match="Quorum for previous write"):
        one.command("insert into away values (4)", **QUORUM)

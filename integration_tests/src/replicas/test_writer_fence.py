"""One replica is written to: a lagging one is not, failover moves the writers, and no row is lost or doubled by that."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Lake
from tests.commands import run_here
from tests.waiting import patience

from load_process.limits import LoadLimits
from load_process.on_demand import on_demand_load, requests_for
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import NotTheWriter
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.warehouse import Warehouse
from tickhouse_core.writer_fence import WriterFence

from ..load_process.conftest import LoaderProcess
from .conftest import Replicas
from .sites import COUNTS, ROWS, Site

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@pytest.fixture
def fences(replicas: Replicas) -> Iterator[dict[int, WriterFence]]:
    with replicas.connected(1) as one, replicas.connected(2) as two:
        yield {1: WriterFence(one), 2: WriterFence(two)}


def test_a_sweep_on_a_replica_that_lags_loads_nothing_again(site: Site) -> None:
    site.land(12)
    with site.replicas.lag():
        site.load(1)
        with pytest.raises(NotTheWriter, match="yet to fetch rows"):
            site.sweep(2)
    site.replicas.settle()
    site.land(1)
    with pytest.raises(NotTheWriter, match="this server is replica r2, and r1 is written to"):
        site.sweep(2)
    site.sweep(1)
    site.assert_exact()


def test_of_two_replicas_one_gets_an_epoch(fences: dict[int, WriterFence]) -> None:
    assert fences[1].take(1) == fences[2].take(1)
    assert fences[2].newest() == fences[1].newest()
    assert fences[2].take(2).replica == "r2"
    with pytest.raises(NotTheWriter, match="r2 is written to"):
        fences[1].check()
    fences[2].check()


def test_a_writer_hears_of_a_new_epoch_before_its_next_batch(site: Site) -> None:
    site.land(2)
    site.load(1)
    assert site.move(2) == 2
    site.land(2)
    with pytest.raises(NotTheWriter, match="r2 is written to"):
        site.load(1)
    site.load(2)
    site.assert_exact()
    assert site.move(1) == 3
    site.land(1)
    site.load(1)
    site.assert_exact()


def test_writers_wait_until_the_new_replica_has_every_row(site: Site) -> None:
    site.land(1)
    site.load(1)
    site.replicas.settle()
    site.land(3)
    with site.replicas.lag():
        site.load(1)
        with pytest.raises(NotTheWriter, match=r"r2 has yet to fetch rows of .*bronze_klines.*\(from r1\).*--accept-loss"):
            site.move(2, 0)
        site.land(1)
        for number in (1, 2):  # nobody writes meanwhile
            with pytest.raises(NotTheWriter):
                site.sweep(number)
        with pytest.raises(NotTheWriter, match="yet to fetch rows of ops_writers"):
            site.move(1, 0)
    assert site.move(1) == 3  # back to where all rows are
    site.load(1)
    assert site.move(2) == 4
    site.assert_exact()


class MovedBehindTheClaim(Warehouse):
    """Between the claim and what follows it, the other replica takes the next epoch."""

    def __init__(self, client: "Client", other: WriterFence) -> None:
        super().__init__(client)
        self._other = other

    def insert_rows(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        super().insert_rows(table, rows)
        if table == "ops_load_claims":
            self._other.take(2)


def test_a_claim_made_while_the_writers_move_inserts_nothing(site: Site, moto_lake: Lake, fences: dict[int, WriterFence]) -> None:
    """A process that slept between its look at the epoch and its claim looks again; the new replica finds the claim."""
    site.land(3)
    objects = list(moto_lake.store.list_keys(KLINES.prefix))
    with site.replicas.connected(1) as plain:
        one = MovedBehindTheClaim(plain._client, fences[2])
        with (
            on_demand_load(moto_lake.store, one, LoadLimits(), StopRequest(), waits=False) as load,
            pytest.raises(NotTheWriter, match="r2 is written to"),
        ):
            load.load(requests_for(moto_lake.store.bucket, objects))
        assert one.query(COUNTS) == [(0, 0, 0)]
        assert one.query("select uniqExact(key) from ops_load_claims") == [(3,)]
    site.load(2, patience_seconds=0)
    site.assert_exact()


def test_what_was_never_fetched_is_named_and_can_be_left_behind(site: Site) -> None:
    site.land(1)
    site.load(1)
    site.replicas.settle()
    site.land(2)
    with site.replicas.lag():
        site.load(1)
        site.work_on(2)
        stopped = run_here("tickhouse.failover", "--wait", "0")
        assert stopped.returncode == 1
        assert "epoch 2: r2 has yet to fetch rows of" in stopped.stderr
        told = run_here("tickhouse.failover", "--wait", "0", "--accept-loss").stdout
        assert "replica r2 is written to (epoch 3)" in told
        assert "bronze_klines" in told
        assert "system drop replica" in told
        with site.replicas.connected(2) as warehouse:
            WriterFence(warehouse).check()


def test_the_written_replica_is_killed_under_load_and_another_goes_on(
    site: Site, start_loader: Callable[..., LoaderProcess]
) -> None:
    """kill -9 of the replica and of its loader in the middle; what only the dead one had is waited for."""
    site.land(1)
    site.load(1)
    site.replicas.settle()
    site.land(60)
    site.work_on(1)
    loader = start_loader("--dataset", "klines", "--batch-rows", str(3 * ROWS))
    loader.wait_for_line(" loaded ")
    site.replicas.kill(1)
    loader.process.kill()
    try:
        with contextlib.suppress(NotTheWriter):  # it has all rows, or says that some are on the other alone
            site.move(2, 0)
    finally:
        site.replicas.start(1)
    assert site.move(2, patience(120)) >= 2
    site.load(2, patience_seconds=0)
    with pytest.raises(NotTheWriter, match="r2 is written to"), site.replicas.connected(1) as warehouse:
        WriterFence(warehouse).check()
    site.sweep(2)
    site.assert_exact()

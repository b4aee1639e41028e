"""Two loaders while either replica is killed; then the writers move. Nothing is lost, nothing doubled, on both replicas."""

import signal
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from tests.waiting import wait_until

from tickhouse_core.warehouse import Warehouse

from ..load_process.conftest import LoaderProcess, in_background
from .conftest import Replicas
from .sites import ROWS, Site

LOADED = "select count() from ops_loaded_objects final where status = 'loaded'"
DELETIONS = "select count() from system.mutations where database = currentDatabase() and table = 'silver_klines'"
ALIVE = "select active_replicas from system.replicas where database = currentDatabase() and table = 'silver_klines'"


def count_of(warehouse: Warehouse, sql: str) -> int:
    return int(warehouse.query(sql)[0][0])


def loaded(replicas: Replicas) -> int:
    with replicas.connected(1) as warehouse:
        return count_of(warehouse, LOADED)


def two_that_load(site: Site, start: Callable[..., LoaderProcess]) -> list[LoaderProcess]:
    """Two loaders that share the queue: objects land until each of them has loaded some."""
    loaders = [start("--dataset", "klines", "--batch-rows", str(3 * ROWS)) for _ in range(2)]
    for loader in loaders:
        with in_background(partial(loader.wait_for_line, " loaded ")) as first_load:
            try:
                wait_until(partial(_has_loaded, first_load, site), "a load of each loader", seconds=60)
            except AssertionError:
                loader.process.kill()  # its log ends, and with it the thread that reads it
                raise
    return loaders


def _has_loaded(first_load: "Future[None]", site: Site) -> bool:
    if not first_load.done() and loaded(site.replicas) == site.landed:
        site.land(4)
    return first_load.done()


def kill_the_reader_during_deletions(site: Site) -> None:
    """Replica 2 is away while older versions are taken out of silver, which ends with UNFINISHED (341) until it is back."""
    with site.replicas.connected(1) as one:
        before = count_of(one, DELETIONS)
        site.replicas.kill(2)
        try:
            site.replace(6)
            site.land(40)
            wait_until(lambda: count_of(one, DELETIONS) > before and count_of(one, ALIVE) == 1, "a deletion alone", seconds=60)
        finally:
            site.replicas.start(2)


def kill_the_writer(site: Site) -> None:
    """In the middle of a load; both loaders live on and wait."""
    before = loaded(site.replicas)
    site.land(40)
    wait_until(lambda: loaded(site.replicas) > before, "the load has begun", seconds=60)
    site.replicas.kill(1)
    site.replicas.start(1)


def test_two_loaders_outlive_a_kill_of_either_replica_and_the_writers_move(
    site: Site, start_loader: Callable[..., LoaderProcess]
) -> None:
    replicas = site.replicas
    site.land(6)
    site.load(1)
    replicas.settle()
    loaders = two_that_load(site, start_loader)
    kill_the_reader_during_deletions(site)
    kill_the_writer(site)
    wait_until(lambda: loaded(replicas) == site.landed, "everything is loaded", seconds=120)
    for loader in loaders:
        loader.process.send_signal(signal.SIGTERM)
    assert [loader.finish() for loader in loaders] == [0, 0]
    assert sum(loader.count("(UNFINISHED)") for loader in loaders) > 0
    site.assert_exact()
    replicas.kill(1)
    try:
        assert site.move(2) == 2
        site.land(5)
        site.load(2)
    finally:
        replicas.start(1)
    site.assert_exact()
    for number in replicas.ports:
        site.audit(number)

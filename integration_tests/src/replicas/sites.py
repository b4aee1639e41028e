"""A lake, and the writers of a replicated warehouse that load it."""

from typing import TYPE_CHECKING

import pytest
from conftest import Lake
from tests.commands import run_here

from load_process.reconcile import run_reconcile
from tickhouse.failover import move_writers
from tickhouse_core.datasets import KLINES
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.warehouse import Warehouse
from tickhouse_core.writer_fence import WriterFence

from ..load_process.conftest import body_of, drain, klines, month_key

if TYPE_CHECKING:
    from .conftest import Replicas

REPLICATED = "select name from system.tables where database = currentDatabase() and engine like 'Replicated%' order by name"
ROWS = 20
COUNTS = "select count(), uniqExact(object_key, object_etag, open_time), uniqExact(object_key) from bronze_klines"
LEDGER = "select status, count() from ops_loaded_objects final group by status order by status"
HASHES = "select count(), sum(cityHash64(formatRow('TSV', *))) from {}"


class Site:
    """A lake, and writers that work on the one replica or the other."""

    def __init__(self, replicas: "Replicas", lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        self.replicas, self._lake, self._patch = replicas, lake, monkeypatch
        self.landed = 0
        self.replaced = 0

    def land(self, count: int) -> None:
        for _ in range(count):
            self.landed += 1
            symbol = f"S{self.landed}USDT"
            self._lake.store.write(month_key(symbol), body_of(klines(ROWS, symbol=symbol)))

    def replace(self, count: int) -> None:
        """The first objects, which are loaded, get a version without their last row: silver must lose it."""
        self.replaced = count
        for number in range(1, count + 1):
            symbol = f"S{number}USDT"
            self._lake.store.write(month_key(symbol), body_of(klines(ROWS - 1, symbol=symbol, close="43000")))

    def work_on(self, number: int) -> None:
        for name, value in self.replicas.environment(number).items():
            self._patch.setenv(name, value)

    def load(self, number: int, patience_seconds: int = 30) -> None:
        self.work_on(number)
        drain(patience_seconds, queues=[KLINES.queue])

    def sweep(self, number: int) -> None:
        self.work_on(number)
        run_reconcile([KLINES], StopRequest(), min_age_seconds=0)

    def move(self, number: int, wait_seconds: float = 30, *, accepts_loss: bool = False) -> int:
        """The epoch."""
        with self.replicas.connected(number) as warehouse:
            epoch, _ = move_writers(WriterFence(warehouse), StopRequest(), wait_seconds=wait_seconds, accepts_loss=accepts_loss)
        return epoch.number

    def assert_exact(self) -> None:
        """Every version's rows are on both replicas once, so is its entry in the ledger, and every table is the same on both."""
        self.replicas.settle()
        versions = [("superseded", self.replaced)] if self.replaced else []
        rows = ROWS * self.landed + (ROWS - 1) * self.replaced
        hashes = []
        for number in self.replicas.ports:
            with self.replicas.connected(number) as warehouse:
                assert warehouse.query(COUNTS) == [(rows, rows, self.landed)], number
                assert warehouse.query("select count() from klines") == [(ROWS * self.landed - self.replaced,)], number
                assert warehouse.query(LEDGER) == [("loaded", self.landed), *versions], number
                hashes.append(self.hashes(warehouse))
        assert hashes[0] == hashes[1]

    def hashes(self, warehouse: Warehouse) -> dict[str, tuple[int, int]]:
        """Rows of every table that replicates, and the sum of their hashes; every column counts, `load_time` too."""
        tables = [str(table) for (table,) in warehouse.query(REPLICATED)]
        found = {table: warehouse.query(HASHES.format(table))[0] for table in tables}
        return {table: (int(rows), int(summed)) for table, (rows, summed) in found.items()}

    def audit(self, number: int) -> None:
        """Ledger, bronze, views and every footer of the lake agree."""
        self.work_on(number)
        done = run_here("tickhouse.audit", "--footers")
        assert done.returncode == 0, done.stdout + done.stderr

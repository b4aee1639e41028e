"""Where nothing replicates the fence is open; integration_tests/src/replicas has the rest."""

from tests.commands import run_here

from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse
from tickhouse_core.writer_fence import WriterFence


def test_where_nothing_replicates_every_writer_is_let_through(warehouse: Warehouse) -> None:
    fence = WriterFence(warehouse)
    fence.check()
    fence.wait_for_rows("bronze_klines")
    assert fence.is_alone()
    assert warehouse.query("select count() from ops_writers") == [(0,)]


def test_where_nothing_replicates_there_is_nothing_to_move(warehouse_settings: WarehouseSettings) -> None:
    done = run_here("tickhouse.failover")
    assert done.returncode == 2
    assert "the tables of tests do not replicate" in done.stderr

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.commands import run_here
from tests.load_process.conftest import klines, parquet

from load_process.__main__ import run_loader
from load_process.loader import LoaderOptions
from tickhouse_core.datasets import DATASETS
from tickhouse_core.errors import NotProvisioned
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import connect

if TYPE_CHECKING:
    from conftest import Lake


def test_an_unknown_dataset_is_one_line_and_exit_2() -> None:
    done = run_here("load_process", "--dataset", "candles")
    known = ", ".join(dataset.name for dataset in DATASETS)
    assert (done.returncode, done.stderr) == (2, f"error: unknown dataset 'candles': choose from {known}\n")


def test_all_queues_are_drained_at_once(moto_lake: Lake, warehouse_settings: WarehouseSettings) -> None:
    moto_lake.store.write("data_sources/klines_pricing/venue=binance/x.parquet", parquet(klines(0, 1)))
    run_loader(["klines-notifications", "ops-notifications"], StopRequest(), LoaderOptions(drain=True, wait_seconds=0))
    warehouse = connect(warehouse_settings)
    assert warehouse.query("select count() from klines") == [(2,)]
    warehouse.close()


def test_a_queue_that_is_not_there_ends_the_loader(moto_lake: Lake, warehouse_settings: WarehouseSettings) -> None:
    assert moto_lake.environment
    assert warehouse_settings.path
    with pytest.raises(NotProvisioned, match=r"^queue nothing: .*tickhouse provision"):
        run_loader(["nothing"], StopRequest(), LoaderOptions(drain=True, wait_seconds=0))

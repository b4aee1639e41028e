"""The views over compacted objects give the depth that the warehouse has, and read no object that a filter leaves out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.load_process.operating import drain
from tests.tickhouse.compact.lakes import DAY, DAY_US, HOUR, LONG_AFTER, objects, options, record_all, run, with_doubles
from tests.tickhouse.test_read_api import write
from tests.transform_process.warehouse_rows import depth_diff

from tickhouse_core.datasets import DEPTH_DIFFS
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

pytestmark = pytest.mark.slow

COLUMNS = "venue, symbol, first_update_id, last_update_id, event_time, receipt_time"


@pytest.fixture
def views(moto_lake: Lake, warehouse: Warehouse) -> Warehouse:
    """As docs/operations.md says to make them."""
    bucket = f"{moto_lake.environment['AWS_ENDPOINT_URL']}/{moto_lake.store.bucket}/"
    warehouse.command("drop named collection if exists tickhouse_lake")
    keys = "access_key_id = 'testing', secret_access_key = 'testing'"
    warehouse.command(f"create named collection tickhouse_lake as url = '{bucket}', {keys}")
    text = re.sub(r"(?m)^--.*\n", "", (SQL_ROOT / "lake" / "depth.sql").read_text(encoding="utf-8"))
    for statement in text.split(";\n"):
        if statement.strip():
            warehouse.command(statement)
    return warehouse


def test_the_lake_says_of_old_depth_what_the_warehouse_said(moto_lake: Lake, views: Warehouse) -> None:
    """Also while two versions of a day are there, and after the warehouse has lost its own."""
    record_all(moto_lake.store, with_doubles())
    run(moto_lake.store)
    late = depth_diff(900, 900, event_us=DAY + HOUR, bids=[("101", "1")], market=("binance", "BTCUSDT"))
    write(moto_lake.store, DEPTH_DIFFS, late, "late", DAY + 2 * HOUR)
    run(moto_lake.store, options(at=LONG_AFTER + HOUR))
    assert len(objects(moto_lake.store, DEPTH_DIFFS, compacted=True)) == 4
    drain(moto_lake, DEPTH_DIFFS.queue)

    def rows(prefix: str) -> list[object]:
        diffs = views.query(f"select {COLUMNS}, bids, asks from {prefix}depth_diffs order by symbol, last_update_id")
        levels = views.query(f"select {COLUMNS}, side, price, quantity from {prefix}depth_levels order by all")
        return [diffs, levels]

    wanted = rows("")
    assert len(wanted[0]) == 125  # type: ignore[arg-type]
    assert rows("lake_") == wanted
    run(moto_lake.store, options(at=LONG_AFTER + 3 * DAY_US))
    views.command("truncate table silver_depth_diffs")
    assert rows("lake_") == wanted
    assert views.query("select uniqExact(date), min(date) from lake_depth_diffs where symbol = 'BTCUSDT'")[0][0] == 1


def test_objects_of_other_symbols_and_days_are_not_read(moto_lake: Lake, views: Warehouse) -> None:
    record_all(moto_lake.store, with_doubles())
    run(moto_lake.store)
    for one in objects(moto_lake.store, DEPTH_DIFFS, compacted=True):
        if "symbol=ETHUSDT" in one.key:  # whoever reads it fails
            moto_lake.store.write(one.key, b"no Parquet")
    filters = "symbol = 'BTCUSDT' and date = '2024-08-09'"
    assert views.query(f"select count() from lake_depth_diffs where {filters}") == [(62,)]

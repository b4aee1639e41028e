import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tickhouse_core.datasets import DATASETS
from tickhouse_core.settings import RetentionSettings, WarehouseSettings
from tickhouse_core.warehouse import Warehouse
from transform_process.migrate import apply_retention, migrate


@pytest.fixture(autouse=True)
def _kept_for_ever(warehouse: Warehouse) -> Iterator[None]:
    yield
    apply_retention(warehouse, None)


def ttls(warehouse: Warehouse) -> dict[str, str]:
    rows = warehouse.query(
        "select name, extract(engine_full, 'TTL (.+?) SETTINGS') from system.tables where database = currentDatabase() "
        "and engine_full like '% TTL %'"
    )
    return {name: ttl for name, ttl in rows if name != "ops_load_claims"}


def mutations(warehouse: Warehouse) -> int:
    ((count,),) = warehouse.query("select count() from system.mutations where database = currentDatabase()")
    return int(count)


def test_every_bronze_table_and_no_other_lets_go_after_the_days_set(
    warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    assert migrate(warehouse_settings, RetentionSettings(bronze_days=30)) == 0
    assert ttls(warehouse) == {dataset.bronze_table: "toDateTime(load_time) + toIntervalDay(30)" for dataset in DATASETS}
    migrate(warehouse_settings, RetentionSettings(bronze_days=7))
    assert set(ttls(warehouse).values()) == {"toDateTime(load_time) + toIntervalDay(7)"}
    migrate(warehouse_settings, RetentionSettings())
    assert ttls(warehouse) == {}


def test_the_same_days_again_rewrite_nothing(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "transform_process.migrate")
    assert apply_retention(warehouse, None) == 0
    assert apply_retention(warehouse, 30) == len(DATASETS)
    before = mutations(warehouse)
    assert apply_retention(warehouse, 30) == 0
    assert mutations(warehouse) == before
    assert len(caplog.records) == len(DATASETS)


def test_without_settings_what_is_there_stays(warehouse: Warehouse, warehouse_settings: WarehouseSettings) -> None:
    apply_retention(warehouse, 30)
    migrate(warehouse_settings)
    assert len(ttls(warehouse)) == len(DATASETS)


def test_a_rule_that_somebody_else_made_is_replaced(warehouse: Warehouse) -> None:
    warehouse.command("alter table bronze_trades modify ttl toDateTime(event_time) + interval 1 month")
    assert apply_retention(warehouse, None) == 1
    assert ttls(warehouse) == {}


def test_rows_older_than_that_go_and_younger_ones_stay(warehouse: Warehouse) -> None:
    for number, age_days in enumerate((0, 40)):
        instant = datetime.now(UTC) - timedelta(days=age_days)
        row = {"venue": "binance", "symbol": "X", "trade_id": number, "price": 1, "quantity": 1, "object_key": "k"}
        warehouse.insert_rows("bronze_trades", [row | {"trade_time": datetime.now(UTC), "load_time": instant}])
    apply_retention(warehouse, 30)
    warehouse.command("optimize table bronze_trades final")
    assert warehouse.query("select trade_id from bronze_trades") == [(0,)]
    assert warehouse.query("select count() from trades") == [(2,)]

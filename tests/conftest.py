"""Unit tests share one migrated database and empty it in between: a schema a test would cost a second each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import connect
from transform_process.migrate import migrate


@pytest.fixture(scope="session")
def _shared_database(_engine_folder: Path) -> WarehouseSettings:
    settings = WarehouseSettings.model_validate({"path": _engine_folder, "database": "unit_tests"})
    migrate(settings)
    return settings


@pytest.fixture
def warehouse_settings(_shared_database: WarehouseSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[WarehouseSettings]:
    """A database with the schema and without rows in the embedded engine of this process; the environment points at it."""
    monkeypatch.setenv("CLICKHOUSE_PATH", str(_shared_database.path))
    monkeypatch.setenv("CLICKHOUSE_DATABASE", _shared_database.database)
    yield _shared_database
    warehouse = connect(_shared_database)
    for (table,) in warehouse.query(
        "select name from system.tables where database = currentDatabase() and engine like '%MergeTree' "
        "and name != 'ops_schema_migrations'"
    ):
        warehouse.command(f"truncate table {table}")
    warehouse.close()

import hashlib
import re
from pathlib import Path

import pytest

from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse
from transform_process.migrate import Migration, migrate, read_migrations

FILES = sorted((SQL_ROOT / "schema").iterdir())


def test_a_second_run_applies_nothing(warehouse_settings: WarehouseSettings) -> None:
    assert migrate(warehouse_settings) == 0


def test_a_first_run_applies_every_file(warehouse_settings: WarehouseSettings) -> None:
    fresh = warehouse_settings.model_copy(update={"database": f"{warehouse_settings.database}_fresh"})
    assert migrate(fresh) == len(FILES)
    assert migrate(fresh) == 0


def test_what_was_applied_is_written_down_by_number_name_and_checksum(warehouse: Warehouse) -> None:
    rows = warehouse.query("select version, name, checksum from ops_schema_migrations final order by version")
    expected = [
        (int(path.name[:4]), path.name, hashlib.sha256(path.read_text(encoding="utf-8").strip().encode()).hexdigest())
        for path in FILES
    ]
    assert [tuple(row) for row in rows] == expected


def test_a_file_that_was_edited_after_it_was_applied_is_refused(
    warehouse_settings: WarehouseSettings, warehouse: Warehouse
) -> None:
    warehouse.insert_rows("ops_schema_migrations", [{"version": 4, "name": FILES[3].name, "checksum": "what it was"}])
    try:
        with pytest.raises(WarehouseRefused, match=rf"^{FILES[3].name} was edited after it was applied here: restore it"):
            migrate(warehouse_settings)
    finally:
        warehouse.command("truncate table ops_schema_migrations")
        assert migrate(warehouse_settings) == len(FILES)


def test_a_run_that_died_before_writing_it_down_is_repeated_without_harm(
    warehouse_settings: WarehouseSettings, warehouse: Warehouse
) -> None:
    warehouse.command("truncate table ops_schema_migrations")
    assert migrate(warehouse_settings) == len(FILES)
    assert migrate(warehouse_settings) == 0


def test_the_warehouse_has_the_tables_of_the_contract(warehouse: Warehouse) -> None:
    tables = {row[0] for row in warehouse.query("select name from system.tables where database = currentDatabase()")}
    assert tables >= {
        *("bronze_klines", "silver_klines", "silver_klines_mv", "klines"),
        *("bronze_stream_events", "silver_stream_events", "silver_stream_events_mv"),
        *("ops_loaded_objects", "ops_load_errors", "ops_schema_migrations"),
    }


def test_every_column_of_every_table_has_a_comment(warehouse: Warehouse) -> None:
    rows = warehouse.query(
        "select table, name from system.columns where database = currentDatabase() and comment = '' "
        "and table in (select name from system.tables where database = currentDatabase() and engine like '%MergeTree')"
    )
    assert rows == []


def test_every_table_and_view_has_a_comment(warehouse: Warehouse) -> None:
    rows = warehouse.query(
        "select name from system.tables where database = currentDatabase() and comment = '' and not startsWith(name, '.inner')"
    )
    assert rows == []


def test_the_engines_are_those_of_the_contract(warehouse: Warehouse) -> None:
    rows = warehouse.query(
        "select name, engine, sorting_key from system.tables "
        "where database = currentDatabase() and match(name, '^(bronze_|silver_)?klines$') order by name"
    )
    assert [tuple(row) for row in rows] == [
        ("bronze_klines", "MergeTree", "venue, symbol, interval, open_time"),
        ("klines", "View", ""),
        ("silver_klines", "ReplacingMergeTree", "venue, symbol, interval, open_time"),
    ]


def test_files_are_read_by_number_and_others_are_left_out(tmp_path: Path) -> None:
    for name in ("0010_create_b.sql", "0002_create_a.sql", "README.md", "draft.sql"):
        (tmp_path / name).write_text(f"\n-- {name}\n")
    assert list(read_migrations(tmp_path)) == [
        Migration(2, "0002_create_a.sql", "-- 0002_create_a.sql"),
        Migration(10, "0010_create_b.sql", "-- 0010_create_b.sql"),
    ]


def test_every_schema_file_is_one_statement_that_may_run_twice_and_says_its_grain() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in FILES}
    assert texts
    wrong = {
        name
        for name, text in texts.items()
        if not re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name)
        or not text.startswith("-- Grain: ")
        or " if not exists " not in text
        or ";" in re.sub(r"--.*|'[^']*'", "", text)
    }
    assert wrong == set()


def test_every_number_is_one_file() -> None:
    numbers = [int(path.name[:4]) for path in FILES]
    assert len(set(numbers)) == len(numbers)

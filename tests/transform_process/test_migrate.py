import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import Migration, migrate, read_migrations

FILES = sorted((SQL_ROOT / "schema").iterdir())
PARAMETERS = {
    "gold_book_at": "(venue = 'binance', symbol = 'BTCUSDT', at = '2024-01-01')",
    "gold_kline_verdicts_1m": "(since = '2024-01-01', until = '2024-01-02')",
}


def code(sql: str) -> str:
    """Without comments and texts."""
    return re.sub(r"--.*|'[^']*'", "", sql)


def aliases(sql: str) -> set[str]:
    """Names of tables, subqueries and named steps; a column's is followed by a comma, or by what it is selected from."""
    found = re.findall(
        r"\b(?:from|join) \w+(?: final)? as (\w+)|\b(\w+) as \("
        r"|\) as (\w+)(?= (?:using|on)\b|\n *(?:\)|where|group|window|inner|left|comment|$))",
        code(sql),
    )
    return {name for one in found for name in one if name}


def _with_sources(wanted: Iterable[Migration], made: Mapping[str, Migration]) -> set[Migration]:
    """The statements, and those that make what they read."""
    found = set(wanted)
    for one in wanted:
        sources = {made[name] for name in re.findall(r"\w+", code(one.sql)) if name in made and made[name] is not one}
        found |= _with_sources(sources, made)
    return found


def test_a_second_run_applies_nothing(warehouse_settings: WarehouseSettings) -> None:
    assert migrate(warehouse_settings) == 0


@pytest.mark.slow
def test_a_first_run_applies_every_file(warehouse_settings: WarehouseSettings) -> None:
    fresh = warehouse_settings.model_copy(update={"database": f"{warehouse_settings.database}_fresh"})
    assert migrate(fresh) == len(FILES)
    assert migrate(fresh) == 0


def test_no_table_or_step_is_called_by_one_letter() -> None:
    for path in SQL_ROOT.rglob("*.sql"):
        assert {name for name in aliases(path.read_text(encoding="utf-8")) if len(name) == 1} == set(), path.name


@pytest.mark.slow
def test_the_database_may_have_the_name_of_any_alias(warehouse_settings: WarehouseSettings) -> None:
    """A view is stored with its database before each table: an alias of that name beside such a table takes its place."""
    migrations = list(read_migrations())
    made = {name: one for one in migrations for name in re.findall(r"^create [a-z ]+ if not exists (\w+)", one.sql, re.MULTILINE)}
    with_alias: dict[str, list[Migration]] = {}
    for one in migrations:
        for alias in aliases(one.sql):
            with_alias.setdefault(alias, []).append(one)
    assert {"minutes", "kline", "second_returns", "landed", "symbol_names"} <= with_alias.keys()
    server = connect(warehouse_settings, database="default")
    for alias in sorted(with_alias):
        server.command(f"create database {alias}")
        database = connect(warehouse_settings, database=alias)
        for one in sorted(_with_sources(with_alias[alias], made), key=lambda one: one.version):
            database.command(one.sql)
            for name in [name for name, maker in made.items() if maker is one and re.match("create view", code(one.sql).strip())]:
                database.query(f"select * from {name}{PARAMETERS.get(name, '')} limit 0")
        database.close()
        server.command(f"drop database {alias}")
    server.close()


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


@pytest.mark.slow
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

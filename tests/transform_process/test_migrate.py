import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from tools import make_sql

from tickhouse_core.datasets import DATASETS
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


def _with_sources(wanted: Iterable[str], made: Mapping[str, str]) -> set[str]:
    """The statements, and those that make what they read."""
    found = set(wanted)
    for one in wanted:
        sources = {made[name] for name in re.findall(r"\w+", code(one)) if name in made and made[name] != one}
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
    statements = [statement for migration in read_migrations() for statement in migration.statements]
    made = {name: one for one in statements for name in re.findall(r"^create [a-z ]+ if not exists (\w+)", one, re.MULTILINE)}
    with_alias: dict[str, list[str]] = {}
    for one in statements:
        for alias in aliases(one):
            with_alias.setdefault(alias, []).append(one)
    assert {"minutes", "kline", "second_returns", "landed", "symbol_names"} <= with_alias.keys()
    server = connect(warehouse_settings, database="default")
    for alias in sorted(with_alias):
        server.command(f"create database {alias}")
        database = connect(warehouse_settings, database=alias)
        for one in sorted(_with_sources(with_alias[alias], made), key=statements.index):
            database.command(one)
            for name in [name for name, maker in made.items() if maker == one and re.match("create view", code(one).strip())]:
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
        with pytest.raises(WarehouseRefused, match=rf"{FILES[3].name} was edited after it was applied here"):
            migrate(warehouse_settings)
    finally:
        warehouse.command("truncate table ops_schema_migrations")
        assert migrate(warehouse_settings) == len(FILES)


@pytest.mark.slow
@pytest.mark.parametrize("statements", [0, 1, 3])
def test_a_run_that_died_is_repeated_without_harm(
    statements: int, warehouse_settings: WarehouseSettings, warehouse: Warehouse
) -> None:
    """Died in the middle of the last file, or before it was written down."""
    last = list(read_migrations())[-1]
    for statement in last.statements[statements:]:
        [name] = re.findall(r"^create [a-z ]+ if not exists (\w+)", statement, re.MULTILINE)
        warehouse.command(f"drop table {name}")
    warehouse.command("delete from ops_schema_migrations where name = {name:String}", {"name": last.name})
    assert migrate(warehouse_settings) == 1
    assert migrate(warehouse_settings) == 0


def test_a_database_of_before_the_first_release_is_refused_in_one_line(
    warehouse_settings: WarehouseSettings, warehouse: Warehouse
) -> None:
    warehouse.command("truncate table ops_schema_migrations")
    old = {"version": 1, "name": "0001_create_ops_schema_migrations.sql", "checksum": "what it was"}
    warehouse.insert_rows("ops_schema_migrations", [old])
    try:
        with pytest.raises(WarehouseRefused, match=r"was made before the first release .* set CLICKHOUSE_DATABASE to a new name"):
            migrate(warehouse_settings)
    finally:
        warehouse.command("truncate table ops_schema_migrations")
        assert migrate(warehouse_settings) == len(FILES)


def test_generated_files_are_what_make_sql_writes() -> None:
    for name in make_sql.FILES:
        assert (SQL_ROOT / "schema" / name).read_text(encoding="utf-8") == make_sql.text_of(name), f"{name}: run make sql"


def test_silver_keeps_one_row_of_each_natural_key(warehouse: Warehouse) -> None:
    found = warehouse.query(
        "select name, sorting_key from system.tables where database = currentDatabase() and startsWith(name, 'silver_') "
        "and engine = 'ReplacingMergeTree'"
    )
    expected = {(f"silver_{dataset.name}", ", ".join(dataset.natural_key)) for dataset in DATASETS}
    assert {tuple(row) for row in found} == expected


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
    for name in ("0010_b.sql", "0002_a.sql", "README.md", "draft.sql"):
        (tmp_path / name).write_text(f"\n-- {name}\n")
    assert list(read_migrations(tmp_path)) == [
        Migration(2, "0002_a.sql", "-- 0002_a.sql"),
        Migration(10, "0010_b.sql", "-- 0010_b.sql"),
    ]


def test_a_statement_ends_with_its_line() -> None:
    sql = "-- one; of two\nselect ';' as a, 1 -- not here; either\n;\n\nselect\n2;  \n"
    assert Migration(1, "", sql).statements == ["-- one; of two\nselect ';' as a, 1 -- not here; either", "select\n2"]


def test_every_statement_may_run_twice_and_says_its_grain() -> None:
    assert FILES
    for migration in read_migrations():
        assert re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", migration.name)
        for statement in migration.statements:
            assert statement.removeprefix(make_sql.GENERATED).lstrip().startswith("-- Grain: "), statement[:200]
            assert " if not exists " in statement
            assert ";" not in code(statement)


def test_every_number_is_one_file() -> None:
    numbers = [int(path.name[:4]) for path in FILES]
    assert len(set(numbers)) == len(numbers)

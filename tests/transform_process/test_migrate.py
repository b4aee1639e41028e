import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from tools import make_sql

from tickhouse_core.datasets import DATASETS
from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import VIEWS, Migration, migrate, missing_from, read_schema

FILES = sorted((SQL_ROOT / "schema").iterdir())
BEFORE_VIEWS = {
    "0001_ops.sql": "e5b5c6397b0baafd74a7c8fd325b76857a2d26a4cd1ce93df27b767db45898c1",
    "0002_klines.sql": "0c6d5d57a278a7a1ff7e42da5dc4e7628d68308b3004714d40fca7cecdfaa968",
    "0003_stream_events.sql": "bf8bb6fa82017eaf88932957497e987ae71cc472217abf4084b4dbd67842e8ef",
    "0004_trades.sql": "c6d63f743f0f0b7019362dba2c59b8a82d7e17c1f1aa99efe1b661a03380f19d",
    "0005_depth_diffs.sql": "e6c213c65211cd38a458b2ef2c66ed3461f861229bea3e45554022f4c7bf7087",
    "0006_depth_snapshots.sql": "49224583257a0457926e3da1fd74bacd9fba0c71a5965fc9b52b1e4479eeab78",
    "0007_tickers.sql": "9545057add966e0f8a01bbb80f4b1b28aafa93d0222b08d6e6cfd579431c57dd",
    "0008_heartbeats.sql": "ad3a995f676c5c9f16130c36245ce8a8d7c80dd1926de84bbbc9ad6f8d1694fb",
    "0009_accounting.sql": "34a9a89ce83f8cebbfcf83058fa2729d93c65cef81ae18ad62d49bc0e1ea650e",
    "0010_ohlcv.sql": "7890eb2281cd2281b109e0ec9fcbc5e2d02307bca645ad5622bffbac30b9a1bb",
    "0011_indicators.sql": "c64c18353cf86825e214eff308dba8cf7ae78df132605a1607449a3ce768238d",
    "0012_interval_views.sql": "90f8188119ec22f9af8a09d049376a2bf720583610896b089b30e7693f1f802e",
    "0013_book.sql": "ed84510e1f51c8c269191e5b2a663f068de3e81a9cfec29ce1ae16575bbe6200",
    "0014_quality.sql": "c8b8a2ec9cbfcc44890537cda723f8c56df24b4d3ff10473613954f50f332c58",
    "0015_risk.sql": "ba1533100301ad7b188ed008173235dd1a724f3ec2fdc00dea92406ca5d05fdd",
    "0016_portfolio.sql": "a81c93e738814fd6ee6c4ea9d86e71c13030f71285a4dc9ce4e37f3c5e194685",
    "0017_markets.sql": "bf6a7f765234561bb0c282e111613176781b949d6ef6d9cc59cfd30e8a2d1e73",
    "0021_quotes.sql": "e8a35296330567ff7ee838ceb5e1b1d5967f09e2f4ae4e9cb96916a6d70842d9",
}
"""What a warehouse has applied that was made when views that only compute had numbers."""

CREATED = re.compile(r"^create (?:[a-z ]+ if not exists|or replace view) (\w+)", re.MULTILINE)
RANGE = "since = '2024-01-01', until = '2024-01-02'"
PARAMETERS = {
    "gold_basis_1s": f"(venue = 'binance-usdm', symbol = 'BTCUSDT', {RANGE})",
    "gold_carry_1m": f"(venue = 'binance-usdm', symbol = 'BTCUSDT', {RANGE})",
    "gold_open_interest": f"(venue = 'binance-usdm', symbol = 'BTCUSDT', interval = '1m', {RANGE})",
    "gold_liquidations_1m": f"(venue = 'binance-usdm', symbol = 'BTCUSDT', {RANGE})",
    "gold_effective_spread": f"(venue = 'binance', symbol = 'BTCUSDT', {RANGE})",
    "gold_book_at": "(venue = 'binance', symbol = 'BTCUSDT', at = '2024-01-01')",
    "gold_kline_verdicts_1m": f"({RANGE})",
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
        named = re.findall(r"\b(?:from|join|to)\s+(\w+)", code(one))  # a column may have the name of a view
        sources = {made[name] for name in named if name in made and made[name] != one}
        found |= _with_sources(sources, made)
    return found


def test_a_second_run_applies_nothing(warehouse_settings: WarehouseSettings) -> None:
    assert migrate(warehouse_settings) == 0


@pytest.mark.slow
def test_a_first_run_applies_every_file_and_the_views(warehouse_settings: WarehouseSettings) -> None:
    fresh = warehouse_settings.model_copy(update={"database": f"{warehouse_settings.database}_fresh"})
    assert migrate(fresh) == len(FILES) + 1
    assert migrate(fresh) == 0


def test_no_table_or_step_is_called_by_one_letter() -> None:
    for path in SQL_ROOT.rglob("*.sql"):
        assert {name for name in aliases(path.read_text(encoding="utf-8")) if len(name) == 1} == set(), path.name


@pytest.mark.slow
def test_the_database_may_have_the_name_of_any_alias(warehouse_settings: WarehouseSettings) -> None:
    """A view is stored with its database before each table: an alias of that name beside such a table takes its place."""
    statements = [statement for migration in read_schema() for statement in migration.statements]
    made = {name: one for one in statements for name in CREATED.findall(one)}
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
            for name in [
                name for name, maker in made.items() if maker == one and re.match("create (or replace )?view", code(one).strip())
            ]:
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
    assert [tuple(row) for row in rows] == [(0, VIEWS, read_schema()[-1].checksum), *expected]


def test_a_file_that_was_edited_after_it_was_applied_is_refused(
    warehouse_settings: WarehouseSettings, warehouse: Warehouse
) -> None:
    warehouse.insert_rows("ops_schema_migrations", [{"version": 4, "name": FILES[3].name, "checksum": "what it was"}])
    try:
        with pytest.raises(WarehouseRefused, match=rf"{FILES[3].name} was edited after it was applied here"):
            migrate(warehouse_settings)
    finally:
        warehouse.command("truncate table ops_schema_migrations")
        assert migrate(warehouse_settings) == len(FILES) + 1


@pytest.mark.slow
@pytest.mark.parametrize("statements", [0, 1, 3])
def test_a_run_that_died_is_repeated_without_harm(
    statements: int, warehouse_settings: WarehouseSettings, warehouse: Warehouse
) -> None:
    """Died in the middle of the last file that makes tables, or before it was written down."""
    last = [one for one in read_schema()[:-1] if CREATED.search(one.sql)][-1]
    for statement in last.statements[statements:]:
        [name] = CREATED.findall(statement)
        warehouse.command(f"drop table {name}")
    warehouse.command("delete from ops_schema_migrations where name = {name:String}", {"name": last.name})
    assert migrate(warehouse_settings) == 1
    assert migrate(warehouse_settings) == 0


@pytest.mark.parametrize("done", [False, True], ids=["before its only statement", "before it was written down"])
def test_codecs_of_a_table_that_was_made_before_are_changed_after_a_run_that_died_too(
    done: bool, warehouse_settings: WarehouseSettings, warehouse: Warehouse
) -> None:
    if not done:
        warehouse.command("alter table stored_ohlcv modify column close codec(GCD, ZSTD(1))")
    warehouse.command("delete from ops_schema_migrations where name = '0019_ohlcv_codecs.sql'")
    assert migrate(warehouse_settings) == 1
    sql = "select distinct compression_codec from system.columns where database = currentDatabase() and table = 'stored_ohlcv'"
    assert warehouse.query(f"{sql} and name in ('open', 'close', 'volume', 'exact_quote_volume')") == [("CODEC(LZ4)",)]


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
        assert migrate(warehouse_settings) == len(FILES) + 1


def test_generated_files_are_what_make_sql_writes() -> None:
    for name in make_sql.FILES:
        assert (SQL_ROOT / name).read_text(encoding="utf-8") == make_sql.text_of(name), f"{name}: run make sql"


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


def test_what_is_true_or_false_is_a_bool_wherever_people_query_it(warehouse: Warehouse) -> None:
    """Not 0 and 1 in one view, and false and true in the next one."""
    views = warehouse.query("select name from system.tables where database = currentDatabase() and engine = 'View'")
    types = {
        f"{view}.{column}": str(type_)
        for (view,) in views
        for column, type_, *_ in warehouse.query(f"describe table (select * from {view}{PARAMETERS.get(str(view), '')})")
        if re.match("(is|has)_", str(column))
    }
    assert {"gold_quotes_1s.is_complete", "gold_book_at.is_proven", "gold_portfolio_1d.is_complete"} <= types.keys()
    assert {name: type_ for name, type_ in types.items() if type_ not in ("Bool", "Nullable(Bool)")} == {}


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
    for name in ("schema/0010_b.sql", "schema/0002_a.sql", "schema/README.md", "schema/draft.sql", "views/d.sql", "views/c.sql"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"\n-- {name}\n")
    first, second, views = read_schema(tmp_path)
    assert first == Migration(2, "0002_a.sql", "-- schema/0002_a.sql")
    assert second == Migration(10, "0010_b.sql", "-- schema/0010_b.sql")
    assert (views.version, views.name, views.sql) == (0, VIEWS, "-- views/c.sql\n\n-- views/d.sql")


def test_a_statement_ends_with_its_line() -> None:
    sql = "-- one; of two\nselect ';' as a, 1 -- not here; either\n;\n\nselect\n2;  \n"
    assert Migration(1, "", sql).statements == ["-- one; of two\nselect ';' as a, 1 -- not here; either", "select\n2"]


def test_every_statement_may_run_twice_and_says_its_grain() -> None:
    *tables, views = read_schema()
    assert tables
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", migration.name) for migration in tables)
    repeatable = re.compile(r" if not exists |\nalter table \w+\n( +modify column \w+ codec\(\w+\),?\n?)+$")
    assert all(repeatable.search(statement) for migration in tables for statement in migration.statements)
    assert all("\ncreate or replace view " in statement for statement in views.statements)
    for statement in [statement for migration in (*tables, views) for statement in migration.statements]:
        assert statement.removeprefix(make_sql.GENERATED).lstrip().startswith("-- Grain: "), statement[:200]
        assert ";" not in code(statement)


def test_every_number_is_one_file_for_ever() -> None:
    names = {path.name for path in FILES} | BEFORE_VIEWS.keys()
    assert len({name[:4] for name in names}) == len(names)


@pytest.fixture
def made_before_views(warehouse: Warehouse) -> Iterator[Warehouse]:
    """As today's tables and the statements of then make it: its views have other columns, and one is missing."""
    warehouse.command("truncate table ops_schema_migrations")
    rows = [{"version": int(name[:4]), "name": name, "checksum": checksum} for name, checksum in BEFORE_VIEWS.items()]
    warehouse.insert_rows("ops_schema_migrations", rows)
    for statement in read_schema()[-1].statements:
        [name] = CREATED.findall(statement)
        warehouse.command(f"create or replace view {name} as select 1 as of_before")
    warehouse.command("drop view gold_returns_1d")
    yield warehouse
    warehouse.command("truncate table ops_schema_migrations")
    warehouse.insert_rows(
        "ops_schema_migrations", [{"version": one.version, "name": one.name, "checksum": one.checksum} for one in read_schema()]
    )


def _since_then() -> list[str]:
    return [path.name for path in FILES if path.name not in BEFORE_VIEWS]


def _views_of_before(warehouse: Warehouse) -> int:
    (row,) = warehouse.query("select count() from system.columns where database = currentDatabase() and name = 'of_before'")
    return int(row[0])


def test_a_warehouse_of_when_views_had_numbers_gets_them_anew(
    warehouse_settings: WarehouseSettings, made_before_views: Warehouse
) -> None:
    """A folder of the embedded engine, which is refused where it has a file that is unknown or was edited."""
    assert _views_of_before(made_before_views) == len(read_schema()[-1].statements) - 1
    assert migrate(warehouse_settings) == len(_since_then()) + 1
    assert _views_of_before(made_before_views) == 0
    assert made_before_views.query("select * from gold_risk_1d") == []
    assert migrate(warehouse_settings) == 0


def test_views_are_made_anew_when_one_changed_or_a_table_is_new() -> None:
    schema = read_schema()
    now = {one.name: one.checksum for one in schema}
    assert missing_from(now) == []
    assert missing_from(now | {VIEWS: "of another text"}) == schema[-1:]
    assert missing_from({name: checksum for name, checksum in now.items() if name != VIEWS}) == schema[-1:]
    views = schema[-1]
    with_a_table = Migration(0, VIEWS, views.sql, views.tables + Migration(18, "0018_new.sql", "create …").checksum)
    assert with_a_table.checksum != views.checksum


def test_views_of_a_newer_version_stay() -> None:
    """Its server goes on with them while its older processes are still there: they may read tables that these do not know."""
    now = {one.name: one.checksum for one in read_schema()}
    assert missing_from(now | {VIEWS: "newer", "9999_tomorrow.sql": "newer"}) == []


@pytest.mark.slow
@pytest.mark.parametrize("statements", [0, 1, 20])
def test_a_run_that_died_between_two_views_is_repeated(
    statements: int, warehouse_settings: WarehouseSettings, made_before_views: Warehouse
) -> None:
    """The views count as applied after the last one. The engine replaces a view by dropping the old one first."""
    *done, under_way = read_schema()[-1].statements[: statements + 1]
    for statement in done:
        made_before_views.command(statement)
    made_before_views.command(f"drop view if exists {CREATED.findall(under_way)[0]}")
    assert migrate(warehouse_settings) == len(_since_then()) + 1
    assert _views_of_before(made_before_views) == 0
    assert migrate(warehouse_settings) == 0

"""`tickhouse query` reads, and the engine holds it to that; `--write` is for the rest."""

import json
from pathlib import Path

import pytest
from tests.commands import run_here

from tickhouse.answers import JSON_FORMAT, JSON_SETTINGS, TABLE_FORMAT, writes_unseen
from tickhouse_core.errors import WarehouseReadOnly
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect_asker

WRITES = [
    "drop table ops_load_errors",
    "/* only looking */ drop table ops_load_errors",
    "select 1; drop table ops_load_errors",
    "truncate table ops_load_errors",
    "rename table ops_load_errors to other",
    "insert into ops_load_errors (bucket) values ('x')",
    "insert into ops_load_errors (bucket) select 'x'",
    "delete from ops_load_errors where 1",
    "alter table ops_load_errors delete where 1",
    "create table other (a Int8) engine = Memory",
    "create temporary table other (a Int8)",
    "optimize table ops_load_errors",
    "system flush logs",
    "set readonly = 0",
    "select 1 settings readonly = 0",
    "select 1 settings max_threads = 1",
    "drop table ops_load_errors settings readonly = 0",
    "insert into function file('{folder}/out.csv', 'CSV', 'a Int8') select 1",
    "insert into function url('http://127.0.0.1:1/', 'CSV', 'a Int8') select 1",
    "insert into function remote('127.0.0.1:1', 'default', 'x') select 1",
    "select * from file('{folder}/in.csv', 'CSV', 'a Int8')",
    "select * from url('http://127.0.0.1:1/', 'CSV', 'a Int8')",
    "select * from s3('http://127.0.0.1:1/bucket/key', 'CSV', 'a Int8')",
]


def test_the_engine_refuses_what_does_not_only_read(
    warehouse_settings: WarehouseSettings, warehouse: Warehouse, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("1\n")
    for shaping in ({}, JSON_SETTINGS):
        asker = connect_asker(warehouse_settings, shaping)
        for statement in WRITES:
            with pytest.raises(WarehouseReadOnly):
                asker.query_as(TABLE_FORMAT, statement.format(folder=tmp_path))
        asker.close()
    assert [path.name for path in tmp_path.glob("*.csv")] == ["in.csv"]
    assert warehouse.query("select count() from ops_load_errors") == [(0,)]


def test_reading_is_answered_in_the_chosen_shape(warehouse_settings: WarehouseSettings) -> None:
    asker = connect_asker(warehouse_settings, JSON_SETTINGS)
    (line,) = asker.query_as(JSON_FORMAT, "select toDecimal64('1.50', 3) as d, count() as n from klines").splitlines()
    assert json.loads(line) == {"d": "1.5", "n": 0}
    for statement in ("show tables", "describe klines", "explain select 1", "with 1 as x select x", "exists table klines"):
        assert asker.query_as(TABLE_FORMAT, statement), statement
    asker.close()


def test_the_command_says_how_to_write(warehouse_settings: WarehouseSettings, tmp_path: Path) -> None:
    made = "create table made_by_hand (a Int8) engine = Memory"
    for statement in (made, f"select 1 into outfile '{tmp_path}/out.csv'", "-- why\n(kill query where 1"):
        done = run_here("tickhouse.cli", "query", statement)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.endswith("`tickhouse query` only reads; to run this as it is, add --write\n")
    assert not (tmp_path / "out.csv").exists()
    assert run_here("tickhouse.cli", "query", "--write", made).returncode == 0
    assert run_here("tickhouse.cli", "query", "exists table made_by_hand").stdout == "result\n1\n"
    assert run_here("tickhouse.cli", "query", "drop table made_by_hand", "--write").returncode == 0
    assert run_here("tickhouse.cli", "query", "--json", "select 1 as one").stdout == '{"one":1}\n'


def test_any_format_is_an_option_and_not_a_part_of_the_statement(warehouse_settings: WarehouseSettings) -> None:
    select = "select 1 as one, null as two, toDecimal64('1.50', 3) as d"
    assert run_here("tickhouse.cli", "query", select, "--format", "CSVWithNames").stdout == '"one","two","d"\n1,\\N,1.5\n'
    assert "one: 1" in run_here("tickhouse.cli", "query", select, "--format", "Vertical").stdout
    assert run_here("tickhouse.cli", "query", "select 1 as format order by format desc").stdout == "format\n1\n"
    for arguments, words in (
        ((f"{select} format Vertical",), "a format is an option here"),
        ((select, "--format", "CSV; x"), "--format CSV; x: name one of ClickHouse's formats"),
        ((select, "--format", "CSV", "--json"), "and no --json"),
        ((select, "--format", "Nonsense"), "Nonsense"),
        (("select absent as format order by format desc",), "absent"),
    ):
        done = run_here("tickhouse.cli", "query", *arguments)
        assert (done.returncode in (1, 2), done.stdout, done.stderr.count("\n"), words in done.stderr) == (True, "", 1, True)


@pytest.mark.parametrize("option", [(), ("--write",)])
def test_two_statements_are_one_line_and_do_nothing(warehouse_settings: WarehouseSettings, option: tuple[str, ...]) -> None:
    done = run_here("tickhouse.cli", "query", "select 1; create table made_by_hand (a Int8) engine = Memory", *option)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: one statement at a time")
    assert run_here("tickhouse.cli", "query", "exists table made_by_hand").stdout == "result\n0\n"
    assert run_here("tickhouse.cli", "query", "select ';' as a; -- b", *option).stdout == "a\n;\n"


@pytest.mark.parametrize(
    ("sql", "is_refused"),
    [
        ("select 1 INTO /* */ OUTFILE 'x'", True),
        ("kill query where 1", True),
        (" /* a\nb */ -- c\n kIlL query where user = 'x'", True),
        ("select cause from stream_events where detail like '%kill%'", False),
        ("select 1 as killed", False),
    ],
)
def test_two_statements_that_the_engine_lets_a_reader_do_are_known_by_their_words(sql: str, is_refused: bool) -> None:
    assert bool(writes_unseen(sql)) is is_refused

"""Whatever the engine can return is shown: extreme instants, states, binary text, and nothing that a terminal would obey."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tickhouse.answers import JSON_FORMAT, JSON_SETTINGS, TABLE_FORMAT, json_lines, table_of
from tickhouse.cli import app
from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.warehouse import Warehouse

LARGEST = 2**256 - 1
SHOWN = [
    ("fromUnixTimestamp64Micro(toInt64(9223372036854775807), 'UTC')", "9999-12-31 23:59:59.775807", None),
    ("[fromUnixTimestamp64Micro(toInt64(-9223372036854775807), 'UTC')]", None, None),
    ("toDateTime64('2024-01-01 00:00:00', 6, 'UTC')", "2024-01-01 00:00:00", "2024-01-01T00:00:00.000000Z"),
    ("toDateTime64('2024-01-01 00:00:00.25', 6, 'UTC')", "2024-01-01 00:00:00.250000", "2024-01-01T00:00:00.250000Z"),
    ("nan", "nan", None),
    ("-inf", "-inf", None),
    ("null", r"\N", None),
    ("'\\\\N'", r"\\N", r"\N"),
    ("toDecimal256('0.1', 18)", "0.1", "0.1"),
    (f"toUInt256('{LARGEST}')", str(LARGEST), LARGEST),
    ("toUInt64(18446744073709551615)", "18446744073709551615", 18446744073709551615),
    ("map((1, 2), 'x')", "{(1,2):'x'}", {"(1,2)": "x"}),
    ("sumState(toUInt8(1))", r"\u0001" + r"\0" * 7, None),
    ("unhex('ff41')", r"\xffA", "\ufffdA"),
    ("'it''s 币'", "it's 币", "it's 币"),
    ("'a\tb\nc'", r"a\tb\nc", "a\tb\nc"),
    ("unhex('1b5d303b7477bb07')", r"\u001b]0;tw\xbb\u0007", "\x1b]0;tw\ufffd\x07"),
    ("unhex('c29b33316de280ae')", r"\u009b31m\u202e", "\x9b31m\u202e"),
    ("''", "", ""),
    ("true", "true", True),
]


@pytest.mark.parametrize(("expression", "text", "value"), SHOWN, ids=[row[0] for row in SHOWN])
def test_every_value_is_shown_as_text_and_as_json(expression: str, text: str | None, value: object, warehouse: Warehouse) -> None:
    names, [[shown]] = table_of(warehouse.query_as(TABLE_FORMAT, f"select {expression} as x"), null=r"\N")
    assert names == ["x"]
    if text is not None:
        assert shown == text
    (line,) = json_lines(warehouse.query_as(JSON_FORMAT, f"select {expression} as x", JSON_SETTINGS))
    assert line.isprintable()
    if value is not None:
        assert json.loads(line) == {"x": value}


def test_the_command_shows_what_pythons_types_cannot_hold(warehouse: Warehouse) -> None:
    warehouse.insert_rows(
        "bronze_trades",
        [{"symbol": "\x1b[2JX", "trade_id": 7, "venue": "binance", "price": 1, "quantity": 1, "is_buyer_maker": True}],
    )
    warehouse.close()
    sql = "select symbol, fromUnixTimestamp64Micro(toInt64(9223372036854775807), 'UTC') as t from trades"
    shown = CliRunner().invoke(app, ["query", sql])
    assert (shown.exit_code, shown.stdout) == (0, "symbol\tt\n\\u001b[2JX\t9999-12-31 23:59:59.775807\n")
    as_json = CliRunner().invoke(app, ["query", "--json", sql])
    assert (as_json.exit_code, json.loads(as_json.stdout)["symbol"]) == (0, "\x1b[2JX")
    assert "\x1b" not in as_json.stdout


def test_statements_without_a_result_and_without_rows(warehouse: Warehouse) -> None:
    assert table_of(warehouse.query_as(TABLE_FORMAT, "select 1 as x where 0"), null="") == (["x"], [])
    for statement in (
        "set max_threads = 1",
        "create temporary table one (x UInt8)",
        "insert into function null('x UInt8') values (1)",
    ):
        assert table_of(warehouse.query_as(TABLE_FORMAT, statement), null="") == ([], [])
    assert [*json_lines(warehouse.query_as(JSON_FORMAT, "select 1 as x where 0", JSON_SETTINGS))] == []
    with pytest.raises(WarehouseRefused, match="UNKNOWN_IDENTIFIER"):
        warehouse.query_as(TABLE_FORMAT, "select no_such_column")

"""The recipes that compute with prices and quantities, on a small lake and warehouse: they run, and their figures are right."""

import os
import re
import subprocess
import sys
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from conftest import ROOT
from integration_tests.src.docs.shell import blocks_of, commands_of

from extract_process.parquet import parquet_bytes
from extract_process.records import Trade
from extract_process.spool.row_buffer import ArrowRows
from tickhouse_core.datasets import TRADES
from tickhouse_core.lake_keys import hourly_key

AT_US = 1_735_689_600_000_000
PRICES = ("35963.62", "36000.01", "35980.5")
QUANTITIES = ("0.05216", "1.5", "0.00001")
RECIPES = ROOT / "docs" / "recipes.md"
CONNECT = """
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import connect
from transform_process.migrate import migrate
settings = read(WarehouseSettings)
"""
LOAD = (
    CONNECT
    + """
import pyarrow as pa
from tickhouse_core.parquet_check import read_checked
from tickhouse_core.datasets import TRADES
migrate(settings)
rows = read_checked(open({path!r}, "rb").read(), TRADES)
warehouse = connect(settings)
warehouse.insert_arrow("bronze_trades", rows.append_column("object_key", pa.array(["k"] * rows.num_rows)), token="k")
"""
)
ASK = (
    CONNECT
    + """
warehouse = connect(settings)
for statement in {statements!r}:
    print(warehouse.query(statement))
"""
)
SECTION = re.compile(r"^## Compute with prices and quantities\n(.*?)^## ", re.MULTILINE | re.DOTALL)


@pytest.fixture
def section(tmp_path: Path) -> Path:
    """The section as a page of its own."""
    [text] = SECTION.findall(RECIPES.read_text(encoding="utf-8"))
    page = tmp_path / "section.md"
    page.write_text(text, encoding="utf-8")
    return page


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with data/lake and data/warehouse, which hold the same three trades and one candle."""
    rows = ArrowRows(TRADES, "binance")
    for number, (price, quantity) in enumerate(zip(PRICES, QUANTITIES, strict=True)):
        rows.append(Trade("BTCUSDT", number + 1, price, quantity, False, AT_US, AT_US), AT_US)
    path = tmp_path / "data" / "lake" / hourly_key(TRADES, "binance", AT_US, "main", 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(parquet_bytes(rows.table(), TRADES))
    run(tmp_path, LOAD.format(path=str(path)))
    return tmp_path


def test_every_statement_and_program_runs_and_the_figures_are_right(section: Path, machine: Path) -> None:
    statements = [part.strip() for block in blocks_of(section, "sql") for part in block.split(";") if part.strip()]
    answers = [line for line in run(machine, ASK.format(statements=statements)).splitlines() if line]
    with localcontext(prec=60):
        turnover = sum(
            (Decimal(price) * Decimal(quantity) for price, quantity in zip(PRICES, QUANTITIES, strict=True)), Decimal()
        )
        vwap = turnover / sum(map(Decimal, QUANTITIES))
    assert f"'BTCUSDT', Decimal('{str(vwap)[:30]}" in answers[0]
    assert f"Decimal('{turnover.normalize():f}" in answers[0]
    assert len(answers) == len(statements) == 4
    for program in blocks_of(section, "python"):
        output = run(machine, program)
        assert "BTCUSDT" in output
        assert str(vwap)[:9] in output, "all of them make the volume-weighted price"
    for words in commands_of(section):
        assert "BTCUSDT" in run(machine, "from tickhouse.cli import app; app()", *words[1:])


def run(folder: Path, script: str, *arguments: str) -> str:
    """A process of its own: one process at a time holds the warehouse."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "CLICKHOUSE_PATH": "data/warehouse", "POLARS_FMT_STR_LEN": "40"}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"{script}\n{done.stderr[-2000:]}"
    return done.stdout

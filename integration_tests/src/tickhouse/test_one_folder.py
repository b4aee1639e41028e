"""A fresh shell, an empty folder and an exchange: fifteen commands from history to SQL while recording; then the recipes."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from conftest import ROOT, free_port
from integration_tests.src.docs.shell import blocks_of, commands_of
from tests.commands import ChildProcess
from tests.waiting import patience, wait_until

from simulated_exchange.app import RunningExchange, running_exchange
from simulated_exchange.config import ExchangeConfig

pytestmark = pytest.mark.stack

DAYS = 30
LIVE_SECONDS = float(os.environ.get("LIVE_SECONDS", "15"))
MARKETS = {"binance": ("BTCUSDT", "ETHUSDT"), "kucoin": ("BTC-USDT", "ETH-USDT")}
SYMBOLS = " ".join(f"--symbol {symbol}" for symbols in MARKETS.values() for symbol in symbols)
RECIPES = ROOT / "docs" / "recipes.md"
NOT_OF_ONE_FOLDER = ("promtool",)

COUNTS = "select count(), uniqExact(trade_id), uniqExact(venue, symbol) from trades"
MARKETS_IN_SQL = "select uniqExact(venue, symbol) as markets from trades"
CONNECT = """
import os, clickhouse_connect
client = clickhouse_connect.get_client(host="127.0.0.1", port=int(os.environ["SQL_PORT"]), database="crypto")
print(client.query("select uniqExact(venue, symbol) from trades").result_rows[0][0], client.query_df("select 1 as one").one.sum())
"""
DUCKDB = """
import duckdb
trades = "data/lake/data_sources/trades/**/*.parquet"
print(duckdb.sql(f"select count(distinct symbol) from read_parquet('{trades}')").fetchall()[0][0])
"""
POLARS = """
import polars as pl
lake = pl.scan_parquet("data/lake/data_sources/depth_diffs/**/*.parquet", hive_partitioning=True)
print(lake.select(pl.col("symbol").n_unique()).collect().item())
"""


@dataclass
class FreshShell:
    """Runs lines as a terminal does: only the venv's commands, the exchange's address, and what was exported."""

    environment: dict[str, str]
    ran: list[str] = field(default_factory=list)

    def run(self, line: str, *, codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            ["bash", "-c", line], env=self.environment, capture_output=True, text=True, timeout=patience(180), check=False
        )
        self.ran.append(line)
        assert done.returncode in codes, f"{line}: exit {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def ask(self, sql: str) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.run(f'tickhouse query --data data --json "{sql}"').splitlines()]

    def python(self, program: str) -> str:
        Path("program.py").write_text(program)
        return self.run("python program.py")

    def start(self, line: str, log: str) -> "subprocess.Popen[str]":
        self.ran.append(line)
        with Path(log).open("w") as errors:
            return ChildProcess(line.split(), env=self.environment, stdout=errors, stderr=errors, text=True)


@pytest.fixture(scope="module")
def exchange() -> Iterator[RunningExchange]:
    with running_exchange(ExchangeConfig()) as running:
        yield running


@pytest.fixture
def shell(exchange: RunningExchange, tmp_path: Path) -> FreshShell:
    urls = {"BINANCE_REST_URL": exchange.url, "BINANCE_WS_URL": exchange.ws_url, "KUCOIN_REST_URL": exchange.url}
    ports = {"STATUS_PORT": str(free_port()), "SQL_PORT": str(free_port())}
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return FreshShell({"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8", **urls, **ports})


def objects(dataset: str, venue: str) -> int:
    return sum(1 for _ in Path("data/lake/data_sources").glob(f"{dataset}/venue={venue}/**/*.parquet"))


def test_fifteen_commands_and_every_recipe_in_one_folder(shell: FreshShell, exchange: RunningExchange) -> None:
    since = f"{datetime.now(UTC) - timedelta(days=DAYS):%Y-%m-%d}"
    for venue, symbols in MARKETS.items():
        wanted = " ".join(f"--symbol {symbol}" for symbol in symbols)
        shell.run(f"tickhouse klines --data data --venue {venue} {wanted} --start {since}")
    rows = shell.run(
        'tickhouse query --data data --json "select venue, symbol, count() as n from klines group by all order by all"'
    )
    counted = [json.loads(row) for row in rows.splitlines()]
    assert [(row["venue"], row["symbol"]) for row in counted] == [(name, one) for name, both in MARKETS.items() for one in both]
    assert min(row["n"] for row in counted) >= DAYS * 1_440

    local = f"tickhouse local --data data --venue binance --venue kucoin {SYMBOLS} --since {since}"
    asked = _klines_requests(exchange)
    _record_and_ask(shell, local)
    shell.run("tickhouse audit --data data")
    shell.run(f"{local} --duration {patience(8):.0f}")
    assert _klines_requests(exchange) - asked <= 3 * len(counted), "what is in the folder is not asked for again"
    gap = "event = 'gap' and channel = 'depth' and cause = 'restart'"
    gaps = shell.ask(f"select venue, symbol from stream_events where {gap} group by all order by all")
    assert [(row["venue"], row["symbol"]) for row in gaps] == [(row["venue"], row["symbol"]) for row in counted]
    assert _ids_without_a_gap() == {}
    shell.run("tickhouse checks --data data", codes=(0, 1))
    shell.run("tickhouse doctor --data data", codes=(0, 1))
    assert len(shell.ran) >= 15, shell.ran

    shell.environment["TICKHOUSE_DATA"] = "data"
    for words in commands_of(RECIPES):
        if words[0] not in NOT_OF_ONE_FOLDER:
            shell.run(shlex.join(f"METRICS_PORT={free_port()}" if word.startswith("METRICS_PORT=") else word for word in words))
    for statement in (part.strip() for block in blocks_of(RECIPES, "sql") for part in block.split(";") if part.strip()):
        Path("statement.sql").write_text(statement)
        shell.run('tickhouse query "$(cat statement.sql)"')
    for program in blocks_of(RECIPES, "python"):
        assert "BTC" in shell.python(program)


def _record_and_ask(shell: FreshShell, local: str) -> None:
    """Live for a while, SQL from a second terminal meanwhile, the lake readable by others, Ctrl-C."""
    process = shell.start(local, "local.log")
    try:
        began = time.monotonic()

        def is_live() -> bool:
            assert process.poll() is None, Path("local.log").read_text()[-3000:]
            is_long = time.monotonic() - began > LIVE_SECONDS
            return is_long and all(objects(name, venue) > 1 for name in ("trades", "depth_diffs") for venue in MARKETS)

        wait_until(is_live, "trades and books of both venues", seconds=120)
        wait_until(lambda: shell.ask(MARKETS_IN_SQL) == [{"markets": 4}], "all markets in SQL", seconds=60)
        url = "http://127.0.0.1:$SQL_PORT/?database=crypto"
        counts = shell.run(f'curl -sS --fail "{url}" --data-binary "{COUNTS}"')
        rows, ids, found = map(int, counts.split())
        assert rows >= ids > 0
        assert found == 4
        assert shell.python(CONNECT).split() == ["4", "1"]
        assert shell.python(DUCKDB).strip() == shell.python(POLARS).strip() == "4"
        shell.run('tickhouse status --once --url "http://127.0.0.1:$STATUS_PORT"', codes=(0, 1))
        process.send_signal(signal.SIGINT)
        assert process.wait(patience(10)) == 0, Path("local.log").read_text()[-3000:]
    finally:
        process.kill()
        process.wait()


def _klines_requests(exchange: RunningExchange) -> int:
    paths = exchange.tally()["requests"]
    return sum(sum(by_status.values()) for path, by_status in paths.items() if "klines" in path or "candles" in path)


def _ids_without_a_gap() -> dict[str, int]:
    """By symbol, how many depth ids between the first and the last are neither in the lake nor part of a gap."""
    diffs = ds.dataset("data/lake/data_sources/depth_diffs", format="parquet").to_table(
        ["symbol", "first_update_id", "last_update_id"]
    )
    events = ds.dataset("data/lake/data_sources/stream_events", format="parquet").to_table().to_pylist()
    known: dict[str, set[int]] = {}
    for row in diffs.to_pylist():
        known.setdefault(row["symbol"], set()).update(range(row["first_update_id"], row["last_update_id"] + 1))
    told = {symbol: set(ids) for symbol, ids in known.items()}
    for row in events:
        if row["event"] == "gap" and row["channel"] == "depth":
            told[row["symbol"]].update(range(row["from_update_id"], row["to_update_id"] + 1))
    missing = {symbol: len(set(range(min(ids), max(ids) + 1)) - told[symbol]) for symbol, ids in known.items()}
    return {symbol: count for symbol, count in missing.items() if count}

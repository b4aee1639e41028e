"""History in one folder and one command, in a shell without S3, SQS or a server: queryable when it ends, nothing asked twice."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from tests.commands import ChildProcess
from tests.waiting import patience

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig

SOURCES = str(Path(__file__).resolve().parents[3] / "src")
COMMAND = [sys.executable, "-m", "tickhouse"]
START, END = "2026-03-30", "2026-04-02"
MINUTES = 3 * 1440


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Nothing but the exchange's address: no credentials, no endpoint."""
    with running_exchange(ExchangeConfig()) as exchange:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CLICKHOUSE_", "S3_"))}
        urls = dict.fromkeys(("BINANCE_REST_URL", "BINANCE_USDM_REST_URL", "KUCOIN_REST_URL"), exchange.url)
        yield {**plain, **urls, "PYTHONPATH": SOURCES}


def tickhouse(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=patience(120), check=False
    )


def fetching(environment: dict[str, str], symbol: str) -> "ChildProcess[str]":
    command = [*COMMAND, "klines", "--data", "d", "--symbol", symbol, "--start", START, "--end", END]
    return ChildProcess(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def figures(done: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return {name.strip(): value for line in done.stdout.splitlines() for name, _, value in [line.strip().rpartition("  ")]}


def test_history_is_queryable_when_the_command_ends_and_nothing_is_asked_twice(environment: dict[str, str]) -> None:
    for venue, symbol in (("binance", "BTCUSDT"), ("kucoin", "BTC-USDT")):
        wanted = ["klines", "--data", "d", "--venue", venue, "--symbol", symbol, "--start", START, "--end", END]
        assert figures(tickhouse(environment, *wanted))["rows landed"] == f"{MINUTES:,}"
        assert figures(tickhouse(environment, *wanted))["klines requests"] == "0"
    sql = "select count() as rows, countDistinct(venue) as venues, (select count() from gold_ohlcv_1h) as hours from klines"
    answer = tickhouse(environment, "query", "--data", "d", "--json", sql)
    assert json.loads(answer.stdout) == {"rows": 2 * MINUTES, "venues": 2, "hours": 2 * MINUTES // 60}, answer.stderr
    assert tickhouse(environment, "audit", "--data", "d").returncode == 0
    assert ds.dataset("d/lake/data_sources/klines_pricing", format="parquet").count_rows() == 2 * MINUTES
    assert sorted(path.name for path in Path("d").iterdir()) == ["lake", "queue", "spool", "warehouse"]


def test_histories_of_futures_are_queryable_when_their_commands_end(environment: dict[str, str]) -> None:
    futures = ["--data", "d", "--venue", "binance-usdm", "--symbol", "BTCUSDT"]
    rates = ["funding", *futures, "--start", "2026-03-01", "--end", "2026-03-08"]
    assert figures(tickhouse(environment, *rates))["rows landed"] == "21"
    counts = figures(tickhouse(environment, "open-interest", *futures, "--period", "1h"))["rows landed"]
    sql = "select (select count() from funding_rates) as rates, (select count() from gold_funding) as gold, count() as counts"
    answer = tickhouse(environment, "query", "--data", "d", "--json", f"{sql} from open_interest")
    assert json.loads(answer.stdout) == {"rates": 21, "gold": 21, "counts": int(counts)}, answer.stderr
    assert figures(tickhouse(environment, *rates))["requests"] == "0"


def test_two_commands_at_once_are_both_loaded(environment: dict[str, str]) -> None:
    """Only one of them can hold the warehouse: it loads what both fetched, or the other one does when it has ended."""
    with fetching(environment, "BTCUSDT") as one, fetching(environment, "ETHUSDT") as other:
        for command in (one, other):
            _, errors = command.communicate(timeout=patience(180))
            assert command.returncode == 0, errors
    sql = "select count() as rows, uniqExact(symbol) as symbols, (select count() from gold_ohlcv_1h) as hours from klines"
    answer = tickhouse(environment, "query", "--data", "d", "--json", sql)
    assert json.loads(answer.stdout) == {"rows": 2 * MINUTES, "symbols": 2, "hours": 2 * MINUTES // 60}, answer.stderr


HOLD = """
import sys
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.sql_door.serving import serving_sql
with serving_sql(read(WarehouseSettings), creates=True, loads=True):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["end", "kill"])
def test_what_a_holder_leaves_is_loaded_by_the_command_that_waits_for_it(environment: dict[str, str], how: str) -> None:
    command, there = [sys.executable, "-c", HOLD], environment | {"TICKHOUSE_DATA": "d"}
    with ChildProcess(command, env=there, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with fetching(environment, "BTCUSDT") as waits:
            assert waits.stderr is not None
            said = next(line for line in waits.stderr if "the folder" in line)
            assert "what was fetched is loaded by the process that holds the folder" in said
            if how == "kill":
                holder.kill()
            else:
                holder.stdin.write("\n")
                holder.stdin.flush()
            holder.wait(patience(30))
            _, errors = waits.communicate(timeout=patience(120))
            assert waits.returncode == 0, errors
    answer = tickhouse(environment, "query", "--data", "d", "--json", "select count() as rows from klines")
    assert json.loads(answer.stdout) == {"rows": MINUTES}, answer.stderr

"""History in one folder and one command, in a shell without S3, SQS or a server: queryable when it ends, nothing asked twice."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from tests.waiting import patience

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig

SOURCES = str(Path(__file__).resolve().parents[3] / "src")
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
    command = [sys.executable, "-m", "tickhouse", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=patience(120), check=False)


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

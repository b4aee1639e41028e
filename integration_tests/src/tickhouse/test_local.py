"""`tickhouse local` as a person uses it, killed in the middle: what is in the lake's folder is in the warehouse, once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pyarrow.dataset as ds
import pytest
from conftest import free_port
from tests.waiting import patience

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig

pytestmark = pytest.mark.stack

SOURCES = str(Path(__file__).resolve().parents[3] / "src")
TICKHOUSE = [sys.executable, "-m", "tickhouse.cli"]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    with running_exchange(ExchangeConfig()) as exchange:
        urls = {"BINANCE_REST_URL": exchange.url, "BINANCE_WS_URL": exchange.ws_url}
        yield {**os.environ, **urls, "PYTHONPATH": SOURCES, "STATUS_PORT": str(free_port())}


@contextmanager
def local(environment: dict[str, str], *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [*TICKHOUSE, "local", "--symbol", "BTCUSDT", *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TICKHOUSE, *arguments], env=environment, capture_output=True, text=True, timeout=patience(120), check=False
    )


def lake_ids() -> list[int]:
    trades = ds.dataset("data/lake/data_sources/trades", format="parquet").to_table(["trade_id"])
    return [int(number) for number in trades["trade_id"].to_pylist()]


def wait_until_healthy(url: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + patience(60)
    verdicts: dict[str, str] = {}
    while verdicts.get("warehouse") != "ok" or verdicts.get("venue") != "ok":
        assert time.monotonic() < deadline, verdicts
        assert process.poll() is None, process.communicate()
        try:
            state = httpx.get(f"{url}/api/status", timeout=20).json()
            verdicts = {stage["name"]: stage["verdict"] for stage in state["stages"]}
        except httpx.TransportError:
            time.sleep(0.2)


def test_local_keeps_everything_between_runs_and_through_a_kill(environment: dict[str, str]) -> None:
    url = f"http://127.0.0.1:{environment['STATUS_PORT']}"
    with local(environment) as process:
        wait_until_healthy(url, process)
        second = run(environment, "local", "--symbol", "BTCUSDT")
        assert (second.returncode, "is in use by another `tickhouse local`" in second.stderr) == (2, True)
        shown = run(environment, "status", "--url", url, "--json")
        assert shown.returncode == 0, shown.stderr
        assert {process["name"] for process in json.loads(shown.stdout)["processes"]} == {"stream", "loader", "transformer"}
        lines = run(environment, "status", "--url", url).stdout.splitlines()
        assert [line.split("\t")[0] for line in lines[:5]] == ["overall", "venue", "lake", "warehouse", "gold"]
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = lake_ids()
    assert before

    done = run(environment, "local", "--symbol", "BTCUSDT", "--duration", f"{patience(4):.0f}")
    assert done.returncode == 0, done.stderr
    after = lake_ids()
    assert set(before) < set(after)
    asked = {**environment, "TICKHOUSE_DATA": "data"}
    sql = "select count() as trades, uniqExact(trade_id) as ids, (select count() from gold_ohlcv_1m) > 0 as gold from trades"
    answer = run(asked, "query", "--json", sql)
    assert json.loads(answer.stdout) == {"trades": len(set(after)), "ids": len(set(after)), "gold": 1}, answer.stderr
    gaps = run(asked, "query", "select cause from stream_events where event = 'gap' group by cause").stdout.split()[1:]
    assert gaps in (["restart"], [])  # the simulated market may have been quiet while nobody listened


def test_status_without_a_page_is_one_line(environment: dict[str, str]) -> None:
    done = run(environment, "status", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("error: status page at http://127.0.0.1:9: ")
    assert "`tickhouse page` starts it" in done.stderr

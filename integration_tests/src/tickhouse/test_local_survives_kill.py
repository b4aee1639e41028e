"""`tickhouse local` killed at moments of history, capture, load and transform; the next start leaves it exact."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from conftest import free_port
from tests.commands import ChildProcess
from tests.waiting import patience, wait_until

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig

pytestmark = pytest.mark.stack

SOURCES = str(Path(__file__).resolve().parents[3] / "src")
TICKHOUSE = [sys.executable, "-m", "tickhouse.cli"]
HISTORY_DAYS = 3
LONGEST_PAUSE = 2.0
"""Seconds at most between the moment a kill is bound to and the kill."""

SQL = """
select
    (select count() from trades) as trades,
    (select uniqExact(trade_id) from trades) as trade_ids,
    (select count() from klines where interval = '1m' and open_time >= toDateTime64('{since}', 6)) as klines,
    (select dateDiff('minute', toDateTime64('{since}', 6), max(open_time)) + 1 from klines where interval = '1m') as minutes,
    (select count() from gold_ohlcv_1h) as hours,
    (select count() from klines as k any left join gold_ohlcv_1m as g
        on g.venue = k.venue and g.symbol = k.symbol and g.open_time = k.open_time
        where k.interval = '1m' and k.open_time < now() - interval 10 minute
            and (g.close, g.volume) != (k.close, k.volume)) as gold_differs,
    (select count() from gold_ohlcv_1h as h
        inner join (
            select venue, symbol, toStartOfHour(open_time) as hour, count() as minutes, sum(volume) as volume,
                argMin(open, open_time) as open, argMax(close, open_time) as close
            from klines where interval = '1m' group by all having minutes = 60
        ) as k on k.venue = h.venue and k.symbol = h.symbol and k.hour = h.open_time
        where k.hour < now() - interval 70 minute and (h.open, h.close, h.volume) != (k.open, k.close, k.volume)) as hours_differ
"""


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    with running_exchange(ExchangeConfig()) as exchange:
        urls = {"BINANCE_REST_URL": exchange.url, "BINANCE_WS_URL": exchange.ws_url}
        yield {**os.environ, **urls, "PYTHONPATH": SOURCES, "TICKHOUSE_DATA": "data", "STATUS_PORT": str(free_port())}


def objects(dataset: str) -> int:
    return sum(1 for _ in Path("data/lake/data_sources").glob(f"{dataset}/**/*.parquet"))


def parts() -> int:
    """What the engine has written of its tables: it grows with every insert."""
    return sum(1 for _ in Path("data/warehouse").glob("store/*/*/*/checksums.txt"))


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_kills_at_any_moment_leave_every_row_once(environment: dict[str, str], kills: int) -> None:
    seed = int(os.environ.get("LOCAL_KILLS_SEED", "1"))
    chance = random.Random(seed)
    since = f"{datetime.now(UTC) - timedelta(days=HISTORY_DAYS):%Y-%m-%d}"
    command = [*TICKHOUSE, "local", "--symbol", "BTCUSDT", "--since", since]
    moments: list[Callable[[], Callable[[], bool]]] = [
        lambda: lambda: True,
        lambda: _grows(lambda: objects("klines_pricing")) if not objects("klines_pricing") else _grows(parts),
        lambda: _grows(lambda: objects("trades")),
        lambda: _grows(lambda: objects("depth_diffs")),
        lambda: _grows(parts),
    ]
    for number in range(kills):
        _kill_at(moments[number % len(moments)](), chance.uniform(0, LONGEST_PAUSE), command, environment)
    lines = _ended_when_complete(command, environment)
    assert not [line for line in lines if " ERROR " in line]
    answer = _run(environment, "query", "--json", SQL.format(since=since))
    found = json.loads(answer.stdout)
    trades = [number.as_py() for number in ds.dataset("data/lake/data_sources/trades", format="parquet").to_table()["trade_id"]]
    assert (found["trades"], found["trade_ids"]) == (len(set(trades)), len(set(trades))), seed
    assert found["klines"] == found["minutes"] >= HISTORY_DAYS * 1_440
    assert found["hours"] >= HISTORY_DAYS * 24
    assert (found["gold_differs"], found["hours_differ"]) == (0, 0), seed
    assert _ids_without_a_gap() == set(), seed
    audit = _run(environment, "audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def _kill_at(is_there: Callable[[], bool], pause: float, command: list[str], environment: dict[str, str]) -> None:
    with ChildProcess(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: is_there() or process.poll() is not None, "the moment of a kill", seconds=120)
            time.sleep(pause)  # a random moment is what this is about
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
        finally:
            process.kill()


def _grows(count: Callable[[], int]) -> Callable[[], bool]:
    before = count()
    return lambda: count() > before


def _run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TICKHOUSE, *arguments], env=environment, capture_output=True, text=True, timeout=patience(180), check=False
    )


def _ended_when_complete(command: list[str], environment: dict[str, str]) -> list[str]:
    """What the last run logged: it ends with Ctrl-C once the history is there."""
    with Path("last.log").open("w") as log, ChildProcess(command, env=environment, stderr=log) as process:
        said = Path("last.log")
        try:
            wait_until(
                lambda: "history is complete" in said.read_text() or process.poll() is not None, "the history", seconds=180
            )
            is_live = _grows(lambda: objects("trades"))
            wait_until(lambda: is_live() or process.poll() is not None, "live trades", seconds=60)
            process.send_signal(signal.SIGINT)
            assert process.wait(patience(60)) == 0, said.read_text()
        finally:
            process.kill()
    return said.read_text().splitlines()


def _ids_without_a_gap() -> set[int]:
    """Depth ids between the first and the last that are neither a row of the lake nor part of a gap."""
    diffs = ds.dataset("data/lake/data_sources/depth_diffs", format="parquet").to_table(["first_update_id", "last_update_id"])
    spans = [(row["first_update_id"], row["last_update_id"]) for row in diffs.to_pylist()]
    ids = {number for first, last in spans for number in range(first, last + 1)}
    events = ds.dataset("data/lake/data_sources/stream_events", format="parquet").to_table().to_pylist()
    told = [row for row in events if row["event"] == "gap" and row["channel"] == "depth"]
    gaps = {number for row in told for number in range(row["from_update_id"], row["to_update_id"] + 1)}
    assert ids
    return set(range(min(ids), max(ids) + 1)) - ids - gaps

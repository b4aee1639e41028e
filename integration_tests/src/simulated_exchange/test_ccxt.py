"""A client that is not ours reads the replay of a lake: ccxt, in the environment of `make peers`."""

import itertools
import os
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from conftest import ROOT
from tests.transform_process.warehouse_rows import klines, recorded_depth, recorded_trades
from tests.waiting import patience

from extract_process.parquet import parquet_bytes
from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, TRADES, Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key, klines_month_key

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SCRIPT = ROOT / "integration_tests" / "peers" / "ccxt_reads.py"
MINUTE = 60_000_000


@pytest.mark.slow
def test_ccxt_reads_the_replay_of_a_recorded_session(shared_data: Path, tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("no environment with ccxt: make peers")
    trades, (diffs, snapshots, _) = recorded_trades(shared_data), recorded_depth(shared_data)
    store = FolderStore(tmp_path / "lake")
    for dataset, table in ((TRADES, trades), (DEPTH_DIFFS, diffs), (DEPTH_SNAPSHOTS, snapshots)):
        _land(store, dataset, table)
    start = trades.column("trade_time").cast(pa.int64())[0].as_py() // MINUTE * MINUTE
    candles = klines([start - number * MINUTE for number in (3, 2, 1)])
    store.write(klines_month_key("binance", "BTCUSDT", "1m", "2024-08"), parquet_bytes(candles, KLINES))

    with running_exchange(ExchangeConfig(replay_lake=str(tmp_path), replay_speed=10.0)) as exchange:
        found = _ccxt(exchange.url, "BTC/USDT", "250")
    assert found["markets"] == found["tickers"] == ["BTC/USDT"]
    nonces = [nonce for nonce, _, _ in found["books"]["tops"]]
    assert len(nonces) == 250
    assert nonces == sorted(nonces)
    assert set(nonces) - {snapshots.column("last_update_id")[0].as_py()} <= set(diffs.column("last_update_id").to_pylist())
    assert all(bid[0] < ask[0] for _, bid, ask in found["books"]["tops"]), "the book is crossed"
    ids = [str(number) for number in trades.column("trade_id").to_pylist()]
    heard = found["books"]["trades"]
    assert heard == ids[ids.index(heard[0]) :][: len(heard)]
    assert found["trades"] == ids[ids.index(found["trades"][0]) :][: len(found["trades"])]
    quantities = dict(zip(ids, trades.column("quantity").to_pylist(), strict=True))
    sums, before = [], ids.index(found["aggregates"][0][0])
    for last, _ in found["aggregates"][1:]:
        sums.append(sum(quantities[one] for one in ids[before + 1 : ids.index(last) + 1]))
        before = ids.index(last)
    assert [amount for _, amount in found["aggregates"][1:]] == [float(quantity) for quantity in sums]
    assert [candle[0] for candle in found["candles"]] == [(start - number * MINUTE) // 1000 for number in (3, 2, 1)]
    last, bid, ask = found["ticker"]
    assert bid < ask
    assert abs(last / bid - 1) < 0.01
    assert found["tops"]["BTC/USDT"][0] < found["tops"]["BTC/USDT"][1]
    assert found["book"][0] >= nonces[-1]


def _ccxt(*arguments: str) -> dict[str, Any]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(PYTHON), "-W", "ignore", str(SCRIPT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(120), check=False, env=clean)
    assert done.returncode == 0, done.stderr[-3_000:]
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return found


def _land(store: FolderStore, dataset: Dataset, table: pa.Table) -> None:
    """As a recorder does it: batch by batch."""
    numbers = itertools.count(1)
    for start in range(0, table.num_rows, 2_000):
        part = table.slice(start, 2_000)
        first = min(part.column("receipt_time").cast(pa.int64()).to_pylist())
        store.write(hourly_key(dataset, "binance", first, "a", next(numbers)), parquet_bytes(part, dataset))

"""Fifty readers of the page at once: all see every state, and what they cost."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from tests.commands import ChildProcess
from tests.waiting import patience

from status_page.connections import MOST_WATCHERS
from status_page.server import running_page
from tickhouse_core.metrics import resident_bytes
from tickhouse_core.settings import StatusSettings
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

SECONDS = 8.0
CPU_SECONDS = 0.01
"""For one state and one reader; 0.002 were seen."""

WATCHERS = Path(__file__).with_name("watchers.py")


def test_fifty_see_every_state_and_cost_little(moto_lake: "Lake", warehouse: Warehouse) -> None:
    warehouse.command(
        "insert into silver_klines (venue, symbol, interval, open_time, open, high, low, close, volume, is_closed, load_time) "
        "select 'binance', 'BTCUSDT', '1m', toStartOfMinute(now()) - toIntervalMinute(number), 1, 2, 1, 2, 1, true, now64(6) "
        "from numbers(1000)"
    )
    with running_page(StatusSettings(port=0)) as url:
        httpx.get(f"{url}/api/status", timeout=patience(30))
        memory, used = resident_bytes(), time.process_time()
        time.sleep(SECONDS / 2)  # what the page costs by itself, for the figures
        alone = (time.process_time() - used) / (SECONDS / 2)
        command = [sys.executable, str(WATCHERS), url, str(MOST_WATCHERS), str(SECONDS)]
        began, used = time.monotonic(), time.process_time()
        with ChildProcess(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                time.sleep(SECONDS / 2)
                one_more = httpx.get(f"{url}/api/events", timeout=patience(30))
                answer, _ = process.communicate(timeout=patience(SECONDS + 60))
            finally:
                process.kill()
        seconds = time.monotonic() - began
        share = (time.process_time() - used) / seconds
        grown = (resident_bytes() or 0) - (memory or 0)
    assert process.returncode == 0
    assert one_more.status_code == 503
    readers = json.loads(answer)
    states = set().union(*(reader["at"] for reader in readers))
    arrivals = [(at, came) for reader in readers for at, came in zip(reader["at"][1:], reader["came"][1:], strict=True)]
    lags = sorted(came - at / 1e6 for at, came in arrivals)
    assert len(readers) == MOST_WATCHERS
    assert len(states) > 2  # one every second or two on an idle machine
    missed = 0
    for reader in readers:
        assert reader["at"] == sorted(set(reader["at"]))
        assert reader["markets"] >= 1
        missed += len({at for at in states if reader["at"][0] <= at <= reader["at"][-1]} - set(reader["at"]))
    print(
        f"{len(readers)} readers, {len(states)} states in {SECONDS:.0f} s; {share:.0%} of a core ({alone:.0%} without readers), "
        f"{grown / 1e6:.1f} MB more; {missed} missed; state to reader p50 {lags[len(lags) // 2]:.2f} s, most {lags[-1]:.2f} s; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    assert missed <= 0.02 * len(arrivals)  # none on an idle machine
    assert (share - alone) * seconds < CPU_SECONDS * sum(len(reader["at"]) for reader in readers)
    assert grown < 100e6

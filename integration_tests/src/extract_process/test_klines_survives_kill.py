"""kill -9 at any moment: what is in the lake is sound, and the next run completes it to exactly what it would have been."""

import json
import subprocess
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from integration_tests.src.extract_process.conftest import us
from tests.waiting import wait_until

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.faults import Fault, FaultKind

if TYPE_CHECKING:
    from integration_tests.src.extract_process.conftest import Command, LakeView, OpenVenue

RANGE = ("--start", "2024-01-01", "--end", "2024-05-01", "--interval", "5m", "--concurrency", "3")


@pytest.mark.heart
@pytest.mark.parametrize("runs", [3, pytest.param(10, marks=pytest.mark.long)])
def test_kills_at_random_moments_leave_an_exact_lake(
    runs: int, open_venue: "OpenVenue", command: "Command", lake: "LakeView"
) -> None:
    venue = open_venue(ExchangeConfig(latency_ms=20, latency_jitter_ms=40))
    venue.exchange.set_halts(["BTCUSDT=2024-03-05T04:00/2024-03-05T09:00"])
    expected = venue.klines("BTCUSDT", "5m", "2024-01-01", "2024-05-01")
    by_time = {kline.open_time: kline for kline in expected}
    chance, kills = Random(20), 0

    for _ in range(runs):
        with command.start("--symbol", "BTCUSDT", *RANGE) as process:
            try:
                process.wait(timeout=chance.uniform(0.35, 1.1))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        assert process.returncode in (0, -9)
        stored = lake.klines("BTCUSDT", "5m")  # raises where an object is no Parquet file
        assert [by_time.get(kline.open_time) for kline in stored] == stored
        assert len({kline.open_time for kline in stored}) == len(stored)
        for key in chance.sample(lake.months("BTCUSDT", "5m"), k=min(2, len(lake.months("BTCUSDT", "5m")))):
            lake.delete(key)  # so that the next run has something to be killed in

    ended = command.run("--symbol", "BTCUSDT", *RANGE)

    assert kills >= runs // 2, f"only {kills} runs lived long enough to be killed"
    assert ended.returncode == 0, ended.stderr
    assert lake.klines("BTCUSDT", "5m") == expected
    assert {gap[1:3] for gap in lake.gaps()} == {(us("2024-03-05T04:00"), us("2024-03-05T08:55"))}
    venue.forget()
    assert command.run("--symbol", "BTCUSDT", *RANGE).returncode == 0
    assert venue.asked() == []


def test_kill_around_a_ban_leaves_a_ban_file_that_can_be_read_or_none(
    open_venue: "OpenVenue", command: "Command", lake: "LakeView", tmp_path: Path
) -> None:
    venue = open_venue()
    chance, seen = Random(7), 0
    for attempt, seconds in enumerate([20, *(chance.uniform(0, 0.08) for _ in range(3))]):
        spool = tmp_path / f"spool-{attempt}"
        venue.exchange.reset()
        venue.exchange.set_faults([Fault(FaultKind.HTTP_418, count=1, value=600, path="/api/v3/klines", after=3)])
        with command.start("--symbol", "BTCUSDT", *RANGE, SPOOL_DIR=str(spool)) as process:
            wait_until(lambda: "http_418" in venue.exchange.tally()["faults"], "the ban was spoken")
            try:
                process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
        for ban in spool.glob("*-ban.json"):
            seen += 1
            assert json.loads(ban.read_bytes())["until_us"] > 0
            asked = venue.exchange.tally()["requests_total"]
            again = command.run("--symbol", "BTCUSDT", *RANGE, SPOOL_DIR=str(spool))
            assert (again.returncode, venue.exchange.tally()["requests_total"]) == (1, asked)
            assert "still shut out" in again.stderr
    assert seen >= 1, "no run lived long enough to remember its ban"

"""Gaps of trades that `tickhouse local` heals by itself: in a process beside the recording, which is not left behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.commands import run_here
from tests.waiting import patience, wait_until

import tickhouse as th
from extract_process.parquet import write_events
from extract_process.records import StreamEvent, Trade
from extract_process.spool.row_buffer import RowBuffer
from extract_process.venues import venue_named
from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.clock import StandingClock
from tickhouse.beside import run_beside
from tickhouse.local_healing import healing_workers
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.timestamps import DAY_US, now_us, to_datetime

VENUE = venue_named("binance")
URLS = ("BINANCE_REST_URL", "BINANCE_ARCHIVE_URL")


@pytest.fixture
def trades(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Trade]]:
    """The last of a minute at noon, three days ago; the exchange is two days on by now and has published that day."""
    noon = now_us() // DAY_US * DAY_US - 3 * DAY_US + DAY_US // 2
    clock = StandingClock(noon // 1_000)
    with running_exchange(ExchangeConfig(pace=10, weight_limit=1_000_000), clock) as exchange:
        for name in URLS:
            monkeypatch.setenv(name, exchange.url)
        with httpx.Client(base_url=exchange.url, trust_env=False, timeout=patience(20)) as client:
            for _ in range(12):
                answer = client.get("/api/v3/trades", params={"symbol": "BTCUSDT", "limit": 1000}).raise_for_status()
                clock.now += 5_000
        clock.now += 2 * 24 * 3_600_000
        yield [trade for trade in VENUE.parse_trades(answer.content, "BTCUSDT") if isinstance(trade, Trade)]


def record_with_a_gap(lake: FolderStore, trades: list[Trade]) -> None:
    """The first twenty and the last twenty, and the gap between them."""
    rows = RowBuffer(VENUE, "main", frozenset(["BTCUSDT"]))
    for trade in (*trades[:20], *trades[-20:]):
        rows.add_messages([trade], trade.trade_time + 50_000)
    for key, body in rows.objects(1):
        lake.write(key, body)
    before, after = trades[19], trades[-20]
    ids, times = (before.trade_id + 1, after.trade_id - 1), (before.trade_time, after.trade_time + 50_000)
    gap = StreamEvent("binance", "BTCUSDT", "trades", "main", "gap", *ids, *times, "restart", "")
    write_events(lake, [gap], times[1], 1)


def test_an_old_gap_is_healed_beside_the_recording_and_the_process_ends_with_it(
    trades: list[Trade], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(trades) > 100
    caplog.set_level("INFO")
    record_with_a_gap(FolderStore(tmp_path / "lake"), trades)
    (worker,) = healing_workers(tmp_path, {"binance": ["trades", "depth"], "kucoin": ["trades"]}, first_seconds=0)
    worker.start()
    try:
        said = "gaps of trades were compared with the archive's files"
        wait_until(lambda: any(line.message == said for line in caplog.records), "a pass", 60)
    finally:
        worker.stop()
    start, end = (to_datetime(trade.trade_time) for trade in (trades[0], trades[-1]))
    read = th.open(tmp_path).trades("BTCUSDT", start, end, venue="binance")
    assert read.arrow()["trade_id"].to_pylist() == [one.trade_id for one in trades if one.trade_time < trades[-1].trade_time]
    assert read.is_complete
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    assert not children.exists() or "local_healing" not in "".join(map(_command_line, children.read_text().split()))


def test_a_pass_with_nothing_to_do_ends_well_and_says_nothing(tmp_path: Path) -> None:
    heard: list[str] = []
    (tmp_path / "lake").mkdir()
    code = run_beside(["tickhouse.local_healing", str(tmp_path), "binance"], StopRequest(), lambda words, _: heard.append(words))
    assert (code, heard) == (0, [])


def _command_line(process: str) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def test_an_exchange_that_does_not_answer_is_logged_and_tried_again(
    tmp_path: Path, trades: list[Trade], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BINANCE_ARCHIVE_URL", "http://127.0.0.1:9")
    record_with_a_gap(FolderStore(tmp_path / "lake"), trades)
    (worker,) = healing_workers(tmp_path, {"binance": ["trades"]}, first_seconds=0)
    worker.start()
    try:
        said = "gaps of trades are not healed: trying again later"
        wait_until(lambda: any(line.message == said for line in caplog.records), "the failure", 120)
    finally:
        worker.stop()


@pytest.mark.parametrize(
    ("every", "venues"),
    [
        ("off", {"binance": ["trades"]}),
        ("24h", {"kucoin": ["trades"]}),
        ("24h", {"binance": ["depth"]}),
        ("24h", {"binance": ["depth"], "kucoin": ["trades"]}),
    ],
)
def test_nothing_runs_where_nothing_can_be_healed(
    every: str, venues: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEAL_EVERY", every)
    assert healing_workers(tmp_path, venues) == []


def test_a_wrong_pause_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEAL_EVERY", "daily")
    done = run_here("tickhouse.local", "--symbol", "BTCUSDT", "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert "HEAL_EVERY: must be a length of time such as 1h, or off" in done.stderr

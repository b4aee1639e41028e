"""Acceptance d and g: a process that is killed, a lake that goes away, a full spool: nothing is lost unseen, nothing doubled."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.commands import run_here
from tests.waiting import patience, wait_until

from extract_process.stream import print_summary
from simulated_exchange.app import RunningExchange
from simulated_exchange.config import ExchangeConfig
from tickhouse_core.metrics import batch_seconds_of
from tickhouse_core.warehouse import Warehouse

from .live import capturing, events_of, ids_in_events, missing_of, rows_of, start_command

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import OpenVenue

SYMBOLS = ("BTCUSDT", "ETHUSDT")
STREAMS = (("trades", "trade", "trade_id"), ("depth", "depth@100ms", "last_update_id"))
OF_VENUE = {"binance": SYMBOLS, "binance-usdm": SYMBOLS, "binance-coinm": ("BTCUSD_PERP", "ETHUSD_PERP")}


def arguments(venue: str) -> list[str]:
    symbols = [word for symbol in OF_VENUE[venue] for word in ("--symbol", symbol)]
    return ["--venue", venue, *symbols, "--batch-seconds", "1", "--snapshot-levels", "100"]


ARGUMENTS = arguments("binance")


@pytest.mark.heart
@pytest.mark.parametrize("venue", OF_VENUE)
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_kills_lose_nothing_that_is_not_written_down(
    kills: int, venue: str, open_venue: "OpenVenue", moto_lake: "Lake", warehouse: Warehouse, load: Callable[[], None]
) -> None:
    exchange = open_venue(ExchangeConfig(seed=21, time_scale=4)).exchange
    chance = random.Random(21)
    for _ in range(kills):
        with start_command(*arguments(venue), **moto_lake.environment) as process:
            before = sockets_of(exchange, venue)["messages"]
            wait_until(lambda before=before: sockets_of(exchange, venue)["messages"] > before, "messages")  # type: ignore[misc]
            time.sleep(chance.uniform(0.0, 1.5))  # a random moment is what is tested
            process.send_signal(signal.SIGKILL)
            process.communicate()
    _end_cleanly(moto_lake, exchange, venue)
    load()

    for symbol in OF_VENUE[venue]:
        for channel, stream, key in STREAMS:
            view = {"trades": "trades", "depth": "depth_diffs"}[channel]
            first = "trade_id" if channel == "trades" else "first_update_id"
            _, rows = warehouse.query_table(f"select {first}, {key} from {view} where symbol = '{symbol}' order by {key}")
            held = {number for low, high in rows for number in range(low, high + 1)}
            assert len(rows) == len({high for _, high in rows})
            gaps = ids_in_events(moto_lake.store, "gap", channel, symbol)
            healed = ids_in_events(moto_lake.store, "healed", channel, symbol)
            assert healed <= gaps
            assert held.isdisjoint(gaps - healed), "what is in silver is no gap"
            assert held | gaps == set(range(min(held), max(held) + 1)), "every id is in silver or written down"
            sent = sockets_of(exchange, venue)["streams"][f"{symbol.lower()}@{stream}"]
            assert min(held) <= sent["first_id"] + 1_500  # a process that is killed at once has written nothing yet
    causes = {row["cause"] for row in events_of(moto_lake.store, "gap")}
    assert causes == {"restart"}


@pytest.mark.heart
def test_a_lake_that_goes_away_gets_everything_later(
    open_venue: "OpenVenue", moto_lake: "Lake", moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lake is away from the first batch on: uploads resume by themselves at the next start, under the same keys."""
    exchange = open_venue(ExchangeConfig(seed=22, time_scale=4)).exchange
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with capturing(*SYMBOLS, stop_seconds=2.0) as run:
        wait_until(lambda: exchange.tally()["sockets"]["messages"] > 300, "messages")
    assert run.report is not None
    assert run.report.objects_uploaded == 0
    assert run.report.objects_left > 0

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    with capturing(*SYMBOLS):
        wait_until(lambda: len(events_of(moto_lake.store, "started")) == 2, "the second start in S3")
        wait_until(lambda: bool(ids_in_events(moto_lake.store, "gap", "trades", "BTCUSDT")), "the gap between the two")
    for symbol in SYMBOLS:
        ids = [row["trade_id"] for row in rows_of(moto_lake.store, "trades") if row["symbol"] == symbol]
        healed = ids_in_events(moto_lake.store, "healed", "trades", symbol)
        gaps = ids_in_events(moto_lake.store, "gap", "trades", symbol)
        assert len(ids) == len(set(ids))
        assert set(ids) | (gaps - healed) == set(range(min(ids), max(ids) + 1))


def test_what_is_not_yet_an_object_is_in_the_summary(
    open_venue: "OpenVenue", moto_lake: "Lake", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Segments wait where no object can be written: "0 objects left" alone would say that all is in the lake."""
    exchange = open_venue(ExchangeConfig(seed=25)).exchange
    with capturing(*SYMBOLS, stop_seconds=1.0) as run:
        wait_until(lambda: bool(rows_of(moto_lake.store, "trades")), "the first batch")
        (outbox,) = Path(os.environ["SPOOL_DIR"]).glob("*/outbox")
        wait_until(lambda: not list(outbox.iterdir()), "an empty outbox")
        outbox.rename(tmp_path / "outbox")
        before = exchange.tally()["sockets"]["messages"]
        wait_until(lambda: exchange.tally()["sockets"]["messages"] > before + 100, "more messages")
    assert run.report is not None
    assert run.report.segments_left > 0
    print_summary(run.report, 1.0)
    assert f"segments left in the spool  {run.report.segments_left}\n" in capsys.readouterr().out

    with capturing(*SYMBOLS) as run:
        wait_until(lambda: len(events_of(moto_lake.store, "stopped")) == 1, "the end of the first run in S3")
    assert run.report is not None
    assert (run.report.segments_left, run.report.objects_left) == (0, 0)


def test_a_full_spool_stops_the_lowest_channel_says_so_and_goes_on_when_there_is_room(
    open_venue: "OpenVenue", moto_lake: "Lake", moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = open_venue(ExchangeConfig(seed=23, time_scale=4)).exchange
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    options: dict[str, Any] = {
        "spool_bytes": 300_000,
        "give_up_order": ("ticker", "klines", "trades", "depth"),
        "snapshot_levels": 100,
    }
    with capturing(*SYMBOLS, stop_seconds=1.0, **options) as run:
        wait_until(lambda: exchange.tally()["sockets"]["messages"] > 3_000, "more than the spool takes", 60)
    assert run.report is not None
    assert run.report.counts.discarded_frames > 20
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    with capturing(*SYMBOLS, **options):
        wait_until(lambda: len(events_of(moto_lake.store, "started")) == 2, "the second start in S3")
        wait_until(lambda: bool(ids_in_events(moto_lake.store, "gap", "trades", "BTCUSDT")), "the gap")
    stopped = [row["channel"] for row in events_of(moto_lake.store, "channel_stopped")]
    assert stopped[:2] == ["trades", "depth"]  # those that are recorded
    for symbol in SYMBOLS:
        ids = {row["trade_id"] for row in rows_of(moto_lake.store, "trades") if row["symbol"] == symbol}
        gaps = ids_in_events(moto_lake.store, "gap", "trades", symbol)
        assert ids | gaps == set(range(min(ids), max(ids) + 1))
        assert missing_of(exchange, f"{symbol.lower()}@trade") <= gaps


@pytest.mark.heart
def test_a_clean_stop_leaves_nothing_behind_and_exits_0(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=24)).exchange
    _end_cleanly(moto_lake, exchange)
    (started,) = events_of(moto_lake.store, "started")
    (stopped,) = events_of(moto_lake.store, "stopped")
    assert stopped["ended_at"] > started["started_at"]
    [*_, beat] = rows_of(moto_lake.store, "heartbeats")
    assert (beat["process"], batch_seconds_of(beat["detail"])) == ("stream", 1.0)


@pytest.mark.heart
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--symbol", "NOSUCH"], "error: unknown symbol NOSUCH on binance: write it as the venue does, for example BTCUSDT"),
        (
            ["--symbol", "BTCUSDT", "--channel", "candles"],
            "error: --channel 'candles': choose from trades, depth, book_tickers, klines, ticker",
        ),
        (["--symbol", "BTCUSDT", "--venue", "mtgox"], "error: --venue 'mtgox': choose from binance"),
        (["--symbol", "BTCUSDT", "--give-up", "depth,depth"], "error: --give-up 'depth,depth': name a channel once"),
        (["--symbol", "BTCUSDT", "--snapshot-levels", "7"], "error: --snapshot-levels 7: choose from 100, 500, 1000, 5000"),
        (["--symbol", "BTCUSDT", "--instance", "a b"], "error: --instance 'a b': 1 to 40 letters"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    open_venue()
    ended = run_here("extract_process.stream", *arguments)
    assert ended.returncode == 2
    assert [line for line in ended.stderr.splitlines() if line.startswith(said)]
    assert "Traceback" not in ended.stderr


def sockets_of(exchange: RunningExchange, venue: str) -> dict[str, Any]:
    """What the exchange says of a market of Binance."""
    part = venue.removeprefix("binance").removeprefix("-")
    tally = exchange.tally()
    found: dict[str, Any] = (tally[part] if part else tally)["sockets"]
    return found


def _end_cleanly(lake: "Lake", exchange: RunningExchange, venue: str = "binance") -> None:
    """One more run, ended by a signal."""
    before = sockets_of(exchange, venue)["messages"]
    with start_command(*arguments(venue), **lake.environment) as process:
        wait_until(lambda: sockets_of(exchange, venue)["messages"] > before + 100, "messages")
        process.send_signal(signal.SIGTERM)
        try:
            out, err = process.communicate(timeout=patience(60))
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, err
    assert "objects left in the spool  0" in out
    assert "segments left in the spool  0" in out

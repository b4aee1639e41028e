"""`tickhouse local` as a person uses it, killed in the middle: what is in the lake's folder is in the warehouse, once."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow.dataset as ds
import pytest
from conftest import free_port
from tests.commands import ChildProcess, run_here
from tests.waiting import patience, wait_until

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.variables import variables_of

pytestmark = pytest.mark.stack

SOURCES = str(Path(__file__).resolve().parents[3] / "src")
TICKHOUSE = [sys.executable, "-m", "tickhouse.cli"]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    with running_exchange(ExchangeConfig()) as exchange:
        urls = {"BINANCE_REST_URL": exchange.url, "BINANCE_WS_URL": exchange.ws_url, "KUCOIN_REST_URL": exchange.url}
        yield {**os.environ, **urls, "PYTHONPATH": SOURCES, "STATUS_PORT": str(free_port())}


@contextmanager
def local(environment: dict[str, str], *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [*TICKHOUSE, "local", "--symbol", "BTCUSDT", *arguments]
    with ChildProcess(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
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
    def is_healthy() -> bool:
        assert process.poll() is None, process.communicate()
        with suppress(httpx.TransportError):
            stages = httpx.get(f"{url}/api/status", timeout=20).json()["stages"]
            return {"warehouse", "venue"} <= {stage["name"] for stage in stages if stage["verdict"] == "ok"}
        return False

    wait_until(is_healthy, "warehouse and venue to be ok", 60)


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


def recorded_until(environment: dict[str, str], arguments: tuple[str, ...], is_enough: Callable[[list[str]], bool]) -> list[str]:
    """What `tickhouse local` logged until it was enough and Ctrl-C ended it, then what it printed."""
    lines: list[str] = []
    with local(environment, *arguments) as process:
        assert process.stderr is not None
        reader = threading.Thread(target=lines.extend, args=(process.stderr,))
        reader.start()
        wait_until(lambda: is_enough(lines) or process.poll() is not None, "what was to be recorded", seconds=120)
        process.send_signal(signal.SIGINT)
        assert process.wait(patience(60)) == 0, "".join(lines)
        reader.join()
        assert process.stdout is not None
        return [*lines, *process.stdout]


def test_two_venues_with_history_beside_and_nothing_asked_twice(environment: dict[str, str]) -> None:
    since = datetime.now(UTC) - timedelta(days=2)
    both = ("--venue", "binance", "--venue", "kucoin", "--symbol", "BTC-USDT", "--since", f"{since:%Y-%m-%dT%H:%M}")

    def has_all(lines: list[str]) -> bool:
        live = [list(Path("data/lake/data_sources").glob(f"{name}/venue=*")) for name in ("trades", "depth_diffs")]
        return sum("history is complete" in line for line in lines) == 2 and all(len(venues) == 2 for venues in live)

    recorded_until(environment, both, has_all)
    sql = (
        "select (select uniqExact(open_time) from klines where symbol = 'BTCUSDT') as binance,"
        " (select uniqExact(open_time) from klines where symbol = 'BTC-USDT') as kucoin,"
        " (select uniqExact(venue) from trades) as trades, (select uniqExact(venue) from depth_diffs) as diffs"
    )
    found = json.loads(run({**environment, "TICKHOUSE_DATA": "data"}, "query", "--json", sql).stdout)
    assert min(found.pop("binance"), found.pop("kucoin")) >= 2 * 24 * 60 - 1
    assert found == {"trades": 2, "diffs": 2}

    again = recorded_until(environment, both, has_all)
    new_rows = [int(line.rsplit("new_rows=", 1)[1].split()[0]) for line in again if "history is complete" in line]
    assert max(new_rows) < 100, "what is in the folder is not asked for again"
    printed = "".join(again)
    assert "recording binance BTCUSDT; kucoin BTC-USDT into" in printed
    assert f"--symbol BTC-USDT --since {since:%Y-%m-%dT%H:%M}:00Z --data" in printed
    rows = re.search(r"^rows +klines ([0-9,]+) \(([0-9,]+) in all\)$", printed, re.MULTILINE)
    assert rows is not None, printed
    new, in_all = (int(words.replace(",", "")) for words in rows.groups())
    assert new < 100 < 2 * 2 * 24 * 60 - 2 <= in_all


def test_each_venue_records_those_of_the_named_channels_that_it_has(environment: dict[str, str]) -> None:
    futures = {**environment, **variables_of(environment["BINANCE_REST_URL"])}
    venues = ("--venue", "binance", "--venue", "binance-usdm")
    lake = Path("data/lake/data_sources")

    def has_all(_: list[str]) -> bool:
        return {*lake.glob("trades/venue=*"), *lake.glob("mark_prices/venue=*")} == wanted

    wanted = {lake / "trades/venue=binance", lake / "trades/venue=binance-usdm", lake / "mark_prices/venue=binance-usdm"}
    channels = ("--channel", "mark_prices", "--channel", "trades")
    said = "".join(recorded_until(futures, (*venues, *channels), has_all))
    assert has_all([]), said
    assert "channels that this venue does not have are left out venue=binance channels=mark_prices" in said
    goes_on = f"tickhouse local {' '.join((*venues, '--symbol', 'BTCUSDT', *channels))} --data"
    assert goes_on in said, "the printed command has the channels as they were named"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--symbol", "btcusdt"), "unknown symbol btcusdt on binance: did you mean BTCUSDT?"),
        (("--symbol", "btcusdt", "--venue", "kucoin"), "unknown symbol btcusdt on kucoin: did you mean BTC-USDT?"),
        (("--symbol", "BTCUSDT", "--symbol", "eth-usdt"), "unknown symbol eth-usdt on binance: did you mean ETHUSDT?"),
        (("--symbol", "NOSUCHUSDT"), "unknown symbol NOSUCHUSDT on binance: write it as the venue does"),
        (
            ("--symbol", "BTCUSDT", "--venue", "binance", "--venue", "kucoin"),
            "--venue kucoin: none of the symbols is a market there, for example BTC-USDT",
        ),
        (("--symbol", "BTCUSDT", "--since", "yesterday"), "--since 'yesterday' is no instant: write 2024-01-01"),
    ],
)
def test_what_cannot_be_recorded_is_one_line_before_anything_is_built(
    environment: dict[str, str], arguments: tuple[str, ...], says: str
) -> None:
    done = run_here("tickhouse.cli", "local", *arguments, environment=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(f"error: {says}"), done.stderr
    assert not Path("data/warehouse").exists()


def test_a_file_in_place_of_the_folder_and_a_taken_port_are_one_line(environment: dict[str, str]) -> None:
    Path("data").write_text("mine")
    done = run_here("tickhouse.cli", "local", "--symbol", "BTCUSDT", environment=environment)
    assert (done.returncode, "data is a file: name a folder" in done.stderr) == (2, True)
    assert Path("data").read_text() == "mine"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_here(
            "tickhouse.cli", "local", "--symbol", "BTCUSDT", "--data", "other", "--port", port, environment=environment
        )
    assert (done.returncode, "cannot listen there" in done.stderr) == (2, True)
    assert not Path("other").exists()


def test_a_venue_that_is_offline_is_named_and_outlasts_neither_the_duration_nor_a_signal(environment: dict[str, str]) -> None:
    offline = {**environment, "BINANCE_REST_URL": "http://127.0.0.1:9", "BINANCE_WS_URL": "ws://127.0.0.1:9"}
    done = run(offline, "stream", "--data", "streamed", "--symbol", "BTCUSDT", "--duration", "1")
    assert done.returncode == 0, done.stderr
    assert "why=http://127.0.0.1:9/api/v3/time: ConnectError" in done.stderr
    assert "REST is away" not in done.stderr, "that line comes after half a minute of tries"
    with local(offline) as process:
        assert process.stderr is not None
        said = iter(process.stderr.readline, "")
        assert any("why=http://127.0.0.1:9/api/v3/exchangeInfo: ConnectError" in line for line in said)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=patience(30))
    assert (process.returncode, out) == (0, ""), errors
    assert not Path("data/warehouse").exists()


def test_a_venue_that_never_answers_is_named_beside_one_that_is_recorded(environment: dict[str, str]) -> None:
    half = {**environment, "KUCOIN_REST_URL": "http://127.0.0.1:9"}
    url = f"http://127.0.0.1:{environment['STATUS_PORT']}/readyz"
    with local(half, "--venue", "binance", "--venue", "kucoin", "--symbol", "BTC-USDT") as process:
        lake = Path("data/lake/data_sources")
        wait_until(lambda: any(lake.glob("trades/**/*.parquet")) or process.poll() is not None, "trades of Binance", seconds=60)
        assert "kucoin" in httpx.get(url, timeout=patience(10)).text
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=patience(60))
    assert process.returncode == 0, errors
    missing = [line for line in out.splitlines() if line.startswith("missing")]
    assert missing == ["missing   nothing was recorded from kucoin: no connection delivered, see the lines above"], out


def test_status_without_a_page_is_one_line(environment: dict[str, str]) -> None:
    done = run_here("tickhouse.cli", "status", "--url", "http://127.0.0.1:9", environment=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("error: status page at http://127.0.0.1:9: ")
    assert "`tickhouse page` starts it" in done.stderr

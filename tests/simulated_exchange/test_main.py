import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.commands import run_here
from tests.waiting import patience

from simulated_exchange.variables import variables_of

SOURCE = Path(__file__).resolve().parents[2] / "src"


def command(*arguments: str, before: str = "") -> list[str]:
    program = f"{before}\nimport runpy; runpy.run_module('simulated_exchange', run_name='__main__', alter_sys=True)"
    return [sys.executable, "-c", program, *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUTF8": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_stops_cleanly_on_a_signal(stop: signal.Signals) -> None:
    arguments = ["--port", "0", "--now", "2025-01-01", "--weight-limit", "50", "--fault", "http_500@/api/v3/time"]
    arguments += ["--symbols", "3", "--latency-ms", "1"]
    process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, env=environment(), text=True)
    assert process.stdout
    with process, process.stdout:
        line = process.stdout.readline()
        assert line.startswith("simulated exchange on http://127.0.0.1:")
        url = line.split()[-1]
        info = httpx.get(f"{url}/api/v3/exchangeInfo", trust_env=False).json()
        assert info["rateLimits"][0]["limit"] == 50
        assert 1_735_689_600_000 <= info["serverTime"] < 1_735_689_700_000
        assert len(info["symbols"]) == 2  # the third one is not listed yet
        assert httpx.get(f"{url}/api/v3/time", trust_env=False).status_code == 500
        process.send_signal(stop)
        assert process.wait(timeout=patience(10)) == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--fault", "http_700"], "unknown fault 'http_700'"),
        (["--now", "yesterday"], "'yesterday' is not an ISO date"),
        (["--replay", "/nowhere.jsonl"], "cannot read /nowhere.jsonl"),
        (["--symbols", "0"], "symbols must be between"),
        (["--port", "99999"], "port must be between"),
        (["--variables", "exchange:8090"], "--variables: 'exchange:8090' is no address"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments: list[str], reason: str) -> None:
    done = run_here("simulated_exchange", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr


def test_a_shell_takes_the_variables_that_point_to_an_exchange() -> None:
    program = 'eval "$("$0" -m simulated_exchange --variables http://exchange:8090/)" && env'
    done = subprocess.run(["sh", "-c", program, sys.executable], capture_output=True, env=environment(), text=True, check=True)
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith(("BINANCE_", "KUCOIN_")))
    assert told["BINANCE_USDM_MARKET_WS_URL"] == "ws://exchange:8090/usdm/market"
    assert {name: told[name] for name in variables_of("http://exchange:8090")} == variables_of("http://exchange:8090")


@pytest.mark.slow
def test_without_aiohttp_it_names_the_extra() -> None:
    hidden = "import sys; sys.modules['aiohttp'] = None"
    finder = "import importlib.util as u; real = u.find_spec; u.find_spec = lambda n: None if n == 'aiohttp' else real(n)"
    done = subprocess.run(command(before=f"{hidden}\n{finder}"), capture_output=True, env=environment(), text=True, check=False)
    assert done.returncode == 2
    assert "embedded" in done.stderr
    assert done.stderr.count("\n") == 1

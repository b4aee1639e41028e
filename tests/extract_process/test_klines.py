from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.commands import run_here, run_python

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig

if TYPE_CHECKING:
    from conftest import Lake


def command(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "extract_process.klines", *arguments, code=code)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--interval", "7m"], "--interval '7m': choose from 1s, 1m, 3m"),
        (["--interval", "1D"], "--interval '1D': choose from"),
        (["--start", "yesterday"], "--start 'yesterday' is no instant"),
        (["--end", "2024-02-30"], "--end '2024-02-30' is no instant"),
        (["--start", "2999-01-01"], "--start 2999-01-01T00:00:00Z is in the future"),
        (["--end", "2023-12-31"], "--end 2023-12-31T00:00:00Z is not after --start 2024-01-01T00:00:00Z"),
        (["--venue", "mtgox"], "--venue 'mtgox': choose from binance"),
        (["--source", "dream"], "--source 'dream': choose from rest, archive, auto"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments: list[str], said: str) -> None:
    done = run_here("extract_process.klines", "--symbol", "BTCUSDT", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_without_a_symbol_it_says_so() -> None:
    done = command(code=2)
    assert "--symbol" in done.stderr


@pytest.mark.slow
def test_a_run_prints_its_figures_and_a_second_one_asks_for_no_kline(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert moto_lake.environment
    with running_exchange(ExchangeConfig(symbols=2)) as exchange:
        monkeypatch.setenv("BINANCE_REST_URL", exchange.url)
        arguments = ["--symbol", "BTCUSDT", "--interval", "1h", "--start", "2024-01-01", "--end", "2024-02-01"]
        first, second = command(*arguments), command(*arguments)
        unknown = command("--symbol", "NOPE", code=2)
    assert figures(first)["rows landed"] == figures(first)["rows wanted"] == "744"
    assert (figures(second)["rows landed"], figures(second)["klines requests"]) == ("0", "0")
    assert "error: unknown symbol NOPE on binance" in unknown.stderr


def figures(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The summary on stdout: one figure a line, the name before it."""
    return dict(line.strip().rsplit("  ", 1) for line in done.stdout.splitlines())

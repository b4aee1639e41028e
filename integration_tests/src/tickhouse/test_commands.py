"""The commands of the contract as black boxes, in the order in which the README has a person type them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.commands import run_here

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig

if TYPE_CHECKING:
    from conftest import Lake


@pytest.fixture
def environment(moto_lake: "Lake", tmp_path: Path) -> Iterator[dict[str, str]]:
    """A shell's environment that points at moto, an embedded warehouse and a simulated exchange."""
    with running_exchange(ExchangeConfig()) as exchange:
        variables = {
            "BINANCE_REST_URL": exchange.url,
            "BINANCE_ARCHIVE_URL": exchange.url,
            "CLICKHOUSE_PATH": str(tmp_path / "warehouse"),
            "SPOOL_DIR": str(tmp_path / "spool"),
        }
        yield dict(os.environ) | moto_lake.environment | variables


def _run(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, env=environment, timeout=60)


def test_klines_go_from_the_exchange_to_sql_by_the_commands_of_the_readme(environment: dict[str, str]) -> None:
    klines = ("extract_process.klines", "--symbol", "BTCUSDT", "--start", "2024-01-30", "--end", "2024-02-02")

    assert _run(environment, "tickhouse.cli", "provision").returncode == 0
    assert _run(environment, "tickhouse.cli", "provision").returncode == 0
    backfill = _run(environment, *klines)
    assert backfill.returncode == 0, backfill.stderr
    loader = _run(environment, "load_process", "--drain")
    assert loader.returncode == 0, loader.stderr
    answer = _run(environment, "tickhouse.cli", "query", "select count(), min(open_time), max(open_time) from klines")

    assert answer.stdout.splitlines()[1] == "4320\t2024-01-30 00:00:00\t2024-02-01 23:59:00"
    again = _run(environment, *klines)
    assert "klines requests  0" in again.stdout


def test_migrate_says_whether_there_was_something_to_do(environment: dict[str, str]) -> None:
    first, second = (_run(environment, "transform_process.migrate") for _ in range(2))

    assert first.stdout.strip().endswith("schema files applied")
    assert second.stdout.strip() == "the schema is up to date"


@pytest.mark.heart
@pytest.mark.parametrize(
    ("change", "command", "code", "line"),
    [
        ({"CLICKHOUSE_PORT": "many"}, ("load_process.__main__", "--drain"), 2, "CLICKHOUSE_PORT"),
        ({"CLICKHOUSE_DATABASE": "a b"}, ("transform_process.migrate",), 2, "CLICKHOUSE_DATABASE"),
        ({"BINANCE_REST_URL": "binance"}, ("extract_process.klines", "--symbol", "BTCUSDT"), 2, "BINANCE_REST_URL"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ("tickhouse.cli", "provision", "--aws"), 1, "http://127.0.0.1:9"),
        ({"S3_BUCKET": "nowhere"}, ("extract_process.klines", "--symbol", "BTCUSDT"), 1, "tickhouse provision"),
        ({}, ("tickhouse.cli", "query", "select 1"), 2, "`tickhouse migrate` makes one"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    environment: dict[str, str], change: dict[str, str], command: tuple[str, ...], code: int, line: str
) -> None:
    module, *arguments = command
    done = run_here(module, *arguments, environment=environment | change)

    errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert done.returncode == code, done.stderr
    assert len(errors) == 1
    assert line in errors[0]
    assert "Traceback" not in done.stderr

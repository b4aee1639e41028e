"""The front door's commands: in processes of their own, bad usage in this one."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT
from tests.commands import run_here, run_python


def tickhouse(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "tickhouse", *arguments, code=code)


@pytest.mark.slow
def test_the_commands_of_the_operator_are_there() -> None:
    shown = tickhouse("--help").stdout
    assert all(f" {name} " in shown for name in ("load", "reconcile", "redrive", "audit", "clear", "migrate", "provision"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["audit", "--by", "week"], "--by 'week': choose from symbol, day"),
        (["audit", "--dataset", "candles"], "unknown dataset 'candles'"),
        (["audit", "--dataset", "heartbeats", "--symbol", "BTCUSDT"], "rows of heartbeats are of no symbol"),
        (["clear"], "choose what to clear: --bronze, --silver, --gold"),
        (["redrive"], "choose exactly one of --dlq"),
        (["reconcile", "--since", "soon"], "--since 'soon' is no instant"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments: list[str], said: str) -> None:
    done = run_here("tickhouse.cli", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_clearing_asks_and_where_nobody_can_be_asked_it_wants_a_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PATH", str(tmp_path / "engine"))
    tickhouse("migrate")
    done = tickhouse("clear", "--bronze", "--silver", "--gold")
    assert done.stdout == "nothing to clear\n"
    insert = (
        "from tickhouse_core.settings import *\nfrom tickhouse_core.warehouse import connect\n"
        "row = dict.fromkeys(['venue', 'symbol', 'channel', 'instance', 'event', 'cause', 'detail', 'object_key'], 'x')\n"
        "connect(read(WarehouseSettings)).insert_rows('bronze_stream_events', [row])"
    )
    run_python("-c", insert)
    refused = tickhouse("clear", "--bronze", code=2)
    assert (
        refused.stderr
        == "error: this would clear 1 rows in 1 tables of crypto: refusing to delete without confirmation: pass --yes\n"
    )
    done = tickhouse("clear", "--bronze", "--yes")
    assert done.stdout.splitlines() == [
        "table\trows",
        "bronze_stream_events\t1",
        "cleared; the ledger is kept. To load everything again: tickhouse redrive --prefix data_sources/ --again",
    ]
    assert tickhouse("query", "select (select count() from bronze_stream_events), count() from stream_events").stdout.endswith(
        "0\t1\n"
    )


@pytest.mark.slow
def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert tickhouse("--version").stdout == f"tickhouse {project['version']}\n"

"""Every command that the page shows can be typed: it is parsed as it would be, for each way the pipeline can run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from status_page import remedies
from status_page.event_remedies import Event, for_event, for_gap
from status_page.health import NO_ANSWER, Fault
from status_page.remedies import Running, Stretch
from tickhouse.cli import app
from tickhouse_core.datasets import CHANNELS, QUEUES
from tickhouse_core.event_kinds import EVENT_KINDS, GAP_CAUSES

WAYS = {
    "services": Running(),
    "compose": Running(is_compose=True, recorders=("stream", "stream-kucoin")),
    "local": Running(folder="/data/my folder", records_here=True),
    "folder": Running(folder="data"),
}
COMPOSE: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text(encoding="utf-8"))
TARGETS = re.findall(r"([\w-]+)=http", COMPOSE["services"]["status"]["environment"]["STATUS_TARGETS"])
MARKETS = [("binance", "BTCUSDT"), ("kucoin", "BTC-USDT")]


def commands(running: Running) -> Iterator[str]:
    for fault in Fault:
        yield remedies.for_stage(running, fault, "loader", MARKETS)
    for name in TARGETS:
        yield remedies.for_process(running, name, is_gone=True)
        yield remedies.for_process(running, name, is_gone=False)
    yield from (remedies.for_dead_letters(running, queue)[0] for queue in QUEUES)
    yield remedies.for_check(running, "coverage")
    yield remedies.for_book(running, "binance", "BTCUSDT")
    for channel in CHANNELS:
        of = Stretch("kucoin", "BTC-USDT", channel, 1_700_000_000_000_000, 1_700_000_030_000_000)
        yield from (for_gap(running, cause, of).command for cause in GAP_CAUSES)
        yield from (for_event(running, Event(kind, "restart", of)).command for kind in EVENT_KINDS)


@pytest.mark.parametrize("way", WAYS)
def test_every_command_can_be_typed(way: str) -> None:
    group: Any = typer.main.get_command(app)
    for command in filter(None, commands(WAYS[way])):
        words = shlex.split(command)
        if words[:2] == ["docker", "compose"]:
            assert way == "compose"
            words = in_the_stack(words[2:])
        if words:
            assert words[0] == "tickhouse"
            group.commands[words[1]].make_context(words[1], words[2:])
        assert ("--data" in words) == bool(WAYS[way].folder), command


def in_the_stack(words: list[str]) -> list[str]:
    """What runs inside, after a look at the services' names."""
    if words[0] == "--profile":
        words = words[2:]
    verb, *rest = words
    if verb in ("up", "logs"):
        named = [word for word in rest if not word.startswith("--") and not word.isdigit()]
        assert named, "a service, or a number of loaders"
        assert {name.partition("=")[0] for name in named} <= set(COMPOSE["services"])
        return []
    assert verb in ("exec", "run")
    service, *inside = [word for word in rest if word != "--rm"]
    assert service in COMPOSE["services"]
    return inside


def test_what_is_right_for_one_way_is_not_what_another_way_shows() -> None:
    assert remedies.for_stage(WAYS["services"], Fault.NOT_LOADED) == "tickhouse load"
    assert remedies.for_stage(WAYS["compose"], Fault.NOT_LOADED) == "docker compose up --detach loader"
    silent = "docker compose logs --tail 50 stream stream-kucoin"
    assert remedies.for_stage(WAYS["compose"], Fault.SILENT) == remedies.for_recorder(WAYS["compose"], "kucoin") == silent
    assert remedies.for_stage(Running(is_compose=True), Fault.SILENT) == "docker compose logs --tail 50 stream"
    assert remedies.for_stage(WAYS["local"], Fault.NOT_LOADED) == "tickhouse doctor --data '/data/my folder'"
    recorded = "tickhouse local --venue binance --venue kucoin --symbol BTCUSDT --symbol BTC-USDT --data data"
    assert remedies.for_stage(WAYS["folder"], Fault.SILENT, "", MARKETS) == recorded
    assert remedies.for_process(WAYS["services"], "stream-kucoin", is_gone=True) == "tickhouse stream --venue kucoin"
    assert remedies.for_process(WAYS["compose"], "transformer", is_gone=True) == "docker compose up --detach transform"
    assert "end the recording first" in remedies.for_dead_letters(WAYS["local"], "trades-notifications")[1]
    assert remedies.for_recorder(WAYS["services"], "kucoin") == "tickhouse doctor --venue kucoin"
    minutes = remedies.for_candles(WAYS["services"], Stretch("binance", "BTCUSDT", "trades", 90_000_000, 150_000_000))
    assert minutes.endswith("--start 1970-01-01T00:01:00Z --end 1970-01-01T00:03:00Z")


@pytest.mark.parametrize("name", ["BTC'; drop", 'BTC"USDT', "$(reboot)", "`x`", ""])
def test_a_name_that_the_shell_would_read_is_in_no_query(name: str) -> None:
    of = Stretch("binance", name, "depth", 0, 0)
    assert remedies.for_stream(Running(), of) == remedies.for_book(Running(), "binance", name) == ""
    assert remedies.for_recorder(Running(), name) == "tickhouse doctor"


def test_ids_that_are_no_time_make_no_command() -> None:
    """Of a broken event of klines: any number of 64 bits."""
    assert remedies.for_candles(Running(), Stretch("binance", "BTCUSDT", "klines", 1, 2**64 - 1)) == ""


def test_only_what_is_wrong_has_a_command() -> None:
    fine = {"fault": None, "process": ""}
    gone = {"name": "loader", "address": "http://127.0.0.1:9", "trouble": [f"{NO_ANSWER}: no answer"]}
    state = remedies.with_commands(
        {
            "markets": MARKETS,
            "stages": [fine | {"name": "lake"}, {"name": "gold", "fault": Fault.NOT_IN_GOLD, "process": ""}],
            "queues": [{"name": "trades-notifications", "dead": 0}, {"name": "klines-notifications", "dead": 3}],
            "processes": [gone, gone | {"trouble": ["S3 is unavailable"]}, gone | {"trouble": []}],
            "checks": [["coverage", "error", "passed", 0, 1, ""], ["latency", "warning", "failed", 2, 1, "x"]],
        },
        Running(),
    )
    assert [stage["command"] for stage in state["stages"]] == ["", "tickhouse transform"]
    assert [queue["command"] for queue in state["queues"]] == ["", "tickhouse redrive --dlq klines-notifications-dlq"]
    assert [one["command"] for one in state["processes"]] == ["tickhouse load", "tickhouse doctor", ""]
    assert [bool(check[6]) for check in state["checks"]] == [False, True]

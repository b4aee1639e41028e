"""PURE. What to do about each red thing of the page: a command that is right for the way the pipeline runs here."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from status_page.health import NO_ANSWER, Fault
from tickhouse_core.timestamps import MINUTE_US, format_instant, to_datetime

_SERVICES = {"transformer": "transform"}
_COMMANDS = {"stream": "stream", "mirror": "mirror", "loader": "load", "transformer": "transform"}
_DOCKER = "docker compose"
_MOST_SYMBOLS = 20
_PLAIN = re.compile(r"[\w.-]{1,40}")
"""A name that may stand in a query within quotes of the shell."""

_LAST_US = 4_000_000_000_000_000
"""Ids of a broken event may be any number; a later instant is none."""


@dataclass(frozen=True, slots=True)
class Running:
    """How the pipeline runs, as far as the page can tell."""

    folder: str = ""
    """The data folder; empty with S3 and a server."""
    is_compose: bool = False
    records_here: bool = False
    """This process records too: `tickhouse local`."""
    recorders: tuple[str, ...] = ()
    """Services of Docker Compose that record, as far as the page polls them."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of one stream from an instant to another, both included, in microseconds. `interval` is that of klines."""

    venue: str
    symbol: str
    channel: str
    since_us: int
    until_us: int
    interval: str = "1m"


def for_stage(running: Running, fault: Fault, process: str = "", markets: Sequence[tuple[str, str]] = ()) -> str:
    """The command; `process` is the one that is gone, `markets` are those of the folder."""
    if running.folder:
        return _in_folder("doctor", running) if running.records_here else _record(running, markets)
    if fault is Fault.GONE:
        return for_process(running, process, is_gone=True)
    if running.is_compose:
        return _in_compose(running, fault)
    return f"tickhouse {_SERVICE[fault]}"


def with_commands(state: dict[str, Any], running: Running) -> dict[str, Any]:
    """The page's state with a `command` beside everything in it that is wrong; empty where nothing is."""
    markets = [(str(venue), str(symbol)) for venue, symbol, *_ in state["markets"]]
    for stage in state["stages"]:
        fault, process = stage.pop("fault"), stage.pop("process")
        stage["command"] = for_stage(running, fault, process, markets) if fault else ""
    for name, dress in (("queues", _queue), ("processes", _process), ("checks", _check)):
        state[name] = [dress(running, one) for one in state[name]]
    return state


def _queue(running: Running, queue: dict[str, Any]) -> dict[str, Any]:
    command, note = for_dead_letters(running, queue["name"]) if queue["dead"] else ("", "")
    return queue | {"command": command, "note": note}


def _process(running: Running, one: dict[str, Any]) -> dict[str, Any]:
    if not one["trouble"]:
        return one | {"command": ""}
    is_gone = bool(one["address"]) and one["trouble"][0].startswith(NO_ANSWER)
    return one | {"command": for_process(running, one["name"], is_gone=is_gone)}


def _check(running: Running, check: Sequence[Any]) -> list[Any]:
    name, _, verdict = check[:3]
    return [*check, for_check(running, name) if verdict == "failed" else ""]


_COMPOSE = {
    Fault.SILENT: "logs --tail 50",
    Fault.NOT_LOADED: "up --detach loader",
    Fault.LOADS_SLOWLY: "up --detach --scale loader=3",
    Fault.NOT_IN_GOLD: "up --detach transform",
    Fault.LAKE_UNAVAILABLE: "up --detach localstack keeper",
    Fault.WAREHOUSE_UNAVAILABLE: "up --detach clickhouse",
}
_SERVICE = {
    Fault.SILENT: "doctor",
    Fault.NOT_LOADED: "load",
    Fault.LOADS_SLOWLY: "load",
    Fault.NOT_IN_GOLD: "transform",
    Fault.LAKE_UNAVAILABLE: "doctor",
    Fault.WAREHOUSE_UNAVAILABLE: "doctor",
}


def _in_compose(running: Running, fault: Fault) -> str:
    recorders = running.recorders or ("stream",)
    return " ".join([_DOCKER, _COMPOSE[fault], *(recorders if fault is Fault.SILENT else ())])


def for_process(running: Running, name: str, *, is_gone: bool) -> str:
    """Of an entry of STATUS_TARGETS, or of a part of this process. `is_gone`: it does not answer at all."""
    if running.folder:
        return _in_folder("doctor", running)
    kind, _, venue = name.partition("-")
    if running.is_compose:
        service = _SERVICES.get(name, name)
        profile = "--profile mirror " if kind == "mirror" else ""
        return f"{_DOCKER} {profile}up --detach {service}" if is_gone else f"{_DOCKER} {profile}logs --tail 50 {service}"
    if is_gone and kind in _COMMANDS:
        return shlex.join(["tickhouse", _COMMANDS[kind], *(("--venue", venue) if kind == "stream" and venue else ())])
    return "tickhouse doctor"


def for_dead_letters(running: Running, queue: str) -> tuple[str, str]:
    """The command that loads what the queue's dead letters name, and what has to be done before."""
    if running.folder:
        note = "end the recording first: this command needs the folder alone" if running.records_here else ""
        return _in_folder(f"redrive --dlq {queue}-dlq", running), note
    return _inside(running, f"tickhouse redrive --dlq {queue}-dlq"), ""


def for_check(running: Running, name: str) -> str:
    """Shows what the check found last."""
    return _query(
        running,
        "select at, venue, symbol, value, detail from ops_check_results "  # noqa: S608  # shown, not run
        f"where check_name = '{name}' and verdict = 'failed' order by run_time desc, at limit 20",
    )


def for_book(running: Running, venue: str, symbol: str) -> str:
    """Shows why a book is unverified, and whether its next snapshot has come: that is requested without a command."""
    return _events(running, (venue, symbol, "depth"), "order by started_at desc")


def for_stream(running: Running, of: Stretch) -> str:
    """Shows what happened to a stream from a minute before on: a gap, and what followed it."""
    since = to_datetime(of.since_us - MINUTE_US).strftime("%Y-%m-%d %H:%M:%S")
    return _events(running, (of.venue, of.symbol, of.channel), f"and started_at >= '{since}' order by started_at")


def for_recorder(running: Running, venue: str) -> str:
    """Shows what is wrong between the recorder and the venue."""
    if running.is_compose and not running.folder:
        return _in_compose(running, Fault.SILENT)
    asked = f"doctor --venue {venue}" if _PLAIN.fullmatch(venue) else "doctor"
    return _in_folder(asked, running) if running.folder else f"tickhouse {asked}"


def for_candles(running: Running, of: Stretch, *, is_recheck: bool = False) -> str:
    """Fetches the candles of a stretch; `is_recheck`: also those that the venue did not have before. Empty for no real time."""
    if not 0 <= of.since_us <= of.until_us < _LAST_US:
        return ""
    start, end = of.since_us // MINUTE_US * MINUTE_US, (of.until_us // MINUTE_US + 1) * MINUTE_US
    options = ["--venue", of.venue, "--symbol", of.symbol, "--interval", of.interval or "1m"]
    options += ["--start", format_instant(start), "--end", format_instant(end), *(["--recheck"] if is_recheck else [])]
    asked = f"klines {shlex.join(options)}"
    if running.folder:
        return _in_folder(asked, running)
    return f"{_DOCKER} run --rm klines tickhouse {asked}" if running.is_compose else f"tickhouse {asked}"


def _events(running: Running, stream: tuple[str, str, str], rest: str) -> str:
    """Empty for a name that would have to be quoted: no venue has one."""
    if not all(map(_PLAIN.fullmatch, stream)):
        return ""
    venue, symbol, channel = stream
    return _query(
        running,
        "select started_at, event, cause, detail from stream_events "  # noqa: S608  # shown, not run
        f"where venue = '{venue}' and symbol = '{symbol}' and channel = '{channel}' {rest} limit 20",
    )


def _query(running: Running, sql: str) -> str:
    asked = f'query "{sql}"'
    return _in_folder(asked, running) if running.folder else _inside(running, f"tickhouse {asked}")


def _in_folder(asked: str, running: Running) -> str:
    return f"tickhouse {asked} --data {shlex.quote(running.folder)}"


def _inside(running: Running, command: str) -> str:
    """In the stack: in the container that has the rights to write."""
    return f"{_DOCKER} exec keeper {command}" if running.is_compose else command


def _record(running: Running, markets: Sequence[tuple[str, str]]) -> str:
    chosen = list(markets)[:_MOST_SYMBOLS] or [("binance", "BTCUSDT")]
    venues, symbols = _once(venue for venue, _ in chosen), _once(symbol for _, symbol in chosen)
    options = [
        *(word for venue in venues for word in ("--venue", venue)),
        *(word for name in symbols for word in ("--symbol", name)),
    ]
    return _in_folder(f"local {shlex.join(options)}", running)


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))

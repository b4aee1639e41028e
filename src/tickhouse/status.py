"""`tickhouse status`: the status page's state on a terminal, or as JSON for scripts."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import httpx
import orjson
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from status_page.health import DOWN
from status_page.processes import bearer, bounded_get
from status_page.server import own_look
from tickhouse.live_status import COLOURS
from tickhouse_core.command_line import with_data_folder
from tickhouse_core.errors import TickhouseError
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.logs import errors_only
from tickhouse_core.settings import StatusSettings, WarehouseSettings, read
from tickhouse_core.sql_door.serving import sharing_sql

_REFRESH_SECONDS = 2.0
_EVENTS = 8
_MOST_BYTES = 32 * 1024 * 1024

State = dict[str, Any]


@contextmanager
def looking(url: str | None) -> Iterator[Callable[[], State]]:
    """Reads the page at `url`; else, with the embedded engine, a page on this machine; else polls by itself.

    The page comes first there because one process at a time may hold the engine's folder.
    """
    settings = read(StatusSettings)
    usual = f"http://127.0.0.1:{settings.port}"
    if url is not None:
        yield lambda: _ask(url)
    elif read(WarehouseSettings).path is not None and _answers(usual):
        yield lambda: _ask(usual)
    else:
        with sharing_sql(read(WarehouseSettings)), own_look(settings) as poller:
            yield lambda: orjson.loads(poller.poll())


def drawn(state: State) -> RenderableType:
    """The state as tables for a terminal."""
    road = Table("stage", "verdict", "age", "", title=f"tickhouse: {_coloured(state['verdict'])}  {escape(_overall(state))}")
    for stage, words in _stages(state):
        age = "–" if stage["age_seconds"] is None else f"{stage['age_seconds']:,.1f} s"
        road.add_row(stage["name"], _coloured(stage["verdict"]), age, escape(words))
    queues = Table("queue", "waiting", "in flight", "dead letters")
    for queue in state["queues"]:
        dead = f"[red]{queue['dead']:,}[/]" if queue["dead"] else "0"
        queues.add_row(queue["name"], f"{queue['waiting']:,}", f"{queue['in_flight']:,}", dead)
    parts: list[RenderableType] = [road, queues]
    if limits := [*_limits(state)]:
        parts.append(Table.grid(padding=(0, 2)))
        for name, words in limits:
            parts[-1].add_row(name, words)  # type: ignore[union-attr]  # the grid of the line above
    events = Table("when", "market", "event", "cause", "detail")
    for at, venue, symbol, channel, _, event, cause, detail, *_ in state["events"][:_EVENTS]:
        when = datetime.fromtimestamp(at / 1e6).astimezone().strftime("%H:%M:%S")  # as this machine's clock
        events.add_row(when, " ".join(filter(None, (venue, symbol, channel))), event, cause, escape(detail[:60]))
    return Group(*parts, events)


def plain(state: State) -> str:
    """One line per fact, tab-separated, where stdout is no terminal."""
    lines = [f"overall\t{state['verdict']}\t\t{_overall(state)}"]
    for stage, words in _stages(state):
        age = "" if stage["age_seconds"] is None else f"{stage['age_seconds']:.1f}"
        lines.append(f"{stage['name']}\t{stage['verdict']}\t{age}\t{words}")
    for queue in state["queues"]:
        words = f"{queue['waiting']} waiting, {queue['in_flight']} in flight, {queue['dead']} dead letters"
        lines.append(f"{queue['name']}\t\t\t{words}")
    return "\n".join(lines)


def _overall(state: State) -> str:
    """The page's words; the names alone of stages that say theirs themselves below."""
    told = [stage["name"] for stage in state["stages"] if f"{stage['name']}: {stage['words']}" in state["words"]]
    return f"see {', '.join(told)}" if told else str(state["words"])


def _stages(state: State) -> Iterator[tuple[State, str]]:
    """Each with its words; what an earlier one said is not said again."""
    told: dict[str, str] = {}
    for stage in state["stages"]:
        words = stage["words"]
        yield stage, f"see {told[words]}" if words in told and stage["verdict"] == DOWN else words
        told.setdefault(words, stage["name"])


def _limits(state: State) -> Iterator[tuple[str, str]]:
    for one in state["weights"]:
        yield f"request weight, {one['process']} {one['venue']}", f"{one['used']:,.0f} of {one['limit']:,.0f}"
    for one in state["spools"]:
        yield f"spool, {one['venue']} {one['instance']}", f"{one['bytes'] / 1e6:,.1f} MB"
    for one in state["processes"]:
        yield one["name"], "[green]ready[/]" if not one["trouble"] else f"[red]not ready[/]: {escape(one['trouble'][0])}"


def _coloured(verdict: str) -> str:
    return f"[{COLOURS[verdict]}]{verdict}[/]"


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _ask(url: str) -> State:
    try:
        with httpx.Client(timeout=20, trust_env=False) as client:
            status, body = bounded_get(client, f"{url.rstrip('/')}/api/status", _MOST_BYTES, bearer(read(StatusSettings)))
        if status == 401:
            raise TickhouseError(f"status page at {url} needs its token: set STATUS_TOKEN")
        if status != 200:
            raise ValueError(f"it answers {status}")
        state: State = orjson.loads(body)
    except (httpx.HTTPError, ValueError) as error:
        why = str(error) or "no answer"
        raise TickhouseError(f"status page at {url}: {why}; is it running? `tickhouse page` starts it") from error
    return state


@with_data_folder(reads=True)
def main(
    json: Annotated[bool, typer.Option("--json", help="One JSON document, for scripts.")] = False,
    once: Annotated[bool, typer.Option("--once", help="On a terminal: show it once instead of live.")] = False,
    url: Annotated[str | None, typer.Option(help="Read this status page instead of polling.")] = None,
) -> None:
    """Show how fresh every stage is, queues, limits and events: live on a terminal; exit 1 if something is broken."""

    def work() -> None:
        with stop_on_signals() as stop, errors_only("status_page.poller"), looking(url) as look:  # the state says what fails
            state = look()
            if json:
                print(orjson.dumps(state, option=orjson.OPT_INDENT_2).decode(), flush=True)
            elif not sys.stdout.isatty():
                print(plain(state), flush=True)
            elif once:
                Console().print(drawn(state))
            else:
                with Live(drawn(state), auto_refresh=False, screen=False) as live:
                    while not stop.wait(_REFRESH_SECONDS):
                        live.update(drawn(look()), refresh=True)
                return
        if state["verdict"] == DOWN:
            raise TickhouseError(f"tickhouse is down: {_overall(state)}")

    run_command(work)

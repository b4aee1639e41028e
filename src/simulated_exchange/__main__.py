"""`python -m simulated_exchange`: the command. Exit 0 when stopped by a signal, 2 for bad usage (one line says why)."""

import asyncio
import math
import sys
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from simulated_exchange.config import ExchangeConfig, parse_instant
from simulated_exchange.server.faults import parse_fault
from simulated_exchange.server.paced import Start
from simulated_exchange.variables import variables_of
from tickhouse_core.errors import TickhouseError
from tickhouse_core.starting import leave_out_pandas


class ReplayEnd(StrEnum):
    """What happens when a lake has been replayed to its end."""

    STAY = "stay"
    EXIT = "exit"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def simulated_exchange(
    port: Annotated[int, typer.Option(help="Port; 0: any free port, which the first line of the output names.")] = 8090,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="The same seed gives the same market.")] = 1,
    pace: Annotated[int, typer.Option(help="Factor of orders and trades: 15 is a busy market.")] = 1,
    symbols: Annotated[int, typer.Option(help="Number of listed symbols.")] = 10,
    replay: Annotated[list[Path] | None, typer.Option(help="Recorded klines or sockets (.jsonl, .jsonl.gz); repeats.")] = None,
    replay_lake: Annotated[str, typer.Option(help="Data folder or s3://bucket whose recording is replayed.")] = "",
    start: Annotated[str | None, typer.Option("--from", help="Start of the replayed range, ISO 8601.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End of the replayed range, ISO 8601.")] = None,
    speed: Annotated[
        str | None,
        typer.Option("--speed", "--replay-speed", help="Factor of the recorded pace (1); max: as fast as readers read."),
    ] = None,
    replay_end: Annotated[
        ReplayEnd | None, typer.Option(help="At the end of the lake: keep running (default), or close the sockets and exit.")
    ] = None,
    replay_start: Annotated[
        Start | None,
        typer.Option(help="Start after any subscription (default), after all, by the control endpoint, or immediately."),
    ] = None,
    now: Annotated[str | None, typer.Option(help="Start of the exchange's clock, ISO 8601.")] = None,
    time_scale: Annotated[float, typer.Option(help="Factor of the exchange's clock, limits included.")] = 1.0,
    weight_limit: Annotated[int, typer.Option(help="REQUEST_WEIGHT per minute.")] = 6_000,
    latency_ms: Annotated[int, typer.Option(help="Delay of every answer, in ms.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="KIND[@PATH][:COUNT[:PROBABILITY[:VALUE]]], for sockets KIND[@STREAM][…[:VALUE[:NUMBERS]]]; repeats."),
    ] = None,
    variables: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Print, for a shell, the variables that point tickhouse to an exchange there, and exit."
        ),
    ] = None,
) -> None:
    """A Binance- and KuCoin-compatible exchange for tests and demos."""
    if variables is not None:
        return _print_variables(variables)
    if find_spec("aiohttp") is None:
        _leave("the simulated exchange needs aiohttp: install the extra, pip install 'tickhouse[embedded]'")

    try:
        if not (replay or replay_lake):
            _refuse_given({"--speed": speed, "--replay-start": replay_start}, "--replay and --replay-lake")
        if not replay_lake:
            _refuse_given({"--replay-end": replay_end}, "--replay-lake")
        config = ExchangeConfig(
            host=host,
            port=port,
            seed=seed,
            symbols=symbols,
            pace=pace,
            replay=tuple(replay or ()),
            replay_lake=replay_lake,
            replay_from=_instant_us("--from", start),
            replay_to=_instant_us("--to", end),
            replay_speed=_speed("1" if speed is None else speed),
            replay_start=replay_start or Start.ANY,
            now=parse_instant(now) if now else None,
            time_scale=time_scale,
            weight_limit=weight_limit,
            latency_ms=latency_ms,
            faults=tuple(map(parse_fault, fault or ())),
        )
        serve = import_module("simulated_exchange.app").serve
        asyncio.run(serve(config, ends_with_replay=replay_end is ReplayEnd.EXIT))
    except (ValueError, OSError, TickhouseError) as error:
        _leave(str(error))


def _print_variables(url: str) -> None:
    try:
        for name, address in variables_of(url).items():
            print(f"export {name}={quote(address)}")
    except ValueError as error:
        _leave(f"--variables: {error}")


def _refuse_given(options: dict[str, str | None], of: str) -> None:
    """ValueError for one that would be without effect."""
    for option, value in options.items():
        if value is not None:
            raise ValueError(f"{option} is of {of}")


def _instant_us(option: str, text: str | None) -> int | None:
    """ValueError if it is none."""
    try:
        return None if text is None else parse_instant(text) * 1_000
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error


def _speed(text: str) -> float:
    """ValueError if it is no number."""
    try:
        speed = 0.0 if text == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not 0 <= speed < math.inf:
        raise ValueError(f"--speed {text!r}: a number such as 1 or 10, or max")
    return speed


def _leave(reason: str) -> None:
    print(f"simulated_exchange: {reason}", file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    leave_out_pandas()
    app(prog_name="simulated_exchange")

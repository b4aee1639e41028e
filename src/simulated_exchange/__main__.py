"""`python -m simulated_exchange`: the command. Exit 0 when stopped by a signal, 2 for bad usage (one line says why)."""

import asyncio
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from simulated_exchange.config import ExchangeConfig, parse_instant
from simulated_exchange.server.http_faults import parse_fault
from simulated_exchange.server.paced import Start
from tickhouse_core.errors import TickhouseError
from tickhouse_core.starting import leave_out_pandas

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def simulated_exchange(
    port: Annotated[int, typer.Option(help="0 = any free port; the first line printed names it")] = 8090,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="the same seed is the same market")] = 1,
    symbols: Annotated[int, typer.Option(help="how many symbols are listed")] = 10,
    replay: Annotated[list[Path] | None, typer.Option(help="recorded klines or sockets (.jsonl, .jsonl.gz); repeats")] = None,
    replay_speed: Annotated[float, typer.Option(help="times the recorded pace; 0 = as fast as readers take it")] = 1.0,
    replay_start: Annotated[
        Start, typer.Option(help="on any subscription, on all of them, or by the control endpoint")
    ] = Start.ANY,
    now: Annotated[str | None, typer.Option(help="ISO instant at which the exchange's clock starts")] = None,
    time_scale: Annotated[float, typer.Option(help="the exchange's clock runs so many times as fast, limits included")] = 1.0,
    weight_limit: Annotated[int, typer.Option(help="REQUEST_WEIGHT per minute")] = 6_000,
    latency_ms: Annotated[int, typer.Option(help="every answer is held back this long")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="KIND[@PATH][:COUNT[:PROBABILITY[:VALUE]]], of sockets KIND[@STREAM][…[:VALUE[:NUMBERS]]]; repeats"),
    ] = None,
) -> None:
    """A Binance- and KuCoin-compatible exchange for tests and demos."""
    if find_spec("aiohttp") is None:
        _leave("the simulated exchange needs aiohttp: install the extra, pip install 'tickhouse[embedded]'")

    try:
        config = ExchangeConfig(
            host=host,
            port=port,
            seed=seed,
            symbols=symbols,
            replay=tuple(replay or ()),
            replay_speed=replay_speed,
            replay_start=replay_start,
            now=parse_instant(now) if now else None,
            time_scale=time_scale,
            weight_limit=weight_limit,
            latency_ms=latency_ms,
            faults=tuple(map(parse_fault, fault or ())),
        )
        asyncio.run(import_module("simulated_exchange.app").serve(config))
    except (ValueError, OSError, TickhouseError) as error:
        _leave(str(error))


def _leave(reason: str) -> None:
    print(f"simulated_exchange: {reason}", file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    leave_out_pandas()
    app(prog_name="simulated_exchange")

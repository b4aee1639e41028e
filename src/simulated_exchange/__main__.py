"""`python -m simulated_exchange`: the command. Exit 0 when stopped by a signal, 2 for bad usage (one line says why)."""

import asyncio
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.control import parse_halt, parse_instant
from simulated_exchange.faults import parse_fault

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def simulated_exchange(
    port: Annotated[int, typer.Option(help="0 = any free port; the first line printed names it")] = 8090,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="the same seed is the same market")] = 1,
    symbols: Annotated[int, typer.Option(help="how many symbols are listed")] = 10,
    replay: Annotated[list[Path] | None, typer.Option(help="recorded klines (.jsonl, .jsonl.gz); repeats")] = None,
    now: Annotated[str | None, typer.Option(help="ISO instant at which the exchange's clock starts")] = None,
    weight_limit: Annotated[int, typer.Option(help="REQUEST_WEIGHT per minute")] = 6_000,
    latency_ms: Annotated[int, typer.Option(help="every answer is held back this long")] = 0,
    latency_jitter_ms: Annotated[int, typer.Option(help="and up to this much longer")] = 0,
    fault: Annotated[list[str] | None, typer.Option(help="KIND[@PATH][:COUNT[:PROBABILITY[:VALUE]]]; repeats")] = None,
    halt: Annotated[list[str] | None, typer.Option(help="SYMBOL=FROM/TO, ISO: no klines there; repeats")] = None,
) -> None:
    """A Binance-compatible exchange for tests and demos."""
    if find_spec("aiohttp") is None:
        _leave("the simulated exchange needs aiohttp: install the extra, pip install 'tickhouse[embedded]'")

    try:
        config = ExchangeConfig(
            host=host,
            port=port,
            seed=seed,
            symbols=symbols,
            replay=tuple(replay or ()),
            now=parse_instant(now) if now else None,
            weight_limit=weight_limit,
            latency_ms=latency_ms,
            latency_jitter_ms=latency_jitter_ms,
            faults=tuple(map(parse_fault, fault or ())),
            halts=tuple(map(parse_halt, halt or ())),
        )
        asyncio.run(import_module("simulated_exchange.server").serve(config))
    except (ValueError, OSError) as error:
        _leave(str(error))


def _leave(reason: str) -> None:
    print(f"simulated_exchange: {reason}", file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    app(prog_name="simulated_exchange")

"""`python -m simulated_exchange`: the command. Exit 0 when stopped by a signal, 2 for bad usage (one line says why)."""

import asyncio
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from simulated_exchange.config import ExchangeConfig, parse_halt, parse_instant
from simulated_exchange.server.http_faults import parse_fault
from simulated_exchange.server.paced import Start
from simulated_exchange.server.socket_limits import SocketLimits
from tickhouse_core.errors import TickhouseError
from tickhouse_core.starting import leave_out_pandas

LIMITS = SocketLimits()

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
    latency_jitter_ms: Annotated[int, typer.Option(help="and up to this much longer")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="KIND[@PATH][:COUNT[:PROBABILITY[:VALUE]]], of sockets KIND[@STREAM][…[:VALUE[:NUMBERS]]]; repeats"),
    ] = None,
    halt: Annotated[list[str] | None, typer.Option(help="SYMBOL=FROM/TO, ISO: no klines there; repeats")] = None,
    ping_seconds: Annotated[float, typer.Option(help="between two pings of a socket")] = LIMITS.ping_seconds,
    pong_seconds: Annotated[float, typer.Option(help="a client may take for a pong")] = LIMITS.pong_seconds,
    connection_life_seconds: Annotated[float, typer.Option(help="then a socket is closed")] = LIMITS.life_seconds,
    shutdown_notice_seconds: Annotated[float, typer.Option(help="serverShutdown so long before; 0 = none")] = 0.0,
    connect_limit: Annotated[int, typer.Option(help="sockets per address in 5 minutes")] = LIMITS.connects_per_five_minutes,
    send_buffer_bytes: Annotated[int, typer.Option(help="a reader with more waiting is cut off")] = LIMITS.send_buffer_bytes,
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
            sockets=SocketLimits(
                connects_per_five_minutes=connect_limit,
                ping_seconds=ping_seconds,
                pong_seconds=pong_seconds,
                life_seconds=connection_life_seconds,
                notice_seconds=shutdown_notice_seconds,
                send_buffer_bytes=send_buffer_bytes,
            ),
            latency_ms=latency_ms,
            latency_jitter_ms=latency_jitter_ms,
            faults=tuple(map(parse_fault, fault or ())),
            halts=tuple(map(parse_halt, halt or ())),
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

"""The backfiller's command: `python -m extract_process.klines --symbol BTCUSDT`."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from extract_process.backfill import Backfill, BackfillOptions, Source
from extract_process.ban_memory import BanMemory
from extract_process.binance.archive import BinanceArchive
from extract_process.binance.messages import INTERVALS, VENUE
from extract_process.binance.rest_api import BinanceRest
from extract_process.weight_budget import WeightBudget
from pipeline.errors import UsageError
from pipeline.lifecycle import StopRequest, run_command, stop_on_signals
from pipeline.logs import console
from pipeline.object_store import ObjectStore
from pipeline.settings import BinanceSettings, LakeSettings, SpoolSettings, read
from pipeline.timestamps import format_instant, now_us, parse_instant

log = logging.getLogger(__name__)

_FIRST_LIMIT = 1_200
"""Weight a minute before exchangeInfo has told the real limit: the lowest the venue ever had."""


def run_backfill(symbols: list[str], options: BackfillOptions, stop: StopRequest) -> Backfill:
    """Runs to the end and returns the backfill with its report and request tally. Errors: see `Backfill.run`."""

    async def run() -> Backfill:
        async with _backfill(options) as backfill:
            await backfill.run(symbols, stop)
        return backfill

    return asyncio.run(run())


async def _run_shown(symbols: list[str], options: BackfillOptions, stop: StopRequest) -> None:
    """The same with progress while it runs and a summary however it ends, except where nothing was begun."""
    async with _backfill(options) as backfill:
        display = asyncio.create_task(_show(backfill))
        began = time.monotonic()
        try:
            await backfill.run(symbols, stop)
        finally:
            display.cancel()
            await asyncio.wait([display])  # the bar is gone before the summary comes
            if not isinstance(sys.exception(), UsageError):
                print_summary(backfill, time.monotonic() - began)


@asynccontextmanager
async def _backfill(options: BackfillOptions) -> AsyncIterator[Backfill]:
    """The parts of one run, as the environment names them."""
    venue = read(BinanceSettings)
    connections = options.concurrency + 1
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    timeout = httpx.Timeout(30, connect=5, pool=None)
    bans = BanMemory(read(SpoolSettings).folder, VENUE, _host(venue.rest_url))
    if (ban := bans.remembered(now_us())) is not None:
        raise ban
    store = ObjectStore(read(LakeSettings).bucket)
    async with (
        httpx.AsyncClient(base_url=venue.rest_url, limits=limits, timeout=timeout) as rest_client,
        httpx.AsyncClient(base_url=venue.archive_url, limits=limits, timeout=timeout) as archive_client,
    ):
        rest = BinanceRest(rest_client, WeightBudget(_FIRST_LIMIT), bans)
        yield Backfill(rest, BinanceArchive(archive_client), store, options)


def _host(url: str) -> str:
    """Name and port, never user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


async def _show(backfill: Backfill) -> None:
    """A progress bar on a terminal, a log line every ten seconds elsewhere."""
    report, rest = backfill.report, backfill.rest
    if not console.is_terminal:
        while True:
            await asyncio.sleep(10)
            log.info(
                "backfilling",
                extra={"received": report.rows_received, "missing": report.rows_missing, "weight": rest.tally.weight},
            )
    columns = (
        TextColumn("klines"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:,.0f} rows/s", style="cyan"),
        TextColumn("weight {task.fields[used]}/{task.fields[limit]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("klines", total=None, used=0, limit=0)
        while True:
            done = report.rows_received + report.rows_without_data
            budget = rest.budget
            progress.update(task, completed=done, total=report.rows_missing or None, used=budget.used_weight, limit=budget.limit)
            await asyncio.sleep(0.2)


def print_summary(backfill: Backfill, seconds: float) -> None:
    """What was done, one figure a line, on stdout."""
    report, tally = backfill.report, backfill.rest.tally
    figures = {
        "rows wanted": report.rows_wanted,
        "rows missing before": report.rows_missing,
        "rows received": report.rows_received,
        "rows landed": report.rows_landed,
        "rows the venue has not": report.rows_without_data,
        "gaps recorded": report.gaps,
        "disagreements": report.disagreements,
        "month objects written": report.months_landed,
        "requests": tally.requests,
        "klines requests": tally.by_path.get("/api/v3/klines", 0),
        "archive downloads": backfill.archive.requests,
        "weight": tally.weight,
        "asked again": tally.retries,
        "rate limited (429)": tally.rate_limited,
    }
    for name, figure in figures.items():
        print(f"{name:>24}  {figure:,}")
    print(f"{'seconds':>24}  {seconds:,.1f}", flush=True)


def main(
    symbol: Annotated[list[str], typer.Option(help="Market as the venue spells it, for example BTCUSDT; repeats.")],
    interval: Annotated[str, typer.Option(help=f"One of {', '.join(INTERVALS)}.")] = "1m",
    start: Annotated[str, typer.Option(help="First open time, ISO 8601, UTC.")] = "2024-01-01",
    end: Annotated[str | None, typer.Option(help="Open times before this, ISO 8601, UTC; default now.")] = None,
    venue: Annotated[str, typer.Option(help="The exchange.")] = VENUE,
    source: Annotated[str, typer.Option(help="rest, archive (bulk files) or auto (archive for finished months).")] = "rest",
    recheck: Annotated[bool, typer.Option("--recheck", help="Ask for everything again and report what differs.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Requests under way at once.")] = 16,
) -> None:
    """Complete the lake's klines: asks the venue only for what is missing and lands it as Parquet, month by month."""

    def work() -> None:
        options = BackfillOptions(
            interval=_one_of("--interval", interval, INTERVALS),
            start_us=_instant("--start", start),
            end_us=None if end is None else _instant("--end", end),
            source=_source(source),
            concurrency=concurrency,
            recheck=recheck,
        )
        _one_of("--venue", venue, (VENUE,))
        _check_range(options)
        with stop_on_signals() as stop:
            asyncio.run(_run_shown(symbol, options, stop))

    run_command(work)


def _check_range(options: BackfillOptions) -> None:
    if options.start_us > now_us():
        raise UsageError(f"--start {format_instant(options.start_us)} is in the future: there are no klines yet")
    if options.end_us is not None and options.end_us <= options.start_us:
        raise UsageError(f"--end {format_instant(options.end_us)} is not after --start {format_instant(options.start_us)}")


def _instant(name: str, text: str) -> int:
    try:
        return parse_instant(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{name} {text!r} is no instant: write 2024-01-01 or 2024-01-01T12:30") from None


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise UsageError(f"{name} {value!r}: choose from {', '.join(known)}")
    return value


def _source(value: str) -> Source:
    _one_of("--source", value, ("rest", "archive", "auto"))
    return value  # type: ignore[return-value]  # checked on the line above


if __name__ == "__main__":
    typer.run(main)

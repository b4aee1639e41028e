"""The backfiller's command: `python -m extract_process.klines --symbol BTCUSDT`."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from extract_process.backfill.plan import BackfillOptions, BackfillReport, Source
from extract_process.markets import named_or_active
from extract_process.shards import shard_named
from extract_process.venues import DEFAULT_VENUE, Venue, venue_named, venue_names
from tickhouse_core.command_line import instant, one_of, print_figures, with_data_folder
from tickhouse_core.errors import UsageError
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.logs import console, status_shown
from tickhouse_core.settings import LakeSettings, SpoolSettings, read
from tickhouse_core.starting import start
from tickhouse_core.timestamps import format_instant, now_us

if TYPE_CHECKING:  # what runs a backfill is imported when it runs: --help and a wrong option need none of it
    from extract_process.backfill.runner import Backfill

log = logging.getLogger(__name__)


def run_backfill(
    symbols: list[str],
    options: BackfillOptions,
    stop: StopRequest,
    on_begin: Callable[[BackfillReport], object] = lambda report: None,
) -> "Backfill":
    """Runs to the end and returns the backfill with its report and request tally. Errors: see `Backfill.run`.

    `on_begin` gets the report that counts while it runs.
    """

    async def run() -> "Backfill":
        async with _backfill(options) as backfill:
            on_begin(backfill.report)
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
            if not display.cancelled():
                display.result()
            failure = sys.exception()
            if failure is None or (backfill.rest.client.tally.requests and not isinstance(failure, UsageError)):
                print_summary(backfill, time.monotonic() - began)


@asynccontextmanager
async def _backfill(options: BackfillOptions) -> AsyncIterator["Backfill"]:
    """The parts of one run, as the environment names them."""
    from extract_process.backfill.runner import Backfill
    from tickhouse_core.lake import open_lake

    venue, connections = venue_named(options.venue), options.concurrency + 1
    store = open_lake()
    store.check_access()  # before the venue is asked: without a lake all answers are for nothing
    archives = nullcontext() if venue.open_archive is None else venue.open_archive(connections)
    async with venue.open_rest(read(SpoolSettings).folder, connections) as rest, archives as archive:
        yield Backfill(venue, rest, archive, store, options)


async def _show(backfill: "Backfill") -> None:
    """A progress bar on a terminal, a log line every ten seconds elsewhere."""
    report, rest = backfill.report, backfill.rest
    if not console.is_terminal:
        while True:
            await asyncio.sleep(10)
            log.info(
                "backfilling",
                extra={"received": report.rows_received, "missing": report.rows_missing, "weight": rest.client.tally.weight},
            )
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        """The library's own figure is None until there are two of them."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:,.0f} rows/s", style="cyan")

    columns = (
        TextColumn("klines"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TextColumn("weight {task.fields[used]}/{task.fields[limit]}"),
        TimeRemainingColumn(),
    )
    with status_shown(), Progress(*columns, console=console) as progress:
        task = progress.add_task("klines", total=None, used=0, limit=0)

        def update() -> None:
            done = report.rows_received + report.rows_without_data
            limit = rest.client.limit
            progress.update(task, completed=done, total=report.rows_missing or None, used=limit.used_weight, limit=limit.limit)

        try:
            while True:
                update()
                await asyncio.sleep(0.2)
        finally:
            update()


def print_summary(backfill: "Backfill", seconds: float) -> None:
    """What was done, one figure a line, on stdout."""
    report, tally = backfill.report, backfill.rest.client.tally
    figures = {
        "rows wanted": report.rows_wanted,
        "rows missing before": report.rows_missing,
        "rows received": report.rows_received,
        "rows landed": report.rows_landed,
        "rows the venue has not": report.rows_without_data,
        "rows missing unproven": report.rows_unproven,
        "gaps recorded": report.gaps,
        "disagreements": report.disagreements,
        "month objects written": report.months_landed,
        "requests": tally.requests,
        "klines requests": tally.klines,
        "archive downloads": backfill.archive.requests if backfill.archive else 0,
        "archive files unusable": report.unusable_files,
        "weight": tally.weight,
        "asked again": tally.retries,
        "rate limited (429)": tally.rate_limited,
    }
    print_figures(figures, seconds, width=24)


@with_data_folder()
def main(
    symbol: Annotated[
        list[str] | None, typer.Option(help="Symbol in the venue's spelling, such as BTCUSDT; repeats. Default: ACTIVE_SYMBOLS.")
    ] = None,
    interval: Annotated[str, typer.Option(help="Length of a kline, for example 1m, 1h or 1d, if the venue has it.")] = "1m",
    start: Annotated[str, typer.Option(help="First open time, ISO 8601, UTC.")] = "2024-01-01",
    end: Annotated[str | None, typer.Option(help="Open times before this, ISO 8601, UTC; default now.")] = None,
    venue: Annotated[str, typer.Option(help=f"The exchange: {', '.join(venue_names())}.")] = DEFAULT_VENUE,
    source: Annotated[str, typer.Option(help="rest, archive (bulk files) or auto (archive for finished months).")] = "rest",
    recheck: Annotated[bool, typer.Option("--recheck", help="Request everything again and report what differs.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Concurrent requests.")] = 16,
    shard: Annotated[
        str | None, typer.Option(help="Part of the symbols, such as 2/4: four processes with 1/4 to 4/4 have all of them.")
    ] = None,
) -> None:
    """Complete the lake's klines: requests only what is missing and writes it as Parquet, month by month."""

    def work() -> None:
        exchange = venue_named(venue)
        options = BackfillOptions(
            venue=venue,
            interval=one_of("--interval", interval, exchange.intervals),
            start_us=instant("--start", start),
            end_us=None if end is None else instant("--end", end),
            source=_source(exchange, source),
            concurrency=concurrency,
            recheck=recheck,
        )
        _check_range(options)
        part, symbols = shard_named(shard, read(LakeSettings).cell), named_or_active(symbol, venue)
        if part:
            symbols = part.part_of(venue, symbols)
        with stop_on_signals() as stop:
            asyncio.run(_run_shown(symbols, options, stop))

    run_command(work)


def _check_range(options: BackfillOptions) -> None:
    if options.start_us > now_us():
        raise UsageError(f"--start {format_instant(options.start_us)} is in the future: there are no klines yet")
    if options.end_us is not None and options.end_us <= options.start_us:
        raise UsageError(f"--end {format_instant(options.end_us)} is not after --start {format_instant(options.start_us)}")


def _source(venue: Venue, value: str) -> Source:
    one_of("--source", value, ("rest", "archive", "auto"))
    if value != "rest" and venue.open_archive is None:
        raise UsageError(f"--source {value}: {venue.name} has no bulk files, only rest")
    return value  # type: ignore[return-value]  # checked on the line above


if __name__ == "__main__":
    start(main)

"""The command for trades of bulk files, `python -m extract_process.trades`: whole days, and gaps, once or on a schedule."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from extract_process.venues import DEFAULT_VENUE, Venue, venue_named, venue_names
from tickhouse_core.command_line import instant, pause_seconds, print_figures, with_data_folder
from tickhouse_core.errors import UsageError, VenueError
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.settings import DataSettings, SpoolSettings, read
from tickhouse_core.starting import start as start_command
from tickhouse_core.timestamps import DAY_US, format_instant, now_us

if TYPE_CHECKING:  # what heals is imported when it runs: --help and a wrong option need none of it
    from extract_process.backfill.trade_days import TradeDays
    from extract_process.backfill.trade_healer import HealReport, TradeHealer
    from extract_process.venues.api import Archive
    from tickhouse_core.datasets import Dataset
    from tickhouse_core.object_store import ObjectStore
    from tickhouse_core.reading.ranges import Request

log = logging.getLogger(__name__)

_USUAL_DAYS = 30


def run_days(asked: "Request", stop: StopRequest, *, is_aggregated: bool = False, again: bool = False) -> "TradeDays":
    """Records whole days of the named symbols, and returns the run with its report.

    Errors: see `TradeDays.run`; VenueError for days that are missing.
    """
    from tickhouse_core.datasets import AGG_TRADES, TRADES

    async def run() -> "TradeDays":
        async with _days(asked, AGG_TRADES if is_aggregated else TRADES) as days:
            began = time.monotonic()
            try:
                await days.run(asked, stop, again=again)
            finally:
                print_days(days, time.monotonic() - began)
        _raise_failures(days.report.failures, "stretches of days")
        return days

    return asyncio.run(run())


@asynccontextmanager
async def _days(asked: "Request", dataset: "Dataset") -> AsyncIterator["TradeDays"]:
    from extract_process.backfill.trade_days import TradeDays
    from extract_process.backfill.trade_listing import VenueListing

    async with _opened(asked) as (venue, archive, store, folder):
        yield TradeDays(venue, archive, store, folder, dataset, VenueListing(venue, folder))


@asynccontextmanager
async def _opened(asked: "Request") -> AsyncIterator[tuple[Venue, "Archive", "ObjectStore", Path]]:
    """The venue, its files, the lake, and the folder for the file that is read. Raises UsageError for a venue without files."""
    from tickhouse_core.lake import open_lake

    venue = venue_named(asked.venue)
    open_archive = _archive_of(venue)
    store = open_lake()
    store.check_access()
    async with open_archive(1) as archive:
        yield venue, archive, store, read(SpoolSettings).folder


def _archive_of(venue: Venue) -> "Callable[[int], AbstractAsyncContextManager[Archive]]":
    if venue.open_archive is None:
        raise UsageError(f"--venue {venue.name}: it publishes no files of trades")
    return venue.open_archive


def run_healing(
    asked: "Request", stop: StopRequest, *, again: bool = False, tell: "Callable[[HealReport], object] | None" = None
) -> "TradeHealer":
    """Runs to the end and returns the healer with its report, which `tell` gets however it ends; by default it is printed.

    Errors: see `TradeHealer.run`; VenueError for unusable files, UsageError for a named symbol that the lake never had.
    """

    async def run() -> "TradeHealer":
        async with _healer(asked) as healer:
            began = time.monotonic()
            try:
                await healer.run(asked, stop, again=again)
            finally:
                if tell is None:
                    print_summary(healer, time.monotonic() - began)
                else:
                    tell(healer.report)
        _raise_failures(healer.report.failures, "files")
        return healer

    return asyncio.run(run())


@asynccontextmanager
async def _healer(asked: "Request") -> AsyncIterator["TradeHealer"]:
    from extract_process.backfill.trade_healer import TradeHealer
    from tickhouse_core.reading.known import Known

    async with _opened(asked) as (venue, archive, store, folder):
        if asked.symbols:  # one that is spelled wrongly has no gap either
            await asyncio.to_thread(Known(store).check, asked)
        yield TradeHealer(venue, archive, store, folder)


def keep_healing(venues: Sequence[str], every_seconds: float | None, stop: StopRequest) -> None:
    """Pass after pass over the gaps of these venues, until the stop. Raises UsageError for a wrong setting, before the first."""
    from extract_process.backfill.trade_schedule import ScheduledHealing
    from tickhouse_core.lake import open_lake
    from tickhouse_core.schedule import NICENESS

    for venue in map(venue_named, venues):
        _archive_of(venue)
        read(venue.settings)
    read(SpoolSettings)
    os.nice(NICENESS)
    ScheduledHealing(open_lake(), venues, partial(heal_old_gaps, stop), every_seconds, stop).run()


def heal_old_gaps(stop: StopRequest, venue: str, tell: "Callable[[HealReport], object]") -> None:
    """Gaps of the last days that are older than a day: files are published a day later. Errors: see `run_healing`."""
    from tickhouse_core.reading.ranges import Request

    end = now_us() - DAY_US
    run_healing(Request(venue, (), end - _USUAL_DAYS * DAY_US, end), stop, tell=tell)


def print_summary(healer: "TradeHealer", seconds: float) -> None:
    """What was done, one figure a line, on stdout."""
    report = healer.report
    figures = {
        "open gaps": report.gaps,
        "trades missing before": report.missing,
        "recorded by others": report.recorded,
        "trades healed": report.healed,
        "ids that are no trades": report.no_trades,
        "trades the files lack": report.lacking,
        "trades without a file yet": report.unfetched,
        "files read": report.files,
        "objects written": report.objects,
        "archive downloads": healer.archive.requests,
    }
    print_figures(figures, seconds, width=26)


def print_days(days: "TradeDays", seconds: float) -> None:
    """What was done, one figure a line, on stdout."""
    report = days.report
    figures = {
        "days wanted": report.days,
        "recorded before": report.complete,
        "days recorded": report.recorded,
        "days without a file": report.lacking,
        "days before the first trade": report.early,
        "rows recorded": report.rows,
        "gaps recorded": report.gaps,
        "trades healed": report.healed,
        "ids that are no trades": report.no_trades,
        "files read": report.files,
        "objects written": report.objects,
        "archive downloads": days.archive.requests,
    }
    print_figures(figures, seconds, width=28)


def _raise_failures(failures: list[str], what: str) -> None:
    from extract_process.backfill.stopping import in_few_words

    if failures:
        raise VenueError(in_few_words(failures, what))


@with_data_folder()
def main(
    symbol: Annotated[list[str] | None, typer.Option(help="Only this symbol; repeats. Default: all that have gaps.")] = None,
    venue: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(venue_names())}. Default: {DEFAULT_VENUE}; with --every all that publish files."),
    ] = None,
    start: Annotated[str | None, typer.Option(help="First day; or gaps since this instant, UTC, default 30 days ago.")] = None,
    end: Annotated[
        str | None, typer.Option(help="Day after the last one; or gaps before this instant, UTC, default now.")
    ] = None,
    agg_trades: Annotated[
        bool, typer.Option("--agg-trades", help="Whole days of aggregate trades (aggTrades), instead of single ones.")
    ] = False,
    gaps: Annotated[bool, typer.Option("--gaps", help="Only heal gaps, also where symbol, start and end are given.")] = False,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Also request what a published file lacked before, and days that are complete.")
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(help="Heal gaps older than a day until a signal, with this pause between passes: 1h, 1d, off."),
    ] = None,
) -> None:
    """Record trades from the exchange's bulk files, which it publishes a day later.

    With --symbol, --start and --end: every trade of these days. Without --symbol, without a range, or with --gaps:
    what is missing in gaps of recorded trades.
    """

    def heal_on_schedule(pause: str) -> None:
        _check_schedule({"--symbol": symbol, "--start": start, "--end": end, "--agg-trades": agg_trades, "--recheck": recheck})
        chosen = [venue] if venue else [name for name in venue_names() if venue_named(name).open_archive is not None]
        seconds = pause_seconds("--every", pause)
        with stop_on_signals() as stop:
            keep_healing(chosen, seconds, stop)

    def work() -> None:
        from tickhouse_core.reading.ranges import Request

        if every is not None:
            heal_on_schedule(every)
            return
        exchange = venue_named(venue or DEFAULT_VENUE)
        if symbol and not gaps:
            _check_range(start, end)
        since = now_us() - _USUAL_DAYS * DAY_US if start is None else instant("--start", start)
        until = now_us() if end is None else instant("--end", end)
        if until <= since:
            usual = f": gaps since {format_instant(since)} are looked at without --start" if start is None else ""
            raise UsageError(f"--end is not after --start{usual}: name a range")
        if not all(symbol or ()):
            raise UsageError("--symbol is empty: write it as the venue does, such as BTCUSDT")
        asked = Request(exchange.name, tuple(dict.fromkeys(symbol or ())), since, until)
        is_whole = bool(symbol) and start is not None and end is not None
        if agg_trades and (gaps or not is_whole):
            raise UsageError("--agg-trades records whole days: name --symbol, --start and --end, and no --gaps")
        with stop_on_signals() as stop:
            if is_whole and not gaps:
                _check_days(asked)
                run_days(asked, stop, is_aggregated=agg_trades, again=recheck)
            else:
                run_healing(asked, stop, again=recheck)

    run_command(work)


def _check_schedule(others: Mapping[str, object]) -> None:
    """Raises UsageError for options of a single run, and for a data folder, which nothing loads while this runs."""
    given = [option for option, value in others.items() if value not in (None, False, [])]
    if given:
        raise UsageError(f"--every heals all open gaps of the last {_USUAL_DAYS} days: leave {', '.join(given)} out")
    if read(DataSettings).folder is not None:
        raise UsageError("--every in a data folder: `tickhouse local` heals it by itself; without --every this is done once")


def _check_range(start: str | None, end: str | None) -> None:
    """Raises UsageError for half a range of a symbol: days are wanted, or gaps."""
    if (start is None) != (end is None):
        given, missing = ("--start", "--end") if end is None else ("--end", "--start")
        raise UsageError(f"--symbol and {given} without {missing}: add {missing} for whole days, or --gaps to heal gaps only")


def _check_days(asked: "Request") -> None:
    """Raises UsageError for what no file can have."""
    for option, at in (("--start", asked.start), ("--end", asked.end)):
        if at % DAY_US:
            raise UsageError(f"{option} {format_instant(at)}: files have whole days of UTC, so name a day: 2024-01-31")
    if asked.start // DAY_US >= now_us() // DAY_US:
        raise UsageError(f"--start {format_instant(asked.start)}: this day is not over, and its file comes on the next one")


if __name__ == "__main__":
    start_command(main)

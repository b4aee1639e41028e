"""The command that heals gaps of trades: `python -m extract_process.trades --venue binance`."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from extract_process.venues import DEFAULT_VENUE, Venue, venue_named, venue_names
from tickhouse_core.command_line import instant, print_figures, with_data_folder
from tickhouse_core.errors import UsageError, VenueError
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.settings import SpoolSettings, read
from tickhouse_core.starting import start as start_command
from tickhouse_core.timestamps import DAY_US, now_us

if TYPE_CHECKING:  # what heals is imported when it runs: --help and a wrong option need none of it
    from extract_process.backfill.trade_healer import HealReport, TradeHealer
    from tickhouse_core.reading.ranges import Request

_USUAL_DAYS = 30


def run_healing(asked: "Request", stop: StopRequest, *, again: bool = False) -> "TradeHealer":
    """Runs to the end and returns the healer with its report.

    Errors: see `TradeHealer.run`; VenueError for unusable files, UsageError for a named symbol that the lake never had.
    """

    async def run() -> "TradeHealer":
        async with _healer(venue_named(asked.venue), asked) as healer:
            began = time.monotonic()
            try:
                await healer.run(asked, stop, again=again)
            finally:
                print_summary(healer, time.monotonic() - began)
        _raise_failures(healer.report)
        return healer

    return asyncio.run(run())


@asynccontextmanager
async def _healer(venue: Venue, asked: "Request") -> AsyncIterator["TradeHealer"]:
    from extract_process.backfill.trade_healer import TradeHealer
    from tickhouse_core.lake import open_lake
    from tickhouse_core.reading.known import Known

    if venue.open_archive is None:
        raise UsageError(f"--venue {venue.name}: it publishes no files of trades, so their gaps cannot be healed later")
    store = open_lake()
    store.check_access()
    if asked.symbols:  # one that is spelled wrongly has no gap either
        await asyncio.to_thread(Known(store).check, asked)
    async with venue.open_archive(1) as archive:
        yield TradeHealer(venue, archive, store, read(SpoolSettings).folder)


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


def _raise_failures(report: "HealReport") -> None:
    from extract_process.backfill.stopping import in_few_words

    if report.failures:
        raise VenueError(in_few_words(report.failures, "files"))


@with_data_folder()
def main(
    symbol: Annotated[list[str] | None, typer.Option(help="Only this symbol; repeats. Default: all that have gaps.")] = None,
    venue: Annotated[str, typer.Option(help=f"The exchange: {', '.join(venue_names())}.")] = DEFAULT_VENUE,
    start: Annotated[str | None, typer.Option(help="Gaps since this instant, ISO 8601, UTC; default 30 days ago.")] = None,
    end: Annotated[str | None, typer.Option(help="Gaps before this instant, ISO 8601, UTC; default now.")] = None,
    recheck: Annotated[bool, typer.Option("--recheck", help="Also request what a published file lacked before.")] = False,
) -> None:
    """Heal gaps of recorded trades from the exchange's bulk files, which it publishes a day later."""

    def work() -> None:
        from tickhouse_core.reading.ranges import Request

        exchange = venue_named(venue)
        since = now_us() - _USUAL_DAYS * DAY_US if start is None else instant("--start", start)
        until = now_us() if end is None else instant("--end", end)
        if until <= since:
            raise UsageError("--end is not after --start: name a range")
        asked = Request(exchange.name, tuple(dict.fromkeys(symbol or ())), since, until)
        with stop_on_signals() as stop:
            run_healing(asked, stop, again=recheck)

    run_command(work)


if __name__ == "__main__":
    start_command(main)

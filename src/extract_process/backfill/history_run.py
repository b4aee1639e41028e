"""One run of a futures history as a command has it: lake and venue of the environment, and a summary however it ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from extract_process.backfill.history import MOST_SYMBOLS, History, HistoryBackfill
from extract_process.venues import venue_named, venue_names
from tickhouse_core.command_line import print_figures
from tickhouse_core.errors import UsageError
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import SpoolSettings, read
from tickhouse_core.timestamps import format_instant, now_us


def run_history(
    venue: str,
    history: History,
    symbols: Sequence[str],
    start_us: int,
    end_us: int | None,
    stop: StopRequest,
    *,
    recheck: bool = False,
) -> HistoryBackfill:
    """Runs to the end, prints a summary, and returns the backfill with its report. Errors: see `HistoryBackfill.run`."""
    if start_us > now_us():
        raise UsageError(f"--start {format_instant(start_us)} is in the future: there is nothing yet")
    if end_us is not None and end_us <= start_us:
        raise UsageError(f"--end {format_instant(end_us)} is not after --start {format_instant(start_us)}")

    async def run() -> HistoryBackfill:
        async with _backfill(venue, history, recheck=recheck) as backfill:
            began = time.monotonic()
            try:
                await backfill.run(symbols, start_us, end_us, stop)
            finally:
                if backfill.report.slots_wanted or backfill.report.too_old:
                    print_summary(backfill, time.monotonic() - began)
        return backfill

    return asyncio.run(run())


@asynccontextmanager
async def _backfill(name: str, history: History, *, recheck: bool) -> AsyncIterator[HistoryBackfill]:
    venue = venue_named(name)
    if venue.open_history is None:
        having = [other for other in venue_names() if venue_named(other).open_history is not None]
        raise UsageError(f"--venue {name}: it has no {history.channel.replace('_', ' ')}; choose from {', '.join(having)}")
    store = open_lake()
    store.check_access()  # before the venue is asked: without a lake all answers are for nothing
    async with venue.open_history(read(SpoolSettings).folder, MOST_SYMBOLS) as rest:
        yield HistoryBackfill(name, history, rest, store, recheck=recheck)


def print_summary(backfill: HistoryBackfill, seconds: float) -> None:
    """What was done, one figure a line, on stdout."""
    report, tallies = backfill.report, backfill.rest.tallies
    figures = {
        "instants wanted": report.slots_wanted,
        "not requested before": report.slots_missing,
        "rows landed": report.rows_landed,
        "gaps recorded": report.gaps,
        "disagreements": report.differences,
        "month objects written": report.months_landed,
        "instants too old": report.too_old,
        "requests": sum(tally.requests for tally in tallies),
        "asked again": sum(tally.retries for tally in tallies),
        "rate limited (429)": sum(tally.rate_limited for tally in tallies),
    }
    print_figures(figures, seconds, width=24)

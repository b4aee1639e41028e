"""`tickhouse compact`: one object per dataset, venue, symbol and day; the objects that it was made of go after a while."""

import logging
import os
from collections.abc import Callable
from typing import Annotated

import typer

from tickhouse.beside import end_with_input
from tickhouse.compact.counts import VenueCounts, why_nothing
from tickhouse.compact.day import DayOptions
from tickhouse.compact.passes import BY_DAY, DaysLeft, Selection, check_venues, compact
from tickhouse.compact.schedule import ScheduledCompaction
from tickhouse_core.command_line import duration, instant, pause_seconds, print_table, with_data_folder
from tickhouse_core.datasets import KLINES, dataset_named
from tickhouse_core.errors import UsageError
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.schedule import NICENESS
from tickhouse_core.timestamps import DAY_US, now_us

log = logging.getLogger(__name__)

HEADER = (
    *("dataset", "venue", "days", "objects before", "bytes before", "objects after", "bytes after"),
    *("rows", "doubles left out", "deleted", "refused"),
)


@with_data_folder(reads=True)
def main(
    older_than: Annotated[
        str, typer.Option(help="Leave hours that ended less than this ago: objects of them may still come. 30m, 2h, 1d.")
    ] = "2h",
    keep_sources: Annotated[
        str, typer.Option(help="Delete the small objects this long after their rows were verified in the new ones.")
    ] = "24h",
    dataset: Annotated[list[str] | None, typer.Option(help="Only this dataset; repeats. Default: all but klines.")] = None,
    venue: Annotated[list[str] | None, typer.Option(help="Only this exchange; repeats.")] = None,
    since: Annotated[str | None, typer.Option(help="Skip days before this instant (ISO 8601, UTC).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
    every: Annotated[
        str | None,
        typer.Option(help="Run until a signal, with this pause between passes: 1h, 1d, off. Merges only days that are over."),
    ] = None,
    ends_with_input: Annotated[
        bool, typer.Option("--ends-with-input", hidden=True, help="Also end with stdin: with the process that began this one.")
    ] = False,
) -> None:
    """Merge the lake's small objects into one per symbol and day, each row once; delete the small ones a day later."""

    def work() -> None:
        chosen = [dataset_named(name) for name in dict.fromkeys(dataset)] if dataset else list(BY_DAY)
        if KLINES in chosen:
            raise UsageError("--dataset klines: an object of klines holds a month already; choose another dataset")
        if dry_run and every is not None:
            raise UsageError("--dry-run counts once: leave --every out")
        every_seconds = None if every is None else pause_seconds("--every", every)
        older_us, keep_us = duration("--older-than", older_than), duration("--keep-sources", keep_sources)
        selection = Selection(chosen, venue or (), instant("--since", since) if since else 0)
        store = open_lake()
        check_venues(store, selection.venues)
        with stop_on_signals() as stop:
            if every is None:
                done = _once(store, selection, DayOptions(now_us() - older_us, keep_us, dry_run), stop)
                if not _has_work(done):
                    named = [*(dataset or ()), *(venue or ()), *([f"days since {since}"] if since else ())]
                    print(f"nothing to compact: {why_nothing(done, ', '.join(named), older_than, keep_sources)}", flush=True)
            else:
                if ends_with_input:
                    end_with_input(stop)
                _keep_compacting(store, selection, (older_us, keep_us), every_seconds, stop)

    run_command(work)


def _once(store: ObjectStore, selection: Selection, options: DayOptions, stop: StopRequest) -> list[VenueCounts]:
    """Prints what was done, however it ends."""
    done: list[VenueCounts] = []
    try:
        compact(store, selection, options, stop, done)
    except DaysLeft as left:
        for reason in left.reasons[1:]:
            log.error("not compacted", extra={"why": reason})
        raise
    finally:
        if _has_work(done):
            print_table(HEADER, [_line(one) for one in done], title="would be compacted" if options.is_dry else "compacted")
    return done


def _has_work(done: list[VenueCounts]) -> bool:
    return not all(one.counts.is_nothing for one in done)


def _keep_compacting(
    store: ObjectStore, selection: Selection, ages_us: tuple[int, int], every_seconds: float | None, stop: StopRequest
) -> None:
    """Days that are over: a day that goes on would be merged anew in every pass. Ages: of hours, and of what was merged."""
    os.nice(NICENESS)
    older_us, keep_us = ages_us

    def run_pass(goes_on: Callable[[], bool], done: list[VenueCounts]) -> None:
        closed_us = (now_us() - older_us) // DAY_US * DAY_US
        compact(store, selection, DayOptions(closed_us, keep_us), stop, done, goes_on)

    ScheduledCompaction(store, run_pass, every_seconds, stop).run()


def _line(one: VenueCounts) -> tuple[object, ...]:
    counts = one.counts
    before, after = (counts.sources, counts.source_bytes), (counts.outputs, counts.output_bytes)
    done = (counts.rows, counts.doubles, counts.deleted, len(counts.refused))
    return (one.dataset.name, one.venue, one.days, *before, *after, *done)

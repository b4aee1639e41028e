"""`tickhouse compact`: one object per dataset, venue, symbol and day; the objects that it was made of go after a while."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer

from tickhouse.compact.day import DayCompaction, DayCounts, DayOptions
from tickhouse_core.command_line import duration, instant, print_table, with_data_folder
from tickhouse_core.datasets import DATASETS, KLINES, Dataset, dataset_named
from tickhouse_core.errors import UsageError
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.objects import days_of
from tickhouse_core.timestamps import DAY_US, now_us

HEADER = (
    *("dataset", "venue", "days", "objects before", "bytes before", "objects after", "bytes after"),
    *("rows", "doubles left out", "deleted", "refused"),
)

BY_DAY = tuple(dataset for dataset in DATASETS if dataset is not KLINES)
"""Klines have an object a month and series already."""


@dataclass(frozen=True, slots=True)
class Selection:
    """No venue: all of them. Only days from the one of `since_us` on."""

    datasets: Sequence[Dataset] = BY_DAY
    venues: Sequence[str] = ()
    since_us: int = 0


@dataclass(slots=True)
class VenueCounts:
    """What was done to one dataset of one venue; `days` that were looked at."""

    dataset: Dataset
    venue: str
    days: int = 0
    counts: DayCounts = field(default_factory=DayCounts)


def compact(store: ObjectStore, selection: Selection, options: DayOptions, stop: StopRequest, done: list[VenueCounts]) -> None:
    """Adds to `done` as it goes, however it ends. Raises Interrupted on a stop; see DayCompaction."""
    for dataset in selection.datasets:
        for venue in _venues(store, dataset, selection.venues):
            done.append(VenueCounts(dataset, venue))
            for day in days_of(store, dataset, venue):
                if day + DAY_US > selection.since_us:
                    DayCompaction(store, dataset, venue, day, options, stop.is_set).run(done[-1].counts)
                    done[-1].days += 1


def _venues(store: ObjectStore, dataset: Dataset, named: Sequence[str]) -> list[str]:
    there = [name.removeprefix("venue=") for name in store.folders_in(dataset.prefix) if name.startswith("venue=")]
    return [venue for venue in there if not named or venue in named]


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
) -> None:
    """Merge the lake's small objects into one per symbol and day, each row once; delete the small ones a day later."""

    def work() -> None:
        chosen = [dataset_named(name) for name in dict.fromkeys(dataset)] if dataset else list(BY_DAY)
        if KLINES in chosen:
            raise UsageError("--dataset klines: an object of klines holds a month already; choose another dataset")
        options = DayOptions(now_us() - duration("--older-than", older_than), duration("--keep-sources", keep_sources), dry_run)
        selection = Selection(chosen, venue or (), instant("--since", since) if since else 0)
        with stop_on_signals() as stop:
            done: list[VenueCounts] = []
            try:
                compact(open_lake(), selection, options, stop, done)
            finally:
                print_table(HEADER, [_line(one) for one in done], title="would be compacted" if dry_run else "compacted")

    run_command(work)


def _line(one: VenueCounts) -> tuple[object, ...]:
    counts = one.counts
    before, after = (counts.sources, counts.source_bytes), (counts.outputs, counts.output_bytes)
    done = (counts.rows, counts.doubles, counts.deleted, len(counts.refused))
    return (one.dataset.name, one.venue, one.days, *before, *after, *done)

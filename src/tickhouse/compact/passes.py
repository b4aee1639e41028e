"""One pass over the lake: every dataset, venue and day that was chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tickhouse.compact.counts import VenueCounts
from tickhouse.compact.day import DayCompaction, DayOptions, NotCompacted
from tickhouse.compact.runs import is_by_symbol
from tickhouse_core.compaction_records import Compactions, RecordDamaged
from tickhouse_core.datasets import DATASETS, KLINES, Dataset
from tickhouse_core.errors import LakeRefused, ObjectMissing
from tickhouse_core.lake_keys import compacted_name, object_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.known import unknown_venue
from tickhouse_core.reading.objects import venues_of
from tickhouse_core.schedule import WorkLeft
from tickhouse_core.timestamps import DAY_US, format_instant, parse_instant

BY_DAY = tuple(dataset for dataset in DATASETS if dataset is not KLINES)
"""Klines have an object a month and series already."""


@dataclass(frozen=True, slots=True)
class Selection:
    """No venue: all of them. Only days from the one of `since_us` on."""

    datasets: Sequence[Dataset] = BY_DAY
    venues: Sequence[str] = ()
    since_us: int = 0


class DaysLeft(WorkLeft):
    """Days that could not be compacted; all others were."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(reasons, "days")


def check_venues(store: ObjectStore, venues: Sequence[str]) -> None:
    """Raises UsageError for one that the lake never had. An empty lake refuses nothing."""
    known = sorted({venue for dataset in DATASETS for venue in venues_of(store, dataset)}) if venues else []
    for venue in venues if known else ():
        if venue not in known:
            raise unknown_venue(venue, known)


def compact(
    store: ObjectStore,
    selection: Selection,
    options: DayOptions,
    stop: StopRequest,
    done: list[VenueCounts],
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Adds to `done` as it goes, however it ends; asks `goes_on` before each day.

    A day that could not be compacted is left. Raises DaysLeft after all others, Interrupted on a stop; see DayCompaction.
    """
    left: list[str] = []
    for dataset in selection.datasets:
        for venue in venues_of(store, dataset):
            if selection.venues and venue not in selection.venues:
                continue
            done.append(VenueCounts(dataset, venue))
            for day in _days_with_work(store, dataset, venue):
                if day + DAY_US <= selection.since_us:
                    continue
                if not goes_on():
                    return
                try:
                    DayCompaction(store, dataset, venue, day, options, stop.is_set).run(done[-1].counts)
                except (NotCompacted, RecordDamaged, ObjectMissing, LakeRefused) as error:
                    left.append(f"{dataset.name} of {venue} on {format_instant(day)[:10]}: {error}")
                done[-1].days += 1
    if left:
        raise DaysLeft(left)


def _days_with_work(store: ObjectStore, dataset: Dataset, venue: str) -> list[int]:
    """Days that have a recorded object, or a compaction that is not settled: a few lists of keys, however old the lake is.

    What was compacted by symbol is in folders of symbols, so that folders of dates have recorded objects only.
    """
    dates = Compactions(store).unsettled_days(dataset, venue)
    folder = object_key(dataset, {"venue": venue}, "")
    if is_by_symbol(dataset):
        names = store.folders_in(folder)
    else:
        keys = (summary.key.removeprefix(folder) for summary in store.list_keys(folder))
        names = [key.partition("/")[0] for key in keys if compacted_name(key) is None]
    days = set()
    for name in dates.union(name.removeprefix("date=") for name in names):
        try:
            days.add(parse_instant(name))
        except ValueError:  # a symbol's folder
            continue
    return sorted(days)

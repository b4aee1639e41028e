"""One pass over the lake: every dataset, venue and day that was chosen."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tickhouse.compact.day import DayCompaction, DayCounts, DayOptions, NotCompacted
from tickhouse_core.compaction_records import RecordDamaged
from tickhouse_core.datasets import DATASETS, KLINES, Dataset
from tickhouse_core.errors import LakeRefused, ObjectMissing, TickhouseError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.objects import days_of, venues_of
from tickhouse_core.timestamps import DAY_US, format_instant

log = logging.getLogger(__name__)

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


def compact(
    store: ObjectStore,
    selection: Selection,
    options: DayOptions,
    stop: StopRequest,
    done: list[VenueCounts],
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Adds to `done` as it goes, however it ends; asks `goes_on` before each day.

    A day that could not be compacted is left, and named by the error that is raised after all others. Raises Interrupted
    on a stop; see DayCompaction.
    """
    failures: list[TickhouseError] = []
    for dataset in selection.datasets:
        for venue in venues_of(store, dataset):
            if selection.venues and venue not in selection.venues:
                continue
            done.append(VenueCounts(dataset, venue))
            for day in days_of(store, dataset, venue):
                if day + DAY_US <= selection.since_us:
                    continue
                if not goes_on():
                    return
                try:
                    DayCompaction(store, dataset, venue, day, options, stop.is_set).run(done[-1].counts)
                except (NotCompacted, RecordDamaged, ObjectMissing, LakeRefused) as error:
                    where = {"dataset": dataset.name, "venue": venue, "day": format_instant(day)[:10]}
                    log.error("not compacted", extra={**where, "why": str(error)})
                    failures.append(error)
                done[-1].days += 1
    if failures:
        raise failures[0]

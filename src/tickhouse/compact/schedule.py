"""Compactions on a schedule, in one process of several at a time."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tickhouse.compact.counts import VenueCounts
from tickhouse.compact.lease import Lease
from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.metrics import Component, Sample, observed
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.schedule import Retries, Schedule

log = logging.getLogger(__name__)

WAITING = Backoff(5.0, 300.0)
"""While the lake is unavailable, or the disk is full."""

PASSED = "compacted"
"""The line of the log after each pass, with what was done since the start of the process."""

AGAIN = Backoff(300.0, 3_600.0)
"""While days are left that could not be compacted: each pass reads them again."""

RunPass = Callable[[Callable[[], bool], list[VenueCounts]], None]
"""Asks before each day whether to go on, and adds what was done to the list."""


@dataclass(slots=True)
class CompactorCounts:
    """Objects since the start of the process: merged ones, those written for them, deleted ones."""

    merged: int = 0
    written: int = 0
    deleted: int = 0

    def add(self, done: list[VenueCounts]) -> None:
        self.merged += sum(one.counts.sources for one in done)
        self.written += sum(one.counts.outputs for one in done)
        self.deleted += sum(one.counts.deleted for one in done)


class ScheduledCompaction:
    """`run` returns on the stop; see Schedule."""

    def __init__(self, store: ObjectStore, run_pass: RunPass, every_seconds: float | None, stop: StopRequest) -> None:
        outage = Outage(log, WAITING, begins="not compacted: trying again", ends="compacting again")
        retries = Retries(outage, "not compacted", lambda passes: max(every_seconds or 0.0, AGAIN.pause(passes)))
        self._lease = Lease(store)
        self._run_pass = run_pass
        self.schedule = Schedule("compactor", every_seconds, stop, retries)
        self.counts = CompactorCounts()

    def run(self) -> None:
        with observed(Component(self.schedule.name, self.samples, self.schedule.not_ready)):
            self.schedule.run(self._pass, self._say)

    def samples(self) -> Iterator[Sample]:
        name, counts = "tickhouse_compactor_objects_total", self.counts
        for step, count in (("merged", counts.merged), ("written", counts.written), ("deleted", counts.deleted)):
            yield Sample(name, count, "objects of the lake, by what was done with them", {"step": step})
        yield from self.schedule.samples()
        name = "tickhouse_compactor_days_left"
        yield Sample(name, len(self.schedule.left), "days that could not be compacted in the last pass; the log says why")

    def _pass(self) -> bool:
        if not self._lease.take():
            log.info("another compactor is at work", extra={"holder": self._lease.holder})
            return False
        done: list[VenueCounts] = []
        try:
            self._run_pass(self._lease.take, done)
        finally:
            self.counts.add(done)
            self._lease.give_back()
        return True

    def _say(self, seconds: float) -> None:
        said = {"merged": self.counts.merged, "written": self.counts.written, "deleted": self.counts.deleted}
        log.info(PASSED, extra={**said, "seconds": round(seconds, 1)})

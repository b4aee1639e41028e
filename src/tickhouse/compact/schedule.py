"""Compactions on a schedule: pass after pass until the stop, through any outage, in one process of several at a time."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tickhouse.compact.lease import Lease
from tickhouse.compact.passes import DaysLeft, VenueCounts
from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.errors import Interrupted, TickhouseError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.metrics import Component, Sample, observed
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)

WAITING = Backoff(5.0, 300.0)
"""While the lake is unavailable, or the disk is full."""

PASSED = "compacted"
"""The line of the log after each pass, with what was done since the start of the process."""

AGAIN = Backoff(300.0, 3_600.0)
"""While days are left that could not be compacted: each pass reads them again."""

Pass = Callable[[Callable[[], bool], list[VenueCounts]], None]
"""Asks before each day whether to go on, and adds what was done to the list."""


@dataclass(slots=True)
class CompactorCounts:
    """Since the start of the process. Objects: merged ones, those written for them, deleted ones."""

    outage: Outage = field(
        default_factory=lambda: Outage(log, WAITING, begins="not compacted: trying again", ends="compacting again")
    )
    passes: int = 0
    merged: int = 0
    written: int = 0
    deleted: int = 0
    last_pass_us: int = 0
    left: tuple[str, ...] = ()
    """Why days could not be compacted in the last pass."""

    def add(self, done: list[VenueCounts]) -> None:
        self.merged += sum(one.counts.sources for one in done)
        self.written += sum(one.counts.outputs for one in done)
        self.deleted += sum(one.counts.deleted for one in done)

    def process(self) -> Component:
        return Component("compactor", self.samples, lambda: [self.outage.why] if self.outage.is_going_on else [])

    def samples(self) -> Iterator[Sample]:
        name = "tickhouse_compactor_objects_total"
        for step, count in (("merged", self.merged), ("written", self.written), ("deleted", self.deleted)):
            yield Sample(name, count, "objects of the lake, by what was done with them", {"step": step})
        yield Sample("tickhouse_compactor_passes_total", self.passes, "passes over the lake that came to their end")
        name = "tickhouse_compactor_last_pass_timestamp_seconds"
        yield Sample(name, self.last_pass_us / 1e6, "when a pass came to its end for the last time; 0: not yet")
        name = "tickhouse_compactor_days_left"
        yield Sample(name, len(self.left), "days that could not be compacted in the last pass; the log says why")


class ScheduledCompaction:
    """`run` returns on the stop: what is in hand is given up, the next pass does it again."""

    def __init__(self, store: ObjectStore, run_pass: Pass, every_seconds: float, stop: StopRequest) -> None:
        self._lease = Lease(store)
        self._run_pass = run_pass
        self._every_seconds = every_seconds
        self._stop = stop
        self._passes_that_left = 0
        self.counts = CompactorCounts()

    def run(self) -> None:
        with observed(self.counts.process()):
            while not self._stop.is_set():
                self._stop.wait(self._pass())

    def _pass(self) -> float:
        """Seconds until the next one."""
        began = time.monotonic()
        done: list[VenueCounts] = []
        left: tuple[str, ...] = ()
        try:
            if not self._lease.take():
                log.info("another compactor is at work", extra={"holder": self._lease.holder})
                return self._every_seconds
            try:
                self._run_pass(self._lease.take, done)
            finally:
                self.counts.add(done)
                self._lease.give_back()
        except DaysLeft as error:
            left = error.reasons
        except Interrupted:
            return 0.0
        except (TickhouseError, OSError) as error:
            return self.counts.outage.failed(error)
        self.counts.outage.succeeded(began)
        self.counts.passes += 1
        self.counts.last_pass_us = now_us()
        said = {"merged": self.counts.merged, "written": self.counts.written, "deleted": self.counts.deleted}
        log.info(PASSED, extra={**said, "seconds": round(time.monotonic() - began, 1)})
        return max(self._every_seconds, self._pause_for(left))

    def _pause_for(self, left: tuple[str, ...]) -> float:
        """Says each reason once, for as long as it lasts."""
        for reason in sorted({*left}.difference(self.counts.left)):
            log.error("not compacted", extra={"why": reason})
        self.counts.left = left
        self._passes_that_left = self._passes_that_left + 1 if left else 0
        return AGAIN.pause(self._passes_that_left) if left else 0.0

"""Work in passes with a pause between two, until the stop and through any outage; what a pass leaves is tried again."""

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tickhouse_core.backoff import Outage
from tickhouse_core.errors import Interrupted, TickhouseError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.metrics import Sample
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)

NICENESS = 10
"""Of a process that works in passes: recorders and loaders on the same machine come first."""

_LONGEST_SECONDS = 30 * 86_400.0
"""Of one wait: threads cannot wait for centuries."""

_COUNT = re.compile(r"(?<![^\s(])\d[\d,.]*(?= \w)")
"""A number and what it counts, such as the free MB of a disk: the reason is the same with another one."""

Pass = Callable[[], bool]
"""False: there was nothing to do here, because another process does it."""


class WorkLeft(TickhouseError):
    """A pass came to its end and left something: `reasons` has a line for each of these `things`."""

    def __init__(self, reasons: Sequence[str], things: str) -> None:
        rest = f" (and {len(reasons) - 1} more {things})" if len(reasons) > 1 else ""
        super().__init__(f"{reasons[0]}{rest}")
        self.reasons = tuple(reasons)


@dataclass(frozen=True, slots=True)
class Retries:
    """`outage`: of what every pass needs. `left` is said of each thing that a pass left, once for as long as it lasts.

    `pause`: the seconds until the next pass after so many in a row that left something.
    """

    outage: Outage
    left: str
    pause: Callable[[int], float]


class Schedule:
    """`run` returns on the stop: what is in hand is given up, the next pass does it again.

    `passes` came to their end since the start of the process, the last one at `last_pass_us`; `left`: the reasons that it gave.
    """

    def __init__(self, name: str, every_seconds: float | None, stop: StopRequest, retries: Retries) -> None:
        """`every_seconds`: None makes no pass at all."""
        self.name = name
        self.passes = 0
        self.last_pass_us = 0
        self.left: tuple[str, ...] = ()
        self._every_seconds = every_seconds
        self._stop = stop
        self._retries = retries
        self._passes_that_left = 0

    @property
    def outage(self) -> Outage:
        return self._retries.outage

    def not_ready(self) -> list[str]:
        return [self.outage.why] if self.outage.is_going_on else []

    def samples(self) -> Iterator[Sample]:
        name = f"tickhouse_{self.name}_passes_total"
        yield Sample(name, self.passes, "passes over the lake that came to their end")
        name = f"tickhouse_{self.name}_last_pass_timestamp_seconds"
        yield Sample(name, self.last_pass_us / 1e6, "when a pass came to its end for the last time; 0: not yet")

    def run(self, run_pass: Pass, passed: Callable[[float], object] = lambda seconds: None) -> None:
        """`passed` is called after each pass that came to its end, with the seconds that it took."""
        if self._every_seconds is None:
            log.info("off: nothing is done until this process is stopped", extra={"schedule": self.name})
        while not self._stop.is_set():
            pause = _LONGEST_SECONDS if self._every_seconds is None else self._pass(run_pass, passed, self._every_seconds)
            self._stop.wait(min(pause, _LONGEST_SECONDS))

    def _pass(self, run_pass: Pass, passed: Callable[[float], object], every_seconds: float) -> float:
        """Seconds until the next one."""
        began = time.monotonic()
        left: tuple[str, ...] = ()
        try:
            if not run_pass():
                self.outage.succeeded()
                return every_seconds
        except WorkLeft as error:
            left = error.reasons
        except Interrupted:
            return 0.0
        except (TickhouseError, OSError) as error:
            return self.outage.failed(error)
        except Exception as error:
            # A fault of ours that the lake's data revealed: it must not end a process that works for months.
            log.exception("a pass revealed a fault", extra={"schedule": self.name})
            return self.outage.failed(error)
        self.outage.succeeded()  # no other pass is under way that could fail after this one
        self.passes += 1
        self.last_pass_us = now_us()
        passed(time.monotonic() - began)
        self._say(left)
        return self._retries.pause(self._passes_that_left) if left else every_seconds

    def _say(self, left: tuple[str, ...]) -> None:
        known = {_COUNT.sub("", reason) for reason in self.left}
        for reason in sorted({*left}):
            if _COUNT.sub("", reason) not in known:
                log.error(self._retries.left, extra={"why": reason})
        self.left = left
        self._passes_that_left = self._passes_that_left + 1 if left else 0

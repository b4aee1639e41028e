"""Waiting for what is unavailable: pauses that grow, and an outage that is logged once when it begins and once when it ends."""

import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import Any

SETTLED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double with every try, between two bounds in seconds."""

    first_seconds: float
    most_seconds: float

    def pause(self, failures: int, fraction: float = 1.0) -> float:
        """Seconds until the next try after `failures` in a row (at least one).

        A random `fraction` in [0, 1) is full jitter: what failed together does not come back together (AWS Architecture
        Blog, "Exponential Backoff and Jitter").
        """
        return fraction * min(self.most_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))


class Outage:
    """Whether one thing is unavailable. Several threads may share it: often they fail, and succeed, at the same moment.

    `failures`: tries in a row that failed. `why`: the error of the last of them.
    """

    def __init__(self, log: logging.Logger, backoff: Backoff, *, begins: str, ends: str, **extra: Any) -> None:
        """`begins` and `ends` are the two messages, with `extra` the fields of both."""
        self._log = log
        self._backoff = backoff
        self._begins = begins
        self._ends = ends
        self._extra = extra
        self._lock = threading.Lock()
        self._failed_at = 0.0
        self.failures = 0
        self.why = ""

    @property
    def is_going_on(self) -> bool:
        return self.failures > 0

    def failed(self, error: Exception, **extra: Any) -> float:
        """A try failed: a warning if it is the first, else for debugging. Returns the seconds until the next try."""
        with self._lock:
            self._failed_at = time.monotonic()
            self.why = str(error)
            self.failures += 1
            is_first, pause_seconds = self.failures == 1, self._backoff.pause(self.failures)
        level = logging.WARNING if is_first else logging.DEBUG
        self._log.log(level, self._begins, extra={**self._extra, **extra, "why": str(error)})
        return pause_seconds

    def succeeded(self, since: float = math.inf) -> None:
        """A try that began at `since` (time.monotonic) succeeded.

        That ends the outage if it began a while after the last failure: a server that shuts down finishes what it has, and
        answers one connection and not the other.
        """
        with self._lock:
            settled = self._failed_at + self._backoff.pause(self.failures) + SETTLED_SECONDS
            if not self.failures or since <= settled:
                return
            failures, self.failures, self.why = self.failures, 0, ""
        self._log.info(self._ends, extra={**self._extra, "after_tries": failures})

"""Waiting for what is unavailable: pauses that grow, an outage that is logged twice, and the retries of requests to a venue."""

import logging
import math
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from tenacity.wait import wait_base, wait_none

from tickhouse_core.errors import VenueUnavailable

SETTLED_SECONDS = 1.0

log = logging.getLogger(__name__)

VENUE_ATTEMPTS = 8
_MOST_SAID, _SAID_SECONDS = 2, 60.0
_MOST_CAUSES, _LONGEST_CAUSE = 30, 60
_said: deque[tuple[float, str]] = deque()
"""When the lines of the last minute were said, by a clock that never steps, and their causes without digits."""

_venue_wait: wait_base = wait_exponential_jitter(multiplier=0.25, max=30, jitter=0.5)


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

    def __init__(
        self, log: logging.Logger, backoff: Backoff, *, begins: str, ends: str, level: int = logging.WARNING, **extra: Any
    ) -> None:
        """`begins`, said at `level`, and `ends` are the two messages, with `extra` the fields of both."""
        self._log = log
        self._backoff = backoff
        self._begins = begins
        self._ends = ends
        self._level = level
        self._extra = extra
        self._causes: set[str] = set()
        self._lock = threading.Lock()
        self._failed_at = 0.0
        self.failures = 0
        self.why = ""

    @property
    def is_going_on(self) -> bool:
        return self.failures > 0

    def failed(self, error: Exception, cause: str = "", **extra: Any) -> float:
        """A try failed: a line if it is the first of the outage with this cause, else for debugging.

        Returns the seconds until the next try.
        """
        with self._lock:
            self._failed_at = time.monotonic()
            self.why = str(error)
            self.failures += 1
            is_news, pause_seconds = cause not in self._causes, self._backoff.pause(self.failures)
            self._causes.add(cause)
        level = self._level if is_news else logging.DEBUG
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
            self._causes.clear()
        self._log.info(self._ends, extra={**self._extra, "after_tries": failures})


def venue_requests() -> AsyncRetrying:
    """For GETs to an exchange: 8 tries over about half a minute, then the last VenueUnavailable is raised."""
    return AsyncRetrying(
        retry=retry_if_exception_type(VenueUnavailable),
        stop=stop_after_attempt(VENUE_ATTEMPTS),
        wait=_venue_wait,
        before_sleep=_say,
        reraise=True,
    )


@contextmanager
def instant_retries() -> Iterator[None]:
    """The switch tests use: the same number of tries, no waiting between them."""
    global _venue_wait
    before, _venue_wait = _venue_wait, wait_none()
    _said.clear()
    try:
        yield
    finally:
        _venue_wait = before


def _say(state: RetryCallState) -> None:
    """A few lines a minute and process, and one for each new cause: an outage concerns every question under way."""
    now = time.monotonic()
    while _said and _said[0][0] < now - _SAID_SECONDS:
        _said.popleft()
    error = state.outcome.exception() if state.outcome else None
    cause = re.sub("[0-9]+", "", str(error))[:_LONGEST_CAUSE]
    is_new = len(_said) < _MOST_CAUSES and all(cause != before for _, before in _said)
    level = logging.WARNING if is_new or len(_said) < _MOST_SAID else logging.DEBUG
    if level == logging.WARNING:
        _said.append((now, cause))
    extra = {"attempt": state.attempt_number, "wait_seconds": round(state.upcoming_sleep, 2), "why": str(error)}
    log.log(level, "asking again", extra=extra)

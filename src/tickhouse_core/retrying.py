"""The few retry policies, by name. What is waited for is always logged; tests make the waits instant."""

import logging
import re
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from tenacity.wait import wait_base, wait_none

from tickhouse_core.errors import VenueUnavailable

log = logging.getLogger(__name__)

VENUE_ATTEMPTS = 8
_MOST_SAID, _SAID_SECONDS = 2, 60.0
_MOST_CAUSES, _LONGEST_CAUSE = 30, 60
_said: deque[tuple[float, str]] = deque()
"""When the lines of the last minute were said, by a clock that never steps, and their causes without digits."""

_venue_wait: wait_base = wait_exponential_jitter(multiplier=0.25, max=30, jitter=0.5)


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

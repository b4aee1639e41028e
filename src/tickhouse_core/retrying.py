"""The few retry policies, by name. What is waited for is always logged; tests make the waits instant."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from tenacity.wait import wait_base, wait_none

from tickhouse_core.errors import VenueUnavailable

log = logging.getLogger(__name__)

VENUE_ATTEMPTS = 8
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
    try:
        yield
    finally:
        _venue_wait = before


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    extra = {"attempt": state.attempt_number, "wait_seconds": round(state.upcoming_sleep, 2), "why": str(error)}
    log.warning("asking again", extra=extra)

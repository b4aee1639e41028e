"""Waiting in tests: deadlines that fit this machine, and conditions that are polled."""

import asyncio
import os
import time
from collections.abc import Callable
from functools import cache

_SAMPLE_SECONDS = 0.03
"""What `_sample` takes on one idle core of a machine of 2025: seconds in tests are meant for such a one."""
_MOST = 10.0
_PAUSE_SECONDS = 0.02


def patience(seconds: float) -> float:
    """The deadline that `seconds` of an idle machine are on this one: longer where it is slow or busy, never shorter.

    For waits that end with an event: there a long deadline costs nothing but where the test fails anyway.
    """
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * min(_MOST, slowness() * max(1.0, busy))


@cache
def slowness() -> float:
    """How many times slower than the machine of reference one core is, measured once a process; at least 1."""
    return max(1.0, min(_sample() for _ in range(3)) / _SAMPLE_SECONDS)


def wait_until(condition: Callable[[], bool], what: str = "what comes next", seconds: float = 30) -> None:
    """Polls until it is so; fails with `what` after `patience(seconds)`."""
    allowed = patience(seconds)
    asked = time.monotonic()
    deadline = asked + allowed
    while not condition():
        now = time.monotonic()
        assert now < deadline, f"waited {allowed:.0f} s for {what}"
        time.sleep(max(_PAUSE_SECONDS, now - asked))  # a look that costs much leaves as much time to what it looks at
        asked = time.monotonic()


async def until(condition: Callable[[], bool], what: str = "what comes next", seconds: float = 20) -> None:
    """`wait_until` for a test that shares its event loop with what it waits for."""
    allowed = patience(seconds)
    deadline = time.monotonic() + allowed
    while not condition():
        assert time.monotonic() < deadline, f"waited {allowed:.0f} s for {what}"
        await asyncio.sleep(_PAUSE_SECONDS / 2)


def _sample() -> float:
    """Wall seconds of a fixed piece of work, as an interpreter does it."""
    began = time.perf_counter()
    total = 0
    for number in range(400_000):
        total += number & 7
    assert total == 1_400_000
    return time.perf_counter() - began

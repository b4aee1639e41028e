"""RequestQueue: what a live capture asks the venue over REST, most urgent first, under the one weight budget."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count

from extract_process.said_seldom import SaidSeldom
from extract_process.venues.parsing import DATA_ERRORS
from tickhouse_core.backoff import Backoff
from tickhouse_core.errors import SpoolFull, VenueBanned, VenueError, VenueRefused
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)

REFUSED_AGAIN_SECONDS = 300.0
"""A question the venue refused is put again after so long: a halted symbol comes back."""

_BETWEEN_TRIES = Backoff(2.0, 60.0)
_MOST_LINES = 2
"""Said one by one in a minute: a ban concerns every question that waits, and its requests have lines of their own."""


class Priority(IntEnum):
    """Smaller goes first. Recent trades are only to be had for seconds; a broken book is recorded all the same."""

    RECENT_TRADES = 0
    BROKEN_BOOK = 1
    NEW_BOOK = 2
    HISTORY = 3
    PROOF = 4


@dataclass(order=True, slots=True)
class _Asked:
    urgency: Priority
    number: int
    name: str = field(compare=False)
    work: Callable[[], Awaitable[None]] = field(compare=False)
    failures: int = field(default=0, compare=False)


class RequestQueue:
    """An ask waits once by its name. A failed ask is put again later, for as long as it takes."""

    def __init__(self, workers: int = 4) -> None:
        self._queue: asyncio.PriorityQueue[_Asked] = asyncio.PriorityQueue()  # bounded by the names: one ask each
        self._names: set[str] = set()
        self._numbers = count()
        self._workers = workers
        self._pauses: set[asyncio.Task[None]] = set()
        self._lines = SaidSeldom(_MOST_LINES)

    @property
    def is_idle(self) -> bool:
        """Nothing waits; something may be under way."""
        return self._queue.empty()

    def ask(self, urgency: Priority, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Queues `work`, unless an ask of this name is queued."""
        if name not in self._names:
            self._names.add(name)
            self._queue.put_nowait(_Asked(urgency, next(self._numbers), name, work))

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            asked = await self._queue.get()
            self._names.discard(asked.name)  # the answer may itself lead to the same question
            try:
                await asked.work()
            except (VenueError, SpoolFull, *DATA_ERRORS) as error:
                if isinstance(error, DATA_ERRORS) and not asked.failures:
                    log.exception("cannot make anything of an answer", extra={"what": asked.name})
                if asked.name not in self._names:  # else it was asked again meanwhile, and waits
                    self._names.add(asked.name)
                    self._put_again(asked, error)

    def _put_again(self, asked: _Asked, error: Exception) -> None:
        asked.failures += 1
        seconds = _pause_after(error, asked.failures)
        now = time.monotonic()
        for _, more, _ in self._lines.take_left_out(now):
            log.warning("asked again and again", extra={"questions": more})
        if self._lines.may_say("again", now):
            log.warning("will ask again", extra={"what": asked.name, "seconds": round(seconds, 1), "why": str(error)})
        task = asyncio.create_task(self._put_later(asked, seconds))
        self._pauses.add(task)
        task.add_done_callback(self._pauses.discard)

    async def _put_later(self, asked: _Asked, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._queue.put(asked)


def _pause_after(error: Exception, failures: int) -> float:
    """A ban is waited out; other trouble with full jitter, up to a minute."""
    if isinstance(error, VenueBanned):
        return max(0.0, (error.until_us - now_us()) / 1e6) + random.random()
    if isinstance(error, VenueRefused):
        return REFUSED_AGAIN_SECONDS
    return 0.2 + _BETWEEN_TRIES.pause(failures, random.random())


async def prove_in_turn(
    synced: Callable[[], list[str]],
    prove: Callable[[str], None],
    queue: RequestQueue,
    every_seconds: float,
    fastest: Callable[[], float],
) -> None:
    """One synced book after the other, each every `every_seconds`, with a pause of `fastest` at least; until cancelled.

    Where something else is asked at the moment, a book waits for its next turn.
    """
    while True:
        symbols = synced()
        pause = max(fastest(), every_seconds / max(1, len(symbols)))
        for symbol in symbols:
            await asyncio.sleep(pause)
            if queue.is_idle:
                prove(symbol)
        if not symbols:
            await asyncio.sleep(min(pause, 1.0))

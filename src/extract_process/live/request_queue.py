"""What a live process asks the venue over REST: RequestQueue sends the most urgent first, Fetcher makes one REST call of each."""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from extract_process.live.event_log import SaidSeldom
from extract_process.live.requests import GapRequest, PollRequest, Priority, Request, SnapshotPace, SnapshotRequest
from extract_process.records import AnsweredTrade, DepthSnapshot
from extract_process.venues import Venue
from extract_process.venues.api import VenueRest
from extract_process.venues.parsing import DATA_ERRORS
from extract_process.venues.rest_client import Answer
from tickhouse_core.backoff import Backoff
from tickhouse_core.errors import SpoolFull, VenueBanned, VenueError, VenueRefused, VenueUnavailable
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)

REFUSED_AGAIN_SECONDS = 300.0
"""Until a request that the venue refused is sent again: a halted symbol comes back."""

_BETWEEN_TRIES = Backoff(2.0, 60.0)
_MOST_BEHIND = 1_000
"""Ids between the newest trade of an answer and a gap that REST may not have yet."""

LONGEST_BEHIND_SECONDS = 600.0
"""Until the answer of a venue that stays behind a gap is taken as it is."""

_MOST_BEHIND = 10_000
"""Gaps whose answers are waited for at a time; of more, the oldest waits anew."""

_MOST_LINES = 2
"""A minute: a ban concerns every request that waits, and the client logs those that were sent."""


class _Named(Protocol):
    @property
    def priority(self) -> Priority: ...

    @property
    def name(self) -> str: ...

    @property
    def of_symbol(self) -> str: ...


Asked = TypeVar("Asked", bound=_Named)


@dataclass(order=True, slots=True)
class _Waiting(Generic[Asked]):
    priority: Priority
    rank: int
    number: int
    request: Asked = field(compare=False)
    failures: int = field(default=0, compare=False)


class RequestQueue(Generic[Asked]):
    """A request waits once by its name. A failed one is put again later, for as long as it takes."""

    def __init__(
        self,
        pause_before: Callable[[Asked], float] = lambda _: 0.0,
        workers: int = 4,
        ranks: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """`pause_before`: seconds until a request may be sent. `ranks`: the numbers of important symbols, the smallest first."""
        self._queue: asyncio.PriorityQueue[_Waiting[Asked]] = asyncio.PriorityQueue()  # bounded by the names: one request each
        self._names: set[str] = set()
        self._numbers = count()
        self._pause_before = pause_before
        self._workers = workers
        self._ranks = ranks
        self._pauses: set[asyncio.Task[None]] = set()
        self._lines = SaidSeldom(_MOST_LINES)

    @property
    def is_idle(self) -> bool:
        """Nothing waits; something may be under way."""
        return self._queue.empty()

    def put(self, request: Asked) -> None:
        """Queues a request, unless one of its name is queued."""
        if pause := self._pause_before(request):
            asyncio.get_running_loop().call_later(pause, self._put_now, request)
        else:
            self._put_now(request)

    def _put_now(self, request: Asked) -> None:
        if request.name not in self._names:
            self._names.add(request.name)
            rank = self._ranks.get(request.of_symbol, sys.maxsize)
            self._queue.put_nowait(_Waiting(request.priority, rank, next(self._numbers), request))

    async def run(self, answer: Callable[[Asked], Awaitable[None]]) -> None:
        """Until cancelled: `answer` gets every request; it raises VenueError or SpoolFull where it is to come again."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work(answer))

    async def _work(self, answer: Callable[[Asked], Awaitable[None]]) -> None:
        while True:
            waiting = await self._queue.get()
            name = waiting.request.name
            self._names.discard(name)  # the answer may itself lead to the same request
            try:
                await answer(waiting.request)
            except (VenueError, SpoolFull, *DATA_ERRORS) as error:
                if isinstance(error, DATA_ERRORS) and not waiting.failures:
                    log.exception("cannot make anything of an answer", extra={"what": name})
                if name not in self._names:  # else it was put again meanwhile, and waits
                    self._names.add(name)
                    self._put_again(waiting, error)

    def _put_again(self, waiting: _Waiting[Asked], error: Exception) -> None:
        waiting.failures += 1
        seconds = _pause_after(error, waiting.failures)
        now = time.monotonic()
        for _, more, _ in self._lines.take_left_out(now):
            log.warning("asked again and again", extra={"questions": more})
        if self._lines.may_say("again", now):
            said = {"what": waiting.request.name, "seconds": round(seconds, 1), "why": str(error)}
            log.warning("will ask again", extra=said)
        task = asyncio.create_task(self._put_later(waiting, seconds))
        self._pauses.add(task)
        task.add_done_callback(self._pauses.discard)

    async def _put_later(self, waiting: _Waiting[Asked], seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._queue.put(waiting)


def _pause_after(error: Exception, failures: int) -> float:
    """A ban is waited out; other trouble with full jitter, up to a minute."""
    if isinstance(error, VenueBanned):
        return max(0.0, (error.until_us - now_us()) / 1e6) + random.random()
    if isinstance(error, VenueRefused):
        return REFUSED_AGAIN_SECONDS
    return 0.2 + _BETWEEN_TRIES.pause(failures, random.random())


def _is_behind(trades: list[AnsweredTrade], request: GapRequest, *, is_sparse: bool) -> bool:
    """Whether the newest trades end before the gap does: REST is a little behind the stream. Much older ids are numbered anew.

    Of sparse ids only a later one shows that a gap has no more of them.
    """
    if is_sparse:
        return not trades or trades[-1].trade_id <= request.to_id
    return not request.is_history and bool(trades) and request.from_id - _MOST_BEHIND <= trades[-1].trade_id < request.to_id


async def prove_in_turn(
    synced: Callable[[], list[str]],
    queue: RequestQueue[Any],
    levels: int,
    every_seconds: float,
    fastest: Callable[[int], float],
) -> None:
    """Asks for a proof of one synced book after the other, each every `every_seconds`; until cancelled.

    The pause between two is at least `fastest(levels)`. While another request waits, a book waits for its next turn.
    """
    while True:
        symbols = synced()
        pause = max(fastest(levels), every_seconds / max(1, len(symbols)))
        for symbol in symbols:
            await asyncio.sleep(pause)
            if queue.is_idle:
                queue.put(SnapshotRequest(symbol, "proof", levels))
        if not symbols:
            await asyncio.sleep(min(pause, 1.0))


async def poll_in_turn(
    due: Callable[[], Sequence[PollRequest]],
    put: Callable[[PollRequest], None],
    every_seconds: float,
    fastest: Callable[[PollRequest], float],
) -> None:
    """Puts each of the requests that are `due` once every `every_seconds`, one after the other; until cancelled.

    After each is a pause of at least `fastest`, so that a round of many symbols takes longer than `every_seconds` where the
    venue's limit demands it.
    """
    while True:
        requests = due()
        for request in requests:
            put(request)
            await asyncio.sleep(max(fastest(request), every_seconds / len(requests)))
        if not requests:
            await asyncio.sleep(min(every_seconds, 1.0))


class Fetcher:
    """Makes the one REST call of a request, and says how long it waits before it is sent.

    Raises VenueError; an answer that is too early for its request is VenueUnavailable.
    """

    def __init__(self, rest: VenueRest, venue: Venue, behind_seconds: float = LONGEST_BEHIND_SECONDS) -> None:
        self._rest = rest
        self._venue = venue
        self._pace = SnapshotPace()
        self._behind_seconds = behind_seconds
        self._behind_since: dict[str, float] = {}

    def pause_before(self, request: Request) -> float:
        """Seconds."""
        if isinstance(request, GapRequest):
            return request.after_seconds
        if isinstance(request, PollRequest):
            return 0.0
        return self._pace.pause_before(request.symbol, request.reason, asyncio.get_running_loop().time())

    async def fetch(self, request: Request) -> Answer[Any]:
        if isinstance(request, SnapshotRequest):
            return await self.fetch_snapshot(request)
        if isinstance(request, PollRequest):
            return await self._poll(request)
        if request.key.channel == "klines":
            page = request.first_page(self._venue.page_rows)
            return await self._rest.fetch_klines(request.key.symbol, request.key.interval, page)
        if request.is_history:
            answer = await self._rest.fetch_trades(request.key.symbol, request.from_id)
        else:
            answer = await self._rest.fetch_recent_trades(request.key.symbol)
        is_sparse = request.key.channel in self._venue.sparse_channels
        if _is_behind(answer.parsed, request, is_sparse=is_sparse) and self._may_wait(request.name):
            raise VenueUnavailable(f"the venue's last trades of {request.key.symbol} do not reach {request.to_id} yet")
        self._behind_since.pop(request.name, None)
        return answer

    def _may_wait(self, name: str) -> bool:
        """Whether an answer that was too early is fetched again: not without end, where it stays too early."""
        now = asyncio.get_running_loop().time()
        since = self._behind_since.setdefault(name, now)
        if len(self._behind_since) > _MOST_BEHIND:
            self._behind_since.pop(next(iter(self._behind_since)))
        return now - since < self._behind_seconds

    async def _poll(self, request: PollRequest) -> Answer[list[Any]]:
        poll = self._venue.polls[request.channel]
        sent = {"symbol": request.symbol}
        return await self._rest.client.get(poll.path, sent, poll.weight, lambda body, _: poll.parse(body, request.symbol))

    async def fetch_snapshot(self, request: SnapshotRequest) -> Answer[DepthSnapshot]:
        return await self._rest.fetch_depth(request.symbol, request.levels, request.reason)

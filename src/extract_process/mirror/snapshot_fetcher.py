"""SnapshotFetcher: the snapshots the mirror needs, asked over REST under the one weight budget, and brought back to it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from extract_process.live.request_queue import Priority, RequestQueue
from extract_process.live.snapshot_pace import SnapshotPace
from extract_process.records import DepthSnapshot
from extract_process.venues.rest_client import Answer

_COMPARED = ("refresh", "proof")
_URGENCY = {"start": Priority.NEW_BOOK, "proof": Priority.PROOF}


class SnapshotTaker(Protocol):
    """Who follows the books."""

    def on_snapshot_asked(self, symbol: str, *, as_proof: bool) -> None:
        """The request goes out now."""

    def on_snapshot(self, snapshot: DepthSnapshot, asked_levels: int, receipt_time: int) -> None:
        """The answer."""


class SnapshotFetcher:
    """`fetch_depth` is the VenueRest's; it raises VenueError."""

    def __init__(
        self, fetch_depth: Callable[[str, int, str], Awaitable[Answer[DepthSnapshot]]], queue: RequestQueue, levels: int
    ) -> None:
        self._fetch_depth = fetch_depth
        self._queue = queue
        self._levels = levels
        self._pace = SnapshotPace()
        self._taker: SnapshotTaker | None = None

    def answer_to(self, taker: SnapshotTaker) -> None:
        """Where the answers go; before the first ask."""
        self._taker = taker

    def request(self, symbol: str, reason: str) -> None:
        """`refresh` and `proof` are compared with the running book; any other reason is the start of a new one."""
        name = f"{'proof' if reason in _COMPARED else 'book'} of {symbol}"
        work = partial(self._fetch_book, symbol, reason)
        loop = asyncio.get_running_loop()
        pause = 0.0 if reason in _COMPARED else self._pace.pause_before(symbol, reason, loop.time())
        loop.call_later(pause, self._queue.ask, _URGENCY.get(reason, Priority.BROKEN_BOOK), name, work)

    async def _fetch_book(self, symbol: str, reason: str) -> None:
        assert self._taker is not None, "answer_to comes before the first ask"
        self._taker.on_snapshot_asked(symbol, as_proof=reason in _COMPARED)
        answer = await self._fetch_depth(symbol, self._levels, reason)
        self._taker.on_snapshot(answer.parsed, self._levels, answer.receipt_time)

"""MirrorAsks: the snapshots the mirror needs, asked over REST under the one weight budget, and brought back to it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from extract_process.records import DepthSnapshot
from extract_process.rest_queue import RestQueue, Urgency
from extract_process.snapshot_pace import SnapshotPace
from extract_process.venues.parsing import Dialect
from tickhouse_core.timestamps import now_us

_COMPARED = ("refresh", "proof")
_URGENCY = {"start": Urgency.NEW_BOOK, "proof": Urgency.PROOF}


class SnapshotTaker(Protocol):
    """Who follows the books."""

    def on_snapshot_asked(self, symbol: str, *, as_proof: bool) -> None:
        """The request goes out now."""

    def on_snapshot(self, snapshot: DepthSnapshot, asked_levels: int, receipt_time: int) -> None:
        """The answer."""


class MirrorAsks:
    """`fetch_body` asks the venue for the book of a symbol with so many levels a side; it raises VenueError."""

    def __init__(
        self, fetch_body: Callable[[str, int], Awaitable[bytes]], queue: RestQueue, dialect: Dialect, levels: int
    ) -> None:
        self._fetch_body = fetch_body
        self._queue = queue
        self._dialect = dialect
        self._levels = levels
        self._pace = SnapshotPace()
        self._taker: SnapshotTaker | None = None

    def answer_to(self, taker: SnapshotTaker) -> None:
        """Where the answers go; before the first ask."""
        self._taker = taker

    def ask(self, symbol: str, reason: str) -> None:
        """`refresh` and `proof` are compared with the running book; any other reason is the start of a new one."""
        name = f"{'proof' if reason in _COMPARED else 'book'} of {symbol}"
        work = partial(self._fetch_book, symbol, reason)
        loop = asyncio.get_running_loop()
        pause = 0.0 if reason in _COMPARED else self._pace.pause_before(symbol, reason, loop.time())
        loop.call_later(pause, self._queue.ask, _URGENCY.get(reason, Urgency.BROKEN_BOOK), name, work)

    async def _fetch_book(self, symbol: str, reason: str) -> None:
        assert self._taker is not None, "answer_to comes before the first ask"
        self._taker.on_snapshot_asked(symbol, as_proof=reason in _COMPARED)
        body = await self._fetch_body(symbol, self._levels)
        receipt_time = now_us()
        self._taker.on_snapshot(self._dialect.parse_depth(body, symbol, reason), self._levels, receipt_time)

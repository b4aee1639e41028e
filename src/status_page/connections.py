"""Bounds on the page's clients: event streams need a free place, and a client that reads nothing loses it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from tickhouse_core.http_server import ABORT

MOST_WATCHERS = 50
MOST_OF_ONE_ADDRESS = 20
LONGEST_SECONDS = 900.0
"""Then the stream ends; an open browser reconnects by itself, and the place of a closed one becomes free."""

SEND_SECONDS = 20.0
"""A client that reads nothing for this long is disconnected."""


class Places:
    """For one event loop: nothing runs between the check and the taking."""

    def __init__(self, most: int = MOST_WATCHERS, most_of_one: int = MOST_OF_ONE_ADDRESS) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._taken: Counter[str] = Counter()

    def take(self, address: str) -> str:
        """The reason why no place is free; empty if one was taken."""
        if self._taken.total() >= self._most:
            return f"{self._most} are watching already"
        if self._taken[address] >= self._most_of_one:
            return f"{self._most_of_one} are watching from this address already"
        self._taken[address] += 1
        return ""

    def leave(self, address: str) -> None:
        self._taken[address] -= 1
        if not self._taken[address]:
            del self._taken[address]

    @property
    def taken(self) -> int:
        return self._taken.total()


class Watching(StreamingResponse):
    """A stream of events that holds a place while it is sent and read. 503 if no place is free."""

    def __init__(self, places: Places, content: AsyncIterator[bytes], send_seconds: float = SEND_SECONDS, **how: Any) -> None:
        """`how`: arguments of StreamingResponse."""
        super().__init__(content, **how)
        self._places = places
        self._send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_soon(message: Message) -> None:
            async with asyncio.timeout(self._send_seconds):
                await send(message)

        address = scope["client"][0] if scope.get("client") else ""
        if refusal := self._places.take(address):
            await PlainTextResponse(refusal, 503)(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send_soon)
        except* TimeoutError:
            scope[ABORT]()
            await receive()  # the server hears that the connection is gone
        finally:
            self._places.leave(address)

"""One HTTP connection to the page: a client that asks nothing gives it up, and there are not too many of them."""

import asyncio
from functools import partial
from typing import ClassVar

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from status_page.watching import ABORT


class PromptConnection(H11Protocol):
    """uvicorn waits for the first request, and for the rest of one that has begun, for as long as the client likes."""

    request_seconds: ClassVar[float] = 10.0
    most: ClassVar[int] = 300

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.app = partial(_with_a_way_to_abort, self.app, transport)
        if len(self.connections) > self.most:
            transport.abort()
        self._watch_the_clock()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_the_clock()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_the_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_the_clock()
        super().connection_lost(exc)

    def _watch_the_clock(self) -> None:
        """It runs from the moment at which the client has to ask until its request is whole."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_the_clock()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self.transport.abort)

    def _stop_the_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def _with_a_way_to_abort(app: ASGIApp, transport: asyncio.Transport, scope: Scope, receive: Receive, send: Send) -> None:
    scope[ABORT] = transport.abort
    await app(scope, receive, send)

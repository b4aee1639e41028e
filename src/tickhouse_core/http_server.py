"""An HTTP server in a thread of its own, beside everything else in one process; its connections are bounded."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import ClassVar

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

ABORT = "tickhouse.abort"
"""In the scope: ends the connection at once, without waiting for the client to take what was sent."""

CLOSE = "tickhouse.close"
"""In the scope: ends the connection once what was sent is taken, also in the middle of an answer."""

_END_SECONDS = 3
_LAST_SECONDS = 1
"""For what notices only that its client is gone; then it is cancelled."""

_MOST_HEAD_BYTES = 256 * 1024
"""Of a request line with its headers: a query in a URL is long."""


class PromptConnection(H11Protocol):
    """Bounds the wait for a request: uvicorn waits without limit for the first one and for the rest of one begun."""

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
        """Runs until the client has sent a complete request."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_the_clock()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self.transport.abort)

    def _stop_the_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def _with_a_way_to_abort(app: ASGIApp, transport: asyncio.Transport, scope: Scope, receive: Receive, send: Send) -> None:
    scope[ABORT], scope[CLOSE] = transport.abort, transport.close
    await app(scope, receive, send)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any free one. Raises OSError where that cannot be."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """Takes the connections away from clients that take nothing: what is cancelled instead leaves its socket open."""

    def __init__(self, config: uvicorn.Config, end_seconds: float) -> None:
        super().__init__(config)
        self._seconds = end_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        timer = asyncio.get_running_loop().call_later(self._seconds, self._abort)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()

    def _abort(self) -> None:
        for connection in self.server_state.connections:
            connection.transport.abort()


@contextmanager
def serving(app: ASGIApp, listener: socket.socket, name: str, end_seconds: int = _END_SECONDS) -> Iterator[None]:
    """Answers requests in a thread called `name` as long as the context lasts; then the listener is closed.

    What is not answered `end_seconds` later loses its connection.
    """
    config = uvicorn.Config(
        app,
        http=PromptConnection,
        h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=end_seconds + _LAST_SECONDS,
        lifespan="off",
    )
    server = _Server(config, end_seconds)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(end_seconds + _LAST_SECONDS + 5)
        listener.close()

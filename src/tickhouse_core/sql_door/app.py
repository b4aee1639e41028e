"""The SQL door's addresses: `/` takes statements as ClickHouse's HTTP interface does, `/ping` says that it lives."""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from tickhouse_core.folder_holder import DOOR_HEADER, OWN_ID
from tickhouse_core.http_server import ABORT, CLOSE
from tickhouse_core.sql_door.compression import Encoder, NativeBlocks, Plain, chosen
from tickhouse_core.sql_door.reader import Ask, Reader, Running, new_mark
from tickhouse_core.sql_door.requests import answer_instead, ask_of
from tickhouse_core.sql_door.wire import (
    PLAIN,
    TOO_MANY_QUERIES,
    SqlError,
    content_type,
    ending,
    exception_block,
    refusal,
    summary,
    with_version,
)

log = logging.getLogger(__name__)

Result = TypeVar("Result")

MOST_AT_ONCE = 3
"""Statements that run; further ones wait for their turn."""

MOST_WAITING = 32
TURN_SECONDS = 30.0
SEND_SECONDS = 30.0
"""A client that takes nothing for so long loses its answer."""

CLOSE_SECONDS = 2.0
"""A statement that was ended and still runs so long after `close` is left."""

_LAST_SECONDS = 0.5
"""From then on: a client that takes nothing is left."""

_FIRST_BYTES = 1024 * 1024
"""An answer up to this size goes out in one piece, with what it cost."""

_MOST_WHOLE_BYTES = 256 * 1024 * 1024
_TOO_LARGE = 396
_AGAIN_SECONDS = 0.2


class SqlDoor:
    """An ASGI application for one event loop. `close` before the reader is closed."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="sql")
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._waiting = 0
        self._running: set[Future[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()
        self.is_closed = False
        self.closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        request = Request(scope, receive)
        answer = answer_instead(request)
        if answer is not None:
            answer.headers[DOOR_HEADER] = OWN_ID
            await answer(scope, receive, send)
            return
        await _Exchange(self, request, send).run()

    def close(self) -> None:
        """Refuses what comes and what waits, ends what runs, and waits for it: CLOSE_SECONDS at most. Nothing further begins."""
        with self._starting:
            self.is_closed = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.closing.set)
        deadline = time.monotonic() + CLOSE_SECONDS
        while (running := [future for future in self._running if not future.done()]) and time.monotonic() < deadline:
            self._reader.kill_all()
            wait(running, timeout=_AGAIN_SECONDS)
        if running:
            log.warning("queries were ended and still run: they are left", extra={"queries": len(running)})
        self._threads.shutdown(wait=False)

    async def unless_closing(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Its result; SqlError as soon as the door begins to close."""
        task, closing = asyncio.create_task(work), asyncio.create_task(self._until_closing())
        try:
            await asyncio.wait({task, closing}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ending()
            return task.result()
        finally:
            await _given_up(task, closing)

    async def _until_closing(self) -> None:
        if not self.is_closed:
            await self.closing.wait()

    async def turn(self) -> None:
        """Returns when a statement may run; `done` gives the turn back. SqlError where too many wait, or for too long."""
        if self._waiting >= MOST_WAITING:
            raise _too_many()
        self._waiting += 1
        try:
            await asyncio.wait_for(self._turns.acquire(), TURN_SECONDS)
        except TimeoutError:
            raise _too_many() from None
        finally:
            self._waiting -= 1

    def done(self) -> None:
        self._turns.release()

    async def in_thread(self, work: Any, *arguments: Any) -> Any:
        with self._starting:
            if self.is_closed:
                raise ending()
            future = self._threads.submit(work, *arguments)
            self._running.add(future)
        future.add_done_callback(self._running.discard)
        return await asyncio.wrap_future(future)

    @property
    def reader(self) -> Reader:
        return self._reader


class _Exchange:
    """One request and its answer."""

    def __init__(self, door: SqlDoor, request: Request, send: Send) -> None:
        self._door = door
        self._request = request
        self._send = send
        self._mark = new_mark()
        self._parameters = dict(request.query_params)
        self._query_id = self._parameters.get("query_id") or self._mark
        self._tag = secrets.token_hex(8)
        self._encoder: Encoder = Plain()
        self._has_begun = False

    async def run(self) -> None:
        try:
            try:
                ask = await self._door.unless_closing(ask_of(self._request))
                await self._door.unless_closing(self._door.turn())
                try:
                    await self._answered(ask)
                finally:
                    self._door.done()
            except SqlError as error:
                await self._failed(error)
        except (ClientDisconnect, TimeoutError, asyncio.CancelledError):  # the server cancels what its end did not wait for
            await self._gone(ABORT)

    async def _answered(self, ask: Ask) -> None:
        """While the statement runs, a client that leaves ends it, and so does the door when it closes."""
        leaving = asyncio.create_task(_left(self._request.receive))
        closing = asyncio.create_task(self._door.closing.wait())
        work = asyncio.create_task(self._worked(ask))
        try:
            await asyncio.wait({leaving, closing, work}, return_when=asyncio.FIRST_COMPLETED)
            deadline = time.monotonic() + _LAST_SECONDS
            while not work.done():
                await asyncio.to_thread(self._door.reader.kill, self._mark)
                await asyncio.wait({work}, timeout=_AGAIN_SECONDS)  # it may not have begun when it was to end
                if closing.done() and time.monotonic() > deadline:
                    self._request.scope[ABORT]()
            await work
        finally:
            await _given_up(leaving, closing)

    async def _worked(self, ask: Ask) -> None:
        running: Running = await self._door.in_thread(self._door.reader.begin, ask, self._mark)
        is_left = False
        try:
            await self._sent(running, ask)
        except asyncio.CancelledError:  # at the end of the server, while a thread is still in it
            is_left = True
            raise
        finally:
            if not is_left:
                await asyncio.shield(asyncio.to_thread(running.close))

    async def _sent(self, running: Running, ask: Ask) -> None:
        most = _MOST_WHOLE_BYTES if ask.is_whole else _FIRST_BYTES
        first, size = [], 0
        while (piece := await self._door.in_thread(running.next_piece)) is not None:
            first.append(piece)
            size += len(piece)
            if size > most:
                break
        if piece is not None and ask.is_whole:
            raise refusal(_TOO_LARGE, "TOO_MANY_ROWS_OR_BYTES", f"Limit for result exceeded, max bytes: {most}")
        headers = self._headers(running)
        body = await self._door.in_thread(self._encoder.take, b"".join(first))
        if piece is None:
            body += self._encoder.end()
            headers |= {"X-ClickHouse-Summary": summary(running.counts), "Content-Length": str(len(body))}
            await self._begin(200, headers)
            await self._out(body, more=False)
            return
        await self._begin(200, headers)
        await self._out(body)
        while (piece := await self._door.in_thread(running.next_piece)) is not None:
            await self._out(await self._door.in_thread(self._encoder.take, piece))
        await self._out(self._encoder.end(), more=False)

    def _headers(self, running: Running) -> dict[str, str]:
        headers = {
            "Content-Type": content_type(running.output_format),
            "X-ClickHouse-Format": running.output_format,
            "X-ClickHouse-Exception-Tag": self._tag,
        }
        if self._parameters.get("compress") == "1":
            self._encoder = NativeBlocks()
        elif self._parameters.get("enable_http_compression", "1") == "1":
            name, self._encoder = chosen(self._request.headers.get("accept-encoding", ""))
            headers |= {"Content-Encoding": name} if name else {}
        return headers

    async def _failed(self, error: SqlError) -> None:
        version = self._door.reader.version
        if self._has_begun:
            await self._out(self._encoder.take(exception_block(error, version, self._tag)))
            await self._out(self._encoder.end())
            await self._gone(CLOSE)  # nobody takes for whole what has no end
            return
        self._encoder = NativeBlocks() if self._parameters.get("compress") == "1" else Plain()
        body = self._encoder.take(with_version(error, version))
        headers = {"Content-Type": PLAIN, "X-ClickHouse-Exception-Code": str(error.code), "Content-Length": str(len(body))}
        await self._begin(error.status, headers)
        await self._out(body, more=False)

    async def _gone(self, way: str) -> None:
        self._request.scope[way]()
        await _left(self._request.receive)  # the server hears that the connection is gone

    async def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        own = {
            "X-ClickHouse-Query-Id": self._query_id,
            "X-ClickHouse-Timezone": self._door.reader.timezone,
            "X-ClickHouse-Server-Display-Name": "tickhouse",
            DOOR_HEADER: OWN_ID,
        }
        pairs = [(name.lower().encode(), _in_header(value)) for name, value in (own | dict(headers)).items()]
        await self._in_time({"type": "http.response.start", "status": status, "headers": pairs})
        self._has_begun = True

    async def _out(self, body: bytes, *, more: bool = True) -> None:
        if self._request.method == "HEAD":
            body = b""
        if body or not more:
            await self._in_time({"type": "http.response.body", "body": body, "more_body": more})

    async def _in_time(self, message: Message) -> None:
        async with asyncio.timeout(_LAST_SECONDS if self._door.is_closed else SEND_SECONDS):
            await self._send(message)


def _in_header(value: str) -> bytes:
    """A query id is the client's own text: a line end in it would end the header."""
    return "".join(letter if letter.isprintable() else "?" for letter in value).encode("latin-1", "replace").strip()


async def _given_up(*tasks: "asyncio.Task[Any]") -> None:
    """Ends them; what they failed with is nobody's any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _left(receive: Receive) -> None:
    """Returns when the client is gone; its request was read to the end."""
    while (await receive())["type"] != "http.disconnect":
        continue


def _too_many() -> SqlError:
    return refusal(TOO_MANY_QUERIES, "TOO_MANY_SIMULTANEOUS_QUERIES", f"Too many simultaneous queries. Maximum: {MOST_AT_ONCE}")

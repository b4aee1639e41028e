"""What tests of the live capture's sockets share: servers that behave as told, and a receiver. Not a test."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from tests.waiting import patience
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from extract_process.feed.websocket import StreamConnection, open_stream

SILENCE = 20.0
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing the socket sends a RST instead of a FIN."""


class Received:
    """A receiver that keeps everything, and can be waited for."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[bytes], int]] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def frames(self) -> list[bytes]:
        return [frame for frames, _ in self.calls for frame in frames]

    def __call__(self, connection: StreamConnection, frames: list[bytes], receipt_time: int) -> None:
        assert isinstance(connection, StreamConnection)
        self.calls.append((frames, receipt_time))
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def until(self, number: int) -> None:
        """So many frames were handed on."""
        async with asyncio.timeout(patience(20)), self._changed:
            await self._changed.wait_for(lambda: len(self.frames) >= number)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Venue:
    """The server's side of one connection, spoken frame by frame: what a library's server would never send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.protocol = ServerProtocol()
        self.reader = reader
        self.writer = writer

    async def shake_hands(self) -> None:
        """Reads the request; the answer goes out with the next `send`."""
        self.protocol.receive_data(await self.reader.readuntil(b"\r\n\r\n"))
        (request,) = self.protocol.events_received()
        assert isinstance(request, Request)
        self.protocol.send_response(self.protocol.accept(request))

    def send(self) -> None:
        """Everything the protocol has to say, in one write."""
        self.writer.write(b"".join(self.protocol.data_to_send()))

    async def read_pong(self) -> None:
        """Until the client has answered a ping."""
        while data := await self.reader.read(65_536):
            self.protocol.receive_data(data)
            if any(getattr(event, "opcode", None) is Opcode.PONG for event in self.protocol.events_received()):
                return

    async def read_close(self) -> None:
        """Until the client's close frame has come; it is not answered yet."""
        while self.protocol.close_rcvd is None and (data := await self.reader.read(65_536)):
            self.protocol.receive_data(data)

    def reset(self) -> None:
        """A RST, as when the machine behind the address goes away."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.writer.transport.abort()


@asynccontextmanager
async def venue_that(behaves: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a websocket server that pings nobody by itself."""

    async def handle(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await behaves(connection)

    async with serve(handle, "127.0.0.1", 0, ping_interval=None, close_timeout=1) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/stream"


@asynccontextmanager
async def raw_venue_that(behaves: Callable[[Venue], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a server that does with one connection what it is told, handshake included."""
    done = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                await behaves(Venue(reader, writer))
        finally:
            writer.close()
            done.set()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stream"
        async with asyncio.timeout(patience(20)):
            await done.wait()


@asynccontextmanager
async def opened(url: str, received: Received, silence_seconds: float = SILENCE) -> AsyncIterator[StreamConnection]:
    connection = await open_stream(url, received, silence_seconds)
    try:
        yield connection
    finally:
        await connection.close()


async def end_of(connection: StreamConnection) -> str:
    async with asyncio.timeout(patience(20)):
        return await asyncio.shield(connection.lost)

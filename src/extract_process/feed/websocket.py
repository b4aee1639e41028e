"""One websocket connection: frames are handed on in the very callback that read their bytes, with their receipt time.

The protocol is websockets' Sans-I/O client; there is no queue between the socket and the receiver. What the receiver
does takes the time until the next read, so a slow disk pauses the socket, and a killed process has no frames that it
read but did not hand on.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence

from websockets.asyncio.client import connect_http_proxy
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidProxy, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.proxy import Proxy, get_proxy, parse_proxy
from websockets.uri import WebSocketURI, parse_uri

from tickhouse_core.errors import VenueUnavailable
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 3.0
LARGEST_FRAME = 16 * 1024 * 1024
MOST_AT_ONCE = 16 * 1024
"""Bytes that are worked on before the event loop gets its turn: of one-byte frames a read of 256 kB holds 87,000, seconds
of work in which no deadline would hold."""

FramesReceiver = Callable[["StreamConnection", list[bytes], int], None]


class StreamConnection(asyncio.Protocol):
    """An open websocket. `lost` is done, with the cause in words, once nothing more will come.

    The venue pings every 20 s, so a connection that is silent for `silence_seconds` is dead, however open it looks.
    """

    def __init__(self, url: str, receiver: FramesReceiver, silence_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._protocol = ClientProtocol(parse_uri(url), max_size=LARGEST_FRAME)
        self._receiver = receiver
        self._silence_seconds = silence_seconds
        self._transport: asyncio.Transport | None = None
        self._unread, self._read_at = b"", 0
        self._begun = bytearray()  # of a message in fragments; as many objects as fragments could be more than its bytes
        self._cause = ""
        self._last_data = self._loop.time()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.opened_at = 0.0

    @property
    def lived_seconds(self) -> float:
        """Since the handshake; 0 before it."""
        return self._loop.time() - self.opened_at if self.opened_at else 0.0

    def send(self, message: bytes) -> None:
        """Sends a text message; into a connection that is already lost it goes nowhere, as `lost` says."""
        if not self.lost.done() and not self._cause and self._protocol.state is State.OPEN:
            self._protocol.send_text(message)
            self._send_out()

    async def close(self) -> None:
        """The closing handshake; a venue that does not answer it is left after 3 s. Frames that still come are handed on."""
        if not self._cause and not self.lost.done():
            self._cause = "closed by us"
            if self.opened.done() and not self.opened.exception():
                if self._protocol.state is State.OPEN:  # else the venue has said goodbye already
                    self._protocol.send_close(1000)
                    self._send_out()
                await asyncio.wait([self.lost], timeout=CLOSE_SECONDS)
        self.abort("closed by us")
        await asyncio.wait([self.lost], timeout=CLOSE_SECONDS)

    def abort(self, cause: str) -> None:
        """Cuts the connection at once."""
        self._cause = self._cause or cause
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._protocol.send_request(self._protocol.connect())
        self._send_out()
        self._watch_silence()

    def data_received(self, data: bytes) -> None:
        self._last_data = self._loop.time()
        self._unread, self._read_at = self._unread + data, now_us()
        self._take_part()

    def _take_part(self) -> None:
        """What is left of a large read waits for the next turn, and nothing is read meanwhile."""
        data, self._unread = self._unread[:MOST_AT_ONCE], self._unread[MOST_AT_ONCE:]
        if not data or self._transport is None:  # the connection was lost meanwhile
            return
        try:
            self._hand_on(data, self._read_at)
        finally:
            if self._unread:
                self._transport.pause_reading()
                self._loop.call_soon(self._take_part)
            else:
                self._transport.resume_reading()

    def _hand_on_unread(self) -> None:
        """All of it: the end comes behind it. TLS says the end in the same read, although nothing is to be read."""
        if data := self._unread:
            self._unread = b""
            self._hand_on(data, self._read_at)

    def _hand_on(self, data: bytes, receipt_time: int) -> None:
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        self._send_out()
        if not self.opened_at:
            self._finish_handshake()
        if frames := self._messages_of(events):
            self._receiver(self, frames, receipt_time)
        if self._protocol.close_expected() and self._transport is not None:
            self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def eof_received(self) -> None:
        self._hand_on_unread()
        self._protocol.receive_eof()
        self._send_out()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hand_on_unread()
        if not self._protocol.close_expected() and self._protocol.handshake_exc is None:
            self._protocol.receive_eof()
        cause = self._cause or self._words_of_end(exc)
        if not self.opened.done():
            self.opened.set_exception(VenueUnavailable(cause))
        if not self.lost.done():
            self.lost.set_result(cause)

    def _finish_handshake(self) -> None:
        if self._protocol.handshake_exc is not None:
            self.abort(f"handshake refused: {self._protocol.handshake_exc}")
        elif self._protocol.state.name != "CONNECTING" and not self.opened.done():
            self.opened_at = self._loop.time()
            self.opened.set_result(None)

    def _messages_of(self, events: Sequence[object]) -> list[bytes]:
        messages = []
        for event in events:
            if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                continue
            if event.fin and not self._begun:
                messages.append(bytes(event.data))
                continue
            self._begun += event.data
            if event.fin:
                messages.append(bytes(self._begun))
                self._begun.clear()
        return messages

    def _send_out(self) -> None:
        assert self._transport is not None
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()

    def _watch_silence(self) -> None:
        silent = self._loop.time() - self._last_data
        if silent >= self._silence_seconds:
            self.abort(f"silent for {silent:.1f} s, not even a ping")
        elif not self.lost.done():
            self._loop.call_later(self._silence_seconds - silent, self._watch_silence)

    def _words_of_end(self, exc: Exception | None) -> str:
        if self._protocol.handshake_exc is not None:
            return f"handshake refused: {self._protocol.handshake_exc}"
        if self._protocol.close_rcvd is not None:
            return f"closed by the venue: {self._protocol.close_rcvd.code} {self._protocol.close_rcvd.reason}".rstrip()
        if self._protocol.close_sent is not None:  # no frame of the protocol, or one beyond LARGEST_FRAME
            return f"refused by us: {self._protocol.close_sent.code} {self._protocol.close_sent.reason}"
        return f"connection lost: {exc or 'end of stream without a close frame'}"


async def open_stream(url: str, receiver: FramesReceiver, silence_seconds: float) -> StreamConnection:
    """Connects and shakes hands, through the proxy of the environment where one is named, as the REST client does.

    Raises VenueUnavailable within 10 s where that fails.
    """
    where = parse_uri(url)
    tls = ssl.create_default_context() if where.secure else None
    loop = asyncio.get_running_loop()
    connection = None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = StreamConnection(url, receiver, silence_seconds)
            if proxy := get_proxy(where):
                await _connect_through(proxy, where, tls, connection)
            else:
                made = connection
                await loop.create_connection(lambda: made, where.host, where.port, ssl=tls)
            await connection.opened
    except BaseException as error:
        if connection is not None:
            connection.abort("no handshake in time")
        if not isinstance(error, OSError | TimeoutError | WebSocketException):
            raise
        raise VenueUnavailable(f"cannot connect to {where.host}:{where.port}: {error or 'no answer in time'}") from error
    return connection


async def _connect_through(url: str, where: WebSocketURI, tls: ssl.SSLContext | None, connection: StreamConnection) -> None:
    """A tunnel (CONNECT): the proxy resolves the venue's name, and TLS is with the venue."""
    proxy = _proxy_of(url)
    log.info("through a proxy", extra={"venue": f"{where.host}:{where.port}", "proxy": f"{proxy.host}:{proxy.port}"})
    tls_of_proxy = ssl.create_default_context() if proxy.scheme == "https" else None
    transport: asyncio.BaseTransport | None = await connect_http_proxy(proxy, where, ssl=tls_of_proxy)
    assert isinstance(transport, asyncio.Transport)
    if tls is None:
        transport.set_protocol(connection)
    else:
        transport = await asyncio.get_running_loop().start_tls(transport, connection, tls, server_hostname=where.host)
    assert transport is not None
    connection.connection_made(transport)


def _proxy_of(url: str) -> Proxy:
    """Never shown whole: there may be a password in it."""
    try:
        proxy = parse_proxy(url)
    except InvalidProxy as error:
        raise VenueUnavailable("the proxy of the environment (HTTPS_PROXY) is no address like http://host:port") from error
    if proxy.scheme not in ("http", "https"):
        raise VenueUnavailable(f"sockets go through http and https proxies, not {proxy.scheme}: set HTTPS_PROXY, or NO_PROXY")
    return proxy

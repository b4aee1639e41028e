"""Sockets on aiohttp: the handshake, what clients send, and a `Wire` that writes frames straight to the transport, so that one
write carries the frames of many messages and a test can send frames that no library would.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from aiohttp import WSMsgType, web

from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.clock import Clock
from simulated_exchange.server.connection import Connection
from simulated_exchange.server.messages import CLOSE, PONG, frame
from simulated_exchange.server.sockets import Sockets

LARGEST_MESSAGE = 1 << 20  # bytes from a client; far above what the venue reads

_PULSE_SECONDS = 0.01
_SHORTEST_PAUSE = 0.001
_GOODBYE_SECONDS = 1.0
_MUTE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """What the address of a connection asks for."""

    streams: list[str]
    combined: bool
    unit: TimeUnit


class Listener:
    """Serves the sockets of one exchange; `now` is its clock in microseconds."""

    def __init__(self, sockets: Sockets, now: Callable[[], int], most_streams: int) -> None:
        self._sockets = sockets
        self._now = now
        self._most_streams = most_streams

    async def serve(self, http: web.BaseRequest, address: Address) -> web.StreamResponse:
        """One connection from handshake to end; 400 for what is none, 429 for one too many."""
        socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, max_msg_size=LARGEST_MESSAGE)
        if not socket.can_prepare(http).ok or http.transport is None:
            return _refused(400, -1000, "Expected a WebSocket handshake.")
        now = self._now()  # what happens while hands are shaken belongs to the connection
        if not self._sockets.admits(http.remote or "", now):
            return _refused(429, -1034, "Too many new connections; the limit is counted per 5 MINUTE.")
        if len(set(address.streams)) > self._most_streams:
            return _refused(400, 4, "Too many subscriptions")
        await socket.prepare(http)
        wire = TransportWire(http.transport)
        connection = self._sockets.open(wire, http.remote or "", now, combined=address.combined, unit=address.unit)
        try:
            self.begin(connection, http, address, now)
            await self._listen(socket, connection, wire)
        finally:
            self._sockets.on_closed(connection, self._now())
        return socket

    def begin(self, connection: Connection, http: web.BaseRequest, address: Address, now: int) -> None:
        """What happens on a connection that has just shaken hands."""
        self._sockets.subscribe(connection, address.streams, now)

    async def _listen(self, socket: web.WebSocketResponse, connection: Connection, wire: "TransportWire") -> None:
        while True:
            message = await socket.receive()
            match message.type:
                case WSMsgType.TEXT:
                    self._sockets.on_text(connection, message.data.encode(), self._now())
                case WSMsgType.BINARY:
                    self._sockets.on_text(connection, message.data, self._now())
                case WSMsgType.PING:
                    if self._sockets.on_ping(connection, self._now()):
                        wire.write(frame(PONG, message.data))
                case WSMsgType.PONG:
                    self._sockets.on_pong(connection, bytes(message.data), self._now())
                case WSMsgType.CLOSE:
                    await wire.say_goodbye(message.data, is_mute=connection.is_half_open)
                    return
                case _:
                    return


class TransportWire:
    """Writes to the transport under an aiohttp connection, past its buffers."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_closing = False

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def waiting(self) -> int:
        return self._transport.get_write_buffer_size()

    def close(self, code: int, reason: str) -> None:
        """Sends a close frame; the client has a second to answer it."""
        self._is_closing = True
        self._transport.write(frame(CLOSE, code.to_bytes(2, "big") + reason.encode()))
        asyncio.get_running_loop().call_later(_GOODBYE_SECONDS, self._transport.close)

    def drop(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    async def say_goodbye(self, code: int | None, *, is_mute: bool) -> None:
        """The client has sent a close frame: answers it, unless this is the answer or nobody answers here any more."""
        if is_mute:
            await asyncio.sleep(_MUTE_SECONDS)
        elif not self._is_closing:
            self._transport.write(frame(CLOSE, code.to_bytes(2, "big") if code else b""))
        self._transport.close()


async def run_pulse(pulse: Callable[[int], bool], clock: Clock, scale: float) -> None:
    """Lets messages out every 10 ms of the exchange's clock, as long as anything is running; until cancelled."""
    pause = max(_SHORTEST_PAUSE, _PULSE_SECONDS / scale)
    while True:
        behind = pulse(clock.now_us())
        await asyncio.sleep(0 if behind else pause)


def _refused(status: int, code: int, reason: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"code": code, "msg": reason}), content_type="application/json")

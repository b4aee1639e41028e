"""KuCoin's sockets: a welcome first, topics instead of streams in the address, and pings that the client sends."""

from dataclasses import replace

import orjson
from aiohttp import web

from simulated_exchange.binance.messages import TEXT, frame
from simulated_exchange.kucoin.limits import SECOND_US, ClientPulse, KucoinLimits
from simulated_exchange.kucoin.requests import TopicRequests
from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.connection import Connection, Wire
from simulated_exchange.server.publisher import Publisher
from simulated_exchange.server.socket_limits import SlidingCount, SocketLimits
from simulated_exchange.server.sockets import MessageSource, Sockets
from simulated_exchange.server.websocket import Address, Listener


class KucoinSockets(Sockets):
    """The open connections of this venue."""

    def __init__(self, limits: SocketLimits, kucoin: KucoinLimits, publisher: Publisher, source: MessageSource) -> None:
        super().__init__(replace(limits, streams_per_connection=kucoin.topics_per_connection), publisher, source)
        self._kucoin = kucoin

    def open(self, wire: Wire, address: str, now: int, *, combined: bool, unit: TimeUnit) -> Connection:
        connection = super().open(wire, address, now, combined=False, unit=unit)
        connection.requests = TopicRequests(self._kucoin.topics_per_connection)
        connection.messages = SlidingCount(self._kucoin.messages_per_ten_seconds, 10 * SECOND_US)
        connection.heartbeat = ClientPulse(int(self._kucoin.silence_seconds * SECOND_US), now)
        connection.notice_at = None
        return connection

    def on_text(self, connection: Connection, text: bytes, now: int) -> None:
        if isinstance(connection.heartbeat, ClientPulse):
            connection.heartbeat.hear(now)
        super().on_text(connection, text, now)

    def announce_shutdown(self, now: int) -> None:
        """This venue says nothing before it closes."""


class KucoinListener(Listener):
    """Serves the sockets of this venue."""

    def begin(self, connection: Connection, http: web.BaseRequest, address: Address, now: int) -> None:
        welcome = {"id": http.query.get("connectId", ""), "type": "welcome"}
        connection.send(frame(TEXT, orjson.dumps(welcome)))
        connection.flush()

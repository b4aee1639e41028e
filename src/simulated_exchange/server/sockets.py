"""All sockets of the exchange: who may connect, what clients say, pings, lives, and the pulse that lets messages out.

Every method is told the time (microseconds of the exchange's clock), so everything scales and stands still with that clock.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.connection import GOING_AWAY, POLICY_VIOLATION, Connection, Ending, Talk, Wire
from simulated_exchange.server.messages import PING, TEXT, frame
from simulated_exchange.server.publisher import Publisher
from simulated_exchange.server.socket_limits import FIVE_MINUTES_US, SlidingCount, SocketLimits


class MessageSource(Protocol):
    """Where messages come from: running books or a recording."""

    def want(self, names: Iterable[str], now: int) -> None:
        """Somebody has subscribed to these."""

    def unwant(self, names: Iterable[str]) -> None:
        """Somebody has left these."""

    def advance(self, now: int) -> None:
        """Publishes what is due, or the next part of it."""

    def is_behind(self, now: int) -> bool:
        """There is more to publish at once."""


class Sockets(ABC):
    """The open connections of one venue."""

    def __init__(self, limits: SocketLimits, publisher: Publisher, source: MessageSource) -> None:
        self._limits = limits
        self._publisher = publisher
        self._source = source
        self._connections: dict[int, Connection] = {}
        self._attempts: dict[str, SlidingCount] = {}
        self._last_number = 0

    def admits(self, address: str, now: int) -> bool:
        """ "300 connections per attempt every 5 minutes per IP": False is a 429."""
        limit = self._limits.connects_per_five_minutes
        attempts = self._attempts.setdefault(address, SlidingCount(limit, FIVE_MINUTES_US))
        if attempts.admits(now):
            return True
        self._publisher.tally.refused_connects["too_many_connects"] += 1
        return False

    def open(self, wire: Wire, address: str, now: int, *, combined: bool, unit: TimeUnit) -> Connection:
        """A connection that has shaken hands; streams named in its address follow by `subscribe`."""
        self._last_number += 1
        log = self._publisher.tally.on_connect(self._last_number, address, now)
        talk = self._talk(now, combined=combined)
        connection = Connection(self._last_number, wire, now, self._limits, unit=unit, log=log, talk=talk)
        self._connections[connection.number] = connection
        return connection

    def subscribe(self, connection: Connection, names: Sequence[str], now: int) -> None:
        """Names from the address."""
        self._attach(connection, connection.requests.add(names), now)

    def on_text(self, connection: Connection, text: bytes, now: int) -> None:
        """One JSON control message."""
        if connection.ending or not self._counted(connection, now):
            return
        answer = connection.requests.on_text(text)
        self._publisher.tally.client_messages[answer.method] += 1
        if answer.removed:
            self._detach(connection, answer.removed)
        if answer.reply is not None and not connection.is_silent:
            connection.send(frame(TEXT, answer.reply))
            connection.flush()
        self._attach(connection, answer.added, now)

    def on_ping(self, connection: Connection, now: int) -> bool:
        """Whether the client's ping is answered with a pong."""
        self._publisher.tally.client_messages["ping"] += 1
        return self._counted(connection, now) and not connection.is_silent

    def on_pong(self, connection: Connection, payload: bytes, now: int) -> None:
        self._publisher.tally.client_messages["pong"] += 1
        if self._counted(connection, now):
            connection.heartbeat.pong(payload)

    def on_closed(self, connection: Connection, now: int) -> None:
        """The connection is gone, whoever ended it."""
        if self._connections.pop(connection.number, None) is None:
            return
        self._detach(connection, list(connection.requests.streams))
        self._publisher.tally.on_disconnect(connection.log, connection.ending or Ending.CLIENT, now)

    def pulse(self, now: int) -> bool:
        """Pings, endings and messages that are due; True if there is more to do at once."""
        for connection in list(self._connections.values()):
            if not connection.is_silent:
                self._tend(connection, now)
        self._source.advance(now)
        self._publisher.release_delayed(now)
        self._publisher.flush()
        return self._source.is_behind(now)

    def announce_shutdown(self, now: int) -> None:
        """What the venue says before it closes, to everyone."""
        for connection in self._connections.values():
            notice = self._shutdown_notice(connection, now)
            if notice is not None and not connection.is_silent:
                connection.send(frame(TEXT, notice))
                connection.flush()

    def disconnect(self, numbers: Iterable[int] | None = None) -> None:
        """Ends these connections (None: all) without a close frame."""
        wanted = list(self._connections) if numbers is None else list(numbers)
        for number in wanted:
            connection = self._connections.get(number)
            if connection:
                connection.drop(Ending.CONTROL)

    @property
    def is_sending(self) -> bool:
        """Somebody has not taken yet what was written."""
        return any(connection.wire.waiting() for connection in self._connections.values() if not connection.is_silent)

    def say_goodbye(self) -> None:
        """Closes all connections with the closing handshake: a recording is over."""
        for connection in self._connections.values():
            connection.close(Ending.OVER, GOING_AWAY, "the replay is over")

    def reset(self) -> None:
        """Connection attempts are forgotten."""
        self._attempts.clear()

    def report(self) -> dict[str, Any]:
        """For the tally: who is connected now."""
        return {
            str(number): {"streams": len(connection.requests.streams), "unsent_bytes": connection.wire.waiting()}
            for number, connection in self._connections.items()
        }

    def _tend(self, connection: Connection, now: int) -> None:
        if connection.heartbeat.is_dead(now):
            connection.close(Ending.PONG_TIMEOUT, POLICY_VIOLATION, "Pong timeout")
        elif now >= connection.ends_at:
            connection.close(Ending.LIFE_OVER, GOING_AWAY, "")
        elif payload := connection.heartbeat.ping(now):
            self._publisher.tally.pings += 1
            connection.send(frame(PING, payload))
            connection.flush()

    @abstractmethod
    def _talk(self, now: int, *, combined: bool) -> Talk:
        """How a new connection is talked to."""

    @abstractmethod
    def _shutdown_notice(self, connection: Connection, now: int) -> bytes | None:
        """The JSON that announces the end of a connection, None if the venue says nothing."""

    def _counted(self, connection: Connection, now: int) -> bool:
        if connection.messages.admits(now):
            return True
        connection.close(Ending.TOO_MANY_MESSAGES, POLICY_VIOLATION, "Too many requests")
        return False

    def _attach(self, connection: Connection, names: Sequence[str], now: int) -> None:
        if names:
            self._source.want(names, now)
            self._publisher.subscribe(connection, names)

    def _detach(self, connection: Connection, names: Sequence[str]) -> None:
        self._publisher.unsubscribe(connection, names)
        self._source.unwant(names)

"""StreamFeed: the streams of one connection kept delivering: reconnects, and overlapping rotation before the venue cuts."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from extract_process.dialect import Reply, ServerShutdown, Welcome
from extract_process.event_budget import EventBudget
from extract_process.feed_sink import FeedSink
from extract_process.first_messages import FirstMessages
from extract_process.reconnect_delay import ReconnectDelay
from extract_process.stream_key import StreamKey, first_ids_of
from extract_process.stream_reader import StreamConnection, open_stream
from extract_process.venue import Address, Venue
from tickhouse_core.errors import VenueError, VenueUnavailable

log = logging.getLogger(__name__)

MOST_BACKLOG = 100_000
"""Records of a second connection that wait to be judged; beyond it the change-over is made at once."""

LONGEST_OVERLAP_SECONDS = 60.0
MOST_NAMED = 10
"""Silent streams that a line names; there is an event for each."""

REPLY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """`rotate_seconds` is when a connection is replaced, before the venue's 24 h are over."""

    rotate_seconds: float
    overlap_seconds: float
    silence_seconds: float
    first_message_seconds: float
    streams_per_connection: int


@dataclass(slots=True, eq=False)
class _Link:
    """One connection of the feed. Until it is the judged one, its records wait in the backlog."""

    connection: StreamConnection
    is_judged: bool = False
    backlog: list[tuple[object, int]] = field(default_factory=list)
    unanswered: set[int] = field(default_factory=set)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    welcomed: asyncio.Event = field(default_factory=asyncio.Event)
    refused: str = ""
    last_words: str = ""
    rotation_due: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def lost(self) -> asyncio.Future[str]:
        """Done, with the cause, once the connection is lost."""
        return self.connection.lost

    @property
    def words_of_loss(self) -> str:
        """With what the venue said before: a close frame often has no reason in it."""
        return f"{self.lost.result()}, after it said: {self.last_words}" if self.last_words else self.lost.result()


class StreamFeed:
    """Runs until cancelled, then closes what is open; frames that come while closing are landed and judged too."""

    def __init__(
        self,
        name: str,
        streams: Sequence[str],
        sink: FeedSink,
        connects: EventBudget,
        options: FeedOptions,
        venue: Venue,
        find_address: Callable[[], Awaitable[Address]],
    ) -> None:
        """`find_address` is asked anew for every connection; it raises VenueError."""
        self.name = name
        self.streams = list(streams)
        self._sink = sink
        self._venue = venue
        self._find_address = find_address
        self._connects = connects
        self._options = options
        self._delay = ReconnectDelay()
        self._links: dict[StreamConnection, _Link] = {}
        self._keys = [venue.key_of_stream(stream) for stream in streams]
        self._places = {(key.channel, key.symbol.upper()) for key in self._keys}
        self._first = FirstMessages(self._keys)

    @property
    def connections(self) -> int:
        """Open now: 1, or 2 in an overlap."""
        return len(self._links)

    async def run(self) -> None:
        try:
            while True:
                link = await self._connect_until_done()
                self._promote(link, "connected")
                await self._follow(link)
        finally:
            await asyncio.gather(*(connection.close() for connection in list(self._links)))

    async def _follow(self, link: _Link) -> None:
        """Stays with the feed's connection and its successors until one is lost without a successor."""
        while True:
            seconds = self._options.rotate_seconds * random.uniform(0.9, 1.0)  # not all feeds at once
            await _first_of(link.lost, link.rotation_due, seconds)
            if link.lost.done():
                break
            link = await self._replace(link)
        self._say_lost(link)
        await asyncio.sleep(self._delay.next_delay(link.connection.lived_seconds, random.random()))

    async def _replace(self, link: _Link) -> _Link:
        """The judged connection after the attempt: the second one, up and delivering before the first was closed."""
        successor = await self._connect_until_done()
        is_seamless = await self._overlap(link, successor)
        if successor.lost.done() and not link.lost.done():
            self._say_lost(successor)
            await asyncio.sleep(self._delay.next_delay(successor.connection.lived_seconds, random.random()))
            link.rotation_due.set()
            return link
        if link.lost.done():
            self._say_lost(link)
        elif not is_seamless:
            self._sink.on_break("rotation", self._is_ours)
        self._promote(successor, "rotated")
        await self._retire(link)
        return successor

    async def _overlap(self, link: _Link, successor: _Link) -> bool:
        """Until both have delivered for a while and the successor's ids go on from the first's: whether they do."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        waited_for = {link.lost, successor.lost}
        seconds = self._options.overlap_seconds
        while loop.time() - began < LONGEST_OVERLAP_SECONDS:
            await asyncio.wait(waited_for, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if any(lost.done() for lost in waited_for) or len(successor.backlog) > MOST_BACKLOG:
                return False
            if self._sink.follows(first_ids_of(message for message, _ in successor.backlog)):
                return True
            seconds = min(1.0, self._options.overlap_seconds)
        return False

    def _promote(self, link: _Link, event: str) -> None:
        """From here on this connection is the judged one; what it delivered so far is judged first."""
        link.is_judged = True
        self._note(event, detail=f"{len(self.streams)} streams, {len(link.backlog)} records in the overlap")
        backlog, link.backlog = link.backlog, []
        for message, receipt_time in backlog:
            self._sink.judge_messages([message], receipt_time)

    async def _retire(self, link: _Link) -> None:
        link.is_judged = False
        await link.connection.close()
        self._links.pop(link.connection, None)

    def _say_lost(self, link: _Link) -> None:
        """A hole that shows now is the connection's fault, if it was the judged one."""
        self._links.pop(link.connection, None)
        if link.is_judged:
            self._sink.on_break("disconnect", self._is_ours)
        detail = f"{link.words_of_loss} after {link.connection.lived_seconds:.1f} s"
        self._note("disconnected", cause="disconnect", detail=detail)

    async def _connect_until_done(self) -> _Link:
        while True:
            try:
                return await self._connect()
            except VenueError as error:
                seconds = self._delay.next_delay(0.0, random.random())
                log.warning("cannot connect", extra={"feed": self.name, "seconds": round(seconds, 2), "why": str(error)})
                self._note("connect_failed", detail=str(error))
                await asyncio.sleep(seconds)

    async def _connect(self) -> _Link:
        """A connection whose streams are all subscribed. Raises VenueError."""
        loop = asyncio.get_running_loop()
        while seconds := self._connects.wait_before(loop.time()):  # noqa: ASYNC110  # for the clock
            await asyncio.sleep(seconds)
        self._connects.on_event(loop.time())
        address = await self._find_address()
        connection = await open_stream(address.url, self._on_frames, self._options.silence_seconds)
        link = self._link_of(connection)
        try:
            await self._begin(link, address)
            await self._subscribe(link, connection)
        except BaseException:
            self._links.pop(connection, None)
            connection.abort("not subscribed")
            raise
        loop.call_later(self._options.first_message_seconds, self._say_silent)
        return link

    async def _begin(self, link: _Link, address: Address) -> None:
        """Waits for the welcome and starts the pings, where the venue wants them."""
        if address.ping is not None:
            self._ping_later(link.connection, address.ping, address.ping_seconds)
        if address.says_welcome:
            await _first_of(link.lost, link.welcomed, REPLY_SECONDS)
            if not link.welcomed.is_set():
                silence = f"no welcome for {REPLY_SECONDS:.0f} s, but: {link.last_words}".removesuffix(", but: ")
                raise VenueUnavailable(link.words_of_loss if link.lost.done() else silence)

    def _ping_later(self, connection: StreamConnection, ping: Callable[[], bytes], seconds: float) -> None:
        def send() -> None:
            if not connection.lost.done():
                connection.send(ping())
                self._ping_later(connection, ping, seconds)

        asyncio.get_running_loop().call_later(seconds, send)

    async def _subscribe(self, link: _Link, connection: StreamConnection) -> None:
        loop = asyncio.get_running_loop()
        limit = self._venue.sockets.messages
        budget = EventBudget(limit.most - 1, limit.seconds)  # one is left for a ping or a pong
        for number, message in self._venue.subscribe_messages(self.streams):
            while seconds := budget.wait_before(loop.time()):  # noqa: ASYNC110  # for the clock
                await asyncio.sleep(seconds)
            budget.on_event(loop.time())
            link.unanswered.add(number)
            connection.send(message)
        if link.unanswered:
            link.answered.clear()
            await _first_of(connection.lost, link.answered, REPLY_SECONDS)
        if connection.lost.done():
            raise VenueUnavailable(link.words_of_loss)
        if link.refused or link.unanswered:
            raise VenueUnavailable(link.refused or f"subscription unanswered for {REPLY_SECONDS:.0f} s")

    def _on_frames(self, connection: StreamConnection, frames: list[bytes], receipt_time: int) -> None:
        link = self._link_of(connection)
        messages = self._sink.land(frames, receipt_time, extra=not link.is_judged)
        for message in messages:
            if isinstance(message, Reply):
                self._on_reply(link, message)
            elif isinstance(message, Welcome):
                link.welcomed.set()
            elif isinstance(message, ServerShutdown):
                self._note("server_shutdown")
                link.rotation_due.set()
        self._first.on_messages(messages)
        if link.is_judged:
            self._sink.judge_messages(messages, receipt_time)
        else:
            link.backlog += [(message, receipt_time) for message in messages]

    def _on_reply(self, link: _Link, reply: Reply) -> None:
        if reply.error:
            link.last_words = reply.error
            if link.unanswered and (reply.id is None or reply.id in link.unanswered):
                link.refused = f"subscription refused: {reply.error}"
            else:  # it answers nothing that was asked
                self._note("venue_error", detail=reply.error)
        link.unanswered.discard(reply.id if isinstance(reply.id, int) else -1)
        if reply.error or not link.unanswered:
            link.answered.set()

    def _say_silent(self) -> None:
        """A name the venue does not know is answered like any other and then silent."""
        silent = self._first.take_silent()
        for key in silent:
            self._sink.tell("silent_stream", key)
        if silent:
            named = ", ".join(f"{key.channel} {key.symbol.upper()}" for key in silent[:MOST_NAMED])
            what = {"feed": self.name, "silent": f"{len(silent)} of {len(self.streams)} streams", "streams": named}
            log.warning("no message yet: is the symbol right, and trading?", extra=what)

    def _is_ours(self, key: StreamKey) -> bool:
        return (key.channel, key.symbol.upper()) in self._places

    def _link_of(self, connection: StreamConnection) -> _Link:
        """Frames may come before `_connect` knows that the connection is open."""
        if (link := self._links.get(connection)) is None:
            link = self._links[connection] = _Link(connection)
        return link

    def _note(self, event: str, *, cause: str = "", detail: str = "") -> None:
        words = f"{self.name}: {detail}" if detail else self.name
        self._sink.tell(event, cause=cause, detail=words)


async def _first_of(lost: asyncio.Future[str], event: asyncio.Event, seconds: float) -> None:
    """Until one of them happens, at most so long."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait([lost, waiting], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
    waiting.cancel()

"""FeedLink: one connection of a feed, from the address to the answered subscription, and how long to wait before the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from extract_process.feed.overlap import Overlap, Verdict
from extract_process.feed.websocket import FramesReceiver, StreamConnection, open_stream
from extract_process.venues import Venue
from extract_process.venues.api import Address, Reply
from extract_process.venues.rate_limit import EventLimit
from tickhouse_core.backoff import Backoff
from tickhouse_core.errors import SubscriptionRefused, VenueUnavailable

REPLY_SECONDS = 10.0

MOST_BACKLOG = 100_000
"""Records of a second connection that wait to be tracked; with more of them, it takes over or is given up."""

LIVED_SECONDS = 60.0
"""A connection that lived longer ended by chance; a shorter one is a sign of trouble that goes on."""


class ReconnectDelay:
    """With full jitter. Grows with every connection that did not live, whether or not its handshake succeeded.

    A server that accepts and closes at once would otherwise be dialled thousands of times (Binance allows 300 connects
    in 5 minutes).
    """

    def __init__(self, first_seconds: float = 0.5, most_seconds: float = 30.0) -> None:
        self._backoff = Backoff(first_seconds, most_seconds)
        self._failures = 0

    def next_delay(self, lived_seconds: float, fraction: float) -> float:
        """Seconds to wait after a connection that lived `lived_seconds` (0: it never opened); `fraction` is random in [0, 1)."""
        if lived_seconds >= LIVED_SECONDS:
            self._failures = 0
        self._failures += 1
        return self._backoff.pause(self._failures, fraction)


@dataclass(slots=True, eq=False)
class FeedLink:
    """Only the active link's records are tracked; those of another one wait in its backlog."""

    connection: StreamConnection
    is_active: bool = False
    backlog: list[tuple[object, int]] = field(default_factory=list)
    unanswered: set[int] = field(default_factory=set)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    welcomed: asyncio.Event = field(default_factory=asyncio.Event)
    refused: str = ""
    last_words: str = ""
    is_leaving: bool = False
    """The venue announced that it will close it."""

    @property
    def lost(self) -> asyncio.Future[str]:
        """Done, with the cause, once the connection is lost."""
        return self.connection.lost

    @property
    def words_of_loss(self) -> str:
        """With the last error of the venue: a close frame often has no reason in it."""
        return f"{self.lost.result()}, after it said: {self.last_words}" if self.last_words else self.lost.result()

    def on_reply(self, reply: Reply) -> str:
        """The venue's error, where it answers no request of ours; else empty."""
        stray = ""
        if reply.error:
            self.last_words = reply.error
            if self.unanswered and (reply.id is None or reply.id in self.unanswered):
                self.refused = f"subscription refused: {reply.error}"
            else:
                stray = reply.error
        self.unanswered.discard(reply.id if isinstance(reply.id, int) else -1)
        if reply.error or not self.unanswered:
            self.answered.set()
        return stray


class FeedLinks:
    """The open connections of one feed, and how another one is opened."""

    def __init__(
        self,
        streams: Sequence[str],
        venue: Venue,
        connects: EventLimit,
        find_address: Callable[[], Awaitable[Address]],
        silence_seconds: float,
    ) -> None:
        """`find_address` is called for every connection; it raises VenueError."""
        self._streams = streams
        self.left_out: set[str] = set()
        """Streams of symbols that the venue does not know: connections to come do not subscribe to them."""

        self._venue = venue
        self._connects = connects
        self._find_address = find_address
        self._silence_seconds = silence_seconds
        self._links: dict[StreamConnection, FeedLink] = {}

    def __len__(self) -> int:
        return len(self._links)

    @property
    def wanted(self) -> list[str]:
        """The streams that a connection subscribes to."""
        return [stream for stream in self._streams if stream not in self.left_out]

    def of(self, connection: StreamConnection) -> FeedLink:
        """Frames may come before `open` knows that the connection is open."""
        if (link := self._links.get(connection)) is None:
            link = self._links[connection] = FeedLink(connection)
        return link

    def forget(self, link: FeedLink) -> None:
        self._links.pop(link.connection, None)

    async def close(self) -> None:
        """All of them; frames that still come are handed on."""
        await asyncio.gather(*(connection.close() for connection in list(self._links)))

    async def open(self, receiver: FramesReceiver, on_failure: Callable[[FeedLink], None]) -> FeedLink:
        """A connection whose streams are all subscribed. Raises VenueError, behind `on_failure` with what came before."""
        loop = asyncio.get_running_loop()
        while seconds := self._connects.wait_before(loop.time()):  # noqa: ASYNC110  # for the clock
            await asyncio.sleep(seconds)
        self._connects.on_event(loop.time())
        address = await self._find_address()
        connection = await open_stream(address.url, receiver, self._silence_seconds)
        link = self.of(connection)
        try:
            await self._begin(link, address)
            await self._subscribe(link, connection)
        except BaseException:
            self.forget(link)
            connection.abort("not subscribed")
            on_failure(link)
            raise
        return link

    async def _begin(self, link: FeedLink, address: Address) -> None:
        """Waits for the welcome and starts the pings, where the venue wants them."""
        if address.ping is not None:
            _ping_later(link.connection, address.ping, address.ping_seconds)
        if address.says_welcome:
            await first_of(link.lost, link.welcomed, REPLY_SECONDS)
            if not link.welcomed.is_set():
                silence = f"no welcome for {REPLY_SECONDS:.0f} s, but: {link.last_words}".removesuffix(", but: ")
                raise VenueUnavailable(link.words_of_loss if link.lost.done() else silence)

    async def _subscribe(self, link: FeedLink, connection: StreamConnection) -> None:
        loop = asyncio.get_running_loop()
        limit = self._venue.sockets.messages
        budget = EventLimit(limit.most - 1, limit.seconds)  # one is left for a ping or a pong
        for number, message in self._venue.subscribe_messages(self.wanted):
            while seconds := budget.wait_before(loop.time()):  # noqa: ASYNC110  # for the clock
                await asyncio.sleep(seconds)
            budget.on_event(loop.time())
            link.unanswered.add(number)
            connection.send(message)
        if link.unanswered:
            link.answered.clear()
            await first_of(connection.lost, link.answered, REPLY_SECONDS)
        if connection.lost.done():
            raise VenueUnavailable(link.words_of_loss)
        if link.refused:
            raise SubscriptionRefused(link.refused)
        if link.unanswered:
            raise VenueUnavailable(f"subscription unanswered for {REPLY_SECONDS:.0f} s")


async def compared(
    link: FeedLink, successor: FeedLink, overlap: Overlap, look_seconds: float, goes_on: Callable[[], bool]
) -> Verdict:
    """Once it is clear whether the successor delivers what the link does; at once where one of them is lost."""
    loop = asyncio.get_running_loop()
    lost = {link.lost, successor.lost}
    while True:
        await asyncio.wait(lost, timeout=look_seconds, return_when=asyncio.FIRST_COMPLETED)
        now = loop.time()
        if any(one.done() for one in lost):
            return Verdict.GIVE_UP if overlap.missing(now) else Verdict.TAKE_OVER
        verdict = overlap.verdict(now, goes_on=goes_on, is_full=len(successor.backlog) > MOST_BACKLOG)
        if verdict is not Verdict.WAIT:
            return verdict


async def first_of(lost: asyncio.Future[str], event: asyncio.Event, seconds: float) -> None:
    """Returns when one of them happens, or after `seconds`."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait([lost, waiting], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
    waiting.cancel()


def _ping_later(connection: StreamConnection, ping: Callable[[], bytes], seconds: float) -> None:
    def send() -> None:
        if not connection.lost.done():
            connection.send(ping())
            _ping_later(connection, ping, seconds)

    asyncio.get_running_loop().call_later(seconds, send)

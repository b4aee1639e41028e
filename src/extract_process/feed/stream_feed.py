"""StreamFeed: the streams of one connection kept delivering: reconnects, and overlapping replacement before the venue cuts,
or where the connection is there and delivers nothing."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from extract_process.feed.interface import FeedOptions, FrameHandler
from extract_process.feed.link import FeedLink, FeedLinks, ReconnectDelay, compared, first_of
from extract_process.feed.overlap import Overlap, Verdict, backlog_goes_on, names_of, of_this_numbering, pause_before_retry
from extract_process.feed.silence import DataSilence, SilentStreams
from extract_process.feed.websocket import StreamConnection
from extract_process.records import ALL_SYMBOLS
from extract_process.stream_ids import StreamKey
from extract_process.venues import Venue
from extract_process.venues.api import CONTROL_MESSAGES, Address, Reply, ServerShutdown, Welcome
from extract_process.venues.rate_limit import EventLimit
from tickhouse_core.errors import SubscriptionRefused, VenueError
from tickhouse_core.event_kinds import EventKind
from tickhouse_core.redaction import redacted

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at what is due by the clock."""

_ROTATION: Final = "rotation"
_SHUTDOWN: Final = "server_shutdown"
_MUTE: Final = "mute"
_LISTED: Final = "symbol_listed"
"""Why a connection is replaced: the `cause` of the events, and of a hole that it leaves."""


class StreamFeed:
    """Runs until cancelled, then closes what is open; frames that come while closing are recorded and tracked too."""

    def __init__(
        self,
        name: str,
        streams: Sequence[str],
        handler: FrameHandler,
        connects: EventLimit,
        options: FeedOptions,
        venue: Venue,
        find_address: Callable[[], Awaitable[Address]],
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        """`find_address` is called for every connection; it raises VenueError.

        `on_refused` is called when the venue does not take the subscription.
        """
        self.name = name
        self.streams = list(streams)
        self._handler = handler
        self._on_refused = on_refused
        self._options = options
        self._delay = ReconnectDelay()
        silence_seconds = max(options.silence_seconds, venue.sockets.quiet_seconds)
        self._links = FeedLinks(self.streams, venue, connects, find_address, silence_seconds)
        self._keys = [venue.key_of_stream(stream) for stream in streams]
        self._sparse = venue.sparse_channels
        self._places = {(key.channel, key.symbol.upper()) for key in self._keys}
        self._first = SilentStreams(key for key in self._keys if key.channel not in venue.rare_channels)
        self._silence = DataSilence(options.mute_seconds)
        self._overlap: Overlap | None = None
        self._successor: FeedLink | None = None
        self._woken = asyncio.Event()
        self._is_renewed = True

    @property
    def connections(self) -> int:
        """Open now: 1, or 2 in an overlap."""
        return len(self._links)

    @property
    def is_delivering(self) -> bool:
        """There is a connection, and it is not mute."""
        return self._silence.is_usual

    @property
    def is_mute(self) -> bool:
        """The connection is there, and delivers nothing for longer than is usual."""
        return self._silence.is_alarmed

    @property
    def is_wanted(self) -> bool:
        """The venue knows some of its symbols."""
        return bool(self._links.wanted)

    def leave_out(self, streams: Iterable[str]) -> None:
        """The venue does not know their symbols, and may refuse a subscription that names one: the next one does not."""
        self._links.left_out.update(streams)

    def renew(self, streams: Iterable[str]) -> None:
        """The venue knows their symbols only now: another connection takes over, whose subscription counts."""
        self._links.left_out.difference_update(streams)
        self._is_renewed = False
        self._woken.set()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_silence())
                while True:
                    link = await self._connect_until_done()
                    self._promote(link, "connected")
                    await self._follow(link)
        finally:
            await self._links.close()

    async def _watch_silence(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._options.mute_seconds / 10))
            if self._silence.on_look(loop.time()):
                silent, usual = self._silence.silent_seconds(loop.time()), self._silence.longest_pause
                self._tell(_MUTE, detail=f"connected, and no data for {silent:.1f} s; the longest pause was {usual:.1f} s")
                self._woken.set()

    async def _follow(self, link: FeedLink) -> None:
        """Stays with the feed's connection and its successors until one is lost without a successor."""
        loop = asyncio.get_running_loop()
        rotate_at, failures, retry_at, tried = self._next_rotation(), 0, 0.0, ""
        while not link.lost.done():
            why = self._why_replace(link, rotate_at)
            if not why or (why == tried and loop.time() < retry_at):
                self._woken.clear()
                await first_of(link.lost, self._woken, LOOK_SECONDS)
                continue
            successor = await self._replace(link, why)
            if successor is link:
                failures, tried = (failures + 1 if why == tried else 1), why
                pause = pause_before_retry(failures, self._options.overlap_seconds, is_urgent=why != _ROTATION)
                retry_at = loop.time() + pause
            else:
                link, rotate_at, failures, tried = successor, self._next_rotation(), 0, ""
        self._tell_lost(link)
        await asyncio.sleep(self._delay.next_delay(link.connection.lived_seconds, random.random()))

    def _next_rotation(self) -> float:
        """Not all feeds at once."""
        return asyncio.get_running_loop().time() + self._options.rotate_seconds * random.uniform(0.9, 1.0)

    def _why_replace(self, link: FeedLink, rotate_at: float) -> str:
        """Empty where nothing is due, or nothing is there to subscribe to."""
        if not self.is_wanted:
            return ""
        if self._silence.is_alarmed:
            return _MUTE
        if link.is_leaving:
            return _SHUTDOWN
        if not self._is_renewed:
            return _LISTED
        return _ROTATION if asyncio.get_running_loop().time() >= rotate_at else ""

    async def _replace(self, link: FeedLink, why: str) -> FeedLink:
        """The active connection after the attempt: the second one, once it delivers what the first does, or still the first."""
        loop = asyncio.get_running_loop()
        successor = self._successor = await self._connect_until_done()
        overlap = self._overlap = Overlap(loop.time(), self._options.overlap_seconds, is_mute=why == _MUTE)
        try:
            pause = min(LOOK_SECONDS, self._options.overlap_seconds)
            verdict = await compared(link, successor, overlap, pause, lambda: self._goes_on(successor))
        finally:
            self._overlap = self._successor = None
        is_given_up = verdict is Verdict.GIVE_UP or (successor.lost.done() and not link.lost.done())
        if (is_given_up or not link.lost.done()) and not self._goes_on(successor):
            self._handler.on_break(_MUTE if why == _MUTE else _ROTATION, self._is_ours)
        if successor.lost.done() and not link.lost.done():
            self._tell_lost(successor)
            return link
        if is_given_up:
            self._tell("successor_given_up", cause=why, detail=overlap.words_of_failure(loop.time()))
            await self._retire(successor)
            return link
        if link.lost.done():
            self._tell_lost(link)
        self._promote(successor, "rotated", why)
        await self._retire(link)
        return successor

    def _goes_on(self, successor: FeedLink) -> bool:
        return backlog_goes_on(successor.backlog, self._handler.spans(), self._sparse)

    def _promote(self, link: FeedLink, event: EventKind, cause: str = "") -> None:
        """From here on this connection is the active one; what it delivered so far is tracked first."""
        link.is_active = self._is_renewed = True
        self._silence.begin(asyncio.get_running_loop().time())
        self._tell(event, cause=cause, detail=f"{len(self.streams)} streams, {len(link.backlog)} records in the overlap")
        self._track_backlog(link)

    def _track_backlog(self, link: FeedLink) -> None:
        """Its rows are recorded, whatever becomes of the connection: their ids are in no gap."""
        backlog, link.backlog = link.backlog, []
        for message, receipt_time in of_this_numbering(backlog, self._handler.spans()):
            self._handler.on_messages([message], receipt_time)

    def _on_open_failed(self, link: FeedLink) -> None:
        if link.backlog:
            self._track_backlog(link)
            self._handler.on_break("disconnect", self._is_ours)

    async def _retire(self, link: FeedLink) -> None:
        link.is_active = False
        await link.connection.close()
        self._links.forget(link)
        self._track_backlog(link)

    def _tell_lost(self, link: FeedLink) -> None:
        """A hole that shows now is the connection's fault, if it was the active one."""
        self._links.forget(link)
        if link.is_active:
            self._silence.end()
            self._handler.on_break("disconnect", self._is_ours)
        else:
            self._track_backlog(link)
        detail = f"{link.words_of_loss} after {link.connection.lived_seconds:.1f} s"
        self._tell("disconnected", cause="disconnect", detail=detail)

    async def _connect_until_done(self) -> FeedLink:
        while True:
            while not self.is_wanted:  # a property of ours: `renew` sets the event
                self._woken.clear()
                await self._woken.wait()
            try:
                link = await self._links.open(self._on_frames, self._on_open_failed)
            except VenueError as error:
                if isinstance(error, SubscriptionRefused):
                    self._on_refused()
                seconds = self._delay.next_delay(0.0, random.random())
                self._tell("connect_failed", detail=str(error))
                await asyncio.sleep(seconds)
            else:
                asyncio.get_running_loop().call_later(self._options.first_message_seconds, self._tell_silent)
                return link

    def _on_frames(self, connection: StreamConnection, frames: list[bytes], receipt_time: int) -> None:
        link = self._links.of(connection)
        messages = self._handler.record(frames, receipt_time, extra=not link.is_active)
        control = 0
        for message in messages:
            if isinstance(message, CONTROL_MESSAGES):
                control += 1
                self._on_control(link, message)
        self._first.on_messages(messages)
        now = asyncio.get_running_loop().time()
        if link.is_active:
            if len(frames) > control:  # not the messages: of a channel that a full spool stops there are none
                self._on_data(len(frames) - control, now)
            if self._overlap is not None:
                self._overlap.on_first(messages, now)
            self._handler.on_messages(messages, receipt_time)
        else:
            link.backlog += [(message, receipt_time) for message in messages]
            if self._overlap is not None:
                self._overlap.on_second(messages, now)

    def _on_data(self, frames: int, now: float) -> None:
        pause = min(LOOK_SECONDS, self._options.overlap_seconds)
        if self._successor is not None and self._silence.silent_seconds(now) >= pause:
            self._track_backlog(self._successor)  # what only the second has is no hole, and needs no request
        if self._silence.on_data(now, frames):
            self._tell("heard_again", detail=f"the pause was {self._silence.longest_pause:.1f} s")

    def _on_control(self, link: FeedLink, message: object) -> None:
        if isinstance(message, Reply):
            if words := link.on_reply(message):
                self._tell("venue_error", detail=words)
        elif isinstance(message, Welcome):
            link.welcomed.set()
        elif isinstance(message, ServerShutdown):
            self._tell(_SHUTDOWN)
            link.is_leaving = True
            self._woken.set()

    def _tell_silent(self) -> None:
        """A name the venue does not know is answered like any other and then silent."""
        silent = self._first.take_silent()
        for key in silent:
            self._handler.tell("silent_stream", key)
        if silent:
            what = {"feed": self.name, "silent": f"{len(silent)} of {len(self.streams)} streams", "streams": names_of(silent)}
            log.warning("no message yet: is the symbol right, and trading?", extra=what)

    def _is_ours(self, key: StreamKey) -> bool:
        return not self._places.isdisjoint(((key.channel, key.symbol.upper()), (key.channel, ALL_SYMBOLS)))

    def _tell(self, event: EventKind, *, cause: str = "", detail: str = "") -> None:
        words = f"{self.name}: {redacted(detail)}" if detail else self.name  # events are data: they leave this machine
        self._handler.tell(event, cause=cause, detail=words)

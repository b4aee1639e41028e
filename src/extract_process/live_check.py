"""The mirror's proof, put together: a subscription, the venue's own books, and both compared after every message."""

import asyncio
from dataclasses import dataclass, field

import orjson
from google.pubsub_v1 import PubsubMessage

from extract_process.book_comparison import BookComparison, ComparisonCounts, top_of
from extract_process.feed_plan import FeedPlan
from extract_process.listing import CONNECTIONS, open_listing
from extract_process.mirror_asks import MirrorAsks
from extract_process.mirror_messages import topic_name
from extract_process.mirror_options import MirrorOptions
from extract_process.mirrored_book import Heard, MirroredBook
from extract_process.rest_queue import RestQueue
from extract_process.stream_feed import FeedOptions, StreamFeed
from extract_process.subscription import Subscription, open_subscriber
from extract_process.venue_books import VenueBooks
from extract_process.venues import DEFAULT_VENUE, Venue, venue_named
from extract_process.venues.api import VenueRest
from tickhouse_core.errors import UnknownSymbols, UsageError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import PubSubSettings, SpoolSettings, read


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """One check; the names are those of the command's options."""

    symbols: tuple[str, ...]
    levels: int
    duration_seconds: float
    subscription: str | None = None
    venue: str = DEFAULT_VENUE


@dataclass(slots=True)
class SymbolReport:
    """What was heard of one symbol, and how it compared."""

    heard: dict[Heard, int] = field(default_factory=lambda: dict.fromkeys(Heard, 0))
    compared: ComparisonCounts = field(default_factory=ComparisonCounts)


def run_check(options: CheckOptions, stop: StopRequest) -> dict[str, SymbolReport]:
    """Compares until the stop or the duration. Errors: UsageError, NotProvisioned; other trouble is waited out."""
    return asyncio.run(_run(options, stop))


async def _run(options: CheckOptions, stop: StopRequest) -> dict[str, SymbolReport]:
    pubsub, venue = read(PubSubSettings), venue_named(options.venue)
    async with open_subscriber(pubsub) as client, venue.open_rest(read(SpoolSettings).folder, CONNECTIONS) as rest:
        if unknown := (await open_listing(rest, options.symbols)).unknown:
            raise UnknownSymbols(f"unknown symbol {', '.join(unknown)} on {venue.name}: check the others alone", unknown)
        subscription = Subscription(client, pubsub.project, topic_name(venue.name, "depth"), options.subscription)
        await subscription.open()
        try:
            queue = RestQueue()
            levels = venue.usual_mirror_levels(MirrorOptions(()).snapshot_levels)
            asks = MirrorAsks(rest.fetch_depth, queue, levels)
            return await LiveCheck(options, venue, rest, subscription, asks, queue).run(stop)
        finally:
            await subscription.close()


class LiveCheck:
    """The parts of one check."""

    def __init__(
        self,
        options: CheckOptions,
        venue: Venue,
        rest: VenueRest,
        subscription: Subscription,
        asks: MirrorAsks,
        queue: RestQueue,
    ) -> None:
        self._options = options
        self._exchange = venue
        self._find_address = rest.find_address
        self._subscription = subscription
        self._queue = queue
        self._mirrored = {symbol: MirroredBook() for symbol in options.symbols}
        self._comparisons = {symbol: BookComparison() for symbol in options.symbols}
        self._reports = {symbol: SymbolReport() for symbol in options.symbols}
        self._venue = VenueBooks(
            venue,
            options.symbols,
            options.levels,
            asks.ask,
            lambda symbol, last_update_id, top: self._comparisons[symbol].on_venue(last_update_id, top),
        )
        asks.answer_to(self._venue)
        self._stopping = asyncio.Event()
        self._other_levels = 0

    async def run(self, stop: StopRequest) -> dict[str, SymbolReport]:
        loop = asyncio.get_running_loop()
        with stop.calling(lambda: loop.call_soon_threadsafe(self._stopping.set)):
            work = asyncio.create_task(self._work())
            asked = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({work, asked}, timeout=self._options.duration_seconds, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            work.cancel()
            await asyncio.wait([work])
        if not work.cancelled():
            work.result()
        if self._other_levels:
            raise UsageError(f"the mirror shows {self._other_levels} levels a side: check it with --levels {self._other_levels}")
        for symbol, comparison in self._comparisons.items():
            comparison.finish()
            self._reports[symbol].compared = comparison.counts
        return self._reports

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for feed in self._feeds():
                group.create_task(feed.run())
            group.create_task(self._queue.run())
            group.create_task(self._subscription.run(self._on_messages))

    async def _on_messages(self, messages: list[PubsubMessage]) -> None:
        for message in messages:
            symbol = message.attributes["symbol"]
            if (book := self._mirrored.get(symbol)) is None:
                continue
            body = orjson.loads(message.data)
            if body["levels"] != self._options.levels:
                self._other_levels = body["levels"]
                self._stopping.set()
                return
            heard = book.hear(message.attributes["type"], body)
            self._reports[symbol].heard[heard] += 1
            if heard in (Heard.SNAPSHOT, Heard.DELTA):
                self._comparisons[symbol].on_mirrored(book.last_update_id, top_of(book.bids, book.asks))

    def _feeds(self) -> list[StreamFeed]:
        defaults = MirrorOptions(self._options.symbols)
        feed_options = FeedOptions(
            rotate_seconds=defaults.rotate_seconds,
            overlap_seconds=defaults.overlap_seconds,
            silence_seconds=defaults.silence_seconds,
            mute_seconds=defaults.mute_seconds,
            first_message_seconds=defaults.first_message_seconds,
            streams_per_connection=defaults.streams_per_connection,
        )
        wanted = dict.fromkeys(self._options.symbols, ("depth",))
        plan = FeedPlan(self._exchange, wanted, "", self._venue, self._find_address, feed_options)
        return plan.add(self._options.symbols)

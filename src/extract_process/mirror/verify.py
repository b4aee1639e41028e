"""The mirror's proof, put together: a subscription, the venue's own books, and both compared after every message."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from google.pubsub_v1 import PubsubMessage

from extract_process.book.local_book import LocalBook
from extract_process.book.order_book import exact_number
from extract_process.book.sync import SnapshotNeeded
from extract_process.book.verification import BoundedBook
from extract_process.feed.interface import FeedOptions
from extract_process.feed.plan import FeedPlan
from extract_process.feed.stream_feed import StreamFeed
from extract_process.listing import CONNECTIONS, open_listing
from extract_process.live.request_queue import Fetcher, RequestQueue
from extract_process.live.requests import SnapshotRequest
from extract_process.mirror.comparison import BookComparison, ComparisonCounts, Top, top_of
from extract_process.mirror.messages import topic_name
from extract_process.mirror.options import MOST_SNAPSHOT_LEVELS
from extract_process.mirror.pubsub import Subscription, open_subscriber
from extract_process.mirror.subscriber_book import Applied, SubscriberBook
from extract_process.records import DepthDiff, DepthSnapshot, UnreadableRow
from extract_process.stream_ids import StreamKey
from extract_process.venues import DEFAULT_VENUE, Venue, venue_named
from extract_process.venues.api import VenueRest
from extract_process.venues.parsing import FrameRefused
from extract_process.venues.rest_client import Answer
from tickhouse_core.errors import UnknownSymbols, UsageError
from tickhouse_core.event_kinds import EventKind, GapCause
from tickhouse_core.lifecycle import StopRequest, run_until_stopped
from tickhouse_core.settings import PubSubSettings, SpoolSettings, read

log = logging.getLogger(__name__)

REFRESH_AGAIN_US = 2_000_000


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
    """What was applied of one symbol, and how it compared."""

    applied: dict[Applied, int] = field(default_factory=lambda: dict.fromkeys(Applied, 0))
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
            return await VerifySession(options, venue, rest, subscription).run(stop)
        finally:
            await subscription.close()


class VerifySession:
    """The parts of one check."""

    def __init__(self, options: CheckOptions, venue: Venue, rest: VenueRest, subscription: Subscription) -> None:
        self._options = options
        self._exchange = venue
        self._find_address = rest.find_address
        self._subscription = subscription
        self._fetcher = Fetcher(rest, venue)
        self._requests: RequestQueue[SnapshotRequest] = RequestQueue(self._fetcher.pause_before)
        self._mirrored = {symbol: SubscriberBook() for symbol in options.symbols}
        self._comparisons = {symbol: BookComparison() for symbol in options.symbols}
        self._reports = {symbol: SymbolReport() for symbol in options.symbols}
        self._venue = VenueBooks(venue, options.levels, self._comparisons, self._requests)
        self._other_levels_seen = asyncio.Event()
        self._other_levels = 0

    async def run(self, stop: StopRequest) -> dict[str, SymbolReport]:
        other_levels = asyncio.create_task(self._other_levels_seen.wait())
        work = await run_until_stopped(stop, self._options.duration_seconds, self._work(), other_levels)
        other_levels.cancel()
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
            group.create_task(self._requests.run(self._answer))
            group.create_task(self._subscription.run(self._on_messages))

    async def _answer(self, request: SnapshotRequest) -> None:
        self._venue.on_request(request)
        self._venue.on_answer(request, await self._fetcher.fetch_snapshot(request))

    async def _on_messages(self, messages: list[PubsubMessage]) -> None:
        for message in messages:
            symbol = message.attributes["symbol"]
            if (book := self._mirrored.get(symbol)) is None:
                continue
            body = orjson.loads(message.data)
            if body["levels"] != self._options.levels:
                self._other_levels = body["levels"]
                self._other_levels_seen.set()
                return
            applied = book.apply(message.attributes["type"], body)
            self._reports[symbol].applied[applied] += 1
            if applied in (Applied.SNAPSHOT, Applied.DELTA):
                self._comparisons[symbol].on_mirrored(book.last_update_id, top_of(book.bids, book.asks))

    def _feeds(self) -> list[StreamFeed]:
        wanted = dict.fromkeys(self._options.symbols, ("depth",))
        plan = FeedPlan(self._exchange, wanted, {}, self._venue, self._find_address, FeedOptions())
        return plan.add(self._options.symbols)


class VenueBooks:
    """A FrameHandler of the depth channel. `comparisons` get every state whose best `levels` a side are all known."""

    def __init__(
        self,
        venue: Venue,
        levels: int,
        comparisons: Mapping[str, BookComparison],
        requests: RequestQueue[SnapshotRequest],
    ) -> None:
        self._venue = venue
        self._levels = levels
        self._snapshot_levels = venue.usual_mirror_levels(MOST_SNAPSHOT_LEVELS)
        self._comparisons = comparisons
        self._requests = requests
        self._watches = {symbol: LocalBook() for symbol in comparisons}
        self._asked_at = dict.fromkeys(comparisons, 0)

    def record(self, frames: Sequence[bytes], receipt_time: int, *, extra: bool = False) -> list[object]:
        messages: list[object] = []
        for frame in frames:
            try:
                messages += self._venue.parse_frame(frame, receipt_time)
            except FrameRefused as refused:
                log.warning("refused frame", extra={"why": str(refused)})
        return messages

    def on_messages(self, messages: Iterable[object], receipt_time: int) -> None:
        for message in messages:
            if not isinstance(message, DepthDiff | UnreadableRow) or (watch := self._watches.get(message.symbol)) is None:
                continue
            if isinstance(message, DepthDiff):
                self._follow(message.symbol, watch.on_diff(message))
                self._report_top(message.symbol, watch, receipt_time)
            elif message.first_id is not None and message.last_id is not None:
                log.warning("refused row", extra={"symbol": message.symbol, "why": message.why})
                self._follow(message.symbol, watch.on_unreadable(message.first_id, message.last_id))

    def spans(self) -> dict[StreamKey, tuple[int, int]]:
        spans = {StreamKey("depth", symbol): watch.span for symbol, watch in self._watches.items()}
        return {key: span for key, span in spans.items() if span is not None}

    def on_break(self, cause: GapCause, concerns: Callable[[StreamKey], bool]) -> None:
        for symbol, watch in self._watches.items():
            if concerns(StreamKey("depth", symbol)):
                watch.on_break(cause)

    def tell(self, event: EventKind, key: StreamKey | None = None, *, cause: str = "", detail: str = "") -> None:
        log.info(event, extra={"detail": detail})

    def on_request(self, request: SnapshotRequest) -> None:
        """The request is sent now."""
        self._watches[request.symbol].on_snapshot_asked(as_proof=request.as_proof)

    def on_answer(self, request: SnapshotRequest, answer: Answer[DepthSnapshot]) -> None:
        _, receipt_time, snapshot = answer
        watch = self._watches[snapshot.symbol]
        self._follow(snapshot.symbol, watch.on_snapshot(snapshot, request.levels))
        self._report_top(snapshot.symbol, watch, receipt_time)

    def _follow(self, symbol: str, findings: Iterable[object]) -> None:
        for finding in findings:
            if isinstance(finding, SnapshotNeeded):
                self._request_book(symbol, finding.reason)

    def _request_book(self, symbol: str, reason: str) -> None:
        self._requests.put(SnapshotRequest(symbol, reason, self._snapshot_levels))

    def _report_top(self, symbol: str, watch: LocalBook, receipt_time: int) -> None:
        if watch.book is None or watch.book_id is None:
            return
        top = _top(watch.book, self._levels)
        if top is not None:
            self._comparisons[symbol].on_venue(watch.book_id, top)
        elif receipt_time - self._asked_at[symbol] > REFRESH_AGAIN_US:
            self._asked_at[symbol] = receipt_time
            self._request_book(symbol, "refresh")


def _top(known: BoundedBook, levels: int) -> Top | None:
    """None where the best levels reach beyond every snapshot."""
    bids = sorted(known.book.bids, reverse=True)[:levels]
    asks = sorted(known.book.asks)[:levels]
    if known.lowest_bid is not None and (len(bids) < levels or bids[-1] < known.lowest_bid):
        return None
    if known.highest_ask is not None and (len(asks) < levels or asks[-1] > known.highest_ask):
        return None
    return (
        tuple((price, exact_number(known.book.bids[price])) for price in bids),
        tuple((price, exact_number(known.book.asks[price])) for price in asks),
    )

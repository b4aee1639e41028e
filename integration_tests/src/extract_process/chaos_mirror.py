"""A mirror beside a chaotic venue, and a subscriber that holds every message against the venue's own book. Not a test."""

import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from google.pubsub_v1 import PubsubMessage
from tests.waiting import patience

from extract_process.mirror.subscriber_book import Applied, SubscriberBook
from extract_process.venues import venue_named

from .chaos_faults import begin, schedule
from .chaos_run import FIRST_FAULT_SECONDS
from .chaos_venue import ChaosVenue
from .mirroring import Subscriber, mirroring

FRESH_SECONDS = 4.0
"""From the venue's last word of a symbol that reached the mirror to a message about it, at most."""

_NAMED = 5


class HeardOfVenue(Subscriber):
    """Rebuilds the books of one venue and compares them with the venue's after every message."""

    def __init__(self, venue: ChaosVenue) -> None:
        super().__init__(f"crypto.{venue.kind}.l2", self._compare)
        self.equal: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.oldest: dict[str, float] = {}
        """Seconds of the oldest state that was published, by symbol, as on an idle machine: each measured by the load it had."""

        self.latest: dict[str, float] = {}
        """When the venue was in the last state that was published."""

        self._venue = venue
        self._published_at = 0.0

    def _hear(self, message: PubsubMessage) -> None:
        self._published_at = message.publish_time.timestamp()
        super()._hear(message)

    def _compare(self, symbol: str, book: SubscriberBook) -> None:
        market = self._venue.markets[symbol]
        truth = market.books.get(book.last_update_id)
        if truth is None:
            self.wrong.append(f"{symbol}: the venue was never at {book.last_update_id}")
            return
        mirrored, real = (
            [[(Decimal(price), Decimal(quantity)) for price, quantity in side] for side in sides]
            for sides in ((book.bids, book.asks), truth)
        )
        if mirrored == real:
            self.equal[symbol] += 1
        else:
            self.wrong.append(f"{symbol} at {book.last_update_id} is not the venue's")
        said_at = self.latest[symbol] = market.said_at[book.last_update_id]
        self.oldest[symbol] = max(self.oldest.get(symbol, 0.0), (self._published_at - said_at) / patience(1))


def wrongs_of_mirror(venue: ChaosVenue, seed: int, seconds: float) -> Iterator[str]:
    """Runs one mirror for so long, the last third of it calm, and says what was wrong."""
    options = {
        "venue": venue.kind,
        "snapshot_levels": venue_named(venue.kind).usual_mirror_levels(1_000),
        "channels": ("depth",),
        "snapshot_seconds": 1.0,
        "prove_seconds": 2.0,
        "mute_seconds": 2.0,
        "overlap_seconds": 1.0,
        "streams_per_connection": 1,
    }
    applied = HeardOfVenue(venue)
    with mirroring(*venue.markets, **options) as run:
        applied.pull_until(lambda: set(applied.equal) == set(venue.markets), "a book of every market")
        began = time.time()
        begin(venue, schedule(venue, seed, FIRST_FAULT_SECONDS, seconds * 2 / 3), seed, lambda name, symbol: None)
        while time.time() < began + seconds:
            applied.pull()
        ended = time.time()
    applied.pull_all()
    applied.close()
    assert run.report is not None
    if applied.wrong:
        yield f"{venue.kind}: {len(applied.wrong)} wrong states of {sum(applied.equal.values())}: {applied.wrong[:_NAMED]}"
    if applied.applied[Applied.JUMP]:
        yield f"{venue.kind}: {applied.applied[Applied.JUMP]} jumps in `sequence`"
    if run.report.counts.mismatches:
        yield f"{venue.kind}: {run.report.counts.mismatches} books were found wrong"
    for symbol in venue.markets:
        if (age := applied.oldest[symbol]) > FRESH_SECONDS:
            yield f"{venue.kind} {symbol}: a book of {age:.1f} s before was published"
        if (age := ended - applied.latest[symbol]) > patience(FRESH_SECONDS):
            yield f"{venue.kind} {symbol}: at the end nothing had been published for {age:.1f} s"

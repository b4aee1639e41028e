"""The mirror's composition root: connections, REST questions, books and the publisher, and how they end."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from google.pubsub_v1 import PublisherAsyncClient

from extract_process.feed.plan import FeedPlan
from extract_process.listing import CONNECTIONS, Listing, open_listing
from extract_process.live.metrics import Vitals, component_of, connection_trouble
from extract_process.live.request_queue import Fetcher, RequestQueue, prove_in_turn
from extract_process.live.requests import SnapshotRequest
from extract_process.mirror.channels import MirrorCounts
from extract_process.mirror.handler import MirrorHandler
from extract_process.mirror.messages import topic_name
from extract_process.mirror.options import MirrorOptions
from extract_process.mirror.publisher import PublishCounts, Publisher, PublishOptions
from extract_process.mirror.pubsub import open_publisher, pubsub_errors, topic_path
from extract_process.venues import venue_named
from extract_process.venues.api import VenueRest
from tickhouse_core.errors import NotProvisioned, TickhouseError
from tickhouse_core.lifecycle import StopRequest, garbage_collected_seldom, run_until_stopped
from tickhouse_core.metrics import Watchdog, observed
from tickhouse_core.settings import PubSubSettings, SpoolSettings, read

log = logging.getLogger(__name__)

REPORT_SECONDS = 60.0
_BEAT_SECONDS = 1.0
_PROOF_SHARE = 0.1
"""Of the weight limit: what proofs of running books may use, beside the live capture's."""

_TOPIC_SECONDS = 10.0


@dataclass(slots=True)
class MirrorReport:
    """What was done, for the summary at the end."""

    counts: MirrorCounts
    published: PublishCounts
    left: int


def run_mirror(options: MirrorOptions, stop: StopRequest) -> MirrorReport:
    """Mirrors until the stop or the duration, then publishes what still waits.

    Errors: UsageError where the venue knows no symbol or credentials are missing, NotProvisioned without the topics.
    Trouble with the venue or Pub/Sub later on is waited out.
    """
    with garbage_collected_seldom():
        return asyncio.run(_run(options, stop))


async def _run(options: MirrorOptions, stop: StopRequest) -> MirrorReport:
    pubsub = read(PubSubSettings)
    bans = read(SpoolSettings).folder
    async with open_publisher(pubsub) as client, venue_named(options.venue).open_rest(bans, CONNECTIONS) as rest:
        await _check_topics(client, pubsub.project, options)
        listing = await open_listing(rest, options.symbols)
        return await MirrorSession(options, rest, listing, client, pubsub.project).run(stop)


async def _check_topics(client: PublisherAsyncClient, project: str, options: MirrorOptions) -> None:
    """Raises NotProvisioned; Pub/Sub being away, or the right to look missing, is no reason not to start."""
    for channel in options.channels:
        name = topic_name(options.venue, channel)
        try:
            with pubsub_errors(f"topic {name} of project {project}"):
                await client.get_topic(topic=topic_path(project, name), retry=None, timeout=_TOPIC_SECONDS)
        except NotProvisioned:
            raise
        except TickhouseError as error:
            log.error("topics are not checked", extra={"error": str(error)})
            return


class MirrorSession:
    """The parts of one mirror, put together."""

    def __init__(
        self, options: MirrorOptions, rest: VenueRest, listing: Listing, client: PublisherAsyncClient, project: str
    ) -> None:
        self._options = options
        self._venue = venue_named(options.venue)
        self._rest = rest
        self._listing = listing
        self._fetcher = Fetcher(rest, self._venue)
        self._requests: RequestQueue[SnapshotRequest] = RequestQueue(self._fetcher.pause_before)
        self._publisher = Publisher(client, PublishOptions(options.batch_seconds, options.limits, options.room_bytes))
        self._mirror = MirrorHandler(
            self._venue, options, self._publisher, lambda name: topic_path(project, name), self._requests
        )
        self._plan = self._plan_feeds()
        self._plan.add(listing.known)
        self._watchdog = Watchdog("the event loop")

    async def run(self, stop: StopRequest) -> MirrorReport:
        part = component_of("mirror", self.vitals, self._watchdog)
        publishing = asyncio.create_task(self._publisher.run())
        with observed(part):
            work = await run_until_stopped(stop, self._options.duration_seconds, self._work(), publishing)
        left = await self._publisher.finish(self._options.stop_seconds)
        publishing.cancel()
        await asyncio.wait([publishing])
        for task in (work, publishing):
            if not task.cancelled():
                task.result()  # a failure of the work itself, after everything that waited was published
        if left:
            log.error("messages were not published", extra={"messages": left})
        return MirrorReport(self._mirror.counts, self._publisher.counts, left)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for feed in self._plan.feeds:
                group.create_task(feed.run())
            group.create_task(self._requests.run(self._answer))
            group.create_task(self._publish_snapshots())
            synced, levels = partial(self._mirror.books, synced=True), self._options.snapshot_levels
            fastest = partial(self._rest.snapshot_pause, share=_PROOF_SHARE / self._options.sharers)
            group.create_task(prove_in_turn(synced, self._requests, levels, self._options.prove_seconds, fastest))
            group.create_task(self._report_figures())
            group.create_task(self._beat())
            take_up = partial(self._take_up, group)  # unknown ones are named in a line: a mirror has no events
            group.create_task(self._listing.watch(self._options.look_again_seconds, take_up, self._plan.leave_out))

    async def _answer(self, request: SnapshotRequest) -> None:
        self._mirror.on_request(request)
        self._mirror.on_answer(request, await self._fetcher.fetch_snapshot(request))

    def _take_up(self, group: asyncio.TaskGroup, symbols: Sequence[str]) -> None:
        """Symbols that were unknown."""
        for feed in self._plan.add(symbols):
            group.create_task(feed.run())

    def _unsynced(self) -> int:
        """Books that wait for a snapshot; of a symbol the venue does not know there is none."""
        return sum(symbol not in self._listing.unknown for symbol in self._mirror.books(synced=False))

    async def _publish_snapshots(self) -> None:
        """One symbol after the other, each every `snapshot_seconds`; none while its connection is lost or mute.

        A book that stands still only because nothing comes would look like a fresh one.
        """
        if "depth" not in self._options.channels:
            return
        while True:
            for symbol in self._options.symbols:
                await asyncio.sleep(self._options.snapshot_seconds / len(self._options.symbols))
                if self._plan.delivers("depth", symbol):
                    self._mirror.publish_snapshot(symbol)

    async def _beat(self) -> None:
        while True:
            self._watchdog.beat()
            self._mirror.log_left_out()
            await asyncio.sleep(_BEAT_SECONDS)

    def vitals(self) -> Vitals:
        """From any thread."""
        counts, published = self._mirror.counts, self._publisher.counts
        figures: dict[str, float] = {
            "frames_total": counts.frames,
            "frame_bytes_total": counts.frame_bytes,
            "diffs_total": counts.diffs,
            "gaps_total": counts.gaps,
            "refused_frames_total": counts.refused_frames,
            "messages_published_total": published.messages,
            "messages_lost_total": published.lost,
            "publish_failures_total": published.failed_requests,
            "waiting_bytes": self._publisher.waiting_bytes,
            "connections": self._plan.connections,
            "connections_wanted": len(self._plan.feeds),
            "connections_mute": sum(feed.is_mute for feed in self._plan.feeds),
            "symbols_unknown": len(self._listing.unknown),
            "books_unsynced": self._unsynced(),
            "used_weight": self._rest.client.limit.used_weight,
            "weight_limit": self._rest.client.limit.limit,
        }
        trouble = list(connection_trouble(self._venue.name, figures))
        if self._publisher.is_away:
            trouble.append("Pub/Sub does not take messages")
        return Vitals("mirror", self._venue.name, self._options.instance, figures, tuple(trouble))

    async def _report_figures(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            counts, published = self._mirror.counts, self._publisher.counts
            figures = {
                "diffs": counts.diffs,
                "published": published.messages,
                "published_bytes": published.message_bytes,
                "waiting_bytes": self._publisher.waiting_bytes,
                "lost": published.lost,
                "unsynced": self._unsynced(),
            }
            log.info("mirroring", extra=figures)

    def _plan_feeds(self) -> FeedPlan:
        options = self._options
        wanted = dict.fromkeys(options.symbols, options.channels)
        return FeedPlan(self._venue, wanted, {}, self._mirror, self._rest.find_address, options, self._listing.doubt)

"""The live capture's composition root: connections, requests, spool, flusher and uploader, and how they end."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from extract_process.book.verification import PROVEN_LEVELS
from extract_process.feed.plan import FeedPlan
from extract_process.listing import CONNECTIONS, Listing, open_listing
from extract_process.live.capture import Capture
from extract_process.live.inherited import backfilled_ids, inherited_ids
from extract_process.live.metrics import ClockWatch, component_of
from extract_process.live.options import StreamOptions
from extract_process.live.pulse import Pulse
from extract_process.live.recorder import CaptureCounts, CaptureOptions
from extract_process.live.recovery import Recovered, recover
from extract_process.live.request_queue import Fetcher, RequestQueue, poll_in_turn, prove_in_turn
from extract_process.live.requests import GapRequest, PollRequest, Request
from extract_process.live.self_report import SelfReport
from extract_process.shards import Shard
from extract_process.spool.limits import DISK_RESERVE_BYTES, SpoolQuota, want_of_room
from extract_process.spool.outbox import Outbox, Uploader
from extract_process.spool.segments import capture_folder, leftover_segments, measure, outbox_folder
from extract_process.stream_ids import StreamKey
from extract_process.venues import venue_named
from extract_process.venues.api import VenueRest
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import LakeUnavailable, VenueRefused
from tickhouse_core.lake import lakes_of_other_cells, open_lake
from tickhouse_core.lifecycle import StopRequest, garbage_collected_seldom, run_until_stopped
from tickhouse_core.metrics import Component, Watchdog, observed
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.settings import SpoolSettings, read
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_PROOF_SHARE = 0.2
"""Of the weight limit: what proofs of running books may use, of all shards together."""

_POLL_SHARE = 0.4
"""As above: what polled channels may use."""


@dataclass(slots=True)
class CaptureReport:
    """What was done, for the summary at the end."""

    counts: CaptureCounts
    objects_uploaded: int = 0
    objects_left: int = 0
    segments_left: int = 0
    """Of the spool that are not yet objects."""


def run_capture(options: StreamOptions, stop: StopRequest) -> CaptureReport:
    """Records until the stop or the duration, then ends cleanly: readers, batches, uploads.

    Errors: UsageError where the venue knows no symbol and for a spool in use, NotProvisioned without a bucket.
    Trouble with the venue or the lake is waited out.
    """
    with garbage_collected_seldom():
        return asyncio.run(_run(options, stop))


async def _run(options: StreamOptions, stop: StopRequest) -> CaptureReport:
    venue = venue_named(options.venue)
    with capture_folder(read(SpoolSettings).folder, venue.name, options.instance) as folder:
        _warn_of_disk(folder)
        store = open_lake()
        _check_bucket(store)
        async with venue.open_rest(folder.parent, CONNECTIONS) as rest:
            waiting = f"{venue.name}: its REST API has not answered yet, the symbols are being looked up"
            with observed(Component("stream", list, lambda: [waiting])):
                listing = await _listed(rest, options, stop)
            outbox = Outbox(outbox_folder(folder))
            symbols = frozenset(options.wanted)
            recovered = await asyncio.to_thread(recover, folder, outbox, venue, options.instance, symbols)
            if options.shard:
                recovered = await asyncio.to_thread(_taken_over, recovered, options, options.shard, store)
            recovered = await asyncio.to_thread(_after_backfills, recovered, options, store)
            return await CaptureSession(options, folder, rest, listing, store, outbox, recovered).run(stop)


async def _listed(rest: VenueRest, options: StreamOptions, stop: StopRequest) -> Listing:
    """The symbols are looked up before anything is recorded. A venue that does not answer outlasts no stop and no duration."""
    found: list[Listing] = []

    async def look_up() -> None:
        found.append(await open_listing(rest, tuple(options.wanted)))

    looked = await run_until_stopped(stop, options.duration_seconds, look_up())
    if not looked.cancelled():
        looked.result()
    return found[0] if found else Listing(rest, tuple(options.wanted), is_checked=False)


class CaptureSession:
    """The parts of one capture, put together."""

    def __init__(
        self,
        options: StreamOptions,
        folder: Path,
        rest: VenueRest,
        listing: Listing,
        store: ObjectStore,
        outbox: Outbox,
        recovered: Recovered,
    ) -> None:
        self._options = options
        self._venue = venue_named(options.venue)
        self._folder = folder
        self._rest = rest
        self._listing = listing
        self._snapshot_levels = options.snapshot_levels or self._venue.usual_levels(len(options.wanted) * options.sharers)
        self._fetcher = Fetcher(rest, self._venue)
        self._requests: RequestQueue[Request] = RequestQueue(self._fetcher.pause_before, ranks=options.priorities)
        self._uploader = Uploader(outbox, store)
        kept = CaptureOptions(
            options.instance, tuple(options.wanted), folder, options.limits, options.fsync_seconds, self._snapshot_levels
        )
        quota = SpoolQuota(options.spool_bytes, options.stops_in_order)
        self._capture = Capture(self._venue, kept, quota, outbox, recovered, self._requests, self._uploader.wake)
        self._gaps = recovered.gaps
        self._plan = self._plan_feeds()
        self._plan.add(listing.known)
        self._report = SelfReport(options, self._capture, self._plan, listing, rest.client.limit, self._uploader)
        self._contracts: dict[str, str] = {}
        self._clock = ClockWatch()
        self._watchdog = Watchdog("the event loop")

    async def run(self, stop: StopRequest) -> CaptureReport:
        part = component_of("stream", self._report.vitals, self._watchdog)
        with observed(part):
            self._begin()
            work = await run_until_stopped(stop, self._options.duration_seconds, self._work())
        report = await self._end()
        if not work.cancelled():
            work.result()  # a failure of the work itself, after everything was kept
        return report

    def _begin(self) -> None:
        began = self._report.started_at
        self._capture.tell("started", detail=f"{len(self._listing.known)} symbols", started_at=began)
        self._tell_unknown(self._listing.unknown)
        for key, gap in self._gaps:
            ids = (gap.from_id, gap.to_id)
            self._capture.tell("gap", key, cause=gap.cause, ids=ids, started_at=began, ended_at=began)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for feed in self._plan.feeds:
                group.create_task(feed.run())
            group.create_task(self._requests.run(self._answer))
            group.create_task(self._tick())
            synced, levels = partial(self._capture.monitor.books, synced=True), min(PROVEN_LEVELS, self._snapshot_levels)
            fastest = partial(self._rest.snapshot_pause, share=_PROOF_SHARE / self._options.sharers)
            group.create_task(prove_in_turn(synced, self._requests, levels, self._options.prove_seconds, fastest))
            group.create_task(poll_in_turn(self._polls, self._poll, self._options.poll_seconds, self._pause_after))
            take_up = partial(self._take_up, group)
            group.create_task(self._listing.watch(self._options.look_again_seconds, take_up, self._leave_out))

    def _polls(self) -> list[PollRequest]:
        """What to poll of the symbols that the venue knows, in their order."""
        wanted = self._options.wanted
        chosen = ((channel, symbol) for symbol in self._listing.known for channel in wanted[symbol])
        return [PollRequest(channel, symbol) for channel, symbol in chosen if channel in self._venue.polls]

    def _poll(self, request: PollRequest) -> None:
        self._capture.on_poll_due(request)
        self._requests.put(request)

    def _pause_after(self, request: PollRequest) -> float:
        weight, share = self._venue.polls[request.channel].weight, _POLL_SHARE / self._options.sharers
        return self._rest.client.limit.pause_between(weight, share)

    async def _answer(self, request: Request) -> None:
        """One request to the venue. Its answer goes the way of the frames, and may lead to more requests."""
        self._capture.on_request(request)
        try:
            answer = await self._fetcher.fetch(request)
        except VenueRefused as error:
            if not (isinstance(request, GapRequest) and request.is_history):
                raise
            self._capture.on_refused(request, str(error))
        else:
            self._capture.on_answer(request, answer)

    def _leave_out(self, symbols: Sequence[str]) -> None:
        """Symbols that the venue does not know, or does not know any more."""
        self._plan.leave_out(symbols)
        self._tell_unknown(symbols)

    def _tell_unknown(self, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            words = "the venue does not know it; it is looked for again"
            self._capture.tell("unknown_symbol", StreamKey("", symbol), detail=words)

    def _tell_contracts(self) -> None:
        """What a contract of each market is worth, once it is known, and again with every start."""
        for symbol in self._options.wanted if self._rest.contract_sizes else ():
            size = self._rest.contract_sizes.get(symbol)
            if size is not None and self._contracts.get(symbol) != size:
                self._contracts[symbol] = size
                self._capture.tell("contract", StreamKey("", symbol), detail=size)

    def _take_up(self, group: asyncio.TaskGroup, symbols: Sequence[str]) -> None:
        """Symbols that were unknown."""
        for symbol in symbols:
            self._capture.tell("symbol_listed", StreamKey("", symbol))
        for feed in self._plan.add(symbols):
            group.create_task(feed.run())

    async def _end(self) -> CaptureReport:
        """Readers are closed; now the last batch and its upload, under one deadline."""
        capture, seconds = self._capture, self._options.stop_seconds
        capture.tell("stopped", started_at=self._report.started_at, ended_at=now_us())
        began = asyncio.get_running_loop().time()
        if not await asyncio.to_thread(capture.close, seconds):
            log.error("the last batches stay in the spool: the next start turns them into objects")
        left = max(0.0, seconds - (asyncio.get_running_loop().time() - began))
        objects_left = await asyncio.to_thread(self._uploader.finish, left)
        if objects_left:
            log.error("objects stay in the spool: the next start uploads them", extra={"objects": objects_left})
        segments_left = len(leftover_segments(self._folder))
        return CaptureReport(capture.counts, self._uploader.uploaded, objects_left, segments_left)

    async def _tick(self) -> None:
        """What is due by the clock and not by a frame: old batches, the spool's size, heartbeats."""
        loop = asyncio.get_running_loop()
        last_look = last_measure = 0.0
        pulse = self._pulse(loop.time())
        while True:
            self._watchdog.beat()
            self._capture.tell_left_out()
            self._tell_contracts()
            if step := self._clock.on_look(now_us(), loop.time()):
                words = f"the wall clock was set by {step:+.1f} s: receipt times before and behind it do not compare"
                self._capture.tell("clock_step", detail=words)
            self._capture.seal_if_due(now_us())
            if loop.time() - last_measure >= 1.0:
                last_measure = loop.time()
                spool_bytes, free_bytes = await asyncio.to_thread(measure, self._folder)
                self._capture.on_spool_size(spool_bytes, free_bytes)
                self._report.on_measured(spool_bytes, free_bytes)
            if loop.time() - last_look >= self._options.heartbeat_seconds:
                last_look = loop.time()
                self._capture.lag.look()
            if pulse.is_due(loop.time(), self._capture.counts.rows):
                self._capture.beat(self._report.heartbeat(now_us()))
            await asyncio.sleep(_TICK_SECONDS)

    def _pulse(self, now: float) -> Pulse:
        """Objects of klines say nothing of a capture: they have no hours, by which new objects are found."""
        options = self._options
        has_hours = any(channel != KLINES.channel for channels in options.wanted.values() for channel in channels)
        quiet_seconds = options.heartbeat_seconds
        return Pulse(now, quiet_seconds, options.busy_heartbeat_seconds if has_hours else quiet_seconds)

    def _plan_feeds(self) -> FeedPlan:
        options = self._options
        doubt = self._listing.doubt
        intervals = {symbol: options.intervals.get(symbol, options.interval) for symbol in options.wanted}
        return FeedPlan(self._venue, options.wanted, intervals, self._capture, self._rest.find_address, options, doubt)


def _taken_over(recovered: Recovered, options: StreamOptions, shard: Shard, store: ObjectStore) -> Recovered:
    """With the last ids of markets that another shard had, and without those of markets that are another's now.

    What this process remembers of those grows old: if they return, the lake knows better.
    """
    kept = {key: last for key, last in recovered.last_ids.items() if shard.has(options.venue, key.symbol)}
    stores = [store, *lakes_of_other_cells()]
    found = inherited_ids(stores, options.venue, options.instance, options.streams, kept, now_us())
    return replace(recovered, last_ids={**kept, **found})


def _after_backfills(recovered: Recovered, options: StreamOptions, store: ObjectStore) -> Recovered:
    """Live klines that are new here go on where a backfill ended."""
    known = recovered.last_ids
    return replace(recovered, last_ids={**known, **backfilled_ids(store, options.venue, options.streams, known, now_us())})


def _warn_of_disk(folder: Path) -> None:
    """A small disk is no reason to refuse: channels stop, and are recorded as soon as there is room."""
    _, free_bytes = measure(folder)
    if free_bytes <= DISK_RESERVE_BYTES:
        log.warning("channels will not be recorded", extra={"why": want_of_room(free_bytes)})


def _check_bucket(store: ObjectStore) -> None:
    """Raises NotProvisioned; a lake that is away for the moment is no reason to stop recording."""
    try:
        next(iter(store.list_keys("data_sources/stream_events/")), None)
    except LakeUnavailable as error:
        log.error("the lake is away, recording into the spool", extra={"error": str(error)})

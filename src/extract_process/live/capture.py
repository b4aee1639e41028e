"""Capture: frames and answers are recorded first and tracked second. Findings become events and requests.

All of it runs in the event loop, in the callback that read the frames; making objects and uploading do not.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from extract_process.live.event_log import EventLog
from extract_process.live.gap_filler import GapFiller
from extract_process.live.metrics import EventLag
from extract_process.live.monitor import Findings, MonitorRules, StreamMonitor
from extract_process.live.recorder import CaptureOptions, Recorder
from extract_process.live.recovery import Recovered
from extract_process.live.request_queue import RequestQueue
from extract_process.live.requests import GapRequest, PollRequest, Request, SnapshotRequest
from extract_process.records import Heartbeat, StreamEvent, Ticker, UnreadableRow
from extract_process.spool.limits import SpoolQuota
from extract_process.spool.outbox import Outbox
from extract_process.spool.row_buffer import Parsed
from extract_process.spool.segments import Kind, RestAnswer
from extract_process.stream_ids import StreamKey
from extract_process.venues import Venue
from extract_process.venues.parsing import DATA_ERRORS, FrameRefused
from extract_process.venues.rest_client import Answer
from tickhouse_core.errors import SpoolFull
from tickhouse_core.event_kinds import EventKind, GapCause
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)


class Capture:
    """One per process; the FrameHandler of its feeds. `requests` gets what the monitor needs from the venue."""

    def __init__(
        self,
        venue: Venue,
        options: CaptureOptions,
        quota: SpoolQuota,
        outbox: Outbox,
        recovered: Recovered,
        requests: RequestQueue[Request],
        on_objects: Callable[[], None],
    ) -> None:
        rules = MonitorRules(venue.sparse_channels, venue.settle_seconds, options.snapshot_levels, venue.top_channel)
        self.monitor = StreamMonitor(venue.name, options.instance, recovered.last_ids, rules)
        self.quota = quota
        self._venue = venue
        self._options = options
        self._requests = requests
        self._recorder = Recorder(venue, options, outbox, recovered, on_objects)
        self.counts = self._recorder.counts
        self._gaps = GapFiller(self.monitor, venue)
        self._event_log = EventLog()
        self.lag = EventLag()
        self._unanswered: set[PollRequest] = set()
        self._wanted = frozenset((None, *options.symbols, *(symbol.upper() for symbol in options.symbols)))

    def record(self, frames: Sequence[bytes], receipt_time: int, *, extra: bool = False) -> list[object]:
        """Records frames; returns their records and control messages. `extra` frames are not tracked until promotion.

        Frames of a channel that is stopped for want of disk space are not recorded, and not returned either; nor are
        those that cannot be read, and rows of symbols that were not subscribed.
        """
        if self.quota.stopped:
            frames = self._without_stopped(frames)
        messages: list[object] = []
        kept = []
        for frame in frames:
            if found := self._read(frame, receipt_time):
                messages += found
                kept.append(frame)
        try:
            self._recorder.add_frames(Kind.EXTRA_FRAME if extra else Kind.FRAME, kept, messages, receipt_time)
        except OSError as error:
            self._on_disk_full(error)
            self.counts.discarded_frames += len(kept)
            return []
        self.counts.frames += len(frames)
        self.counts.frame_bytes += sum(map(len, frames))
        self.counts.last_receipt_time = receipt_time
        self.lag.on_messages(messages, receipt_time)
        if extra:
            self.seal_if_due(receipt_time)
        return messages

    def on_messages(self, messages: Iterable[object], receipt_time: int) -> None:
        """Tracks recorded messages of one connection at a time."""
        self._follow(self.monitor.on_messages(messages, receipt_time), receipt_time)
        self.seal_if_due(receipt_time)

    def on_request(self, request: Request) -> None:
        """The request is sent now."""
        if isinstance(request, SnapshotRequest):
            self.monitor.on_snapshot_asked(request.symbol, as_proof=request.as_proof)
            self.tell("snapshot_requested", StreamKey("depth", request.symbol), cause=request.reason)

    def on_poll_due(self, request: PollRequest) -> None:
        """Its turn has come. Where the one before has no answer yet, a value was missed."""
        if request in self._unanswered:
            self.monitor.on_break("missed_poll", lambda key: (key.channel, key.symbol) == (request.channel, request.symbol))
        self._unanswered.add(request)

    def on_answer(self, request: Request, answer: Answer[Any]) -> None:
        """Records an answer, then tracks it. Raises SpoolFull; then neither was done."""
        body, receipt_time, parsed = answer
        if isinstance(request, SnapshotRequest):
            self._record_answer(RestAnswer("depth", request.symbol, body, reason=request.reason), receipt_time, parsed)
            self._follow(self.monitor.on_snapshot(parsed, request.levels, receipt_time), now_us())
            return
        if isinstance(request, PollRequest):
            if request.channel not in self.quota.stopped:
                self._record_answer(RestAnswer(request.channel, request.symbol, body), receipt_time, parsed)
                self._follow(self.monitor.on_messages(parsed, receipt_time), receipt_time)
            self._unanswered.discard(request)
            self.seal_if_due(now_us())
            return
        if rows := self._gaps.rows_of(request, body, parsed):
            self._record_answer(rows, receipt_time, parsed)
        now = now_us()
        self._follow(self._gaps.on_answer(request, parsed, now), now)

    def on_refused(self, request: GapRequest, why: str) -> None:
        """The venue will never answer it."""
        now = now_us()
        self._follow(self._gaps.on_refused(request, why, now), now)

    def tell(
        self,
        event: EventKind,
        key: StreamKey | None = None,
        *,
        cause: str = "",
        detail: str = "",
        ids: tuple[int, int] | None = None,
        started_at: int | None = None,
        ended_at: int | None = None,
    ) -> None:
        """Records one event; it started now, unless `started_at` says otherwise."""
        now = now_us()
        made = self.monitor.event(event, started_at or now, key, cause=cause, detail=detail, ids=ids, ended_at=ended_at)
        self._follow(Findings([made]), now)

    def spans(self) -> Mapping[StreamKey, tuple[int, int]]:
        """The first and the last tracked id, of the numbering that each stream has now."""
        return self.monitor.spans()

    def on_break(self, cause: GapCause, concerns: Callable[[StreamKey], bool]) -> None:
        """Streams were interrupted: holes that show now have this cause."""
        self.monitor.on_break(cause, concerns)

    def beat(self, heartbeat: Heartbeat) -> None:
        """Records a heartbeat of the process."""
        try:
            self._recorder.add_heartbeat(heartbeat)
        except OSError as error:
            self._on_disk_full(error)

    def tell_left_out(self, *, at_once: bool = False) -> None:
        """Records how many events were not recorded one by one; call it now and then."""
        for name, detail in self._event_log.take_left_out(at_once=at_once):
            now = now_us()
            self._record_events([self.monitor.event(name, now, detail=detail)], now)
        self._event_log.write_left_out(at_once=at_once)

    def on_spool_size(self, used_bytes: int, free_bytes: int) -> None:
        """Stops channels when the spool is full, and brings them back when there is room."""
        stopped, resumed = self.quota.on_size(used_bytes, free_bytes)
        for channel in stopped:
            self._tell_stopped(channel, self.quota.why(used_bytes, free_bytes))
        for channel in resumed:
            self.monitor.on_break("spool_full", lambda key, channel=channel: key.channel == channel)  # type: ignore[misc]
            log.warning("channel is recorded again", extra={"channel": channel, "spool_bytes": used_bytes})
            self.tell("channel_resumed", StreamKey(channel, ""))

    def seal_if_due(self, now: int) -> None:
        if self._recorder.is_due(now):
            self._recorder.seal(self.monitor.last_ids())

    def close(self, seconds: float) -> bool:
        """Flushes the last batch within `seconds`; False where it stays in the spool for the next start."""
        self.tell_left_out(at_once=True)
        self._recorder.seal(self.monitor.last_ids())
        return self._recorder.close(seconds)

    def _read(self, frame: bytes, receipt_time: int) -> list[object]:
        """What of a frame is to be kept."""
        try:
            found = self._venue.parse_frame(frame, receipt_time)
        except FrameRefused as refused:
            self._refuse(frame, receipt_time, refused)
            return []
        except DATA_ERRORS as error:
            self._refuse(frame, receipt_time, FrameRefused("unreadable", f"{type(error).__name__}: {error}"[:300]))
            return []
        if all(getattr(message, "symbol", None) in self._wanted for message in found):
            return found
        return [message for message in found if self._is_wanted(message, receipt_time)]

    def _is_wanted(self, message: object, receipt_time: int) -> bool:
        """Keeps nothing of a market without a subscription, not even its name. Tickers come for the whole market."""
        symbol = getattr(message, "symbol", None)
        if symbol in self._wanted:
            return True
        if not isinstance(message, Ticker) and not (isinstance(message, UnreadableRow) and message.channel == "ticker"):
            self.counts.unsubscribed_rows += 1
            if self._event_log.may_record("not_subscribed"):
                words = f"{type(message).__name__} of {symbol!r:.40}"
                self._record_events([self.monitor.event("not_subscribed", receipt_time, detail=words)], receipt_time)
        return False

    def _refuse(self, frame: bytes, receipt_time: int, refused: FrameRefused) -> None:
        """Records the beginning of an unreadable frame as an event; of many, the first few and a count."""
        self.counts.refused_frames += 1
        if self._event_log.may_record("refused_frame"):
            words = f"{refused}: {frame[:500].decode(errors='replace')}"
            event = self.monitor.event("refused_frame", receipt_time, cause=refused.reason, detail=words)
            self._record_events([event], receipt_time)

    def _record_answer(self, answer: RestAnswer, receipt_time: int, parsed: Parsed) -> None:
        try:
            self._recorder.add_answer(answer, receipt_time, parsed)
        except OSError as error:
            self._on_disk_full(error)
            raise SpoolFull(f"no room in {self._options.folder} for the venue's answer") from error
        self.counts.frame_bytes += len(answer.body)

    def _follow(self, findings: Findings, receipt_time: int) -> None:
        if findings.events:
            self._record_events([event for event in findings.events if self._event_log.is_recorded(event)], receipt_time)
        for request in findings.requests:
            self._requests.put(request)

    def _record_events(self, events: Sequence[StreamEvent], receipt_time: int) -> None:
        try:
            self._recorder.add_events(events, receipt_time)
        except OSError as error:
            self._on_disk_full(error)
        for event in events:
            self.counts.gaps += event.event == "gap"
            self._event_log.write(event)

    def _on_disk_full(self, error: OSError) -> None:
        for channel in self.quota.on_disk_full():
            self._tell_stopped(channel, f"the spool cannot be written: {error}")

    def _without_stopped(self, frames: Sequence[bytes]) -> list[bytes]:
        kept = [frame for frame in frames if self._venue.channel_of_frame(frame) not in self.quota.stopped]
        self.counts.discarded_frames += len(frames) - len(kept)
        return kept

    def _tell_stopped(self, channel: str, why: str) -> None:
        log.error("channel is no longer recorded", extra={"channel": channel, "why": why})
        self.tell("channel_stopped", StreamKey(channel, ""), cause="spool_full", detail=why)

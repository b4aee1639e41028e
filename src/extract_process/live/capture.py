"""Capture: what happens to every frame of a live capture: on disk first, landed second, judged third.

All of it runs in the event loop, in the callback that read the frames; making objects and uploading do not.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from extract_process.live.monitor import Findings, Request, StreamMonitor, monitor_rules
from extract_process.live.recovery import Recovered, landing_of
from extract_process.records import Heartbeat, StreamEvent, Ticker, UnreadableRow
from extract_process.said_seldom import SaidSeldom, words_of
from extract_process.sequence import UNREADABLE
from extract_process.spool.checkpoint import Checkpoint
from extract_process.spool.flusher import Flusher
from extract_process.spool.micro_batch import BatchLimits, MicroBatch
from extract_process.spool.outbox import Outbox
from extract_process.spool.quota import SpoolQuota
from extract_process.spool.row_buffer import Parsed, RowBuffer
from extract_process.spool.segments import Kind, RestAnswer, Spool
from extract_process.stream_key import StreamKey
from extract_process.venues import Venue
from extract_process.venues.parsing import DATA_ERRORS, FrameRefused
from tickhouse_core.errors import SpoolFull
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)

_LOUD = {
    "gap": logging.WARNING,
    "mismatch": logging.ERROR,
    "implausible_id": logging.WARNING,
    "new_numbering": logging.ERROR,
    "sync_delayed": logging.WARNING,
    "unproven": logging.WARNING,
    "not_judged": logging.ERROR,
    "not_subscribed": logging.WARNING,
    "refused_frame": logging.WARNING,
    "refused_row": logging.WARNING,
    "clock_step": logging.WARNING,
    "connect_failed": logging.WARNING,
    "disconnected": logging.WARNING,
    "heal_failed": logging.WARNING,
    "mute": logging.WARNING,
    "heard_again": logging.INFO,
    "successor_given_up": logging.WARNING,
    "venue_error": logging.WARNING,
}
_MOST_EVENTS, _MOST_LINES = 20, 3
"""Of a kind that are said one by one: a venue's garbage is counted, not amplified."""

_COUNTED = frozenset({"implausible_id", "not_judged", "refused_row", "venue_error"})
"""Events that account for no ids (a refused_row does where it has some): the first few, then how many."""


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """Where and how a capture keeps what it received."""

    instance: str
    symbols: tuple[str, ...]
    folder: Path
    limits: BatchLimits
    fsync_seconds: float


@dataclass(slots=True)
class CaptureCounts:
    """Since the start of the process."""

    frames: int = 0
    frame_bytes: int = 0
    rows: int = 0
    refused_frames: int = 0
    unsubscribed_rows: int = 0
    discarded_frames: int = 0
    gaps: int = 0
    last_receipt_time: int = 0


class Capture:
    """One per process. `put_request` takes what the monitor wants to know from the venue."""

    def __init__(
        self,
        venue: Venue,
        options: CaptureOptions,
        room: SpoolQuota,
        outbox: Outbox,
        recovered: Recovered,
        put_request: Callable[[Request], None],
        on_objects: Callable[[], None],
    ) -> None:
        self.counts = CaptureCounts()
        self.monitor = StreamMonitor(venue.name, options.instance, recovered.last_ids, monitor_rules(venue))
        self.room = room
        self._venue = venue
        self._options = options
        self._put_request = put_request
        self._spool = Spool(options.folder, recovered.next_sequence, options.fsync_seconds)
        self._batch = MicroBatch(options.limits)
        self._landing = self._new_landing()
        self._wanted = frozenset((None, *options.symbols, *(symbol.upper() for symbol in options.symbols)))
        self._events, self._lines = SaidSeldom(_MOST_EVENTS), SaidSeldom(_MOST_LINES)
        symbols = frozenset(options.symbols)
        self._flusher = Flusher(outbox, lambda segment: landing_of(segment, venue, options.instance, symbols), on_objects)

    def record(self, frames: Sequence[bytes], receipt_time: int, *, extra: bool = False) -> list[object]:
        """Spools and lands frames; returns their records and control messages. `extra` frames are not judged yet.

        Frames of a channel that is stopped for want of disk space are not recorded, and not returned either; nor are
        those that cannot be read, and rows of symbols that were not subscribed.
        """
        if self.room.stopped:
            frames = self._without_stopped(frames)
        messages: list[object] = []
        spooled = 0
        for frame in frames:
            if found := self._read(frame, receipt_time):
                self._spool.append(Kind.EXTRA_FRAME if extra else Kind.FRAME, receipt_time, frame)
                messages += found
                spooled += 1
        if not self._write():
            self.counts.discarded_frames += spooled
            return []
        rows, frame_bytes = self._landing.rows, sum(map(len, frames))
        self._landing.add_messages(messages, receipt_time)
        self._count(self._landing.rows - rows, frame_bytes, receipt_time)
        self.counts.frames += len(frames)
        self.counts.last_receipt_time = receipt_time
        if extra:  # nobody judges them for now
            self.seal_if_due(receipt_time)
        return messages

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
            if self._events.may_say("not_subscribed", time.monotonic()):
                event = self.monitor.event("not_subscribed", receipt_time, detail=f"{type(message).__name__} of {symbol!r:.40}")
                self._follow(Findings([event], []), receipt_time)
        return False

    def say_left_out(self, *, at_once: bool = False) -> None:
        """What happened too often to be said one by one, as numbers; call it now and then."""
        now = time.monotonic()
        for name, count, seconds in self._events.take_left_out(now, at_once=at_once):
            self._write_down([self.monitor.event(name, now_us(), detail=f"{count:,} more in {seconds:.0f} s")], now_us())
        if more := words_of(self._lines.take_left_out(now, at_once=at_once)):
            log.warning("more of what was said", extra={"more": more})

    def on_messages(self, messages: Iterable[object], receipt_time: int) -> None:
        """Judges landed messages, writes down what follows and asks what must be asked."""
        self._follow(self.monitor.on_messages(messages, receipt_time), receipt_time)
        self.seal_if_due(receipt_time)

    def take_answer(self, answer: RestAnswer, receipt_time: int, parsed: Parsed) -> None:
        """Spools and lands a REST answer; judging it is the next step. Raises SpoolFull."""
        self._spool.append(Kind.REST_ANSWER, receipt_time, answer.payload())
        if not self._write():
            raise SpoolFull(f"no room in {self._options.folder} for the venue's answer")
        rows = self._landing.rows
        self._landing.add_answer(answer, receipt_time, parsed)
        self._count(self._landing.rows - rows, len(answer.body), receipt_time)

    def follow(self, findings: Findings) -> None:
        """Writes down and asks what a findings outside of the streams led to."""
        self._follow(findings, now_us())

    def note(self, event: StreamEvent) -> None:
        """Writes down one event."""
        self._follow(Findings([event], []), now_us())

    def tell(self, event: str, key: StreamKey | None = None, *, cause: str = "", detail: str = "") -> None:
        """Writes down what a feed has to say."""
        self.note(self.monitor.event(event, now_us(), key, cause=cause, detail=detail))

    def spans(self) -> Mapping[StreamKey, tuple[int, int]]:
        """The first and the last id that were judged, of the numbering that each stream has now."""
        return self.monitor.spans()

    def beat(self, heartbeat: Heartbeat) -> None:
        """One pulse of the process."""
        self._spool.append(Kind.HEARTBEAT, heartbeat.beat_time, orjson.dumps(asdict(heartbeat)))
        if self._write():
            self._landing.add_heartbeat(heartbeat)
            self._count(1, 0, heartbeat.beat_time)

    def on_break(self, cause: str, concerns: Callable[[StreamKey], bool]) -> None:
        """Streams were interrupted: holes that show now have this cause."""
        self.monitor.on_break(cause, concerns)

    def on_spool_size(self, used_bytes: int, free_bytes: int) -> None:
        """Stops channels when the spool is full, and brings them back when there is room."""
        stopped, resumed = self.room.on_size(used_bytes, free_bytes)
        for channel in stopped:
            self._say_stopped(channel, f"the spool holds {used_bytes:,} of {self.room.limit_bytes:,} bytes")
        for channel in resumed:
            self.monitor.on_break("spool_full", lambda key, channel=channel: key.channel == channel)  # type: ignore[misc]
            log.warning("channel is recorded again", extra={"channel": channel, "spool_bytes": used_bytes})
            self.note(self.monitor.event("channel_resumed", now_us(), StreamKey(channel, "")))

    def seal_if_due(self, now: int) -> None:
        if self._batch.is_due(now, time.monotonic()):
            self.seal()

    def seal(self) -> None:
        """Closes the micro-batch and hands it to the flusher."""
        if self._batch.is_empty:
            return
        segment = self._spool.seal()
        self._flusher.put(segment, Checkpoint(segment.sequence, self.monitor.last_ids()), self._landing)
        self._landing = self._new_landing()
        self._batch.clear()

    def close(self, seconds: float) -> bool:
        """The last batch, within so long; False where it stays in the spool for the next start."""
        self.say_left_out(at_once=True)
        self.seal()
        self._spool.close()
        return self._flusher.finish(seconds)

    def _follow(self, findings: Findings, receipt_time: int) -> None:
        if findings.events:
            self._write_down([event for event in findings.events if self._is_said(event)], receipt_time)
        for request in findings.requests:
            self._put_request(request)

    def _is_said(self, event: StreamEvent) -> bool:
        if event.event not in _COUNTED or (event.from_update_id is not None and event.event == "refused_row"):
            return True
        return self._events.may_say(event.event, time.monotonic())

    def _write_down(self, events: Sequence[StreamEvent], receipt_time: int) -> None:
        for event in events:
            self._spool.append(Kind.EVENT, receipt_time, orjson.dumps(asdict(event)))
        self._write()
        for event in events:  # without disk space they are in memory at least
            self._landing.add_event(event, receipt_time)
            self._say(event)
        self._count(len(events), 0, receipt_time)

    def _refuse(self, frame: bytes, receipt_time: int, refused: FrameRefused) -> None:
        """Records the beginning of an unreadable frame as an event; of many, the first few and a count."""
        self.counts.refused_frames += 1
        if not self._events.may_say("refused_frame", time.monotonic()):
            return
        words = f"{refused}: {frame[:500].decode(errors='replace')}"
        event = self.monitor.event("refused_frame", receipt_time, cause=refused.reason, detail=words)
        self._follow(Findings([event], []), receipt_time)

    def _write(self) -> bool:
        try:
            self._spool.write()
        except OSError as error:
            for channel in self.room.on_disk_full():
                self._say_stopped(channel, f"the spool cannot be written: {error}")
            return False
        return True

    def _without_stopped(self, frames: Sequence[bytes]) -> list[bytes]:
        kept = []
        for frame in frames:
            channel = self._venue.channel_of_frame(frame)
            if channel in self.room.stopped:
                self.counts.discarded_frames += 1
            else:
                kept.append(frame)
        return kept

    def _say_stopped(self, channel: str, why: str) -> None:
        log.error("channel is no longer recorded", extra={"channel": channel, "why": why})
        self.note(self.monitor.event("channel_stopped", now_us(), StreamKey(channel, ""), cause="spool_full", detail=why))

    def _say(self, event: StreamEvent) -> None:
        self.counts.gaps += event.event == "gap"
        level = _LOUD.get(event.event, logging.DEBUG)
        if event.event == "gap" and event.cause == UNREADABLE:
            level = logging.DEBUG  # its refused_row is the line
        if log.isEnabledFor(level) and (level < logging.WARNING or self._lines.may_say(event.event, time.monotonic())):
            said = {name: value for name, value in asdict(event).items() if value not in ("", None) and name != "event"}
            log.log(level, event.event, extra=said)

    def _count(self, rows: int, frame_bytes: int, now: int) -> None:
        self._batch.add(rows, frame_bytes, now, time.monotonic())
        self.counts.rows += rows
        self.counts.frame_bytes += frame_bytes

    def _new_landing(self) -> RowBuffer:
        return RowBuffer(self._venue, self._options.instance, frozenset(self._options.symbols))

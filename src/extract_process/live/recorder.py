"""Recorder: everything that came is in the spool first and in a row buffer second; full batches go to the flusher."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import orjson

from extract_process.live.recovery import Recovered, rows_of_segment
from extract_process.live.requests import SNAPSHOT_LEVELS
from extract_process.records import Heartbeat, StreamEvent
from extract_process.spool.limits import BatchLimits, MicroBatch
from extract_process.spool.outbox import Flusher, Outbox
from extract_process.spool.row_buffer import Parsed, RowBuffer
from extract_process.spool.segments import Checkpoint, Kind, LastIds, RestAnswer, Spool
from extract_process.venues import Venue


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """Where and how a capture keeps what it received."""

    instance: str
    symbols: tuple[str, ...]
    folder: Path
    limits: BatchLimits
    fsync_seconds: float
    snapshot_levels: int = SNAPSHOT_LEVELS


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


class Recorder:
    """The `add_` methods raise OSError where the disk takes nothing; then nothing of that call is recorded, except events."""

    def __init__(
        self, venue: Venue, options: CaptureOptions, outbox: Outbox, recovered: Recovered, on_objects: Callable[[], None]
    ) -> None:
        self.counts = CaptureCounts()
        self._new_rows = partial(RowBuffer, venue, options.instance, frozenset(options.symbols))
        self._spool = Spool(options.folder, recovered.next_sequence, options.fsync_seconds)
        self._rows = self._new_rows()
        self._batch = MicroBatch(options.limits)
        self._flusher = Flusher(outbox, lambda segment: rows_of_segment(segment, venue, self._new_rows()), on_objects)

    def add_frames(self, kind: Kind, frames: Sequence[bytes], messages: Sequence[object], receipt_time: int) -> None:
        """`messages` are those of the frames."""
        for frame in frames:
            self._spool.append(kind, receipt_time, frame)
        self._spool.write()
        rows = self._rows.rows
        self._rows.add_messages(messages, receipt_time)
        self._count(self._rows.rows - rows, sum(map(len, frames)), receipt_time)

    def add_answer(self, answer: RestAnswer, receipt_time: int, parsed: Parsed) -> None:
        self._spool.append(Kind.REST_ANSWER, receipt_time, answer.payload())
        self._spool.write()
        rows = self._rows.rows
        self._rows.add_answer(answer, receipt_time, parsed)
        self._count(self._rows.rows - rows, len(answer.body), receipt_time)

    def add_events(self, events: Sequence[StreamEvent], receipt_time: int) -> None:
        """Without disk space they are in memory at least."""
        for event in events:
            self._spool.append(Kind.EVENT, receipt_time, orjson.dumps(asdict(event)))
            self._rows.add_event(event, receipt_time)
        self._count(len(events), 0, receipt_time)
        self._spool.write()

    def add_heartbeat(self, heartbeat: Heartbeat) -> None:
        self._spool.append(Kind.HEARTBEAT, heartbeat.beat_time, orjson.dumps(asdict(heartbeat)))
        self._spool.write()
        self._rows.add_heartbeat(heartbeat)
        self._count(1, 0, heartbeat.beat_time)

    def is_due(self, now: int) -> bool:
        """Whether the batch is to be sealed; `now` in microseconds."""
        return self._batch.is_due(now, time.monotonic())

    def seal(self, last_ids: LastIds) -> None:
        """Closes the batch and hands it to the flusher; `last_ids` is what a restart must remember."""
        if self._batch.is_empty:
            return
        segment = self._spool.seal()
        self._flusher.put(segment, Checkpoint(segment.sequence, last_ids), self._rows)
        self._rows = self._new_rows()
        self._batch.clear()

    def close(self, seconds: float) -> bool:
        """Waits for the flusher; False where it needs longer: the batch stays in the spool for the next start."""
        self._spool.close()
        return self._flusher.finish(seconds)

    def _count(self, rows: int, batch_bytes: int, now: int) -> None:
        self._batch.add(rows, batch_bytes, now, time.monotonic())
        self.counts.rows += rows

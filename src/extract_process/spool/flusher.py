"""Flusher: closed segments become objects in the outbox, in a thread of its own, one after the other."""

import logging
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from extract_process.spool.checkpoint import Checkpoint
from extract_process.spool.outbox import Outbox
from extract_process.spool.row_buffer import RowBuffer
from extract_process.spool.segments import Segment
from tickhouse_core.backoff import Backoff, Outage

log = logging.getLogger(__name__)

MOST_IN_MEMORY = 3
"""Batches whose rows wait in memory; of more, only the segment on disk waits, and its rows are read again."""

RETRYING = Backoff(2.0, 2.0)
"""After trouble with the disk; the segment stays where it is."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A closed segment, its checkpoint, and its rows unless they are to be read from disk."""

    segment: Segment
    checkpoint: Checkpoint
    rows: RowBuffer | None


class Flusher:
    """`put` never blocks. The segment is deleted only when its objects are synced to disk and its ids remembered."""

    def __init__(self, outbox: Outbox, rebuilt: Callable[[Segment], RowBuffer], on_objects: Callable[[], None]) -> None:
        """`rebuilt` reads a segment's rows from disk; `on_objects` is called when the outbox has more."""
        self._outbox = outbox
        self._rebuilt = rebuilt
        self._on_objects = on_objects
        self._outage = Outage(
            log, RETRYING, begins="cannot write objects to the spool, trying again", ends="objects are written to the spool again"
        )
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()  # paths once memory is full
        self._abandoned = threading.Event()
        self._worked_off = False
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)
        self._thread.start()

    def put(self, segment: Segment, checkpoint: Checkpoint, rows: RowBuffer) -> None:
        if not self._thread.is_alive():
            log.error("no objects are made any more: segments stay in the spool until the next start")
            return
        in_memory = self._batches.qsize() < MOST_IN_MEMORY
        self._batches.put(Batch(segment, checkpoint, rows if in_memory else None))

    def finish(self, seconds: float) -> bool:
        """Works off what was put and ends; False where that took longer (the segments then wait for the next start)."""
        self._batches.put(None)
        self._thread.join(seconds)
        self._abandoned.set()
        return self._worked_off and not self._thread.is_alive()

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            rows = batch.rows
            while not self._abandoned.is_set():
                try:
                    self._flush(batch, rows or self._rebuilt(batch.segment))
                    self._outage.succeeded()
                    break
                except OSError as error:
                    rows = None
                    self._abandoned.wait(self._outage.failed(error))
        self._worked_off = not self._abandoned.is_set()

    def _flush(self, batch: Batch, rows: RowBuffer) -> None:
        _sync(batch.segment)
        waiting = self._outbox.put(batch.segment.sequence, rows.objects(batch.segment.sequence))
        batch.checkpoint.save(batch.segment.path.parent)
        batch.segment.delete()
        log.debug("flushed", extra={"segment": batch.segment.sequence, "objects": len(waiting), "rows": rows.rows})
        self._on_objects()


def _sync(segment: Segment) -> None:
    file = os.open(segment.path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)

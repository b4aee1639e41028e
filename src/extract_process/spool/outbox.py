"""The outbox: finished objects on local disk until S3 has them. Keys and bytes are fixed before the first attempt.

Flusher makes the objects of closed segments, Uploader puts them into the bucket; each is a thread of its own.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from extract_process.spool.row_buffer import RowBuffer
from extract_process.spool.segments import Checkpoint, Segment
from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.errors import TickhouseError
from tickhouse_core.files import UNFINISHED, sync, write_whole
from tickhouse_core.object_store import ObjectStore

_SUFFIX = ".parquet"

log = logging.getLogger(__name__)

MOST_IN_MEMORY = 3
"""Batches whose rows wait in memory; of more, only the segment on disk waits, and its rows are read again."""

RETRYING = Backoff(2.0, 2.0)
"""After trouble with the disk; the segment stays where it is."""

_BETWEEN_UPLOADS = Backoff(1.0, 15.0)


@dataclass(frozen=True, slots=True)
class WaitingObject:
    """An object that is complete on disk and not yet known to be in the bucket."""

    key: str
    path: Path


class Outbox:
    """A folder of files named `<segment>~<key, percent-encoded>`, so that the oldest segment sorts first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(f"*{UNFINISHED}"):
            path.unlink()

    def put(self, sequence: int, objects: Iterable[tuple[str, bytes]]) -> list[WaitingObject]:
        """All objects of one segment, synced to the disk. The same segment again overwrites its own."""
        waiting = []
        for key, body in objects:
            path = self._folder / f"{sequence:012}~{_file_name(key)}"
            write_whole(path, body)
            waiting.append(WaitingObject(key, path))
        sync(self._folder)
        return waiting

    def waiting(self) -> list[WaitingObject]:
        """Oldest segment first."""
        paths = sorted(self._folder.glob(f"*{_SUFFIX}"))
        return [WaitingObject(unquote(path.name.partition("~")[2]), path) for path in paths]

    def last_sequence(self) -> int:
        """The newest segment that has objects here; 0 where there are none."""
        return max((int(item.path.name.partition("~")[0]) for item in self.waiting()), default=0)


def _file_name(key: str) -> str:
    """As short as can be: a file name has 255 bytes at most, and a symbol may be Chinese."""
    return key.replace("%", "%25").replace("/", "%2F")


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
        sync(batch.segment.path)
        waiting = self._outbox.put(batch.segment.sequence, rows.objects(batch.segment.sequence))
        batch.checkpoint.save(batch.segment.path.parent)
        batch.segment.delete()
        log.debug("flushed", extra={"segment": batch.segment.sequence, "objects": len(waiting), "rows": rows.rows})
        self._on_objects()


class Uploader:
    """No trouble with the lake ends it: the capture goes on, the outbox grows, and uploads resume by themselves.

    A retried upload is the same key and the same bytes, so it does not matter whether the one before it arrived.
    `uploaded`, `uploaded_bytes`: objects since the start, and their bytes. `last_upload`: when an object last reached the
    lake, seconds since 1970; the start where none has.
    """

    def __init__(self, outbox: Outbox, store: ObjectStore) -> None:
        self.uploaded = self.uploaded_bytes = 0
        self.last_upload = time.time()
        self._outbox = outbox
        self._store = store
        self._outage = Outage(
            log,
            _BETWEEN_UPLOADS,
            begins="cannot upload, the spool keeps it and tries again",
            ends="uploads resumed",
            level=logging.ERROR,
        )
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uploader", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """The outbox has more."""
        self._wake.set()

    @property
    def failures(self) -> int:
        """Tries in a row that did not succeed."""
        return self._outage.failures

    @property
    def waiting(self) -> int:
        """Objects the lake does not have yet."""
        return len(self._outbox.waiting())

    def finish(self, seconds: float) -> int:
        """Uploads what waits, for at most `seconds`; returns the number of objects left for the next start.

        After that no upload begins any more; one that is under way may still arrive.
        """
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)
        self._abandoned.set()
        return len(self._outbox.waiting())

    def _run(self) -> None:
        while not self._abandoned.is_set():
            self._wake.clear()
            try:
                for waiting in self._outbox.waiting():
                    if self._abandoned.is_set():
                        return
                    self._upload(waiting)
                    self._outage.succeeded()
            except (TickhouseError, OSError) as error:
                self._pause(error)
                continue
            if self._stopping.is_set() and not self._wake.is_set():
                return
            self._wake.wait()

    def _upload(self, waiting: WaitingObject) -> None:
        began = time.monotonic()
        body = waiting.path.read_bytes()
        self._store.write(waiting.key, body)
        waiting.path.unlink()
        self.uploaded += 1
        self.uploaded_bytes += len(body)
        self.last_upload = time.time()
        extra = {"key": waiting.key, "bytes": len(body), "seconds": round(time.monotonic() - began, 3)}
        log.debug("uploaded", extra=extra)

    def _pause(self, error: Exception) -> None:
        """Full jitter. One line a cause until uploads resume."""
        cause = f"{type(error).__name__} {getattr(error, 'errno', None)}"
        most = self._outage.failed(error, cause, tries=self.failures + 1, waiting=self.waiting)
        seconds = random.uniform(0.1, most)
        if self._stopping.is_set():
            self._abandoned.wait(min(seconds, 1.0))
        else:
            self._stopping.wait(seconds)

"""Spool: what one process has on local disk: its folder and lock, segments of what came, and the checkpoint of last ids.

A record is written with one system call, so a killed process loses nothing that was written; an fsync every second
bounds what a power cut can take. A segment, one a micro-batch, goes when its objects are complete on disk (see outbox).
"""

import logging
import os
import re
import shutil
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path

import orjson

from extract_process.stream_ids import StreamKey
from tickhouse_core.errors import UsageError
from tickhouse_core.files import locked_folder, sync, write_durably

log = logging.getLogger(__name__)

_HEAD = struct.Struct("<BqII")  # kind, receipt_time in microseconds, length, CRC-32 of the payload
_SUFFIX = ".segment"

_INSTANCE = re.compile(r"[A-Za-z0-9_.-]{1,40}")

_LAST_IDS = "last_ids.json"

LastIds = Mapping[StreamKey, tuple[int, int]]
"""Last id and the receipt_time of its message (microseconds), by stream."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """As of the end of segment `sequence`; later segments on disk are newer than this."""

    sequence: int
    last_ids: LastIds

    def save(self, folder: Path) -> None:
        """Atomic: a reader finds the old memory or the new one, after a power cut too."""
        streams = [{**asdict(key), "last_id": last, "receipt_time": at} for key, (last, at) in self.last_ids.items()]
        write_durably(folder / _LAST_IDS, orjson.dumps({"sequence": self.sequence, "streams": streams}))


def load_checkpoint(folder: Path) -> Checkpoint:
    """Empty where there is none. Raises UsageError where the file is not ours: guessing would hide a gap."""
    path = folder / _LAST_IDS
    if not path.exists():
        return Checkpoint(0, {})
    try:
        stored = orjson.loads(path.read_bytes())
        ids = {_key(stream): (int(stream["last_id"]), int(stream["receipt_time"])) for stream in stored["streams"]}
        return Checkpoint(int(stored["sequence"]), ids)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}): move it away to start without last ids") from error


def _key(stream: dict[str, str]) -> StreamKey:
    return StreamKey(stream["channel"], stream["symbol"], stream["interval"])


@contextmanager
def capture_folder(spool: Path, venue: str, instance: str) -> Iterator[Path]:
    """`<spool>/stream-<venue>-<instance>`, held until the context ends (or the process dies). No venue has a `-` there.

    Raises UsageError where another process holds it, or the instance's name does not fit in a key.
    """
    if not _INSTANCE.fullmatch(instance):
        raise UsageError(f"--instance {instance!r}: 1 to 40 letters, digits, '.', '_' or '-'")
    folder = spool / f"stream-{venue.replace('-', '_')}-{instance}"
    with locked_folder(folder, "lock", "another process: give this one another --instance"):
        yield folder


def outbox_folder(folder: Path) -> Path:
    return folder / "outbox"


def measure(folder: Path) -> tuple[int, int]:
    """Bytes used by the folder's files, and bytes free on its disk."""
    used = 0
    for path in (*folder.glob("*"), *outbox_folder(folder).glob("*")):
        try:
            used += path.stat().st_size
        except FileNotFoundError:
            continue  # uploaded or flushed in this moment
    return used, shutil.disk_usage(folder).free


class Kind(IntEnum):
    """What a record's payload is."""

    FRAME = 1
    EXTRA_FRAME = 2
    """Of a second connection while the first still delivers."""
    REST_ANSWER = 3
    EVENT = 4
    HEARTBEAT = 5


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read back; `receipt_time` in microseconds."""

    kind: Kind
    receipt_time: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """Payload of a REST answer: the request in one line, then the body as it came.

    `what` is depth, trades, klines or a polled channel; of trades and klines only ids in `from_id`..`to_id` are meant.
    """

    what: str
    symbol: str
    body: bytes
    reason: str = ""
    interval: str = ""
    from_id: int = 0
    to_id: int = 0

    def payload(self) -> bytes:
        request = asdict(self)
        del request["body"]
        return orjson.dumps(request) + b"\n" + self.body


def parse_rest_answer(payload: bytes) -> RestAnswer:
    """The inverse of `RestAnswer.payload`."""
    request, _, body = payload.partition(b"\n")
    return RestAnswer(body=body, **orjson.loads(request))


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment: a file that no longer grows."""

    sequence: int
    path: Path

    def delete(self) -> int:
        """Its bytes are free again; returns how many."""
        size = self.path.stat().st_size
        self.path.unlink()
        return size


class Spool:
    """The open segment of one process. `append` collects, `write` makes it durable against a kill.

    Raises OSError (no space left) from `write`; then nothing of that write is in the segment.
    """

    def __init__(self, folder: Path, first_sequence: int, fsync_seconds: float) -> None:
        """`first_sequence` must be greater than that of every segment there ever was in this folder."""
        self._folder = folder
        self._sequence = first_sequence
        self._pending: list[bytes] = []
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._is_dirty = False
        self._open_segment()
        self._syncer = threading.Thread(target=self._sync_until_closed, args=(fsync_seconds,), name="fsync", daemon=True)
        self._syncer.start()

    @property
    def sequence(self) -> int:
        """Of the open segment."""
        return self._sequence

    def append(self, kind: Kind, receipt_time: int, payload: bytes) -> None:
        self._pending += (_HEAD.pack(kind, receipt_time, len(payload), zlib.crc32(payload)), payload)

    def write(self) -> None:
        """Everything appended since, in one system call."""
        if not self._pending:
            return
        data = b"".join(self._pending)
        self._pending.clear()
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(data)
        self._is_dirty = True

    def seal(self) -> Segment:
        """Closes the open segment and opens the next."""
        self.write()
        with self._lock:
            os.close(self._file)
            sealed = Segment(self._sequence, segment_path(self._folder, self._sequence))
            self._sequence += 1
            self._open_segment()
        return sealed

    def close(self) -> None:
        """Ends the fsync thread; an open segment without records goes."""
        self.write()
        self._done.set()
        self._syncer.join()
        os.fsync(self._file)
        os.close(self._file)
        if not self._size:
            segment_path(self._folder, self._sequence).unlink()

    def _open_segment(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(segment_path(self._folder, self._sequence), flags, 0o644)
        self._size = 0

    def _sync_until_closed(self, seconds: float) -> None:
        while not self._done.wait(seconds):
            if not self._is_dirty:
                continue
            self._is_dirty = False
            with self._lock:
                duplicate = os.dup(self._file)
            try:
                os.fsync(duplicate)
                sync(self._folder)  # the segment may be a new one
            except OSError as error:  # writing goes on; the next round tries again
                log.error("fsync of the spool failed", extra={"folder": str(self._folder), "error": str(error)})
            finally:
                os.close(duplicate)


def segment_path(folder: Path, sequence: int) -> Path:
    return folder / f"{sequence:012}{_SUFFIX}"


def leftover_segments(folder: Path) -> list[Segment]:
    """Segments of a process that ended before they were objects, oldest first."""
    return [Segment(int(path.name.removesuffix(_SUFFIX)), path) for path in sorted(folder.glob(f"*{_SUFFIX}"))]


def read_segment(segment: Segment) -> Iterator[Record]:
    """The records in order, up to the first that is torn: the end of a process that was killed while it wrote."""
    with segment.path.open("rb") as file:
        while head := file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                break
            kind, receipt_time, length, checksum = _HEAD.unpack(head)
            payload = file.read(length)
            if len(payload) < length or zlib.crc32(payload) != checksum:
                break
            yield Record(Kind(kind), receipt_time, payload)
        else:
            return
    log.warning("segment has a torn end", extra={"segment": str(segment.path), "bytes": segment.path.stat().st_size})

"""FolderQueue: a queue of messages as files, for one machine without SQS. It keeps SQS's rules.

A message is delivered at least once, hidden while a reader works on it, and after five deliveries moved to the dead-letter
queue. A file's name ends with how often it was delivered; its times say when it was hidden (access) and until when
(modification). The process that renames it has the delivery.
"""

import os
import re
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from tickhouse_core.errors import LakeUnavailable
from tickhouse_core.message_queue import MAX_RECEIVE_COUNT, Message, MessageQueue, QueueDepth

_NS = 1_000_000_000
_MOST_SEEN = 10_000
"""Names of one look in memory, however many wait."""

_OTHERS_SECONDS = 0.25
"""Between two looks for messages of other processes; one of this process wakes a receiver."""

_MOST_BODY_BYTES = 1024**2 + 1
"""One more than a message may have: what is longer is refused by its reader."""

_MESSAGE = re.compile(r"\d{20}-[0-9a-f]{12}\.\d{1,4}")
"""How a message's file is named. What else lies in the folder is none of ours, and stays."""

_arrivals: defaultdict[Path, threading.Condition] = defaultdict(threading.Condition)
"""By folder: notified of every message of this process."""


class FolderQueue(MessageQueue):
    """Thread- and process-safe. Files are not synced to the disk: what a power cut loses, a reconciliation finds."""

    def __init__(self, folder: Path, name: str, clock: Callable[[], int] = time.time_ns) -> None:
        """`folder` holds a folder for each queue, made with its first message; `clock` in nanoseconds."""
        super().__init__(name)
        self._folder = folder / name
        self._dead_letters = folder / f"{name}-dlq"
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: deque[Path] = deque()

    def send(self, body: str) -> None:
        """Errors: LakeUnavailable."""
        now = self._clock()
        name = f"{now:020d}-{uuid.uuid4().hex[:12]}.0"
        with self._errors():
            self._folder.mkdir(parents=True, exist_ok=True)
            incoming = self._folder / f".{name}"
            incoming.write_text(body, encoding="utf-8")
            os.utime(incoming, ns=(now, now))
            incoming.rename(self._folder / name)
        with _arrivals[self._folder]:
            _arrivals[self._folder].notify_all()

    def receive(self, *, most: int, wait_seconds: int, visibility_seconds: int) -> list[Message]:
        deadline = time.monotonic() + wait_seconds
        arrival = _arrivals[self._folder]
        while True:
            with arrival:
                messages = self._take(most, visibility_seconds)
                left = deadline - time.monotonic()
                if messages or left <= 0:
                    return messages
                arrival.wait(min(left, _OTHERS_SECONDS))

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        return [message for message in messages if not self._done(lambda path: path.unlink(), message)]

    def extend_visibility(self, messages: Sequence[Message], seconds: int) -> list[Message]:
        now = self._clock()
        times = now, now + seconds * _NS
        return [message for message in messages if not self._done(lambda path: os.utime(path, ns=times), message)]

    def depth(self) -> QueueDepth:
        visible = [is_visible for _, is_visible in self._files()]
        return QueueDepth(visible=sum(visible), in_flight=len(visible) - sum(visible), delayed=0)

    def _take(self, most: int, visibility_seconds: int) -> list[Message]:
        """A look at the folder costs as much as it has files, so one look serves many calls."""
        messages: list[Message] = []
        with self._lock:
            for look in (self._seen, None):
                if look is None and not messages:
                    self._seen = deque(islice((path for path, is_visible in self._files() if is_visible), _MOST_SEEN))
                while self._seen and len(messages) < most:
                    if message := self._delivered(self._seen.popleft(), visibility_seconds):
                        messages.append(message)
        return messages

    def _delivered(self, path: Path, visibility_seconds: int) -> Message | None:
        """None if another process has it by now, or if it was delivered often enough."""
        message_id, _, count = path.name.partition(".")
        now = self._clock()
        with self._errors():
            try:
                if not _is_visible(path.stat(), now):
                    return None
                if int(count) >= MAX_RECEIVE_COUNT:
                    self._dead_letters.mkdir(exist_ok=True)
                    path.rename(self._dead_letters / f"{message_id}.0")
                    return None
                with path.open("rb") as file:  # before its times are set: reading may touch them
                    body = file.read(_MOST_BODY_BYTES).decode(errors="replace")
                os.utime(path, ns=(now, now + visibility_seconds * _NS))
                held = path.rename(path.with_name(f"{message_id}.{int(count) + 1}"))
            except FileNotFoundError:
                return None
        return Message(message_id, body, held.name, int(count) + 1)

    def _files(self) -> Iterator[tuple[Path, bool]]:
        """The oldest first, and whether they are to be had."""
        now = self._clock()
        with self._errors():
            try:
                with os.scandir(self._folder) as entries:
                    found = sorted(filter(_is_message, entries), key=lambda entry: entry.name)
            except FileNotFoundError:
                return
            for entry in found:
                try:
                    yield Path(entry.path), _is_visible(entry.stat(), now)
                except FileNotFoundError:
                    continue

    def _done(self, work: Callable[[Path], None], message: Message) -> bool:
        with self._errors():
            try:
                work(self._folder / message.receipt)
            except FileNotFoundError:
                return False
        return True

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LakeUnavailable(f"queue {self._folder}: {error.strerror}; is it writable, with room left?") from error


def _is_message(entry: "os.DirEntry[str]") -> bool:
    return _MESSAGE.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False)


def _is_visible(stat: os.stat_result, now: int) -> bool:
    """Also where the clock was set back to before it was hidden."""
    return not stat.st_atime_ns <= now < stat.st_mtime_ns

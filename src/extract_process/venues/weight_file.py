"""SharedRateLimit: one request weight for all processes of a machine, in a small file of the spool folder.

A venue counts weight per address, so processes that count alone exceed its limit together. The venue's own tally stays the
truth: each answer's is in the file, for all.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import orjson

from extract_process.venues.rate_limit import RateLimit, Tally

log = logging.getLogger(__name__)

BUSY_SECONDS = 0.01
"""Until the next try where another process has the file: it has it for a tenth of a millisecond, unless it was stopped."""

_MOST_BYTES = 1024**2


class SharedRateLimit(RateLimit):
    """Its state is the file's, read before and written after each change.

    Nothing here waits for another process: what finds the file locked is done together with the next call. A file that
    cannot be read or written is logged once; until it can, this process counts alone.
    """

    def __init__(self, folder: Path, venue: str, host: str, limit: int, window_us: int, *, is_aligned: bool) -> None:
        """`host` keeps the weight of a simulator or a proxy apart from that of the venue itself."""
        super().__init__(limit, window_us, is_aligned=is_aligned)
        self._path = folder / f"{venue}-{quote(host)}-weight.json"
        self._due: list[Callable[[], None]] = []  # bounded by the requests under way: none is sent while the file is locked
        self._is_alone = False

    def set_limit(self, limit: int) -> None:
        self._change(partial(super().set_limit, limit))

    def take(self, weight: int, now_us: int) -> float:
        """As RateLimit's: of two processes that want the last weight, one waits."""
        with self._state() as is_held:
            return super().take(weight, now_us) if is_held else BUSY_SECONDS

    def on_answer(self, weight: int, sent_us: int, now_us: int, tally: Tally | None) -> None:
        self._change(partial(super().on_answer, weight, sent_us, now_us, tally))

    def block_until(self, instant_us: int) -> None:
        """No request of any of the processes before the instant."""
        self._change(partial(super().block_until, instant_us))

    def _change(self, change: Callable[[], None]) -> None:
        self._due.append(change)
        with self._state():
            pass

    @contextmanager
    def _state(self) -> Iterator[bool]:
        """False where another process has the file. Else what was due is done, and what the context does is stored."""
        file = self._opened()
        try:
            if file is not None and not _lock(file):
                yield False
                return
            if file is not None:
                self._load(file)
            due, self._due = self._due, []
            for change in due:
                change()
            yield True
            if file is not None:
                self._store(file)
        finally:
            if file is not None:
                os.close(file)  # which unlocks it

    def _opened(self) -> int | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._count_alone(error)
            return None

    def _load(self, file: int) -> None:
        """What cannot be read is replaced: the venue's next answer has the truth."""
        try:
            if stored := os.pread(file, _MOST_BYTES, 0):
                self.restore(orjson.loads(stored))
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            log.warning("the shared request weight cannot be read and is replaced", extra=self._why(error))

    def _store(self, file: int) -> None:
        """In place, without a sync: a power cut outlasts every window."""
        try:
            os.ftruncate(file, os.pwrite(file, orjson.dumps(self.state()), 0))
        except OSError as error:
            self._count_alone(error)
        else:
            self._is_alone = False

    def _count_alone(self, error: OSError) -> None:
        if not self._is_alone:
            log.error("request weight is not shared with other processes of this machine", extra=self._why(error))
        self._is_alone = True

    def _why(self, error: Exception) -> dict[str, str]:
        return {"file": str(self._path), "error": str(error)}


def _lock(file: int) -> bool:
    """Whether this process has it now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

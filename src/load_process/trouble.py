"""Something is away: said once when it begins and once when it is over, waited out longer and longer in between.

Trouble with one object is said once for each of its causes.
"""

import logging
import threading
import time

from tickhouse_core.lifecycle import StopRequest

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
SETTLED_SECONDS = 1.0
_MOST_REMEMBERED = 10_000


class Trouble:
    """Of one loop; its threads may share it."""

    def __init__(self, queue: str, stop: StopRequest) -> None:
        self._queue = queue
        self._stop = stop
        self._lock = threading.Lock()  # two readers often fail, and succeed, at the same moment
        self._pause_seconds = 0.0
        self._failed_at = 0.0
        self.why = ""

    @property
    def is_going_on(self) -> bool:
        return self._pause_seconds > 0

    def wait(self, error: Exception) -> None:
        with self._lock:
            self._failed_at = time.monotonic()
            self.why = str(error)
            level = logging.DEBUG if self.is_going_on else logging.WARNING
            self._pause_seconds = pause_seconds = min(self._pause_seconds * 2 or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        log.log(level, "waiting for it to come back", extra={"queue": self._queue, "why": str(error)})
        self._stop.wait(pause_seconds)

    def is_over(self, since: float) -> None:
        """What began at `since` (time.monotonic) succeeded. It must have begun a while after the last failure: a server that
        shuts down finishes what it has, and answers one connection and not the other."""
        with self._lock:
            if not self.is_going_on or since <= self._failed_at + self._pause_seconds + SETTLED_SECONDS:
                return
            self._pause_seconds = 0.0
        log.info("back to normal", extra={"queue": self._queue})


class ObjectTrouble:
    """Which objects are in trouble, and what was said about them. Threads may share it; it remembers the last 10,000."""

    def __init__(self) -> None:
        self._causes: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def is_news(self, key: str, cause: str) -> bool:
        """Whether that was not said of the object since it was read for the last time. Causes are words of ours."""
        with self._lock:
            causes = self._causes.setdefault(key, set())
            if len(self._causes) > _MOST_REMEMBERED:
                del self._causes[next(iter(self._causes))]
            is_news = cause not in causes
            causes.add(cause)
            return is_news

    def keys(self) -> list[str]:
        """Of the objects that are in trouble, the first one first."""
        with self._lock:
            return list(self._causes)

    def is_over(self, key: str) -> None:
        """The object was read, or never will be."""
        with self._lock:
            self._causes.pop(key, None)

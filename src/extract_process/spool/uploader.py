"""Uploader: the outbox's objects into the bucket, oldest first, in a thread of its own, for as long as it takes."""

import logging
import random
import threading
import time

from extract_process.spool.outbox import Outbox, WaitingObject
from tickhouse_core.backoff import Backoff
from tickhouse_core.errors import TickhouseError
from tickhouse_core.object_store import ObjectStore

log = logging.getLogger(__name__)

_BETWEEN_TRIES = Backoff(1.0, 15.0)


class Uploader:
    """No trouble with the lake ends it: the capture goes on, the outbox grows, and uploads resume by themselves.

    A retried upload is the same key and the same bytes, so it does not matter whether the one before it arrived.
    `failures`: tries in a row that did not succeed. `last_upload`: when an object last reached the lake, seconds since
    1970; the start where none has.
    """

    def __init__(self, outbox: Outbox, store: ObjectStore) -> None:
        self.uploaded = 0
        self.failures = 0
        self.last_upload = time.time()
        self._outbox = outbox
        self._store = store
        self._said: set[str] = set()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uploader", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """The outbox has more."""
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Objects the lake does not have yet."""
        return len(self._outbox.waiting())

    def finish(self, seconds: float) -> int:
        """Uploads what waits, for at most `seconds`; returns the number of objects left for the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)
        return len(self._outbox.waiting())

    def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                for waiting in self._outbox.waiting():
                    self._upload(waiting)
                    self.failures = self._say_resumed(self.failures)
            except (TickhouseError, OSError) as error:
                self.failures += 1
                self._pause(self.failures, error)
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
        self.last_upload = time.time()
        extra = {"key": waiting.key, "bytes": len(body), "seconds": round(time.monotonic() - began, 3)}
        log.debug("uploaded", extra=extra)

    def _pause(self, failures: int, error: Exception) -> None:
        """Full jitter. One line a cause until uploads resume; further tries are for debugging."""
        cause = f"{type(error).__name__} {getattr(error, 'errno', None)}"
        level = logging.DEBUG if cause in self._said else logging.ERROR
        self._said.add(cause)
        what = {"tries": failures, "waiting": len(self._outbox.waiting()), "error": str(error)}
        log.log(level, "cannot upload, the spool keeps it and tries again", extra=what)
        seconds = random.uniform(0.1, _BETWEEN_TRIES.pause(failures))
        if self._stopping.is_set():
            time.sleep(min(seconds, 1.0))
        else:
            self._stopping.wait(seconds)

    def _say_resumed(self, failures: int) -> int:
        if failures:
            self._said.clear()
            log.info("uploads resumed", extra={"after_tries": failures, "waiting": len(self._outbox.waiting())})
        return 0

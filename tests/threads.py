"""Threads that a test leaves running: what they do, log and draw at random happens in the tests after it."""

import threading
import time
from pathlib import Path

from tests.waiting import patience

_OURS = frozenset(folder.name for folder in (Path(__file__).resolve().parents[1] / "src").iterdir()) | {
    "tests",
    "integration_tests",
    "conftest",
}
_MAY_STAY = "signals"
"""Signals are answered until the process ends."""


def still_running(before: set[threading.Thread], seconds: float = 5) -> list[str]:
    """Names of our threads that began since `before` and have not ended after `patience(seconds)`; daemons too."""
    new = [thread for thread in threading.enumerate() if thread not in before and _is_ours(thread)]
    deadline = time.monotonic() + (patience(seconds) if new else 0)
    for thread in new:
        thread.join(max(0.0, deadline - time.monotonic()))
    return sorted(thread.name for thread in new if thread.is_alive())


def _is_ours(thread: threading.Thread) -> bool:
    """A library's thread (of a pool, of gRPC, of a server) may wait for the next call."""
    does = getattr(thread, "_target", None) or thread.run
    return str(getattr(does, "__module__", "")).partition(".")[0] in _OURS and _MAY_STAY not in thread.name

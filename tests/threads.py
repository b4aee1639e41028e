"""Threads that a test leaves running: what they do, log and draw at random happens in the tests after it."""

import threading
import time

from tests.waiting import patience

_MAY_STAY = ("process_request_thread", "signals", "ThreadPoolExecutor")
"""A server of the session answers a connection that the client's pool keeps; signals are answered until the process ends;
idle workers of a library's pool wait for the next call.
"""


def still_running(before: set[threading.Thread], seconds: float = 5) -> list[str]:
    """Names of the threads that began since `before` and have not ended after `patience(seconds)`; daemons too."""
    new = [thread for thread in threading.enumerate() if thread not in before]
    new = [thread for thread in new if not any(name in thread.name for name in _MAY_STAY)]
    deadline = time.monotonic() + (patience(seconds) if new else 0)
    for thread in new:
        thread.join(max(0.0, deadline - time.monotonic()))
    return sorted(thread.name for thread in new if thread.is_alive())

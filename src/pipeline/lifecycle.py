"""How a process starts, is asked to stop, and ends: signals and exit codes."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline import logs
from pipeline.errors import TickhouseError, UsageError
from pipeline.settings import LogSettings, read

log = logging.getLogger(__name__)


class StopRequest:
    """A question that long work asks between steps: should I stop? Set once, from a signal or by a parent."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._listeners: list[Callable[[], object]] = []

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Waits at most `seconds`; True as soon as the stop was asked for."""
        return self._event.wait(seconds)

    def set(self) -> None:
        self._event.set()
        for listener in list(self._listeners):
            listener()

    @contextmanager
    def calling(self, listener: Callable[[], object]) -> Iterator[None]:
        """While the context lasts, calls `listener` when the stop is asked for; at once if it already was."""
        self._listeners.append(listener)
        if self.is_set():
            listener()
        try:
            yield
        finally:
            self._listeners.remove(listener)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """The first SIGTERM or SIGINT asks, the second ends the process at once with exit code 1."""
    stop = StopRequest()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(1)
        log.info("stopping; a second signal ends at once", extra={"signal": signal.Signals(number).name})
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, on_signal) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def run_command(work: Callable[[], None]) -> None:
    """Runs a command to its exit code: 0 done, 1 failed work, 2 bad usage or configuration; errors are one line."""
    try:
        logs.configure(read(LogSettings))
        work()
    except UsageError as error:
        sys.exit(_say(error, code=2))
    except TickhouseError as error:
        sys.exit(_say(error, code=1))


def _say(error: TickhouseError, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code

"""How a process starts, is asked to stop, and ends: signals and exit codes."""

import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from tickhouse_core import logs
from tickhouse_core.errors import TickhouseError, UsageError
from tickhouse_core.redaction import redacted
from tickhouse_core.settings import LogSettings, read

log = logging.getLogger(__name__)

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


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
    """The first SIGTERM or SIGINT asks, the second ends the process at once with exit code 1.

    Signals arrive through Python's wakeup file descriptor and are answered in a thread: a handler that runs in the
    middle of `Event.wait` and sets the same event would wait for a lock its own thread holds.
    """
    stop = StopRequest()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    threading.Thread(target=_answer_signals, args=(reader, stop), name="signals", daemon=True).start()
    before_fd = signal.set_wakeup_fd(writer.fileno())
    before = [signal.signal(number, _leave_to_the_thread) for number in _NUMBERS]
    try:
        yield stop
    finally:
        for number, handler in zip(_NUMBERS, before, strict=True):
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        writer.close()


def _answer_signals(reader: socket.socket, stop: StopRequest) -> None:
    with reader:
        while number := reader.recv(1):
            if number[0] not in _NUMBERS:
                continue
            if stop.is_set():
                os._exit(1)
            log.info("stopping; a second signal ends at once", extra={"signal": signal.Signals(number[0]).name})
            stop.set()


def _leave_to_the_thread(_number: int, _frame: FrameType | None) -> None:
    """A handler must be set for the signal not to end the process; the wakeup file descriptor does the rest."""


def run_command(work: Callable[[], None]) -> None:
    """Runs a command to its exit code: 0 done, 1 failed work, 2 bad usage or configuration; errors are one line."""
    try:
        with _tracebacks_without_secrets():
            logs.configure(read(LogSettings))
            work()
    except UsageError as error:
        sys.exit(_say(error, code=2))
    except TickhouseError as error:
        sys.exit(_say(error, code=1))


def _say(error: TickhouseError, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


@contextmanager
def _tracebacks_without_secrets() -> Iterator[None]:
    """An error that ends the process, or a thread while the context lasts, is printed without secrets.

    The hook of the process stays: it is called when all contexts are left. A hook that somebody else set for threads (a test
    runner's) stays as well.
    """
    sys.excepthook = _print
    if threading.excepthook is not threading.__excepthook__:
        yield
        return
    threading.excepthook = _print_of_thread
    try:
        yield
    finally:
        threading.excepthook = threading.__excepthook__


def _print(kind: type[BaseException], error: BaseException | None, where: TracebackType | None) -> None:
    print(redacted("".join(traceback.format_exception(kind, error, where))), end="", file=sys.stderr, flush=True)


def _print_of_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_type is not SystemExit:
        print(f"thread {end.thread.name if end.thread else '?'} ended by an error", file=sys.stderr)
        _print(end.exc_type, end.exc_value, end.exc_traceback)

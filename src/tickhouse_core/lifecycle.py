"""How a process starts, is asked to stop, and ends: signals and exit codes; and how often it looks for garbage."""

import asyncio
import errno
import gc
import logging
import math
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

from tickhouse_core import logs
from tickhouse_core.errors import TickhouseError, UsageError
from tickhouse_core.redaction import redacted
from tickhouse_core.settings import LogSettings, read

log = logging.getLogger(__name__)

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


_OWNER = f"check its owner, its rights and how its disk is mounted: this process runs as user {os.getuid()}"
_ROOM = "make room there, nothing that was complete is lost"
_FILES = "allow more open files (ulimit -n)"
_ENOUGH_FILES = 65_536
_OF_THE_MACHINE = {
    errno.EACCES: _OWNER,
    errno.EPERM: _OWNER,
    errno.EROFS: _OWNER,
    errno.ENOTDIR: _OWNER,
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
}
"""Ownership, a full disk, the limit of open files: a traceback would not help."""

GARBAGE_THRESHOLD = 100_000
"""New containers between two collections."""


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


async def run_until_stopped(
    stop: StopRequest, seconds: float | None, work: Coroutine[Any, Any, None], *beside: "asyncio.Future[Any]"
) -> "asyncio.Task[None]":
    """Runs `work` until the stop, for `seconds`, or until it or a companion ends; returns the ended task.

    Its own failure is raised by the task's `result()`: after the caller has kept what there is to keep.
    """
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    with stop.calling(lambda: loop.call_soon_threadsafe(stopping.set)):
        task, asked = asyncio.create_task(work), asyncio.create_task(stopping.wait())
        await asyncio.wait({task, asked, *beside}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        task.cancel()
        await asyncio.wait([task])
    return task


GRACE_SECONDS = 40.0
"""Seconds from the signal on. A capture needs up to 30 s if the lake is unavailable; docker-compose.yml allows 45 s and more."""


@contextmanager
def stop_on_signals(grace_seconds: float = GRACE_SECONDS) -> Iterator[StopRequest]:
    """The first SIGTERM or SIGINT asks, the second ends the process at once with exit code 1.

    So does the end of the grace: S3, SQS or ClickHouse may have accepted a connection and never answer. Every process of
    ours may be killed at any moment and loses nothing; what was in hand is done again.

    Signals arrive through Python's wakeup file descriptor and are answered in a thread: a handler that runs in the
    middle of `Event.wait` and sets the same event would wait for a lock its own thread holds.
    """
    stop = StopRequest()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    threading.Thread(target=_answer_signals, args=(reader, stop, grace_seconds), name="signals", daemon=True).start()
    before_fd = signal.set_wakeup_fd(writer.fileno())
    before = [signal.signal(number, _leave_to_the_thread) for number in _NUMBERS]
    try:
        yield stop
    finally:
        for number, handler in zip(_NUMBERS, before, strict=True):
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        writer.close()


def _answer_signals(reader: socket.socket, stop: StopRequest, grace_seconds: float) -> None:
    deadline = math.inf
    with reader:
        while number := _next_signal(reader, deadline):
            if number[0] not in _NUMBERS:
                continue
            if stop.is_set():
                os._exit(1)
            log.info("stopping; a second signal ends at once", extra={"signal": signal.Signals(number[0]).name})
            deadline = time.monotonic() + grace_seconds
            stop.set()
    if number is None:
        busy = sorted(thread.name for thread in threading.enumerate() if not thread.daemon)
        said = "not ended in time: what these threads wait for does not answer; the next start does again what was in hand"
        log.error(said, extra={"seconds": round(grace_seconds), "threads": " ".join(busy)})
        os._exit(1)


def _next_signal(reader: socket.socket, deadline: float) -> bytes | None:
    """Its number, nothing once no more are answered, None at the deadline."""
    reader.settimeout(None if deadline == math.inf else max(deadline - time.monotonic(), 0.001))
    try:
        return reader.recv(1)
    except TimeoutError:
        return None


def _leave_to_the_thread(_number: int, _frame: FrameType | None) -> None:
    """A handler must be set for the signal not to end the process; the wakeup file descriptor does the rest."""


def run_command(work: Callable[[], None]) -> None:
    """Runs a command to its exit code: 0 done, 1 failed work, 2 bad usage or configuration; errors are one line."""
    _allow_open_files()
    try:
        with _tracebacks_without_secrets():
            logs.configure(read(LogSettings))
            work()
    except UsageError as error:
        sys.exit(_say(error, code=2))
    except TickhouseError as error:
        sys.exit(_say(error, code=1))
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        sys.exit(_say(error, code=1))


def _allow_open_files() -> None:
    """As many as this account may have. Shells give 256 or 1,024; the embedded engine has a file for each column it writes."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_FILES if most == resource.RLIM_INFINITY else min(most, _ENOUGH_FILES)
    if now < wanted:
        with suppress(OSError, ValueError):  # macOS names a limit that it then refuses: it stays as it was
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _say(error: Exception, code: int) -> int:
    print(f"error: {_of_the_machine(error) if isinstance(error, OSError) else error}", file=sys.stderr)
    return code


def _of_the_machine(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; {_OF_THE_MACHINE[error.errno or 0]}"


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


@contextmanager
def garbage_collected_seldom() -> Iterator[None]:
    """Decoded levels are lists by the thousand and none is in a cycle: Python's usual threshold of 700 new containers
    costs more than decoding and Arrow together (benchmarks/bench_extract_hot_path.py)."""
    before = gc.get_threshold()
    gc.set_threshold(GARBAGE_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)

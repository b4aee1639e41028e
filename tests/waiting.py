"""Waiting in tests: deadlines that fit this machine, conditions that are polled, and commands that say why they failed."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "src"

_SAMPLE_SECONDS = 0.03
"""What `_sample` takes on one idle core of a machine of 2025: seconds in tests are meant for such a one."""
_MOST = 10.0
_PAUSE_SECONDS = 0.02
_TAIL = 4_000


def patience(seconds: float) -> float:
    """The deadline that `seconds` of an idle machine are on this one: longer where it is slow or busy, never shorter.

    For waits that end with an event: there a long deadline costs nothing but where the test fails anyway.
    """
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * min(_MOST, slowness() * max(1.0, busy))


@cache
def slowness() -> float:
    """How many times slower than the machine of reference one core is, measured once a process; at least 1."""
    return max(1.0, min(_sample() for _ in range(3)) / _SAMPLE_SECONDS)


def wait_until(condition: Callable[[], bool], what: str = "what comes next", seconds: float = 30) -> None:
    """Polls until it is so; fails with `what` after `patience(seconds)`."""
    allowed = patience(seconds)
    deadline = time.monotonic() + allowed
    while not condition():
        assert time.monotonic() < deadline, f"waited {allowed:.0f} s for {what}"
        time.sleep(_PAUSE_SECONDS)


async def until(condition: Callable[[], bool], what: str = "what comes next", seconds: float = 20) -> None:
    """`wait_until` for a test that shares its event loop with what it waits for."""
    allowed = patience(seconds)
    deadline = time.monotonic() + allowed
    while not condition():
        assert time.monotonic() < deadline, f"waited {allowed:.0f} s for {what}"
        await asyncio.sleep(_PAUSE_SECONDS / 2)


def run_python(
    *arguments: str, code: int = 0, seconds: float = 60, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """A Python process with this checkout's sources in the test's environment; any other exit code than `code` fails.

    `environment` is added to the process's own. The failure shows the end of what the process said.
    """
    command = [sys.executable, *arguments]
    variables = {**os.environ, "PYTHONPATH": str(SOURCES), **(environment or {})}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=patience(seconds), check=False)
    except subprocess.TimeoutExpired as expired:
        raise AssertionError(
            f"{command} did not end within {expired.timeout:.0f} s{_said(expired.stdout, expired.stderr)}"
        ) from None
    said = _said(done.stdout, done.stderr)
    assert done.returncode == code, f"{command} ended with {done.returncode}, not {code}{said}"
    return done


def _sample() -> float:
    """Wall seconds of a fixed piece of work, as an interpreter does it."""
    began = time.perf_counter()
    total = 0
    for number in range(400_000):
        total += number & 7
    assert total == 1_400_000
    return time.perf_counter() - began


def _said(out: str | bytes | None, err: str | bytes | None) -> str:
    texts = [text.decode(errors="replace") if isinstance(text, bytes) else text or "" for text in (out, err)]
    return "".join(f"\n{name}:\n{text[-_TAIL:]}" for name, text in zip(("stdout", "stderr"), texts, strict=True))

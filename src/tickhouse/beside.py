"""A command of tickhouse as a process beside a recording: its log goes into ours, and it ends with this process.

A process of its own at low priority takes no time and memory from the recording, and tears no status on the terminal.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tickhouse_core.lifecycle import StopRequest

log = logging.getLogger(__name__)

FIRST_SECONDS = 300.0
"""A short session starts none: the next one that lasts longer does the work."""

KILL_SECONDS = 2.0
"""After it was asked to stop: what runs beside a recording may be killed at any moment."""

_LONGEST_LINE = 500

Hear = Callable[[str, Mapping[str, Any]], object]
"""Takes the words and the fields of a line of its log."""


def run_beside(arguments: Sequence[str], stop: StopRequest, hear: Hear = lambda words, fields: None) -> int:
    """The exit code of `python -m <arguments>`, which calls `end_with_input`: this process may end in any way."""
    environment = {**os.environ, "LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}
    environment.pop("METRICS_PORT", None)
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        encoding="utf-8",
        errors="replace",
    ) as process:
        kill = threading.Timer(KILL_SECONDS, process.kill)
        kill.daemon = True

        def end() -> None:
            if process.stdin is not None:
                process.stdin.close()
            kill.start()

        with stop.calling(end):
            for line in process.stderr or ():
                _repeat(line, hear)
            code = process.wait()
        kill.cancel()
        return code


def end_with_input(stop: StopRequest) -> None:
    """Of the process beside: the stop is also the end of stdin, which is the end of the process that began this one."""
    threading.Thread(target=_stop_after_input, args=(stop,), name="input", daemon=True).start()


def _stop_after_input(stop: StopRequest) -> None:
    """Without Python's buffer of stdin: an interpreter that ends while a thread holds its lock aborts."""
    while os.read(sys.stdin.fileno(), 4_096):
        pass
    stop.set()


def _repeat(line: str, hear: Hear) -> None:
    """A line of that process's log; anything else that it writes is a fault of it."""
    try:
        said = json.loads(line)
        level, words = logging.getLevelNamesMapping()[said["level"]], said["message"]
    except (ValueError, KeyError, TypeError):
        log.warning("the process beside the recording wrote", extra={"line": line.strip()[:_LONGEST_LINE]})
        return
    fields = {name: value for name, value in said.items() if name not in ("time", "level", "logger", "message")}
    log.log(level, words, extra=fields)
    hear(words, fields)

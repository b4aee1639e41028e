"""The compactions of `tickhouse local`: a process of its own at low priority, which takes no memory and time from recording.

What that process logs is logged here, so that it tears no status on the terminal.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tickhouse.compact.schedule import PASSED
from tickhouse.embedded import Worker
from tickhouse_core.backoff import Backoff
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import CompactionSettings, read

log = logging.getLogger(__name__)

FIRST_SECONDS = 300.0
"""A short session is not compacted: the next one that lasts longer does it."""

KILL_SECONDS = 2.0
"""After it was asked to stop: a compaction may be killed at any moment."""

_RETRY = Backoff(60.0, 3_600.0)
_LONGEST_LINE = 500


Show = Callable[[str], object]
"""Takes what the passes have done so far, in words."""


def compaction_workers(folder: Path, show: Show, first_seconds: float = FIRST_SECONDS) -> list[Worker]:
    """None where COMPACT_EVERY is `off`."""
    every = read(CompactionSettings).every
    return [] if every == "off" else [Worker("compaction", partial(_keep_compacting, folder, every, show, first_seconds))]


def _keep_compacting(folder: Path, every: str, show: Show, first_seconds: float, stop: StopRequest) -> None:
    """Until the stop. A process that ends by itself is started again after a while: recording goes on in any case."""
    failures = 0
    stop.wait(first_seconds)
    while not stop.is_set():
        try:
            ended = f"exit code {_run(folder, every, show, stop)}"
        except OSError as error:
            ended = str(error)
        if not stop.is_set():
            failures += 1
            log.error("the lake's small objects are not merged: trying again later", extra={"why": ended})
            stop.wait(_RETRY.pause(failures))


def _run(folder: Path, every: str, show: Show, stop: StopRequest) -> int:
    """The exit code of one process, which ends with this one, however this one ends: by the end of its input."""
    command = [sys.executable, "-m", "tickhouse", "compact", "--data", str(folder), "--every", every, "--ends-with-input"]
    environment = {**os.environ, "LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}
    environment.pop("METRICS_PORT", None)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, encoding="utf-8", errors="replace"
    ) as process:
        kill = threading.Timer(KILL_SECONDS, process.kill)
        kill.daemon = True

        def end() -> None:
            if process.stdin is not None:
                process.stdin.close()
            kill.start()

        with stop.calling(end):
            for line in process.stderr or ():
                _repeat(line, show)
            code = process.wait()
        kill.cancel()
        return code


def _repeat(line: str, show: Show) -> None:
    """A line of that process's log; anything else that it writes is a fault of it."""
    try:
        said = json.loads(line)
        level, words = logging.getLevelNamesMapping()[said["level"]], said["message"]
    except (ValueError, KeyError, TypeError):
        log.warning("the compaction wrote", extra={"line": line.strip()[:_LONGEST_LINE]})
        return
    fields = {name: value for name, value in said.items() if name not in ("time", "level", "logger", "message")}
    log.log(level, words, extra=fields)
    if words == PASSED:
        show(f"{said['merged']:,} objects into {said['written']:,}, {said['deleted']:,} deleted")

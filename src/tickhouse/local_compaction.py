"""The compactions of `tickhouse local`: a process beside the recording that compacts on a schedule."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tickhouse.beside import FIRST_SECONDS, run_beside
from tickhouse.compact.schedule import PASSED
from tickhouse.embedded import Worker
from tickhouse_core.backoff import Backoff
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import CompactionSettings, read

log = logging.getLogger(__name__)

_RETRY = Backoff(60.0, 3_600.0)

Show = Callable[[str], object]
"""Takes what the passes have done so far, in words."""


def compaction_workers(folder: Path, show: Show, first_seconds: float = FIRST_SECONDS) -> list[Worker]:
    """None where COMPACT_EVERY is `off`."""
    every = read(CompactionSettings).every
    return [] if every == "off" else [Worker("compaction", partial(_keep_compacting, folder, every, show, first_seconds))]


def _keep_compacting(folder: Path, every: str, show: Show, first_seconds: float, stop: StopRequest) -> None:
    """Until the stop. A process that ends by itself is started again after a while: recording goes on in any case."""
    command = ["tickhouse", "compact", "--data", str(folder), "--every", every, "--ends-with-input"]
    failures = 0
    stop.wait(first_seconds)
    while not stop.is_set():
        try:
            ended = f"exit code {run_beside(command, stop, partial(_show_pass, show))}"
        except OSError as error:
            ended = str(error)
        if not stop.is_set():
            failures += 1
            log.error("the lake's small objects are not merged: trying again later", extra={"why": ended})
            stop.wait(_RETRY.pause(failures))


def _show_pass(show: Show, words: str, said: Mapping[str, Any]) -> None:
    if words == PASSED:
        show(f"{said['merged']:,} objects into {said['written']:,}, {said['deleted']:,} deleted")

"""Gaps of trades in `tickhouse local`, healed from the venues' bulk files once a day, in a process beside the recording.

That process is `python -m tickhouse.local_healing FOLDER VENUE …`: one pass over the open gaps that are older than a day.
"""

import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from extract_process.trades import run_healing
from extract_process.venues import venue_named
from tickhouse.beside import FIRST_SECONDS, NICENESS, end_with_input, run_beside
from tickhouse.embedded import Worker, data_folder
from tickhouse_core.backoff import Backoff
from tickhouse_core.command_line import duration
from tickhouse_core.errors import Interrupted, TickhouseError
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.reading.ranges import Request
from tickhouse_core.settings import HealingSettings, read
from tickhouse_core.starting import start
from tickhouse_core.timestamps import DAY_US, SECOND_US, now_us

log = logging.getLogger(__name__)

LOOKS_BACK_DAYS = 30
_RETRY = Backoff(600.0, 6 * 3_600.0)
"""A file that cannot be used is downloaded again by each pass."""


def healing_workers(
    folder: Path, venues: Sequence[str], channels: Sequence[str], first_seconds: float = FIRST_SECONDS
) -> list[Worker]:
    """None where HEAL_EVERY is `off`, where no trades are recorded, or where no venue publishes them as files."""
    every = read(HealingSettings).every
    known = [name for name in venues if venue_named(name).open_archive is not None]
    if every == "off" or "trades" not in channels or not known:
        return []
    seconds = duration("HEAL_EVERY", every) / SECOND_US
    return [Worker("healing", partial(_keep_healing, folder, known, seconds, first_seconds))]


def _keep_healing(folder: Path, venues: Sequence[str], every_seconds: float, first_seconds: float, stop: StopRequest) -> None:
    """Until the stop. A pass that fails is tried again earlier than the next one is due: recording goes on in any case."""
    failures = 0
    stop.wait(first_seconds)
    while not stop.is_set():
        try:
            code = run_beside(["tickhouse.local_healing", str(folder), *venues], stop)
            failures, ended = (failures + 1 if code else 0), f"exit code {code}"
        except OSError as error:
            failures, ended = failures + 1, str(error)
        if failures and not stop.is_set():
            log.error("gaps of trades are not healed: trying again later", extra={"why": ended})
        stop.wait(min(every_seconds, _RETRY.pause(failures)) if failures else every_seconds)


def heal_all(venues: Sequence[str], stop: StopRequest) -> None:
    """One venue after the other; the trouble of one is logged and leaves the others as they are. Raises it at the end."""
    trouble: TickhouseError | None = None
    end = now_us() - DAY_US
    for venue in venues:
        try:
            report = run_healing(Request(venue, (), end - LOOKS_BACK_DAYS * DAY_US, end), stop).report
        except Interrupted:
            return
        except TickhouseError as error:
            log.error("gaps of trades are left open", extra={"venue": venue, "why": str(error)})
            trouble = error
            continue
        if report.gaps:
            counts = {"gaps": report.gaps, "healed": report.healed, "without_a_file_yet": report.unfetched}
            log.info("gaps of trades were healed from the archive", extra={"venue": venue, **counts})
    if trouble is not None:
        raise trouble


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of lake and queues.")],
    venue: Annotated[list[str], typer.Argument(help="The exchanges, one after the other.")],
) -> None:
    """Heal gaps of trades that are older than a day, until done or until the end of stdin."""

    def work() -> None:
        os.nice(NICENESS)
        with data_folder(folder), stop_on_signals() as stop:
            end_with_input(stop)
            heal_all(venue, stop)

    run_command(work)


if __name__ == "__main__":
    start(main)

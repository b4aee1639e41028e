"""Gaps of trades in `tickhouse local`, healed from the venues' bulk files once a day, in a process beside the recording.

That process is `python -m tickhouse.local_healing FOLDER VENUE …`: one pass over the open gaps that are older than a day.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from extract_process.backfill.trade_schedule import AGAIN, heal_all, pause_after
from extract_process.trades import heal_old_gaps
from extract_process.venues import venue_named
from tickhouse.beside import FIRST_SECONDS, end_with_input, run_beside
from tickhouse.embedded import Worker, data_folder
from tickhouse_core.backoff import Outage
from tickhouse_core.command_line import pause_seconds
from tickhouse_core.errors import Interrupted
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.schedule import NICENESS, Retries, Schedule, WorkLeft
from tickhouse_core.settings import HealingSettings, read
from tickhouse_core.starting import start

log = logging.getLogger(__name__)

_NOT_HEALED = "gaps of trades are not healed: trying again later"


def healing_workers(folder: Path, venues: Mapping[str, Sequence[str]], first_seconds: float = FIRST_SECONDS) -> list[Worker]:
    """None where HEAL_EVERY is `off`, or where no venue that trades are recorded of publishes them as files.

    `venues` has the channels that are recorded of each.
    """
    every_seconds = pause_seconds("HEAL_EVERY", read(HealingSettings).every)
    known = [name for name, channels in venues.items() if "trades" in channels and venue_named(name).open_archive is not None]
    if every_seconds is None or not known:
        return []
    return [Worker("healing", partial(_keep_healing, folder, known, every_seconds, first_seconds))]


def _keep_healing(folder: Path, venues: Sequence[str], every_seconds: float, first_seconds: float, stop: StopRequest) -> None:
    """Until the stop. A pass that fails is tried again earlier than the next one is due: recording goes on in any case."""
    outage = Outage(log, AGAIN, begins=_NOT_HEALED, ends="gaps of trades are healed again", level=logging.ERROR)
    retries = Retries(outage, _NOT_HEALED, partial(pause_after, every_seconds))
    stop.wait(first_seconds)
    Schedule("healer", every_seconds, stop, retries).run(partial(_pass, folder, venues, stop))


def _pass(folder: Path, venues: Sequence[str], stop: StopRequest) -> bool:
    code = run_beside(["tickhouse.local_healing", str(folder), *venues], stop)
    if code and not stop.is_set():
        raise WorkLeft([f"exit code {code}"], "venues")
    return True


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of lake and queues.")],
    venue: Annotated[list[str], typer.Argument(help="The exchanges, one after the other.")],
) -> None:
    """Heal gaps of trades that are older than a day, until done or until the end of stdin."""

    def work() -> None:
        os.nice(NICENESS)
        with data_folder(folder), stop_on_signals() as stop, suppress(Interrupted):
            end_with_input(stop)
            try:
                heal_all(venue, partial(heal_old_gaps, stop))
            except WorkLeft as left:
                for reason in left.reasons:
                    log.error("gaps of trades are left open", extra={"why": reason})
                raise

    run_command(work)


if __name__ == "__main__":
    start(main)

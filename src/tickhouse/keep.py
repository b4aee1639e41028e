"""`tickhouse keep`: beside emulators that forget: provisions and restores again whenever they did. Ends on a signal."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Annotated

import typer

from tickhouse.lake_keeper import LakeKeeper
from tickhouse.provision import provision_aws
from tickhouse_core.errors import LakeRefused, LakeUnavailable, NotProvisioned, PubSubUnavailable, UsageError
from tickhouse_core.lake_copy import configured_copy
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.settings import LakeSettings, PubSubSettings, RetentionSettings, read

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Between two looks whether somebody forgot."""

COMPARE_SECONDS = 30.0
"""Between two comparisons, at least; and a comparison takes at most a tenth of the time."""


def run_keeper(stop: StopRequest, ready_file: Path | None) -> None:
    """Until the stop. `ready_file` is touched whenever a look found the lake well. Raises UsageError, PubSubRefused."""
    copy = configured_copy()
    if copy is None:
        raise UsageError("LAKE_COPY_DIR is not set: the folder that keeps what the lake forgets")
    lake = _LakeWatch(LakeKeeper(read(LakeSettings).bucket, copy, stop.is_set), ready_file)
    looks: list[Callable[[], None]] = [lake.look]
    if read(PubSubSettings).is_configured:
        looks.append(_keep_topics)
    with ThreadPoolExecutor(len(looks)) as threads:  # one that is away must not hold up the other
        done, running = wait([threads.submit(_look_again_and_again, look, stop) for look in looks], return_when=FIRST_EXCEPTION)
        if running:
            stop.set()
    for future in done:
        future.result()


def _look_again_and_again(look: Callable[[], None], stop: StopRequest) -> None:
    """Trouble is said once, and its end."""
    is_in_trouble = False
    while True:
        try:
            look()
            if is_in_trouble:
                log.info("all is well again")
            is_in_trouble = False
        except (LakeUnavailable, LakeRefused, NotProvisioned, PubSubUnavailable) as error:
            level = logging.DEBUG if is_in_trouble else logging.WARNING
            log.log(level, "waiting for it to come back", extra={"why": str(error)})
            is_in_trouble = True
        if stop.wait(LOOK_SECONDS):
            return


class _LakeWatch:
    def __init__(self, keeper: LakeKeeper, ready_file: Path | None) -> None:
        self._keeper = keeper
        self._ready_file = ready_file
        self._compare_at = 0.0

    def look(self) -> None:
        if not self._keeper.is_whole():
            provision_aws(read(LakeSettings).bucket, read(RetentionSettings))
            began = time.monotonic()
            restored = self._keeper.restore(self._say_ready)
            log.info("the lake is whole", extra={"restored": restored, "seconds": round(time.monotonic() - began, 2)})
        self._say_ready()
        if time.monotonic() >= self._compare_at:
            began = time.monotonic()
            self._keeper.compare()
            self._compare_at = time.monotonic() + max(COMPARE_SECONDS, 9 * (time.monotonic() - began))

    def _say_ready(self) -> None:
        if self._ready_file is not None:
            self._ready_file.touch()


def _keep_topics() -> None:
    from tickhouse.provision_pubsub import has_forgotten, provision_pubsub  # Google's client is loaded only here

    settings = read(PubSubSettings)
    if has_forgotten(settings):
        provision_pubsub(settings)


def main(
    ready_file: Annotated[
        Path | None, typer.Option(help="A file that is touched whenever all is well: what a health check can look at.")
    ] = None,
) -> None:
    """Keep a lake that forgets (LocalStack) and its copy in LAKE_COPY_DIR alike; create queues and topics again."""

    def work() -> None:
        with stop_on_signals() as stop:
            run_keeper(stop, ready_file)

    run_command(work)

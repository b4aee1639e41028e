"""The metrics of a transformer: how many windows it did, and how far gold is."""

import logging
from collections import Counter
from collections.abc import Iterator

from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.errors import WarehouseUnavailable
from tickhouse_core.metrics import Component, Sample, Watchdog
from tickhouse_core.timestamps import now_us

log = logging.getLogger(__name__)

WAITING = Backoff(1.0, 30.0)
"""While the warehouse is unavailable."""

STUCK_SECONDS = 900.0
"""A window of a large backfill takes minutes; longer is stuck."""


class TransformCounts:
    """Since the start of the process."""

    def __init__(self) -> None:
        self.outage = Outage(
            log, WAITING, begins="the warehouse is unavailable: trying again", ends="the warehouse is available again"
        )
        self.watchdog = Watchdog("the loop over windows", STUCK_SECONDS)
        self._passes = 0
        self._windows: Counter[str] = Counter()
        self._built: Counter[str] = Counter()
        self._watermark_us: dict[str, int] = {}
        self._last_pass_us = 0

    def on_window(self, transform: str, end_us: int, built_rows: int) -> None:
        self.watchdog.beat()
        self._windows[transform] += 1
        self._built[transform] += built_rows
        self._watermark_us[transform] = end_us

    def on_pass(self) -> None:
        self.watchdog.beat()
        self._passes += 1
        self._last_pass_us = now_us()
        self.outage.succeeded()

    def on_away(self, error: WarehouseUnavailable) -> float:
        """Notes that the warehouse does not answer; waiting counts as alive. Returns the seconds until the next pass."""
        self.watchdog.beat()
        return self.outage.failed(error)

    def samples(self) -> Iterator[Sample]:
        yield Sample("tickhouse_transformer_passes_total", self._passes, "passes over all transforms")
        name = "tickhouse_transformer_last_pass_timestamp_seconds"
        yield Sample(name, self._last_pass_us / 1e6, "when a pass ended for the last time; 0: not yet")
        yield Sample("tickhouse_transformer_waiting", float(self.outage.is_going_on), "1: the warehouse is unavailable")
        for transform in list(self._windows):
            labels = {"transform": transform}
            yield Sample("tickhouse_transformer_windows_total", self._windows[transform], "windows of loads done", labels)
            yield Sample("tickhouse_transformer_built_rows_total", self._built[transform], "gold rows built", labels)
            name = "tickhouse_transformer_watermark_timestamp_seconds"
            yield Sample(name, self._watermark_us[transform] / 1e6, "loads before this instant are in gold", labels)

    def process(self) -> Component:
        def trouble() -> list[str]:
            return [f"the warehouse is unavailable: {self.outage.why}"] if self.outage.is_going_on else []

        return Component("transformer", self.samples, trouble, self.watchdog.not_alive)

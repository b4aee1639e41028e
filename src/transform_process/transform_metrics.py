"""What a transformer tells about itself: passes, what was built, how far behind the loads it is."""

from collections import Counter
from collections.abc import Iterator

from tickhouse_core.metrics import Process, Pulse, Reading
from tickhouse_core.timestamps import now_us

STUCK_SECONDS = 900.0
"""A window of a large backfill takes minutes; longer is stuck."""


class TransformCounts:
    """Since the start of the process."""

    def __init__(self) -> None:
        self.away_because = ""
        self.pulse = Pulse("the loop over windows", STUCK_SECONDS)
        self._passes = 0
        self._windows: Counter[str] = Counter()
        self._built: Counter[str] = Counter()
        self._watermark_us: dict[str, int] = {}
        self._last_pass_us = 0

    def on_window(self, transform: str, end_us: int, built_rows: int) -> None:
        self.pulse.beat()
        self._windows[transform] += 1
        self._built[transform] += built_rows
        self._watermark_us[transform] = end_us

    def on_pass(self) -> None:
        self.pulse.beat()
        self._passes += 1
        self._last_pass_us = now_us()
        self.away_because = ""

    def on_away(self, why: str) -> None:
        """The warehouse does not answer: waiting for it is no standstill."""
        self.pulse.beat()
        self.away_because = why

    def readings(self) -> Iterator[Reading]:
        yield Reading("tickhouse_transformer_passes_total", self._passes, "passes over all transforms")
        name = "tickhouse_transformer_last_pass_timestamp_seconds"
        yield Reading(name, self._last_pass_us / 1e6, "when a pass ended for the last time; 0: not yet")
        yield Reading("tickhouse_transformer_waiting", float(bool(self.away_because)), "1: the warehouse is away")
        for transform in list(self._windows):
            labels = {"transform": transform}
            yield Reading("tickhouse_transformer_windows_total", self._windows[transform], "windows of loads done", labels)
            yield Reading("tickhouse_transformer_built_rows_total", self._built[transform], "gold rows built", labels)
            name = "tickhouse_transformer_watermark_timestamp_seconds"
            yield Reading(name, self._watermark_us[transform] / 1e6, "loads before this instant are in gold", labels)

    def process(self) -> Process:
        def trouble() -> list[str]:
            return [f"the warehouse is away: {self.away_because}"] if self.away_because else []

        return Process("transformer", self.readings, trouble, self.pulse.trouble)

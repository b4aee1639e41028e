"""The metrics of a loader: how many objects it loaded, and which of its queues waits."""

from collections import Counter
from collections.abc import Collection, Iterator

from load_process.objects import LoadResult, LoadStatus
from tickhouse_core.backoff import Outage
from tickhouse_core.metrics import Component, Sample, Watchdog
from tickhouse_core.timestamps import now_us

STUCK_SECONDS = 300.0
"""The longest a window may take: a gigabyte of backfill, or objects that are retried. Longer counts as stuck."""


class LoadCounts:
    """Of one queue, since the start of the process. One thread writes; readers may see a window half counted."""

    def __init__(self, queue: str, outage: Outage) -> None:
        self.watchdog = Watchdog(f"the loop of {queue}", STUCK_SECONDS)
        self._queue = queue
        self._outage = outage
        self._statuses: Counter[LoadStatus] = Counter()
        self._rows = 0
        self._windows = 0
        self._refused = 0
        self._last_load_us = 0

    def on_window(self, results: Collection[LoadResult], refused: int) -> None:
        """Called once every request of a window has its result; `refused` messages of it were no notifications."""
        done = [result for result in results if result.status is LoadStatus.DONE]
        self._statuses.update(result.status for result in results)
        self._rows += sum({result.version: result.rows for result in done}.values())
        self._windows += 1
        self._refused += refused
        if done:
            self._last_load_us = now_us()

    def trouble(self) -> list[str]:
        return [f"{self._queue} waits: {self._outage.why}"] if self._outage.is_going_on else []

    def samples(self) -> Iterator[Sample]:
        labels = {"queue": self._queue}
        for status in LoadStatus:
            of_status = {**labels, "fate": status.value}
            name = "tickhouse_loader_objects_total"
            yield Sample(name, self._statuses[status], "objects of finished windows, by fate", of_status)
        yield Sample("tickhouse_loader_rows_total", self._rows, "rows inserted", labels)
        yield Sample("tickhouse_loader_windows_total", self._windows, "windows of messages settled", labels)
        yield Sample("tickhouse_loader_refused_messages_total", self._refused, "messages that are no notification", labels)
        yield Sample("tickhouse_loader_waiting", float(self._outage.is_going_on), "1: lake or warehouse is unavailable", labels)
        name = "tickhouse_loader_last_load_timestamp_seconds"
        yield Sample(name, self._last_load_us / 1e6, "when an object was loaded for the last time; 0: not yet", labels)


def loader_process(counts: list[LoadCounts]) -> Component:
    """All queues of this process."""
    return Component(
        "loader",
        lambda: (sample for queue in counts for sample in queue.samples()),
        lambda: [words for queue in counts for words in queue.trouble()],
        lambda: [words for queue in counts for words in queue.watchdog.not_alive()],
    )

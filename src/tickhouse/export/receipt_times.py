"""PURE. Times that a backtest can replay: those of the venue and of receipt, both ascending as the ids do.

A row that was healed was received minutes or days after its neighbours. Replayed at that time it would come out of order, so it
gets the latency of the row before it. What little is left against the ids is held back to the row before.
"""

import numpy as np

from tickhouse_core.reading.ordering import Numbers
from tickhouse_core.timestamps import MINUTE_US

LATE_US = MINUTE_US
"""A row whose latency is so much more than the least one was healed."""


class ReceiptTimes:
    """Of the rows of one dataset of a symbol, batch by batch in the order of their ids."""

    def __init__(self, least_latency_us: int) -> None:
        self._most = least_latency_us + LATE_US
        self._latency = least_latency_us
        self._venue = self._local = np.iinfo(np.int64).min
        self.late = 0
        """Rows that were given another time of receipt."""

    def ascending(self, times: Numbers, received: Numbers) -> tuple[Numbers, Numbers]:
        """The venue's times and those of receipt in microseconds, neither of them ever descending."""
        if not len(times):
            return times, received
        latency = received - times
        is_late = latency > self._most
        self.late += int(is_late.sum())
        places = np.maximum.accumulate(np.where(is_late, -1, np.arange(len(times))))
        usual = np.where(places < 0, self._latency, latency[np.maximum(places, 0)])
        self._latency = int(usual[-1])
        venue = np.maximum(np.maximum.accumulate(times), self._venue)
        local = np.maximum(np.maximum.accumulate(times + usual), self._local)
        self._venue, self._local = int(venue[-1]), int(local[-1])
        return venue, local

"""Health of the last 24 hours, in slots of five minutes: from heartbeats and loaded rows, and the queues as seen here."""

import threading
import time
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from status_page.queries import Queries
from tickhouse_core.timestamps import DAY_US, MINUTE_US, SECOND_US, now_us

SLOT_US = 5 * MINUTE_US
_FRESH_SECONDS = 40.0
"""Longer than the poller's pause, which renews it while somebody watches: then no viewer waits for a query."""

_SETTLED_US = 6 * SLOT_US
"""Slots older than this are read seldom: what they are about is loaded, but for what a loader was behind with."""

_ANEW_SECONDS = 1_800.0

COLUMNS = (
    *("opened", "messages_per_second", "rows_per_second", "lake_bytes_per_day", "spool_bytes", "weight_share"),
    *("memory_bytes", "free_bytes", "receipt_p50_ms", "receipt_p99_ms", "load_p50_ms", "load_p99_ms", "waiting", "dead"),
)
"""Of a slot; `opened` in microseconds. The others are null where nobody reported them."""

Slot = list[Any]


class QueueDepths:
    """The deepest that all queues were, by slot, since this page was started; thread-safe, 24 hours at most."""

    def __init__(self) -> None:
        self._slots: dict[int, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def see(self, at_us: int, queues: Iterable[Mapping[str, Any]]) -> None:
        """`queues`: each with `waiting`, `in_flight` and `dead`, at one moment."""
        seen = [(queue["waiting"] + queue["in_flight"], queue["dead"]) for queue in queues]
        waiting, dead = (sum(column) for column in zip((0, 0), *seen, strict=True))
        opened = at_us // SLOT_US * SLOT_US
        with self._lock:
            before = self._slots.get(opened, (0, 0))
            self._slots[opened] = (max(waiting, before[0]), max(dead, before[1]))
            for old in [slot for slot in self._slots if slot < at_us - DAY_US - SLOT_US]:
                del self._slots[old]

    def slots(self) -> dict[int, tuple[int, int]]:
        """By the slot's begin: messages that wait or are in flight, and dead letters."""
        with self._lock:
            return dict(self._slots)


class Vitals:
    """Thread-safe: many viewers cost as much as one. Errors: the warehouse's."""

    def __init__(
        self,
        queries: Queries,
        depths: QueueDepths,
        fresh_seconds: float = _FRESH_SECONDS,
        anew_seconds: float = _ANEW_SECONDS,
    ) -> None:
        """`anew_seconds`: so seldom the whole day is read again."""
        self._queries = queries
        self._depths = depths
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._lags: dict[int, Slot] = {}
        self._read_until = 0
        self._anew_seconds = anew_seconds
        self._anew_at = 0.0
        self._known: dict[str, Any] = {}
        self._read_at = 0.0

    def day(self) -> dict[str, Any]:
        """`columns`, `slots` (a row of COLUMNS each, oldest first, one for every five minutes), `since`, `until`.

        The last slot still runs.
        """
        if not self._is_fresh():
            with self._lock:
                if not self._is_fresh():
                    self._take()
        return self._known

    def renew(self) -> None:
        """Reads it now; viewers have the former one meanwhile."""
        with self._lock:
            self._take()

    def _is_fresh(self) -> bool:
        return bool(self._known) and time.monotonic() - self._read_at <= self._fresh_seconds

    def _take(self) -> None:
        self._known = self._read()
        self._read_at = time.monotonic()

    def _read(self) -> dict[str, Any]:
        until = (now_us() // SLOT_US + 1) * SLOT_US
        since = until - DAY_US
        beats = {row[0]: list(row[1:]) for row in self._ask("health_beats", since, until)}
        lags, depths = self._lags_until(since, until), self._depths.slots()
        slots = []
        for opened in range(since, until, SLOT_US):
            messages, rows, uploaded, *rest = beats.get(opened, [None] * 7)
            a_day = None if uploaded is None else uploaded * (DAY_US // SECOND_US)
            figures = [messages, rows, a_day, *rest, *lags.get(opened, [None] * 4), *depths.get(opened, (None, None))]
            slots.append([opened, *map(_short, figures)])
        return {"columns": COLUMNS, "since": since, "until": until, "slots": slots}

    def _lags_until(self, since: int, until: int) -> dict[int, Slot]:
        if is_anew := time.monotonic() >= self._anew_at:
            self._read_until = 0
        begin = max(since, self._read_until)
        for opened, *figures in self._ask("health_lag", begin, until) if begin < until else ():
            self._lags[opened] = list(chain.from_iterable(figures))
        self._read_until = max(begin, until - _SETTLED_US)
        if is_anew:
            self._anew_at = time.monotonic() + self._anew_seconds
        for old in [opened for opened in self._lags if opened < since]:
            del self._lags[old]
        return self._lags

    def _ask(self, name: str, since: int, until: int) -> list[Any]:
        slot = {"seconds": SLOT_US // SECOND_US, "since_us": since, "until_us": until}
        return list(self._queries.ask(name, slot))


def _short(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value

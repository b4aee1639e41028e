"""PURE. A venue's limits: RateLimit for request weight per window, EventLimit for connects and messages in a sliding window.

Both return how long to wait and never sleep. Fixed windows let up to twice the limit pass around a window's end: venues count
REST weight that way, but close sockets for such a burst.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from tickhouse_core.timestamps import MINUTE_US

LONGEST_REQUEST_US = 2 * MINUTE_US
"""Older requests have an answer, or their process died."""


class Tally(NamedTuple):
    """What an answer says about the limit. `left_us`: microseconds until its window ends."""

    used: int
    limit: int | None = None
    left_us: int | None = None


class RateLimit:
    """Request weight per window. The venue counts per IP address, so its tally takes precedence over our own count.

    `is_aligned`: the windows are those of the venue's clock (Binance, "How to interpret rate limits": a request at
    00:01:23 counts in the minute 00:01:00, and the counter resets at 00:02:00). Otherwise each begins with the first
    request after the one before (KuCoin, "Rate limit"). All instants are microseconds of the venue's clock.
    """

    def __init__(self, limit: int, window_us: int, *, is_aligned: bool, share: float = 0.95) -> None:
        """Uses at most `share` of `limit` a window: of 6,000, the rest is one 5000-level snapshot (250) and change."""
        self.limit = limit
        self._window_us = window_us
        self._is_aligned = is_aligned
        self._share = share
        self._ends = 0
        self._used = 0
        self._before = (0, 0)
        self._in_flight: list[tuple[int, int]] = []
        self._blocked_until = 0

    @property
    def used_weight(self) -> int:
        """What the address has used in the current window, requests without an answer included."""
        return self._used + sum(weight for _, weight in self._in_flight)

    def set_limit(self, limit: int) -> None:
        """What the venue says beside its answers' tallies."""
        self.limit = limit

    def take(self, weight: int, now_us: int) -> float:
        """`wait_before`, and `on_sent` where nothing waits: in one step, so that no other process comes between."""
        if not (seconds := self.wait_before(weight, now_us)):
            self.on_sent(weight, now_us)
        return seconds

    def wait_before(self, weight: int, now_us: int) -> float:
        """Seconds until a request of this weight may be sent; 0 means now, and `on_sent` must follow."""
        if now_us < self._blocked_until:
            return (self._blocked_until - now_us) / 1e6
        self._enter_window_of(now_us)
        self._in_flight = [(sent, kept) for sent, kept in self._in_flight if abs(now_us - sent) < LONGEST_REQUEST_US]
        if self.used_weight + weight <= self.limit * self._share or not self.used_weight:
            return 0.0
        return (self._ends - now_us) / 1e6

    def on_sent(self, weight: int, now_us: int) -> None:
        """The request is on its way: until its answer comes, it may count in any window."""
        self._enter_window_of(now_us)
        self._in_flight.append((now_us, weight))
        self._ends = self._ends or now_us + self._window_us

    def on_answer(self, weight: int, sent_us: int, now_us: int, tally: Tally | None) -> None:
        """`tally` is None where the answer has none, or there was no answer.

        A tally that does not say when its window ends belongs to either one, where the request crossed the turn: then only
        its own weight is counted.
        """
        self._enter_window_of(now_us)
        if (sent_us, weight) in self._in_flight:
            self._in_flight.remove((sent_us, weight))
        is_of_this_window = self._ends - self._window_us <= sent_us < self._ends
        if tally is None or (tally.left_us is None and not is_of_this_window):
            self._used += weight
            return
        self.limit = self.limit if tally.limit is None else tally.limit
        self._ends = max(self._ends, now_us + (tally.left_us or 0))
        self._used = max(self._used, tally.used)  # answers overtake each other; within a window it only grows

    def block_until(self, instant_us: int) -> None:
        """No request before the instant: HTTP 429, or a ban."""
        self._blocked_until = max(self._blocked_until, instant_us)

    def state(self) -> dict[str, Any]:
        """All that changes, for `restore` of another process that shares the limit."""
        return {
            "limit": self.limit,
            "ends": self._ends,
            "used": self._used,
            "before": self._before,
            "in_flight": self._in_flight,
            "blocked_until": self._blocked_until,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError where it is no state; then nothing has changed."""
        limit, ends, used, blocked = (int(state[name]) for name in ("limit", "ends", "used", "blocked_until"))
        in_flight = [(int(sent), int(weight)) for sent, weight in state["in_flight"]]
        ended, used_before = map(int, state["before"])
        self.limit, self._ends, self._used, self._before = limit, ends, used, (ended, used_before)
        self._in_flight, self._blocked_until = in_flight, blocked

    def pause_between(self, weight: int, share: float) -> float:
        """Seconds between two requests of this weight that together use this share of the limit."""
        return weight * self._window_us / 1e6 / (self.limit * share)

    def _enter_window_of(self, now_us: int) -> None:
        """Aligned: also back into the window before. Clocks of two processes that share the limit differ a little."""
        if self._is_aligned:
            ends = (now_us // self._window_us + 1) * self._window_us
            if ends != self._ends:
                (ended, used), self._before = self._before, (self._ends, self._used)
                self._ends, self._used = ends, used if ended == ends else 0
        elif self._ends and not self._ends - 2 * self._window_us <= now_us < self._ends:
            self._ends, self._used = (now_us + self._window_us if self._in_flight else 0), 0


class EventLimit:
    """At most `most` events in any `seconds`: connects from one address, client messages on one connection."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._times: deque[float] = deque()

    def wait_before(self, now: float) -> float:
        """Seconds until one more is allowed; 0 means now, and `on_event` must follow."""
        while self._times and self._times[0] <= now - self._seconds:
            self._times.popleft()
        if len(self._times) < self._most:
            return 0.0
        return self._times[len(self._times) - self._most] + self._seconds - now

    def on_event(self, now: float) -> None:
        """It happened, allowed or not."""
        self._times.append(now)

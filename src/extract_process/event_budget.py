"""PURE. EventBudget: at most so many events in a sliding window: connects per address, messages per connection."""

from collections import deque


class EventBudget:
    """A venue's rule on connection attempts per address, or on client messages per connection."""

    def __init__(self, most: int, window_seconds: float) -> None:
        self._most = most
        self._window = window_seconds
        self._times: deque[float] = deque()

    def wait_before(self, now: float) -> float:
        """Seconds until one more is allowed; 0 means now, and `on_event` must follow."""
        while self._times and self._times[0] <= now - self._window:
            self._times.popleft()
        if len(self._times) < self._most:
            return 0.0
        return self._times[len(self._times) - self._most] + self._window - now

    def on_event(self, now: float) -> None:
        """It happened, allowed or not."""
        self._times.append(now)

"""PURE. When a capture records a heartbeat: each is an object of one row, a third of all that were written."""


class Pulse:
    """Every `quiet_seconds` at first, and while nothing else is recorded; else every `busy_seconds`.

    Who asks whether the capture is alive sees its other objects meanwhile. Seconds by one clock that never steps.
    """

    def __init__(self, began: float, quiet_seconds: float, busy_seconds: float) -> None:
        self._began = began
        self._quiet_seconds, self._busy_seconds = quiet_seconds, busy_seconds
        self._last: float | None = None
        self._beats = 0
        self._others, self._recorded_at = 0, began

    def is_due(self, now: float, rows: int) -> bool:
        """`rows`: all that were recorded, with heartbeats. True: record one now."""
        if rows - self._beats != self._others:
            self._others, self._recorded_at = rows - self._beats, now
        is_busy = now - self._recorded_at < self._quiet_seconds and now - self._began >= self._busy_seconds
        if self._last is not None and now - self._last < (self._busy_seconds if is_busy else self._quiet_seconds):
            return False
        self._last = now
        self._beats += 1
        return True

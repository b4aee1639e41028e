"""PURE. ClockWatch: whether the wall clock was set, or the machine slept: it and a clock that never steps drift apart."""

LEAST_SECONDS = 0.5
"""What counts as a step: time services slew smaller ones."""


class ClockWatch:
    """`on_look` now and then, with both clocks read at once."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def on_look(self, wall_us: int, monotonic: float) -> float:
        """By how many seconds the wall clock stepped since the last look; 0.0 where it did not."""
        offset = wall_us / 1e6 - monotonic
        before, self._offset = self._offset, offset
        return 0.0 if before is None or abs(offset - before) < LEAST_SECONDS else offset - before

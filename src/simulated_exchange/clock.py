"""The exchange's clock. Nothing else in this package reads the time."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Anything that can say what time it is at the exchange."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""


class OffsetClock:
    """The wall clock, or one that stood at `start` (milliseconds) when it was made; it runs at real speed."""

    def __init__(self, start: int | None = None) -> None:
        self._offset_ns = 0 if start is None else start * 1_000_000 - time.time_ns()

    def now_us(self) -> int:
        return (time.time_ns() + self._offset_ns) // 1_000


@dataclass(slots=True)
class StandingClock:
    """Stands still at `now` (milliseconds) until somebody sets it: for tests."""

    now: int

    def now_us(self) -> int:
        return self.now * 1000

"""The exchange's clock. Nothing else in this package reads the time."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Anything that can say what time it is at the exchange."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""


class OffsetClock:
    """The wall clock, or one that stood at `start` (milliseconds) when it was made; it runs `scale` times as fast."""

    def __init__(self, start: int | None = None, scale: float = 1.0) -> None:
        self._made_ns = time.time_ns()
        self._start_ns = self._made_ns if start is None else start * 1_000_000
        self._scale = scale

    def now_us(self) -> int:
        passed = time.time_ns() - self._made_ns
        return (self._start_ns + (passed if self._scale == 1 else int(passed * self._scale))) // 1_000


@dataclass(slots=True)
class StandingClock:
    """Stands still at `now` (milliseconds) until somebody sets it: for tests."""

    now: int

    def now_us(self) -> int:
        return self.now * 1000

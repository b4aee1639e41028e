"""PURE. MicroBatch: when what has come so far becomes objects of the lake: by rows, bytes, age, or a new hour."""

from dataclasses import dataclass

from tickhouse_core.heartbeats import DEFAULT_BATCH_SECONDS
from tickhouse_core.timestamps import HOUR_US


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The first limit that is reached closes a batch."""

    rows: int = 1_000_000
    frame_bytes: int = 64 * 1024 * 1024
    age_seconds: float = DEFAULT_BATCH_SECONDS


class MicroBatch:
    """The size of the batch that is being filled. Instants are microseconds; ages are taken from a clock that never steps."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._rows = self._bytes = self._opened_at = 0
        self._opened_clock = 0.0

    @property
    def is_empty(self) -> bool:
        return not self._opened_at

    def add(self, rows: int, frame_bytes: int, now_us: int, clock: float) -> None:
        """So much more is in the batch; the first addition opens it. `clock` is in seconds, as `time.monotonic` has it."""
        if not self._opened_at:
            self._opened_at, self._opened_clock = now_us, clock
        self._rows += rows
        self._bytes += frame_bytes

    def is_due(self, now_us: int, clock: float) -> bool:
        """Objects are filed under the hour of their first row, so a batch does not go on into the next hour."""
        if self.is_empty:
            return False
        return (
            self._rows >= self._limits.rows
            or self._bytes >= self._limits.frame_bytes
            or clock - self._opened_clock >= self._limits.age_seconds
            or now_us // HOUR_US != self._opened_at // HOUR_US
        )

    def clear(self) -> None:
        """The batch was closed; the next one opens with its first addition."""
        self._rows = self._bytes = self._opened_at = 0

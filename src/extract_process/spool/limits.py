"""PURE. What bounds a capture: when a batch becomes objects (MicroBatch), which channels stop on a full disk (SpoolQuota)."""

from collections.abc import Sequence
from dataclasses import dataclass

from tickhouse_core.metrics import DEFAULT_BATCH_SECONDS
from tickhouse_core.timestamps import HOUR_US

DISK_RESERVE_BYTES = 256 * 1024 * 1024
"""What is left free on the disk: objects are written before their segment goes."""

_RESUME = 0.9  # of the limit: a channel comes back when there is room for a while
_NEXT = 0.02  # of the limit: each further channel stops when the ones before it were not enough


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


class SpoolQuota:
    """Channels stop one by one, the first of `give_up_order` first, and come back in the opposite order.

    Those that are not recorded have no place in it.
    """

    def __init__(self, limit_bytes: int, give_up_order: Sequence[str]) -> None:
        self.limit_bytes = limit_bytes
        self._order = tuple(give_up_order)
        self._stopped = 0

    @property
    def stopped(self) -> frozenset[str]:
        """Channels whose frames are not recorded now."""
        return frozenset(self._order[: self._stopped])

    def on_size(self, used_bytes: int, free_bytes: int) -> tuple[list[str], list[str]]:
        """The spool has this size, and its disk so much room: the channels that stop, and those that come back."""
        before, limit = self._stopped, min(self.limit_bytes, _limit_of_disk(used_bytes, free_bytes))
        if used_bytes >= limit * (1 + _NEXT * self._stopped) and self._stopped < len(self._order):
            self._stopped += 1
        elif used_bytes < limit * _RESUME:
            self._stopped = 0
        return list(self._order[before : self._stopped]), list(reversed(self._order[self._stopped : before]))

    def why(self, used_bytes: int, free_bytes: int) -> str:
        """What there is too little of at this size, in bytes, and what helps."""
        if _limit_of_disk(used_bytes, free_bytes) < self.limit_bytes:
            return want_of_room(free_bytes)
        held = f"the spool holds {used_bytes:,} of {self.limit_bytes:,} bytes"
        return f"{held}: it empties when the lake takes objects again; --spool-mb allows more"

    def on_disk_full(self) -> list[str]:
        """The disk itself has no room: everything stops. Returns what was not stopped before."""
        newly, self._stopped = list(self._order[self._stopped :]), len(self._order)
        return newly


def want_of_room(free_bytes: int) -> str:
    """Of a disk with less free than what must stay free."""
    free = f"{free_bytes:,} bytes are free on the disk of the spool, {DISK_RESERVE_BYTES:,} must stay free"
    return f"{free}: make room there, or set SPOOL_DIR to a folder on a larger disk"


def _limit_of_disk(used_bytes: int, free_bytes: int) -> int:
    """How large the spool may become on its disk; negative where the disk has less room than must stay free."""
    return used_bytes + free_bytes - DISK_RESERVE_BYTES

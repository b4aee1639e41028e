"""PURE. SpoolQuota: which channels are recorded while the spool's disk space runs out, and when they come back."""

from collections.abc import Sequence

DISK_RESERVE_BYTES = 256 * 1024 * 1024
"""What is left free on the disk: objects are written before their segment goes."""

_RESUME = 0.9  # of the limit: a channel comes back when there is room for a while
_NEXT = 0.02  # of the limit: each further channel stops when the ones before it were not enough


class SpoolQuota:
    """Channels stop one by one, the first of `give_up_order` first, and come back in the opposite order."""

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
        before = self._stopped
        limit = min(self.limit_bytes, used_bytes + free_bytes - DISK_RESERVE_BYTES)
        if used_bytes >= limit * (1 + _NEXT * self._stopped) and self._stopped < len(self._order):
            self._stopped += 1
        elif used_bytes < limit * _RESUME:
            self._stopped = 0
        return list(self._order[before : self._stopped]), list(reversed(self._order[self._stopped : before]))

    def on_disk_full(self) -> list[str]:
        """The disk itself has no room: everything stops. Returns what was not stopped before."""
        newly, self._stopped = list(self._order[self._stopped :]), len(self._order)
        return newly

"""Memory that threads share: bytes are taken before they are used, and given back once what used them is gone."""

from collections import deque
from threading import Condition, Lock
from types import TracebackType
from typing import Self

from load_process.limits import LoadLimits


class NoRoom(Exception):
    """`needed` bytes are not there at the moment, beside what the room has."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"{needed:,} bytes are not there at the moment")
        self.needed = needed


class MemoryBudget:
    """So many bytes for all threads of a process. Whoever waits is served before whoever only asks, in order."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._changed = Condition()
        self._waiting: deque[object] = deque()

    def take(self, size: int) -> bool:
        """Whether they were there; never waits."""
        with self._changed:
            if self._waiting or size > self._free:
                return False
            self._free -= size
            return True

    def wait_for(self, size: int) -> int:
        """Takes them as soon as they are there; no more than there are in all. Returns what was taken."""
        size, ticket = min(size, self.total), object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._free >= size)
                self._free -= size
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        return size

    def take_anyway(self, size: int) -> None:
        """Also what is not there: others wait until it is."""
        with self._changed:
            self._free -= size

    def give(self, size: int) -> None:
        """What was taken before."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


class Room:
    """What one piece of work has of a budget, by however many threads; leaving it gives all of it back.

    Never wait with a room that holds something: others may wait for that.
    """

    def __init__(self, budget: MemoryBudget, *, most: int | None = None, always: bool = False) -> None:
        """`most` is what it refuses to hold for more than one user. One that takes `always` refuses nothing, for what must
        go on while it holds something: others wait until that is given back."""
        self._budget = budget
        self._always = always
        self._held = 0
        self._spare = 0
        self._is_refused = False
        self._most = budget.total if most is None else most
        self._lock = Lock()

    @property
    def is_refused(self) -> bool:
        """Whether something found no room in it since it waited for the last time."""
        return self._is_refused

    def take(self, size: int, own: int = 0) -> None:
        """Raises NoRoom if they are not there. `own` is what the same user has in it already."""
        with self._lock:
            used = self._held - self._spare
            more = max(size - self._spare, 0)
            if self._always:
                self._budget.take_anyway(more)
            elif (used > own and used + size > self._most) or (more and not self._budget.take(more)):
                self._is_refused = True
                raise NoRoom(size)
            self._held += more
            self._spare += more - size

    def give(self, size: int) -> None:
        """A part of what was taken."""
        with self._lock:
            self._held -= size
        self._budget.give(size)

    def wait_for(self, size: int) -> None:
        """Gives everything back, and waits until so many bytes are there for what is taken next."""
        self.close()
        taken = self._budget.wait_for(size)
        with self._lock:
            self._held = self._spare = taken

    def close(self) -> None:
        """Empty again, and of use again."""
        with self._lock:
            held, self._held, self._spare, self._is_refused = self._held, 0, 0, False
        self._budget.give(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class LoadMemory:
    """What all queues of a process share: room for objects that were read, and for the copies that inserts make."""

    def __init__(self, limits: LoadLimits) -> None:
        self.reading = MemoryBudget(limits.reading_bytes)
        self.inserting = MemoryBudget(limits.inserting_bytes)

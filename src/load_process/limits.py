"""What a loader may hold at once: its limits on this machine, and the memory that its threads share."""

import contextlib
import math
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock
from types import TracebackType
from typing import Self

from tickhouse_core.parquet_sizes import MOST_BYTES
from tickhouse_core.settings import LoaderSettings, read

_MEGA = 1024**2
_MOST_OF_A_MACHINE = 4 * 1024**3
"""The share of memory without a container limit: other programs run on the machine too."""

INSERT_COPIES = 4
"""Copies of its rows that an insert holds: in one chunk, as a growing stream, and as bytes."""

INSERTERS = 2
"""Concurrent inserts per queue."""

_CODE_BYTES = 256 * 1024**2
"""Memory of an idle loader: 190 MB were measured."""

_LEAST_BYTES = 160 * 1024**2


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """What one batch and one window may hold. An object that is larger alone is a batch of its own.

    A batch is inserted in equal slices, several at once, of at most `insert_rows` and about `insert_bytes`.
    `window_bytes` bounds what is read at once, as it is in the lake; `object_bytes` and `decoded_bytes` are the most one
    object may have there and once decoded: what is larger goes to quarantine.

    All queues of a process share `reading_bytes` for objects that are read or wait for their insert, and `inserting_bytes`
    for the copies that inserts make. An object of more than `whole_bytes` is never in memory as a whole: its rows are
    decoded piece by piece, once to check them and once more to insert them.
    """

    rows: int = 1_000_000
    insert_rows: int = 500_000
    insert_bytes: int = 128 * 1024**2
    batch_bytes: int = 256 * 1024**2
    seconds: float = 1.0
    window_bytes: int = 64 * 1024**2
    window_messages: int = 500
    idle_messages: int = 100
    object_bytes: int = 512 * 1024**2
    decoded_bytes: int = MOST_BYTES
    reading_bytes: int = 2 * 1024**3
    inserting_bytes: int = 1024**3

    @classmethod
    def within(cls, memory: int) -> Self:
        """For a process that may use `memory` bytes: beside its code, two fifths are for reading and one fifth for inserts."""
        left = max(memory - _CODE_BYTES, _LEAST_BYTES)
        most, reading, inserting = cls(), left * 2 // 5, left // 5
        return cls(
            reading_bytes=reading,
            inserting_bytes=inserting,
            insert_bytes=min(most.insert_bytes, inserting // (2 * INSERT_COPIES)),
            batch_bytes=min(most.batch_bytes, reading // 8),
            object_bytes=min(most.object_bytes, reading // 3),
        )

    @property
    def whole_bytes(self) -> int:
        """The most that one object has in memory as a whole."""
        return self.reading_bytes // 8

    @property
    def part_bytes(self) -> int:
        """The most that a part of a window has in memory; an object that needs more is a part of its own."""
        return self.reading_bytes // 4

    def rows_an_insert(self, rows: int, size: int) -> int:
        """How many of the `rows` of a batch, which are `size` bytes in memory, a slice of it has; the last may have fewer.

        As many slices for each connection: with three for two of them, one would wait for the other.
        """
        slices = max(math.ceil(rows / self.insert_rows), math.ceil(size / self.insert_bytes), 1)
        if slices > 1:
            slices = math.ceil(slices / INSERTERS) * INSERTERS
        return max(math.ceil(rows / slices), 1)


def limits_here() -> LoadLimits:
    """Raises UsageError for a setting that does not fit."""
    chosen = read(LoaderSettings).memory_mb
    if chosen is not None:
        return LoadLimits.within(chosen * _MEGA)
    return LoadLimits.within(memory_limit() or min(machine_memory() // 2, _MOST_OF_A_MACHINE))


class NoRoom(Exception):
    """`needed` more bytes are not free at the moment."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"{needed:,} bytes are not there at the moment")
        self.needed = needed


class MemoryBudget:
    """`total` bytes for all threads of a process. Waiting threads are served in order, before any that does not wait."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._changed = Condition()
        self._waiting: deque[object] = deque()

    def take(self, size: int) -> bool:
        """Takes the bytes if they are free; never waits."""
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
        """Takes the bytes even if they are not free: others wait until the debt is repaid."""
        with self._changed:
            self._free -= size

    def give(self, size: int) -> None:
        """What was taken before."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


class Room:
    """The share of a budget that one piece of work holds; leaving it returns everything.

    Never wait while holding a share: others may wait for it.
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
        """Returns everything, then waits until `size` bytes are free."""
        self.close()
        taken = self._budget.wait_for(size)
        with self._lock:
            self._held = self._spare = taken

    def close(self) -> None:
        """Empties the room for reuse."""
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


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes, the smallest limit of the process's control groups; None where none is limited. `root` holds /proc and /sys.

    v2: `memory.max`; v1: `memory.limit_in_bytes` of the controller `memory`. A container may see its own group as the root.
    """
    groups = _read(root / "proc/self/cgroup") or ""
    limits = [limit for file in _files(root / "sys/fs/cgroup", groups) if (limit := _limit(file)) is not None]
    return min((limit for limit in limits if limit < machine_memory()), default=None)


def machine_memory() -> int:
    """Bytes of the whole machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _files(mount: Path, groups: str) -> Iterator[Path]:
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            folder, name = mount, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        inside = Path(path.strip("/"))
        for part in (inside, *inside.parents):
            if ".." not in part.parts:
                yield folder / part / name


def _limit(file: Path) -> int | None:
    said = (_read(file) or "").strip()
    return int(said) if said.isdigit() else None


def _read(file: Path) -> str | None:
    with contextlib.suppress(OSError):
        return file.read_text(errors="replace")
    return None

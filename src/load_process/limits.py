"""PURE. How objects become batches: bounded by rows and bytes, and the token of a batch."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from load_process.objects import ReadObject, Version
from tickhouse_core.parquet_sizes import MOST_BYTES

INSERT_COPIES = 4
"""Of its rows that an insert has in memory: in one chunk, as a stream that grows, and as bytes."""

_CODE_BYTES = 256 * 1024**2
"""What a loader takes that has nothing to do: 190 MB were measured."""

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
    object_bytes: int = 512 * 1024**2
    decoded_bytes: int = MOST_BYTES
    reading_bytes: int = 2 * 1024**3
    inserting_bytes: int = 1024**3

    @classmethod
    def within(cls, memory: int) -> Self:
        """For a process that may use so many bytes: two fifths of what is left beside its code read, one fifth inserts."""
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
        """How many of the `rows` of a batch, which are `size` bytes in memory, a slice of it has; the last may have fewer."""
        slices = max(math.ceil(rows / self.insert_rows), math.ceil(size / self.insert_bytes), 1)
        return max(math.ceil(rows / slices), 1)


def cut_into_batches(objects: Iterable[ReadObject], limits: LoadLimits) -> Iterator[list[ReadObject]]:
    """Objects of the same dataset together, in their order, as few batches as the limits allow."""
    by_dataset: dict[str, list[ReadObject]] = {}
    for item in objects:
        by_dataset.setdefault(item.dataset.name, []).append(item)
    for items in by_dataset.values():
        yield from _cut(items, limits)


def _cut(items: Sequence[ReadObject], limits: LoadLimits) -> Iterator[list[ReadObject]]:
    batch: list[ReadObject] = []
    rows = size = 0
    for item in items:
        if batch and (rows + item.table.num_rows > limits.rows or size + item.table.nbytes > limits.batch_bytes):
            yield batch
            batch, rows, size = [], 0, 0
        batch.append(item)
        rows += item.table.num_rows
        size += item.table.nbytes
    if batch:
        yield batch


def token_of(batch: str, members: Sequence[Version]) -> str:
    """The insert's deduplication token: of the batch and of the members that are left of it, in their order."""
    text = "\0".join(part for version in members for part in version)
    return f"{batch}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"

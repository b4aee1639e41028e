"""PURE. How objects become batches: bounded by rows and bytes, and the token of a batch."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from load_process.versions import ReadObject, Version


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """What one batch and one window may hold. An object that is larger alone is a batch of its own.

    A batch is inserted in equal slices, several at once, of at most `insert_rows` and about `insert_bytes`.
    `window_bytes` bounds what is read at once, as it is in the lake; `object_bytes` and `decoded_bytes` are the most one
    object may have there and in memory: what is larger goes to quarantine, since it would take the process down.
    """

    rows: int = 1_000_000
    insert_rows: int = 500_000
    insert_bytes: int = 128 * 1024**2
    batch_bytes: int = 256 * 1024**2
    seconds: float = 1.0
    window_bytes: int = 64 * 1024**2
    window_messages: int = 500
    object_bytes: int = 512 * 1024**2
    decoded_bytes: int = 2 * 1024**3

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

"""PURE. What becomes of an object: LoadRequest -> DecodedObject, the ObjectVersion that the lake gave -> LoadResult."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import pyarrow as pa

from load_process.limits import LoadLimits
from tickhouse_core.columns import NAME
from tickhouse_core.datasets import Dataset, dataset_of_key
from tickhouse_core.lake_keys import archived_name, is_streamed

SMALL_CHUNK_BYTES = 4 * 1024**2


class ObjectVersion(NamedTuple):
    """One version of one object: what the ledger counts. `etag` is empty where a request does not name it."""

    bucket: str
    key: str
    etag: str


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """An object to load. `etag` is empty and `size` 0 where the sender of a notification left them out.

    `size` is the sender's claim: use it for planning, never for limits. `spellings` are other keys that the same text may
    mean, because some senders do not encode keys, or not `+`: worth a try where no object has `key`. `attempts` counts the
    deliveries, `again` loads what is done once more.
    """

    bucket: str
    key: str
    etag: str
    size: int = 0
    spellings: tuple[str, ...] = field(default=(), compare=False)
    attempts: int = 1
    again: bool = False

    @property
    def version(self) -> ObjectVersion:
        """The requested version. The lake may have a newer one under the key: the result names the version that was read."""
        return ObjectVersion(self.bucket, self.key, self.etag)

    @property
    def is_live(self) -> bool:
        """Whether it was recorded just now: it is loaded before backfilled history of the same queue."""
        dataset = dataset_of_key(self.key)
        return dataset is None or (dataset.is_live and archived_name(self.key) is None) or is_streamed(self.key)


@dataclass(frozen=True, slots=True)
class DecodedObject:
    """A sound object in memory, with the columns of its dataset and every value checked: all rows, or how to get them."""

    version: ObjectVersion
    dataset: Dataset
    table: "pa.Table | LargeTable"
    checksum: int
    attempts: int


@dataclass(frozen=True, slots=True)
class LargeTable:
    """Rows that are too many to be in memory at once: every iteration over `pieces` decodes them anew."""

    num_rows: int
    nbytes: int
    pieces: Callable[[], Iterator[pa.Table]]


class LoadStatus(Enum):
    """How the load of an object ended. The values are labels of tickhouse_loader_objects_total."""

    DONE = "done"
    """Loaded, quarantined, or there is nothing to load: the request is fulfilled."""

    RETRY = "later"
    """The lake is unavailable or another loader has it: worth another try soon."""

    REFUSED = "stuck"
    """The engine refuses a sound object, or the lake refuses to give it: another try, and then the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The status of a request. `version` is the one that was to be inserted, with its `rows`; None where there was none."""

    request: LoadRequest
    status: LoadStatus
    version: ObjectVersion | None = None
    rows: int = 0


def cut_into_batches(objects: Iterable[DecodedObject], limits: LoadLimits) -> Iterator[list[DecodedObject]]:
    """Objects of the same dataset together, in their order, as few batches as the limits allow."""
    by_dataset: dict[str, list[DecodedObject]] = {}
    for item in objects:
        by_dataset.setdefault(item.dataset.name, []).append(item)
    for items in by_dataset.values():
        yield from _cut(items, limits)


def _cut(items: Sequence[DecodedObject], limits: LoadLimits) -> Iterator[list[DecodedObject]]:
    batch: list[DecodedObject] = []
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


def slices_of(objects: Sequence[DecodedObject], limits: LoadLimits) -> Iterator[tuple[int, int, pa.Table]]:
    """Rows of a batch, with the number of the first and how many they are to be: always the same of the same objects."""
    if any(isinstance(item.table, LargeTable) for item in objects):
        start = 0
        for item in objects:
            for piece in item.table.pieces() if isinstance(item.table, LargeTable) else [item.table]:
                yield start, piece.num_rows, _with_version(piece, item.version)
                start += piece.num_rows
        return
    tables = [_with_version(item.table, item.version) for item in objects if item.table.num_rows]
    if not tables:
        return
    rows = pa.concat_tables(tables).unify_dictionaries()
    size = limits.rows_an_insert(rows.num_rows, rows.nbytes)
    for start in range(0, rows.num_rows, size):
        yield start, size, rows.slice(start, size)


def in_large_chunks(rows: pa.Table) -> pa.Table:
    """The engine makes a block of every chunk: with small ones that costs a tenth of the insert, and a copy costs less."""
    chunks = rows.column(0).num_chunks
    return rows.combine_chunks() if rows.nbytes < chunks * SMALL_CHUNK_BYTES else rows


def _with_version(table: pa.Table, version: ObjectVersion) -> pa.Table:
    indices = pa.repeat(pa.scalar(0, pa.int32()), table.num_rows)
    for name, value in (("object_key", version.key), ("object_etag", version.etag)):
        table = table.append_column(pa.field(name, NAME, nullable=False), pa.DictionaryArray.from_arrays(indices, [value]))
    return table

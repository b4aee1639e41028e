"""PURE. What becomes of an object: LoadRequest -> DecodedObject, the ObjectVersion that the lake gave -> LoadResult."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import pyarrow as pa

from load_process.limits import LoadLimits
from load_process.notifications import ObjectCreated
from tickhouse_core.datasets import Dataset, dataset_of_key
from tickhouse_core.lake_keys import is_streamed


class ObjectVersion(NamedTuple):
    """One version of one object: what the ledger counts. `etag` is empty where a request does not name it."""

    bucket: str
    key: str
    etag: str


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """An object to load; `attempts` counts the deliveries, `again` loads what is done once more."""

    created: ObjectCreated
    attempts: int
    again: bool = False

    @property
    def version(self) -> ObjectVersion:
        """The requested version. The lake may have a newer one under the key: the result names the version that was read."""
        return ObjectVersion(self.created.bucket, self.created.key, self.created.etag)

    @property
    def is_live(self) -> bool:
        """Whether it was recorded just now: it is loaded before backfilled history of the same queue."""
        dataset = dataset_of_key(self.created.key)
        return dataset is None or dataset.is_live or is_streamed(self.created.key)


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

"""PURE. The words loaders share: which object version is wanted, what was read of it, and what became of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import pyarrow as pa

from load_process.notifications import ObjectCreated
from tickhouse_core.datasets import Dataset


class Version(NamedTuple):
    """One version of one object: what the ledger counts. `etag` is empty where nobody said it."""

    bucket: str
    key: str
    etag: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object that somebody asks to load; `attempts` counts the deliveries, `again` loads what is done once more."""

    created: ObjectCreated
    attempts: int
    again: bool = False

    @property
    def version(self) -> Version:
        return Version(self.created.bucket, self.created.key, self.created.etag)

    @property
    def is_live(self) -> bool:
        """Whether it was recorded just now: it goes before backfilled history of the same queue."""
        file_name = self.created.key.rpartition("/")[2]
        return not self.created.key.startswith("data_sources/klines_pricing/") or file_name.startswith("stream-")


@dataclass(frozen=True, slots=True)
class ReadObject:
    """A sound object in memory, with the columns of its dataset and every value checked: all rows, or how to get them."""

    version: Version
    dataset: Dataset
    table: "pa.Table | LargeTable"
    checksum: int
    attempts: int


@dataclass(frozen=True, slots=True)
class LargeTable:
    """Rows that are too many to be in memory at once: decoded anew, in pieces, whenever they are asked for."""

    num_rows: int
    nbytes: int
    pieces: Callable[[], Iterator[pa.Table]]


class Fate(Enum):
    """What became of a wanted object."""

    DONE = "done"
    """Loaded, quarantined, or there is nothing to load: nobody needs to ask again."""

    LATER = "later"
    """The lake is away or another loader has it: worth another try soon."""

    STUCK = "stuck"
    """The engine refuses a sound object, or the lake refuses to give it: another try, and then the dead-letter queue."""

"""PURE. What a compaction is: a plan that names its sources, and a commit that names the objects with all their rows."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from tickhouse_core.datasets import Dataset


class Source(NamedTuple):
    """One version of one object."""

    key: str
    etag: str


def plan_id(sources: Sequence[Source]) -> str:
    """16 hexadecimal digits that follow from the sources: whoever compacts the same ones writes the same keys."""
    text = "\0".join(part for source in sources for part in source)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Output:
    """An object that was read back after it was written; `checksum` is that of its values (`load_process.value_checksum`)."""

    key: str
    etag: str
    rows: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Sources of one venue and date whose rows are merged, in the order of their keys."""

    dataset: Dataset
    venue: str
    date: str
    sources: tuple[Source, ...]

    @property
    def id(self) -> str:
        return plan_id(self.sources)


@dataclass(frozen=True, slots=True)
class Commit:
    """All rows of the plan's sources are in the outputs, each once; `doubles` is how many more the sources had.

    `committed_at` in microseconds.
    """

    plan: str
    rows: int
    doubles: int
    committed_at: int
    outputs: tuple[Output, ...]


class Fate(Enum):
    """What goes of a compaction, decided once: never both. Sources and outputs are all there until it is."""

    RETIRING = "retiring"
    """Its sources: from the first deletion on its outputs are the only ones with their rows."""

    UNDONE = "undone"
    """Its outputs: a source was replaced, and rows that only its old version had must go. The sources count again."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """A plan, its commit once there is one, and its fate once it is decided."""

    plan: Plan
    commit: Commit | None
    fate: Fate | None = None

    @property
    def is_undone(self) -> bool:
        """Its outputs are no longer part of the lake, also those that are not deleted yet."""
        return self.fate is Fate.UNDONE

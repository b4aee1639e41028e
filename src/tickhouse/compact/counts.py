"""What a compaction did to each dataset of each venue; or why there was nothing to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tickhouse.compact.selection import young_of
from tickhouse_core.datasets import Dataset
from tickhouse_core.object_store import ObjectSummary


@dataclass(slots=True)
class DayCounts:
    """Of sources and outputs: objects, bytes, rows; `doubles` are rows that the sources had more than once.

    `recorded` objects were seen; the `young` ones of them a later run merges, as their hours did not end long enough ago.
    """

    sources: int = 0
    source_bytes: int = 0
    outputs: int = 0
    output_bytes: int = 0
    rows: int = 0
    doubles: int = 0
    deleted: int = 0
    refused: list[str] = field(default_factory=list)
    recorded: int = 0
    young: int = 0

    @property
    def is_nothing(self) -> bool:
        return not (self.sources or self.deleted or self.refused)

    def see(self, found: Sequence[ObjectSummary], day_us: int, closed_before_us: int) -> None:
        """The recorded objects of a day."""
        self.recorded += len(found)
        self.young += len(young_of(found, day_us, closed_before_us))


@dataclass(slots=True)
class VenueCounts:
    """What was done to one dataset of one venue; `days` that were looked at."""

    dataset: Dataset
    venue: str
    days: int = 0
    counts: DayCounts = field(default_factory=DayCounts)


def why_nothing(done: Sequence[VenueCounts], chosen: str, older_than: str, keep_sources: str) -> str:
    """Of a run in which nothing was done. `chosen`: the options that narrow it; both lengths of time as they were given."""
    of = f" of {chosen}" if chosen else ""
    if not done:
        return f"the lake has no objects{of or ' but klines, which have one per month'}"
    young = sum(one.counts.young for one in done)
    merged = sum(one.counts.recorded for one in done) - young
    reasons = [
        *([f"{_objects(young)} of hours that ended less than {older_than} ago (--older-than)"] if young else ()),
        *([f"{_objects(merged)} merged, and deleted {keep_sources} after that (--keep-sources)"] if merged else ()),
    ]
    return "; ".join(reasons) or f"all objects{of} are merged already"


def _objects(count: int) -> str:
    return "1 object is" if count == 1 else f"{count:,} objects are"

"""What an export is asked for, and what all of its parts share: the lake, the range, the question whether to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tickhouse_core.datasets import KLINES, Dataset
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.certainty import Certainty
from tickhouse_core.reading.events import GapEvents, absences, healed_times, missing_ids
from tickhouse_core.reading.lake import Lake
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.result import Rows
from tickhouse_core.reading.rows import RowScan

PIECE_ROWS = 2_000
"""Order book updates that are in memory at a time, beside some megabytes of rows."""


@dataclass(frozen=True, slots=True)
class Job:
    """One symbol of an export. `progress` is told which instant of the range was reached, and raises Interrupted to stop."""

    store: ObjectStore
    lake: Lake
    events: GapEvents
    asked: Request
    progress: Callable[[int], None]
    scans: list[RowScan] = field(default_factory=list)
    """All of them: what they could not read is part of the certificate."""

    def scan(self, dataset: Dataset, columns: Sequence[str] | None = None) -> RowScan:
        """All rows of the range, each once; or only these columns."""
        self.scans.append(RowScan(self.store, dataset, self.asked, self.healed(dataset), columns))
        return self.scans[-1]

    def healed(self, dataset: Dataset) -> list[int]:
        """When rows of the symbol were healed, in microseconds."""
        return healed_times(self.events.of(dataset, self.asked_of(dataset)))

    def missing(self, dataset: Dataset, known: Certainty) -> list[list[tuple[int, int]]]:
        """Of each of the known gaps the ids that are missing still, half-open."""
        return missing_ids(known.gaps, self.events.of(dataset, self.asked_of(dataset)))

    def absent(self, dataset: Dataset) -> list[tuple[int, int]]:
        """Half-open ranges of ids that the venue said it does not have."""
        return absences(self.events.of(dataset, self.asked_of(dataset)), self.asked.symbols[0])

    def rows(self, dataset: Dataset) -> Rows:
        """The same as the read API gives them, with what is known of the range."""
        return self.lake.rows_of(dataset, self.asked_of(dataset), exact=True)

    def asked_of(self, dataset: Dataset) -> Request:
        """The interval is of klines alone."""
        return self.asked if dataset is KLINES else replace(self.asked, interval="")

"""What a backfill is asked for, and what it counts."""

from dataclasses import dataclass, field
from typing import Literal

from extract_process.venues import DEFAULT_VENUE

Source = Literal["rest", "archive", "auto"]


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """`start` and `end` in microseconds, end exclusive, None for now; `recheck` compares what the lake has already.

    `newest_first` goes back in time, one page of every symbol in turn: for somebody who looks at charts meanwhile.
    """

    interval: str
    start_us: int
    end_us: int | None = None
    source: Source = "rest"
    concurrency: int = 16
    recheck: bool = False
    venue: str = DEFAULT_VENUE
    newest_first: bool = False


@dataclass(slots=True)
class BackfillReport:
    """Counters while it runs, the summary when it is done."""

    rows_wanted: int = 0
    rows_missing: int = 0
    rows_received: int = 0
    rows_landed: int = 0
    rows_without_data: int = 0
    rows_unproven: int = 0
    months_landed: int = 0
    disagreements: int = 0
    gaps: int = 0
    unusable_files: int = 0
    failures: list[str] = field(default_factory=list)
    """What is missing although nothing proves that the venue has none: one line per month."""

    unknown: tuple[str, ...] = ()
    """Symbols that were left out because neither the venue nor its archive knows them."""

"""What is to be written of one symbol after its survey, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tickhouse.export.book_story import Piece
from tickhouse.export.numbers_as_text import Steps
from tickhouse.export.spans import Span, is_inside, outside
from tickhouse.export.survey import Survey
from tickhouse_core.reading.ordering import Numbers
from tickhouse_core.timestamps import DAY_US


@dataclass(frozen=True, slots=True)
class Plan:
    """`kept`: spans of the venue's time whose rows are written; the whole range unless only what is proven is."""

    start: int
    end: int
    kept: list[Span]
    only_proven: bool
    trades: Survey | None
    book: Survey | None

    @property
    def clock_correction(self) -> int:
        """Microseconds by which receipt is moved for formats that know no negative latency: until the least one is 0."""
        latencies = [one.least_latency for one in (self.trades, self.book) if one is not None and one.least_latency is not None]
        return max(0, -min(latencies, default=0))

    @property
    def left_out(self) -> list[Span]:
        """What of the range is not written."""
        return outside(self.kept, self.start, self.end)

    def keeps(self, times: Numbers) -> npt.NDArray[np.bool_]:
        """For each time whether its row is written."""
        return is_inside(times, self.kept)

    def whole_at(self, *, daily: bool) -> list[int]:
        """When the whole book is wanted: where a span begins, and at the beginning of each day."""
        days = range((self.start // DAY_US + 1) * DAY_US, self.end, DAY_US) if daily else ()
        return sorted({self.start, *days, *(start for start, _ in self.kept)})

    def parts(self, piece: Piece) -> list[Piece]:
        """The messages of a piece that are written, as pieces."""
        keep = self.keeps(piece.venue) & (piece.is_known or not self.only_proven)
        if bool(keep.all()):
            return [piece]
        borders = np.flatnonzero(np.diff(np.r_[False, keep, False].astype(np.int8)))
        return [piece.part(slice(int(start), int(end))) for start, end in zip(borders[::2], borders[1::2], strict=True)]


@dataclass(slots=True)
class Outcome:
    """`files`: names and rows. The counts are by dataset; `resets`: whole books that were written."""

    files: list[tuple[str, int]] = field(default_factory=list)
    written: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    resets: int = 0
    clock_correction: int = 0
    """Microseconds that were added to every receipt."""

    prices: Steps = field(default_factory=Steps)
    quantities: Steps = field(default_factory=Steps)
    notes: list[str] = field(default_factory=list)

    def count(self, dataset: str, rows: int, kept: int) -> None:
        """Of so many rows so many were written."""
        self.written[dataset] += kept
        self.left_out[dataset] += rows - kept

    def see(self, prices: pa.Array, quantities: pa.Array) -> None:
        """Values whose steps count."""
        self.prices.see(prices)
        self.quantities.see(quantities)

    @property
    def tick_and_lot(self) -> tuple[Decimal | None, Decimal | None]:
        """The greatest steps that all prices and all quantities are multiples of; None where none was seen."""
        return self.prices.step, self.quantities.step

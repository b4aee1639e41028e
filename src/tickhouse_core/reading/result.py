"""Rows: the lazy answer of the read API. Nothing is read before it is asked for a frame, batches, or what is missing."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tickhouse_core.columns import LEVELS
from tickhouse_core.errors import UsageError
from tickhouse_core.reading.book_at import BookState
from tickhouse_core.reading.books import BookSteps
from tickhouse_core.reading.certainty import Certainty
from tickhouse_core.reading.numbers import floats
from tickhouse_core.reading.ranges import counted
from tickhouse_core.reading.reasons import several, steps_without_book

if TYPE_CHECKING:
    import pandas
    import polars


BOOK = pa.schema([pa.field("side", pa.string()), *LEVELS.value_type])


class Rows:
    """Rows of a range, each once and in order. Every frame reads the lake anew; nothing of it is kept."""

    def __init__(
        self,
        schema: pa.Schema,
        tables: Callable[[], Iterator[pa.Table]],
        certainty: Callable[[], Certainty],
        exact: bool,
        about: str,
        left_out: Sequence[str] = (),
    ) -> None:
        """`tables` are exact, in order, one after the other. `about`: what they are, for people. `left_out` grows by the objects
        that they could not read."""
        self._tables, self._ask, self._exact, self._about, self._left_out = tables, certainty, exact, about, left_out
        self._count: int | None = None
        self.schema: pa.Schema = schema if exact else floats(schema.empty_table()).schema
        """Names and types of the columns."""

    def batches(self, rows: int = 100_000) -> Iterator[pa.RecordBatch]:
        """At most `rows` rows at a time, for what does not fit memory.

        Raises UsageError for less than one row; while it runs LakeUnavailable, AccessRefused.
        """
        most, count = counted(rows, "rows", "a batch has"), 0
        for table in self._tables():
            count += table.num_rows
            yield from self._shown(table).combine_chunks().to_batches(max_chunksize=most)
        self._count = count

    def arrow(self) -> pa.Table:
        """One pyarrow Table. Raises LakeUnavailable, AccessRefused."""
        rows = pa.concat_tables([self.schema.empty_table(), *(self._shown(table) for table in self._tables())])
        self._count = rows.num_rows
        return rows

    def __repr__(self) -> str:
        """One line of what is known by now; nothing is read for it."""
        count = "not read yet" if self._count is None else several(self._count, "row", "rows")
        why = self._why_so_far
        known = ".is_complete was not asked yet" if why is None else f"not complete: {why}" if why else "complete"
        return f"<{type(self).__name__} of {self._about}: {count}; {known}>"

    def polars(self) -> "polars.DataFrame":
        """One polars DataFrame. Raises UsageError where polars is not installed."""
        frame: polars.DataFrame = _optional("polars").from_arrow(self.arrow())
        return frame

    def pandas(self) -> "pandas.DataFrame":
        """One pandas DataFrame. Raises UsageError where pandas is not installed."""
        _optional("pandas")
        frame: pandas.DataFrame = self.arrow().to_pandas()
        return frame

    @cached_property
    def _certainty(self) -> Certainty:
        return self._ask()

    @property
    def gaps(self) -> pa.Table:
        """The gaps that touch the range, in the columns of stream_events, by `started_at`; and `is_open` (bool).

        A gap is an instance's. It is closed where its ids were healed, where the venue has nothing, and where another instance
        has them; in a day of a bulk file also where what it lacks is of other days. Ids are trade ids or update ids, for klines
        open times in microseconds; first and last are missing both.
        """
        return self._certainty.gaps

    @property
    def coverage(self) -> pa.Table:
        """One row per symbol: venue, symbol, channel, start, end, recorded_from, recorded_until, rows, holes, covered_seconds,
        and coverage.

        Recorded is from the first row to the last, and up to a border that has a row within a minute beyond it (null: nothing).
        `holes`: breaks between diffs, klines or trades of Binance that no gap names. `covered_seconds` are recorded,
        and in no open gap,
        `coverage` is their part of the range, from 0 to 1. A quiet market counts as less than it is, never as more.
        """
        return self._certainty.coverage

    @property
    def unreadable(self) -> Sequence[str]:
        """Keys of objects that were left out, and why: the loader quarantines them too."""
        return tuple(dict.fromkeys([*self._certainty.unreadable, *self._left_out]))

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing: all symbols from start to end, no open gap, no hole, no unreadable object."""
        return not self.why_incomplete

    @property
    def why_incomplete(self) -> str:
        """What is missing, in words, and what helps; empty where nothing is. The same for all kinds of answers."""
        return replace(self._certainty, unreadable=tuple(self.unreadable)).why_incomplete

    @property
    def _why_so_far(self) -> str | None:
        """None where it was not asked yet."""
        return self.why_incomplete if "_certainty" in self.__dict__ else None

    def _shown(self, table: pa.Table) -> pa.Table:
        return table if self._exact else floats(table)


class Books(Rows):
    """Books of one or several symbols, step by step."""

    def __init__(
        self,
        schema: pa.Schema,
        steps: Sequence[BookSteps],
        tables: Callable[[], Iterator[pa.Table]],
        certainty: Callable[[], Certainty],
        exact: bool,
        about: str,
        check: Callable[[], None],
    ) -> None:
        """`tables` are those of all `steps`. `check` raises UsageError for a symbol that was never recorded."""
        super().__init__(schema, tables, certainty, exact, about)
        self._steps, self._check = steps, check

    @property
    def is_complete(self) -> bool:
        """Whether every step of every symbol has a row."""
        return self._proven == [steps.count for steps in self._steps]

    @property
    def why_incomplete(self) -> str:
        """Which steps have no book, and what is missing of the updates."""
        if self.is_complete:
            return ""
        counts = zip(self._steps, self._proven, strict=True)
        found = [words for steps, proven in counts if (words := steps_without_book(steps.symbol, proven, steps.count))]
        return "; ".join([*found, *filter(None, [super().why_incomplete])])

    @cached_property
    def _proven(self) -> list[int]:
        """Steps that have a book, by symbol."""
        proven = [steps.proven() for steps in self._steps]
        if not all(proven):
            self._check()
        return proven

    @property
    def _why_so_far(self) -> str | None:
        return self.why_incomplete if "_proven" in self.__dict__ else None


class Book(Rows):
    """One book: asks, then bids, best levels first."""

    def __init__(self, read: Callable[[], BookState], certainty: Callable[[int], Certainty], exact: bool, about: str) -> None:
        """`certainty` is asked for the time since the snapshot the book stands on."""
        super().__init__(BOOK, self._levels, lambda: certainty(self._state.since_us - 1), exact, about)
        self._read = read

    @cached_property
    def _state(self) -> BookState:
        return self._read()

    @property
    def last_update_id(self) -> int | None:
        """The update the book is at; None where there is no book."""
        return self._state.last_update_id

    @property
    def is_proven(self) -> bool:
        """Whether it is a snapshot and every diff since, without a hole."""
        return self._state.is_proven

    @property
    def is_complete(self) -> bool:
        """As `is_proven`: nothing is missing in a proven book."""
        return self.is_proven

    @property
    def why_incomplete(self) -> str:
        """Why there is no book, or why it is not proven."""
        return self._state.why

    @property
    def _why_so_far(self) -> str | None:
        return self.why_incomplete if "_state" in self.__dict__ else None

    def __len__(self) -> int:
        """How many levels it has: they are in memory once it was read."""
        return len(self._state.asks) + len(self._state.bids)

    def _levels(self) -> Iterator[pa.Table]:
        for side, levels in (("ask", self._state.asks), ("bid", self._state.bids)):
            if len(levels):
                yield pa.table([pa.array([side] * len(levels)), levels.field(0), levels.field(1)], schema=BOOK)


def _optional(name: str) -> ModuleType | Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise UsageError(f"the package {name} is not here: install it, or take .arrow() or .batches()") from None

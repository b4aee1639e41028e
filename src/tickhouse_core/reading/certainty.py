"""What is known of a range: its gaps, how much of it was recorded, and whether anything is missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa

from tickhouse_core.columns import INSTANT
from tickhouse_core.datasets import AGG_TRADES, DEPTH_DIFFS, KLINES, Dataset
from tickhouse_core.reading.events import (
    BACKFILL,
    LACKING,
    absences,
    gap_times,
    gaps_in,
    healed_times,
    joined,
    missing_ids,
)
from tickhouse_core.reading.objects import length_us
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.reasons import why_incomplete
from tickhouse_core.reading.source import Source
from tickhouse_core.reading.whole_days import BulkDays, backfilled_days, following, ids_of_range
from tickhouse_core.timestamps import DAY_US, MINUTE_US

COVERAGE = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("venue", "symbol", "channel")),
        *(pa.field(name, INSTANT) for name in ("start", "end", "recorded_from", "recorded_until")),
        pa.field("rows", pa.int64()),
        pa.field("holes", pa.int64()),
        pa.field("covered_seconds", pa.float64()),
        pa.field("coverage", pa.float64()),
    ]
)
_LATE_US = MINUTE_US
"""By how much a row of a series may be later than its full hour or period; the venues' are some milliseconds late."""

_LONGEST_LOOK = DAY_US
"""A gap that lasted longer is not compared with the rows of other instances."""


@dataclass(frozen=True, slots=True)
class Certainty:
    """`gaps`: see `Rows.gaps`; `coverage`: see `Rows.coverage`. `unreadable`: objects that were left out, and why.

    `known_until`: see `Source.known_until`. `held`: what is recorded of symbols without a row in the range.
    """

    gaps: pa.Table
    coverage: pa.Table
    unreadable: tuple[str, ...]
    known_until: int | None = None
    held: str = ""

    @property
    def why_incomplete(self) -> str:
        """Empty where every symbol is there from start to end, without an open gap, a hole or an object that cannot be read."""
        return why_incomplete(self.coverage, self.gaps, self.unreadable, self.known_until, self.held)

    @property
    def is_complete(self) -> bool:
        return not self.why_incomplete


@dataclass(slots=True)
class _Told:
    """What the rows of one symbol say: which ids they stand for (half-open, in order), and from when they are."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    begun: dict[int, int] = field(default_factory=dict)
    """The time of the row with which ids begin that follow each other, by the first of them."""

    ended: dict[int, int] = field(default_factory=dict)
    """The time of the last such row, by the end of its ids."""

    rows: int = 0
    first: int | None = None
    last: int | None = None
    is_before: bool = False
    is_after: bool = False

    def take(self, times: Numbers, starts: Numbers, ends: Numbers, request: Request, known_until: int | None) -> None:
        """Rows in order of their ids, whose ends ascend. From `known_until` on a row proves nothing: a gap may be before it."""
        breaks = np.flatnonzero(starts[1:] > np.maximum.accumulate(ends)[:-1]) + 1
        firsts, behind = np.r_[0, breaks], np.r_[breaks, len(starts)]
        groups = [(int(starts[one:end].min()), int(ends[one:end].max())) for one, end in zip(firsts, behind, strict=True)]
        self.ranges = joined([*self.ranges, *groups])
        self.begun |= {group[0]: int(times[at]) for group, at in zip(groups, firsts, strict=True)}
        self.ended |= {group[1]: int(times[at - 1]) for group, at in zip(groups, behind, strict=True)}
        self.rows += int(((times >= request.start) & (times < request.end)).sum())
        times = times if known_until is None else times[times < known_until]
        inside = times[(times >= request.start) & (times < request.end)]
        self.is_before = self.is_before or bool((times <= request.start).any())
        self.is_after = self.is_after or bool((times >= request.end).any())
        if len(inside):
            self.first = int(inside.min()) if self.first is None else self.first
            self.last = int(inside.max())

    def add_whole_days(self, days: Sequence[BulkDays], request: Request) -> None:
        """All rows of these days were recorded, their first and last ones too. A border within them needs no row beside it.

        Before the first row and after the last one only the ids of what is beyond can tell that none is missing.
        """
        for one in days:
            for number, at in ((one.ids[0], one.began), (one.ids[1] - 1, one.ended)):
                if request.start <= at < request.end:
                    self._add(number, at)
        for one in following(days):
            if one.start <= request.start < one.end:
                self.is_before = True
                if request.start > one.ended:
                    self._add(one.ids[1] - 1, one.ended)
            if one.start < request.end <= one.end:
                self.is_after = True
                if request.end <= one.began:
                    self._add(one.ids[0], one.began)

    def _add(self, number: int, at: int) -> None:
        """One id that is there."""
        self.begun.setdefault(number, at)
        self.ended.setdefault(number + 1, at)
        self.ranges = joined([*self.ranges, (number, number + 1)])


def certainty(source: Source, dataset: Dataset, request: Request) -> Certainty:
    """Reads ids and times of the range, and of gaps that begin or end outside of it. Raises LakeUnavailable, AccessRefused."""
    found = source.events(dataset, request)
    gaps = gaps_in(found, request, dataset)
    look = _Look(source, dataset, request, found, gaps)
    lines = [look.line(symbol) for symbol in request.symbols]
    is_open = pa.array(look.is_open, pa.bool_())
    gaps = gaps.set_column(gaps.schema.get_field_index("is_open"), "is_open", is_open)
    unreadable = tuple(dict.fromkeys([*source.unreadable_events, *look.unreadable]))
    return Certainty(gaps, pa.Table.from_pylist(lines, schema=COVERAGE), unreadable, source.known_until(request.venue))


class _Look:
    """At the rows of each symbol: they close gaps of one instance that another one recorded, and show holes that are no gaps."""

    def __init__(self, source: Source, dataset: Dataset, request: Request, events: pa.Table, gaps: pa.Table) -> None:
        self._source, self._dataset, self._request, self._events = source, dataset, request, events
        self._healed = healed_times(events)
        self._first, self._last = gap_times(gaps, dataset)
        self._symbols = gaps.column("symbol").to_pylist()
        self._missing = missing_ids(gaps, events)
        self._instances, self._causes = (gaps.column(name).to_pylist() for name in ("instance", "cause"))
        self._ids = list(zip(gaps.column("from_update_id").to_pylist(), gaps.column("to_update_id").to_pylist(), strict=True))
        self.is_open: list[bool] = gaps.column("is_open").to_pylist()
        self.unreadable: list[str] = []

    def line(self, symbol: str) -> dict[str, object]:
        """Of the coverage. Closes the symbol's gaps that its rows fill."""
        mine = [place for place, name in enumerate(self._symbols) if name == symbol]
        asked = replace(self._request, symbols=(symbol,))
        told = self._told(asked)
        days = backfilled_days(self._events, symbol)
        told.add_whole_days(days, asked)
        ids, is_of_files = ids_of_range([day for day in days if not self._has_more(day, told, mine)], asked)
        for place in mine:
            is_elsewhere = self._is_elsewhere(place, ids, is_of_files=is_of_files)
            if self.is_open[place] and (is_elsewhere or self._is_filled(asked, place, told)):
                self.is_open[place] = False
        times = joined((int(self._first[place]), int(self._last[place]) + 1) for place in mine if self.is_open[place])
        holes = self._unexplained(asked, told, mine, ids)
        return _line(self._dataset, asked, told, times, holes)

    def _told(self, asked: Request) -> _Told:
        """Of the range, and of a little around it: a row there shows that the recording ran at the border."""
        told, reach = _Told(), _reach(self._dataset, asked)
        around = replace(asked, start=asked.start - reach, end=asked.end + reach)
        scan = self._source.scan(self._dataset, around, self._healed, _columns(self._dataset))
        for table in scan.tables():
            told.take(*_ids_of(self._dataset, table), asked, self._source.known_until(asked.venue))
        self.unreadable += scan.unreadable
        return told

    def _has_more(self, day: BulkDays, told: _Told, mine: Sequence[int]) -> bool:
        """Whether the market had trades in the day that are not of its file: then its ids do not say what is missing.

        A row shows it, and a gap that a capture told: it had the ids on both sides of it, when it began and ended. Near midnight
        they may be of the other day.
        """
        ends = chain.from_iterable(((one[0], told.begun[one[0]]), (one[1] - 1, told.ended[one[1]])) for one in told.ranges)
        if any(day.start <= at < day.end and not day.ids[0] <= number < day.ids[1] for number, at in ends):
            return True
        live = (place for place in mine if None not in self._ids[place] and not self._instances[place].startswith(BACKFILL))
        beside = chain.from_iterable(
            ((self._ids[place][0] - 1, self._first[place]), (self._ids[place][1] + 1, self._last[place])) for place in live
        )
        sure = range(day.start + MINUTE_US, day.end - MINUTE_US)
        return any(int(at) in sure and not day.ids[0] <= number < day.ids[1] for number, at in beside)

    def _is_elsewhere(self, place: int, ids: tuple[int, int], *, is_of_files: bool) -> bool:
        """A gap that reaches out of whole days lacks ids of other days only; what files lack is a gap of their own."""
        missing, is_of_days = self._missing[place], self._instances[place].startswith(BACKFILL)
        if is_of_days or not missing:
            return False
        is_of_a_file = self._causes[place] == LACKING
        return (is_of_files and not is_of_a_file) or not any(start < ids[1] and end > ids[0] for start, end in missing)

    def _is_filled(self, asked: Request, place: int, told: _Told) -> bool:
        """Another instance has the ids of this gap; those outside of the range are looked up."""
        first, last = self._ids[place]
        began, ended = int(self._first[place]), int(self._last[place])
        if first is None or last is None or ended - began > _LONGEST_LOOK:
            return False
        reach = _reach(self._dataset, asked)
        if began < asked.start - reach or ended >= asked.end + reach:
            told = self._told(replace(asked, start=began, end=ended + 1))
        return any(start <= first and last < end for start, end in told.ranges)

    def _unexplained(self, asked: Request, told: _Told, mine: Sequence[int], ids: tuple[int, int]) -> int:
        """Holes between rows of the range and the two beside it that no gap explains; other ids than those of a rule may jump.
        Those beyond `ids` are of other days.

        A gap that was healed explains none: its rows were there. Trades of some venues count up by one (`Dataset.counted_at`).
        What is said to be no trade is none that is missing.
        """
        counts_trades = asked.venue in self._dataset.counted_at
        step = _step(self._dataset, asked)
        if self._dataset not in (DEPTH_DIFFS, KLINES) and not counts_trades and not step:
            return 0
        length = length_us(self._request.interval) if self._dataset is KLINES else 1
        late = _LATE_US if step else 0
        standing = [self._ids[place] for place in mine if self.is_open[place]]
        absent = [
            *absences(self._events, *asked.symbols),
            *(self._source.no_trades(self._dataset, asked) if counts_trades else ()),
        ]
        named = joined([*absent, *((ids[0], ids[1] + length) for ids in standing if None not in ids)])
        holes = [
            (one[1] + max(0, step - 1), other[0])  # a row stands for an instant: the next one is a step later
            for one, other in pairwise(told.ranges)
            if other[0] - one[1] >= step + late
            and one[1] < ids[1]
            and other[0] > ids[0]
            and told.begun[other[0]] >= self._request.start
            and told.ended[one[1]] < self._request.end
        ]
        return sum(not any(start <= first + late and end <= last + late for start, last in named) for first, end in holes)


def _ids_of(dataset: Dataset, table: pa.Table) -> tuple[Numbers, Numbers, Numbers]:
    """Times, and the half-open ranges of ids that the rows stand for."""
    times, ids = whole_numbers(table.column(dataset.time_column)), whole_numbers(table.column(dataset.id_column))
    if dataset is DEPTH_DIFFS:
        return times, whole_numbers(table.column("first_update_id")), ids + 1
    if dataset is AGG_TRADES:
        return times, whole_numbers(table.column("first_trade_id")), whole_numbers(table.column("last_trade_id")) + 1
    if dataset is KLINES:  # the venue's close_time is a millisecond before the end
        return times, ids, (whole_numbers(table.column("close_time")) // 1_000 + 1) * 1_000
    return times, ids, ids + 1


def _columns(dataset: Dataset) -> list[str]:
    ids = {AGG_TRADES.name: ["first_trade_id", "last_trade_id"], DEPTH_DIFFS.name: ["first_update_id"]}
    more = (ids | {KLINES.name: ["close_time"]}).get(dataset.name, [])
    return [dataset.id_column, *([] if dataset.time_column == dataset.id_column else [dataset.time_column]), *more]


def _reach(dataset: Dataset, request: Request) -> int:
    """Rows so far beside a range show that the recording ran at its border."""
    return length_us(request.interval) if dataset is KLINES else _step(dataset, request) + MINUTE_US


def _step(dataset: Dataset, request: Request) -> int:
    """Of a series whose rows are instants: the most microseconds from one to the next; 0 of a dataset that is none."""
    if dataset is KLINES or not request.interval:
        return dataset.longest_step_us
    return length_us(request.interval) if dataset.series_columns else 0


def _line(dataset: Dataset, request: Request, told: _Told, gaps: list[tuple[int, int]], holes: int) -> dict[str, object]:
    start, end, since, until = request.start, request.end, told.first, told.last
    is_before, is_after = told.is_before, told.is_after
    if dataset is KLINES and since is not None and until is not None:  # a kline stands for all of its interval
        length = length_us(request.interval)
        is_before, is_after = is_before or since - start < length, is_after or until + length >= end
    elif step := _step(dataset, request):  # what the venue sends late belongs to the full hour
        is_before = is_before or (since is not None and since - start < (step if request.interval else _LATE_US))
        is_after = is_after or (bool(request.interval) and until is not None and until + step >= end)
    if since is not None or (is_before and is_after):  # a quiet market is recorded if it is on both sides
        since, until = start if is_before else since, end if is_after else until
    covered = 0
    if since is not None and until is not None:
        covered = until - since - sum(max(0, min(last, until) - max(first, since)) for first, last in gaps)
    line = {"venue": request.venue, "symbol": request.symbols[0], "channel": dataset.channel, "start": start, "end": end}
    line |= {"recorded_from": since, "recorded_until": until, "rows": told.rows, "holes": holes}
    return line | {"covered_seconds": covered / 1e6, "coverage": covered / (end - start)}

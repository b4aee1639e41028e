"""What the lake has of trades, or aggregates, of one symbol: what events say of its days, its objects, and its rows' ids."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from extract_process.ranges import EVERY_ID, Range
from tickhouse_core.datasets import AGG_TRADES, Dataset
from tickhouse_core.lake_keys import archived_name
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.events import BACKFILL, NO_DATA
from tickhouse_core.reading.objects import candidates, day_prefix
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.reading.ranges import Request
from tickhouse_core.reading.rows import RowScan
from tickhouse_core.timestamps import DAY_US, HOUR_US

REPLACED = "its file was replaced, and the new one is written now: SHA-256 "
"""Begins the detail of the gap that a day is while it gets the rows of another file than before."""

_SHA = "SHA-256 "


class ToldDays:
    """What events say of whole days since 1970. `spans`: from the first to the last trade of those recorded from a file;
    `shas`: the SHA-256 of that file; `half_written`: those of which another file's rows were written in part; `lacking`: those
    that are gaps; `early`: those of them of which the venue said that trading began later, and no file says otherwise."""

    def __init__(self, events: pa.Table) -> None:
        """Of one symbol and dataset, in the order in which they were recorded."""
        rows = events.to_pylist()
        backfilled = [row for row in rows if row["event"] == "backfilled"]
        gaps = [row for row in rows if row["event"] == "gap"]
        self.spans = {_day_of(row): _stretch_of(row) for row in backfilled}
        self.shas = {_day_of(row): _sha_of(row) for row in backfilled}
        early = _early_days(rows)
        self.early = {day for day in early if day < min(self.spans, default=day + 1)}
        self.lacking = _lacking_days(events) | early
        changes = [row for row in rows if row["event"] == "backfilled" or str(row["detail"]).startswith(REPLACED)]
        last = {_day_of(row): row["event"] for row in changes if row["event"] in ("backfilled", "gap")}
        self.half_written = {day for day, event in last.items() if event == "gap"}
        self._gaps = [row for row in gaps if not str(row["instance"]).startswith(BACKFILL)]

    def gaps(self) -> list[Range]:
        """Ids of single trades, healed or not."""
        return EVERY_ID.joined(map(_ids_of, self._gaps))

    def gaps_of_file(self, day: int) -> list[Range]:
        """Those of a day that the file lacked from which it was recorded."""
        mine = [row for row in self._gaps if _sha_of(row) == self.shas[day]]
        return EVERY_ID.joined(_ids_of(row) for row in mine if _day_of(row) <= day <= _us_of(row["ended_at"]) // DAY_US)


@dataclass(slots=True)
class Stretch:
    """Ids of single trades without a hole, half-open, and when the rows of the first and the last of them were (us)."""

    first: int
    end: int
    began: int
    ended: int


class RecordedTrades:
    """Blocking. Errors: the store's."""

    def __init__(self, store: ObjectStore, venue: str, symbol: str, dataset: Dataset, healed_at: Collection[int] = ()) -> None:
        """`healed_at`: when rows were healed (us), as its events say."""
        self._store, self._venue, self._symbol, self._dataset = store, venue, symbol, dataset
        self._healed_at = healed_at

    def parts(self, day: int) -> Iterator[str]:
        """The keys of parts of a bulk file that are filed under a day since 1970."""
        listed = self._store.list_keys(day_prefix(self._dataset, self._venue, day * DAY_US))
        return (one.key for one in listed if (name := archived_name(one.key)) is not None and name.symbol == self._symbol)

    def is_compacted(self, day: int) -> bool:
        prefix = day_prefix(self._dataset, self._venue, day * DAY_US, self._symbol)
        return any(True for _ in self._store.list_keys(prefix))

    def is_there(self, day: int) -> bool:
        """Whether the lake has objects of this day and symbol alone: parts of a file, or what they were compacted to."""
        return self.is_compacted(day) or any(True for _ in self.parts(day))

    def stretches(self, start: int, end: int, ids: Range | None = None) -> list[Stretch]:
        """Of the rows of a time (us, half-open), in order and apart. `ids`: of single trades; rows beside them may lack."""
        bounds = None if ids is None or self._dataset is AGG_TRADES else (ids.first, ids.last)
        scan = RowScan(self._store, self._dataset, self._asked(start, end), self._healed_at, _columns(self._dataset), bounds)
        found: list[Stretch] = []
        for table in scan.tables():
            found = joined([*found, *stretches_of(table, self._dataset)])
        return found

    def ids_beside_parts(self, start: int, end: int, ids: Range) -> list[Range]:
        """Ids of single trades that have a row in the lake; none, and no row is read, if all objects of that time are parts."""
        found = candidates(self._store, self._dataset, self._asked(start, end), self._healed_at)
        if all(archived_name(one.summary.key) is not None for one in found):
            return []
        return [Range(one.first, one.end - 1) for one in self.stretches(start, end, ids)]

    def whole_days(
        self, days: Iterable[int], spans: Mapping[int, Stretch], apart: int, missing: Collection[Range] = ()
    ) -> set[int]:
        """Those of which no id is missing: recorded by a capture, or without a trade between two days with ids that follow.

        `spans`: see `ToldDays`. Up to `apart` ids may lack between two rows, if none of them is `missing`: an id of an open gap.
        """
        found: set[int] = set()
        for run in _runs_of(days):
            known = self.stretches(run.start * DAY_US - HOUR_US, run.stop * DAY_US + HOUR_US)
            before, after = [day for day in spans if day < run.start], [day for day in spans if day >= run.stop]
            for day in (*([max(before)] if before else []), *([min(after)] if after else [])):
                known.append(Stretch(spans[day].first, spans[day].end, day * DAY_US, (day + 1) * DAY_US))
            proven = [(one.began, one.ended) for one in joined(known, apart, missing)]
            found |= {day for day in run if any(began <= day * DAY_US and (day + 1) * DAY_US <= end for began, end in proven)}
        return found

    def _asked(self, start: int, end: int) -> Request:
        return Request(self._venue, (self._symbol,), start, end)


def stretches_of(rows: pa.Table, dataset: Dataset) -> list[Stretch]:
    """In order of their ids."""
    if not rows.num_rows:
        return []
    first, last = _id_columns(dataset)
    times, starts = whole_numbers(rows.column("trade_time")), whole_numbers(rows.column(first))
    ends: Numbers = whole_numbers(rows.column(last)) + 1
    if not bool((starts[1:] >= starts[:-1]).all()):
        order = np.argsort(starts, kind="stable")
        times, starts, ends = times[order], starts[order], ends[order]
    reached = np.maximum.accumulate(ends)
    breaks = np.flatnonzero(starts[1:] > reached[:-1]) + 1
    firsts, lasts = np.r_[0, breaks], np.r_[breaks, len(starts)] - 1
    return [
        Stretch(int(starts[one]), int(reached[last]), int(times[one]), int(times[last]))
        for one, last in zip(firsts, lasts, strict=True)
    ]


def joined(stretches: Iterable[Stretch], apart: int = 0, missing: Collection[Range] = ()) -> list[Stretch]:
    """In order; those that follow each other as one, also with up to `apart` ids between them of which none is `missing`."""
    found: list[Stretch] = []
    for one in sorted(stretches, key=lambda stretch: stretch.first):
        if found and one.first <= found[-1].end + apart and not _are_missing(found[-1].end, one.first, missing):
            if one.end > found[-1].end:
                found[-1] = Stretch(found[-1].first, one.end, found[-1].began, one.ended)
        else:
            found.append(one)
    return found


def _are_missing(first: int, end: int, missing: Collection[Range]) -> bool:
    return any(span.first < end and first <= span.last for span in missing)


def ranges_of(stretches: Iterable[Stretch]) -> list[Range]:
    """Their ids."""
    return EVERY_ID.joined(Range(one.first, one.end - 1) for one in stretches)


def _runs_of(days: Iterable[int]) -> Iterator[range]:
    """Neighbouring days together."""
    for span in EVERY_ID.ranges_of(sorted(days)):
        yield range(span.first, span.last + 1)


def _id_columns(dataset: Dataset) -> tuple[str, str]:
    """Of the first and the last single trade that a row stands for."""
    return ("first_trade_id", "last_trade_id") if dataset is AGG_TRADES else ("trade_id", "trade_id")


def _columns(dataset: Dataset) -> list[str]:
    return list(dict.fromkeys(["trade_time", *_id_columns(dataset)]))


def _lacking_days(events: pa.Table) -> frozenset[int]:
    """Days whose gap is open: recorded as such by an earlier run, and not healed since."""
    events = events.filter(pc.starts_with(events.column("instance"), BACKFILL))
    told = zip(events.column("event").to_pylist(), whole_numbers(events.column("started_at")).tolist(), strict=True)
    by_day: dict[int, set[str]] = {}
    for event, at in told:
        by_day.setdefault(at // DAY_US, set()).add(event)
    return frozenset(day for day, kinds in by_day.items() if kinds == {"gap"})


def _early_days(rows: Iterable[dict[str, object]]) -> frozenset[int]:
    """Of a stretch of days that is one gap, without those whose rows came after all."""
    mine = [row for row in rows if str(row["instance"]).startswith(BACKFILL)]
    absent = [row for row in mine if row["event"] == "gap" and row["cause"] == NO_DATA]
    days = {day for row in absent for day in range(_day_of(row), _us_of(row["ended_at"]) // DAY_US)}
    return frozenset(days - {_day_of(row) for row in mine if row["event"] == "healed"})


def _day_of(event: dict[str, object]) -> int:
    return _us_of(event["started_at"]) // DAY_US


def _us_of(at: object) -> int:
    return int(pa.scalar(at, pa.timestamp("us", tz="UTC")).value)


def _stretch_of(event: dict[str, object]) -> Stretch:
    ids = _ids_of(event)
    return Stretch(ids.first, ids.last + 1, _us_of(event["started_at"]), _us_of(event["ended_at"]))


def _ids_of(event: dict[str, object]) -> Range:
    return Range(int(str(event["from_update_id"] or 0)), int(str(event["to_update_id"] or 0)))


def _sha_of(event: dict[str, object]) -> str:
    """Of the file that an event is about; empty where it names none."""
    detail = str(event["detail"])
    return detail.rpartition(_SHA)[2] if _SHA in detail else ""

"""PURE. Days that were recorded whole from the venue's files, as their events say, and what of a range is theirs."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tickhouse_core.reading.ordering import whole_numbers
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US

_BEHIND_ALL = 2**64


@dataclass(frozen=True, slots=True)
class BulkDays:
    """A day whose bulk file was recorded completely, or several of them.

    `start`, `end`: midnights in microseconds; `ids`: of the trades, half-open; `began`, `ended`: of the first and last row.
    """

    start: int
    end: int
    ids: tuple[int, int]
    began: int
    ended: int


def backfilled_days(events: pa.Table, symbol: str) -> list[BulkDays]:
    """In order of time; of a day that was recorded again what was said last."""
    said = pc.and_(pc.equal(events.column("event"), "backfilled"), pc.equal(events.column("symbol"), symbol))
    rows = events.filter(said)
    times = [whole_numbers(rows.column(name)).tolist() for name in ("started_at", "ended_at")]
    ids = [rows.column(name).to_pylist() for name in ("from_update_id", "to_update_id")]
    days: dict[int, BulkDays] = {}
    for began, ended, first, last in zip(*times, *ids, strict=True):
        day = began // DAY_US
        days[day] = BulkDays(day * DAY_US, (day + 1) * DAY_US, (first, last + 1), began, ended)
    return [one for _, one in sorted(days.items())]


def following(days: Iterable[BulkDays]) -> list[BulkDays]:
    """Neighbouring days whose ids follow each other as one."""
    found: list[BulkDays] = []
    for one in days:
        before = found[-1] if found else None
        if before is not None and before.end == one.start and one.ids[0] <= before.ids[1]:
            found[-1] = BulkDays(before.start, one.end, (before.ids[0], one.ids[1]), before.began, one.ended)
        else:
            found.append(one)
    return found


def ids_of_range(days: Iterable[BulkDays], request: Request) -> tuple[tuple[int, int], bool]:
    """Half-open: what is missing beyond these ids is of other days, as the whole days at the borders of the range say.
    And whether such days, whose ids follow each other, are all of the range.

    Ids between two of them may be of either. Where no such day is at a border, there is no bound.
    """
    blocks = following(days)
    first, end = 0, _BEHIND_ALL
    for place, one in enumerate(blocks):
        if one.start <= request.start < one.end:
            is_next = place > 0 and blocks[place - 1].end == one.start
            first = blocks[place - 1].ids[1] if is_next else one.ids[0]
        if one.start < request.end <= one.end:
            is_next = place + 1 < len(blocks) and blocks[place + 1].start == one.end
            end = blocks[place + 1].ids[0] if is_next else one.ids[1]
    return (first, end), any(one.start <= request.start and request.end <= one.end for one in blocks)

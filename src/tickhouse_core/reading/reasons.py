"""PURE. Why an answer is not complete, in words; empty where nothing is missing. The Python API and exports say the same."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from tickhouse_core.timestamps import format_instant, from_datetime


def why_incomplete(coverage: pa.Table, gaps: pa.Table, unreadable: Sequence[str], known_until: int | None, held: str) -> str:
    """`coverage` and `gaps` as in `Certainty`. `known_until`: from when on (us) a gap may be recorded that is not known.

    `held`: what is there of symbols without a row in the range.
    """
    lines = coverage.to_pylist()
    is_open = Counter(row["symbol"] for row in gaps.select(["symbol", "is_open"]).to_pylist() if row["is_open"])
    found = []
    for line in lines:
        if words := ", ".join(_lacking(line, is_open[line["symbol"]])):
            found.append(f"{line['symbol']}: {words}" if len(lines) > 1 else words)
    doubtful = [line for line in lines if not _is_recorded(line)]
    if known_until is not None and any(known_until < from_datetime(line["end"]) for line in doubtful):
        found.append(_unknown_gaps(known_until))
    if held and any(not line["rows"] for line in doubtful):
        found.append(held)
    if unreadable:
        found.append(several(len(unreadable), "unreadable object", "unreadable objects"))
    return "; ".join(found)


def steps_without_book(symbol: str, proven: int, count: int) -> str:
    """Of a range of books."""
    return "" if proven == count else f"{symbol}: {proven:,} of {several(count, 'step has', 'steps have')} a verified book"


def held_days(what: str, days: Sequence[int]) -> str:
    """`days`: the first microseconds of each that is recorded, ascending."""
    if not days:
        return ""
    first, last = (format_instant(day)[:10] for day in (days[0], days[-1]))
    return f"the lake has {what} of {first}" if first == last else f"the lake has {what} from {first} to {last}"


def several(number: int, one: str, many: str) -> str:
    """A count and its noun."""
    return f"{number:,} {one if number == 1 else many}"


def _lacking(line: dict[str, object], open_gaps: int) -> list[str]:
    holes = int(str(line["holes"]))
    counts = (open_gaps, "open gap", "open gaps"), (holes, "hole without a gap event", "holes without a gap event")
    found = [several(count, one, many) for count, one, many in counts if count]
    if not _is_recorded(line):
        start, end, since, until = (_text(line[name]) for name in ("start", "end", "recorded_from", "recorded_until"))
        if not line["rows"]:
            found.append(f"no rows from {start} to {end}")
        elif not since:
            found.append("unknown from when to when it was recorded")
        else:
            found.append(f"known to be recorded from {since} to {until}")
    return found


def _is_recorded(line: dict[str, object]) -> bool:
    return (line["recorded_from"], line["recorded_until"]) == (line["start"], line["end"])


def _unknown_gaps(known_until: int) -> str:
    newer = "run `tickhouse compact`, then `tickhouse catalog`, and take the newer snapshot"
    if not known_until:
        return f"no gaps are known in this snapshot: {newer}"
    return f"gaps are known until {format_instant(known_until)} in this snapshot: ask for an earlier end, or {newer}"


def _text(instant: object) -> str:
    return format_instant(from_datetime(instant)) if isinstance(instant, datetime) else ""

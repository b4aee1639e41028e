"""PURE. Windows of load_time: which loaded rows a transform looks at together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """Rows that were loaded at one instant (microseconds)."""

    load_us: int
    rows: int


@dataclass(frozen=True, slots=True)
class Window:
    """Loaded from `start_us` up to, not including, `end_us`; `rows` of silver in between."""

    start_us: int
    end_us: int
    rows: int


def cut_windows(loads: Iterable[Load], start_us: int, end_us: int, most_rows: int) -> Iterator[Window]:
    """Windows without a hole from `start_us` to `end_us`, each with at most `most_rows` rows.

    `loads` may come in any order, from several tables. What was loaded at one instant stays together, however much it
    is. No loads, no window.
    """
    by_instant: dict[int, int] = {}
    for load in loads:
        by_instant[load.load_us] = by_instant.get(load.load_us, 0) + load.rows
    rows = 0
    for load_us, count in sorted(by_instant.items()):
        if rows and rows + count > most_rows:
            yield Window(start_us, load_us, rows)
            start_us, rows = load_us, 0
        rows += count
    if rows:
        yield Window(start_us, end_us, rows)

"""PURE. The hours of books that transform/touched_books.sql found, as parameters of the statements that build them.

A statement reads one span of time of the symbols it names, so hours that are near each other go into one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tickhouse_core.timestamps import HOUR_US, SECOND_US, to_datetime


def book_parts(found: Sequence[Sequence[Any]], at_once: int, *, is_whole: bool) -> Iterator[dict[str, Any]]:
    """Parameters of gold/book_top_1s.sql and gold/book_coverage.sql, for at most `at_once` hours each.

    `found` in order of time: whether it is for building the whole hour, venue, symbol, the hour (seconds), what of it changed
    (microseconds), the first id to read and the minute (seconds) from which on ids as high as that are there.
    """
    rows = [row for is_of_whole, *row in found if bool(is_of_whole) is is_whole]
    for first in range(0, len(rows), at_once):
        some = rows[first : first + at_once]
        hours_us = [int(hour) * SECOND_US for _, _, hour, *_ in some]
        yield {
            "touched": [(str(venue), str(symbol), *map(int, numbers)) for venue, symbol, *numbers, _ in some],
            "names": sorted({(str(venue), str(symbol)) for venue, symbol, *_ in some}),
            "read_from": _instant(min(int(read_time) for *_, read_time in some) * SECOND_US),
            "hours_from": _instant(min(hours_us) - HOUR_US),
            "read_to": _instant(max(hours_us) + 2 * HOUR_US),
        }


def _instant(instant_us: int) -> str:
    return to_datetime(instant_us).strftime("%Y-%m-%d %H:%M:%S")

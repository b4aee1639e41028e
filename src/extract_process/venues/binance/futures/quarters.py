"""PURE. Which quarterly contract of COIN-M is the current one when: open interest is asked for by pair and kind, not by symbol.

A contract is delivered on the last Friday of a quarter at 08:00 UTC. It is the next quarter's until the one before it is
delivered, and the current one from then on.
"""

import calendar
from datetime import UTC, date, datetime, time, timedelta

from extract_process.ranges import Range
from tickhouse_core.errors import UsageError
from tickhouse_core.timestamps import from_datetime

_DATE = "%y%m%d"
_QUARTERS = (3, 6, 9, 12)
_HOUR = time(8, tzinfo=UTC)


def has_delivery(symbol: str) -> bool:
    """Whether it ends with a date: BTCUSDT_240927."""
    _, mark, day = symbol.rpartition("_")
    return bool(mark) and day.isdecimal()


def kinds_of(symbol: str, span: Range) -> list[tuple[str, Range]]:
    """The parts of a span (microseconds, inclusive) in which `BTCUSD_240927` has a kind, oldest first.

    An instant of a delivery is in no part: nothing says which contract the venue means. Raises UsageError for no such date.
    """
    day = _day_of(symbol)
    last, before = _deliveries_before(day)
    edges = [from_datetime(datetime.combine(one, _HOUR)) for one in (before, last, day)]
    parts = [("NEXT_QUARTER", Range(edges[0] + 1, edges[1] - 1)), ("CURRENT_QUARTER", Range(edges[1] + 1, edges[2]))]
    inside = [(kind, Range(max(span.first, one.first), min(span.last, one.last))) for kind, one in parts]
    return [(kind, one) for kind, one in inside if one.first <= one.last]


def _day_of(symbol: str) -> date:
    text = symbol.rpartition("_")[2]
    try:
        day = datetime.strptime(text, _DATE).replace(tzinfo=UTC).date()
    except ValueError:
        day = None
    if day is None or day.month not in _QUARTERS or day != _last_friday(day.year, day.month):
        raise UsageError(f"{symbol}: {text} is not the last Friday of a quarter, on which contracts are delivered (YYMMDD)")
    return day


def _deliveries_before(day: date) -> tuple[date, date]:
    """The last one and the one before it."""
    months = [
        (year, month)
        for year in range(day.year - 1, day.year + 1)
        for month in _QUARTERS
        if (year, month) < (day.year, day.month)
    ]
    (*_, before, last) = months
    return _last_friday(*last), _last_friday(*before)


def _last_friday(year: int, month: int) -> date:
    last = date(year, month, calendar.monthrange(year, month)[1])
    return last - timedelta(days=(last.weekday() - calendar.FRIDAY) % 7)

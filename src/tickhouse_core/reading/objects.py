"""Which objects of a lake can hold rows of a range: by their keys alone, nothing is opened.

An object is filed under what was first received, rows are asked for by the venue's time. Between both lie the latency, a clock
that is wrong, and the size of a batch: an hour is more than all of them. Rows that were healed came at any time later;
the events `healed` say when. The names of compacted objects, and of parts of bulk files, say the times of their rows.
"""

import heapq
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tickhouse_core.datasets import KLINES, Dataset
from tickhouse_core.lake_keys import (
    archived_name,
    compacted_name,
    is_streamed,
    klines_prefix,
    month_of_history,
    object_key,
    parse_object_key,
)
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US, HOUR_US, MINUTE_US, format_instant, parse_instant

MARGIN_US = HOUR_US
"""So far may an object's first receipt be from the times of its rows; a kline is received up to its interval later."""

LATE_US = 10 * MINUTE_US
"""Rows that are received later than this were healed, or the clocks differ by more."""

_UNITS_US = {"s": 1_000_000, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US, "w": 7 * DAY_US, "M": 31 * DAY_US}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object that may hold rows of the range. Except for healed rows none is from before `from_us`."""

    summary: ObjectSummary
    from_us: int
    received_us: int
    """Of its first row; 0 for a month of klines."""


def candidates(store: ObjectStore, dataset: Dataset, request: Request, healed_at: Collection[int]) -> Iterator[Candidate]:
    """In the order of `from_us`; a few days are listed ahead, not the range. `healed_at`: when rows were healed (us)."""
    if dataset is KLINES:
        series = (one for symbol in request.symbols for one in _klines(store, request, symbol))
        yield from sorted(series, key=_in_order)
        return
    compacted = sorted(_compacted(store, dataset, request), key=_in_order)
    yield from heapq.merge(_recorded(store, dataset, request, healed_at), compacted, key=_in_order)


def _recorded(store: ObjectStore, dataset: Dataset, request: Request, healed_at: Collection[int]) -> Iterator[Candidate]:
    """As a capture or another tool wrote them."""
    waiting: list[Candidate] = []
    for day, found in _daily(store, dataset, request, healed_at):
        waiting = sorted([*waiting, *found], key=_in_order)
        count = sum(candidate.from_us < day for candidate in waiting)  # none of a later day is before that
        yield from waiting[:count]
        del waiting[:count]
    yield from waiting


def _in_order(candidate: Candidate) -> tuple[int, str]:
    return candidate.from_us, candidate.summary.key


def _compacted(store: ObjectStore, dataset: Dataset, request: Request) -> Iterator[Candidate]:
    """One list of keys a symbol; months of a history as well."""
    for symbol in request.symbols or symbols_of(store, dataset, request.venue):
        for summary in store.list_keys(object_key(dataset, {"venue": request.venue, "symbol": symbol}, "")):
            named = times_of(summary.key)
            if named is not None and named[0] <= request.end + MARGIN_US and named[1] >= request.start - MARGIN_US:
                yield Candidate(summary, named[0], 0)


def times_of(key: str) -> tuple[int, int] | None:
    """The first and last time (us) that the name of a compacted object, or of a month of a history, says; None for others."""
    if (name := compacted_name(key)) is not None:
        return name.first_us, name.last_us
    if not (month := month_of_history(key)):
        return None
    try:
        first = parse_instant(f"{month}-01")
    except ValueError:
        return None
    return first, first + 31 * DAY_US


def symbols_of(store: ObjectStore, dataset: Dataset, venue: str) -> list[str]:
    """That have a folder of their own: of klines all, of other datasets those that were compacted."""
    prefix = object_key(dataset, {"venue": venue}, "")
    keys = (parse_object_key(f"{prefix}{folder}/x") for folder in store.folders_in(prefix))
    return sorted(key.partitions["symbol"] for key in keys if key is not None and "symbol" in key.partitions)


def venues_of(store: ObjectStore, dataset: Dataset) -> list[str]:
    """That have a folder."""
    keys = (parse_object_key(f"{dataset.prefix}{folder}/x") for folder in store.folders_in(dataset.prefix))
    return sorted(key.partitions["venue"] for key in keys if key is not None and "venue" in key.partitions)


def objects_of_day(store: ObjectStore, dataset: Dataset, venue: str, day_us: int) -> Iterator[ObjectSummary]:
    """What is filed under a date, as recorded and compacted."""
    yield from store.list_keys(day_prefix(dataset, venue, day_us))
    for symbol in symbols_of(store, dataset, venue):
        yield from store.list_keys(day_prefix(dataset, venue, day_us, symbol))


def received_from(store: ObjectStore, dataset: Dataset, venue: str, since_us: int) -> Iterator[ObjectSummary]:
    """All objects of a venue from the day of `since_us` on."""
    for day in recorded_days(store, dataset, venue):
        if day + DAY_US > since_us:
            yield from store.list_keys(day_prefix(dataset, venue, day))


def first_receipt(key: str) -> int | None:
    """The first receipt that a micro-batch's key says, in microseconds; None for another key."""
    digits = key.rpartition("/")[2].removeprefix("stream-").partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) > 12 else None


def length_us(interval: str) -> int:
    """The most microseconds an interval (`1m`, `1M`; KuCoin's `1min`) can last; 31 days for a spelling nobody knows."""
    digits = interval.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = interval[len(digits) :]
    known = _UNITS_US.get(unit) or _UNITS_US.get(unit[:1] if unit != "month" else "M")
    return int(digits) * known if known and digits.isascii() and digits.isdigit() else 31 * DAY_US


def earliest_kline(key: str, interval: str) -> int:
    """No kline of this object opens before, in microseconds; 0 where the key does not say."""
    received = first_receipt(key) if is_streamed(key) else None
    if received is not None:
        return received - length_us(interval) - LATE_US
    try:
        return parse_instant(f"{key.rpartition('/')[2].removesuffix('.parquet')}-01")
    except ValueError:
        return 0


def _daily(
    store: ObjectStore, dataset: Dataset, request: Request, healed_at: Collection[int]
) -> Iterator[tuple[int, list[Candidate]]]:
    """Day by day. An object of another tool may have rows from the day before its own on: its footer says which."""
    spans = [(request.start - MARGIN_US, request.end + MARGIN_US), *((at - LATE_US, at + LATE_US) for at in healed_at)]
    for day in recorded_days(store, dataset, request.venue):
        wanted = [(first, last) for first, last in spans if first < day + DAY_US and last >= day]
        found = []
        for summary in store.list_keys(day_prefix(dataset, request.venue, day)) if wanted else ():
            received = first_receipt(summary.key)
            if (named := archived_name(summary.key)) is not None:
                is_near = any(first <= named.last_us and named.first_us <= last for first, last in wanted)
                if is_near and (not request.symbols or named.symbol in request.symbols):
                    found.append(Candidate(summary, named.first_us, 0))
            elif received is None:
                found.append(Candidate(summary, day - DAY_US, 0))
            elif any(first <= received <= last for first, last in wanted):
                found.append(Candidate(summary, received - LATE_US, received))
        yield day, found


def _klines(store: ObjectStore, request: Request, symbol: str) -> Iterator[Candidate]:
    for summary in store.list_keys(klines_prefix(request.venue, symbol, request.interval)):
        opened = earliest_kline(summary.key, request.interval)
        received = (first_receipt(summary.key) if is_streamed(summary.key) else None) or 0
        if received:
            is_near = received >= request.start - MARGIN_US
        else:
            is_near = not opened or (opened < request.end and opened + 31 * DAY_US > request.start)
        if is_near:
            yield Candidate(summary, opened, received)


def days_of(store: ObjectStore, dataset: Dataset, venue: str, symbols: Sequence[str] = ()) -> list[int]:
    """The dates that a venue has objects of, as their first microseconds. `symbols`: of compacted objects only theirs count."""
    days = set(recorded_days(store, dataset, venue))
    for symbol in symbols or symbols_of(store, dataset, venue):
        days |= _dates_in(store, dataset, {"venue": venue, "symbol": symbol})
    return sorted(days)


def recorded_days(store: ObjectStore, dataset: Dataset, venue: str) -> list[int]:
    """As `days_of`, without dates of objects that were compacted by symbol: one list, however many symbols there are."""
    return sorted(_dates_in(store, dataset, {"venue": venue}))


def _dates_in(store: ObjectStore, dataset: Dataset, place: dict[str, str]) -> set[int]:
    days = set()
    for name in store.folders_in(object_key(dataset, place, "")):
        try:
            days.add(parse_instant(name.removeprefix("date=")))
        except ValueError:
            continue
    return days


def day_prefix(dataset: Dataset, venue: str, day_us: int, symbol: str | None = None) -> str:
    """Of what was recorded on a day, or with a symbol what was compacted of it."""
    place = {"venue": venue} if symbol is None else {"venue": venue, "symbol": symbol}
    return object_key(dataset, place | {"date": format_instant(day_us)[:10]}, "")

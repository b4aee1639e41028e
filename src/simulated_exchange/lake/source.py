"""Opens a lake for a replay: which symbols and streams each venue has, and the tape of its rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from simulated_exchange.lake.facts import LakeFacts
from simulated_exchange.lake.items import Words, columns
from simulated_exchange.lake.klines import LakeKlines
from simulated_exchange.lake.tape import Tape, items_of
from simulated_exchange.lake.trades import LakeTrades
from simulated_exchange.market.instruments import DECIMALS
from tickhouse_core.datasets import DEPTH_DIFFS, KLINES, TICKERS, TRADES, Dataset
from tickhouse_core.errors import UsageError
from tickhouse_core.lake_keys import archived_name, object_key, parse_object_key
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.reading.object_rows import ObjectRows, Wanted, in_chunks
from tickhouse_core.reading.objects import MARGIN_US, days_of, first_receipt, objects_of_day
from tickhouse_core.reading.ranges import LATEST_US
from tickhouse_core.timestamps import DAY_US, HOUR_US, MINUTE_US, format_instant

WARM_UP_US = 10 * MINUTE_US
"""With a start: so much before it is read too, so that books, tickers and the latest trades are known from the start."""

_MOST_OPENED = 200
"""Objects of a dataset in which symbols are looked for, evenly over the range. Another symbol is listed when it comes."""

_LIVE = (TRADES, DEPTH_DIFFS, TICKERS)


@dataclass(slots=True)
class LakeVenue:
    """One venue of a lake, wound to its first message."""

    facts: LakeFacts
    streams: set[str]
    tape: Tape
    origin: int
    """The venue's time at which the replay begins, microseconds."""


def open_venues(
    store: ObjectStore, words: Iterable[Words], start: int | None, end: int | None, where: str
) -> dict[str, LakeVenue]:
    """By name; those with rows in [start, end), which begin at one time: `start`, or the first message of all of them.

    A venue whose first message is an hour later or more begins there: they were not recorded together.
    Raises UsageError where there are none, LakeUnavailable, AccessRefused.
    """
    found = {}
    for one in words:
        venue = _opened(store, one, start, end)
        if venue is not None:
            found[one.name] = venue
    if not found:
        wanted = [format_instant(at) if at else "…" for at in (start, end)]
        raise UsageError(f"{where}: nothing was recorded from {wanted[0]} to {wanted[1]}: no trade, no diff, no ticker")
    origin = min(venue.origin for venue in found.values())
    for venue in found.values():
        if venue.origin - origin < HOUR_US:
            venue.origin = origin
    return found


def _opened(store: ObjectStore, words: Words, start: int | None, end: int | None) -> LakeVenue | None:
    days = sorted({day for dataset in _LIVE for day in days_of(store, dataset, words.name)})
    if not days:
        return None
    since, until = 0 if start is None else start - WARM_UP_US, LATEST_US if end is None else end
    is_shifted = _is_shifted(store, words.name)
    earliest = 0 if is_shifted else days[0] - MARGIN_US
    facts = LakeFacts(words, LakeKlines(store, words, {}), LakeTrades(store, words, earliest, is_shifted=is_shifted))
    everything = 0, LATEST_US
    streams = _list_symbols(facts, store, *(everything if is_shifted else (since, until)))
    tape = Tape(partial(items_of, store, words, since, until, is_shifted=is_shifted))
    while (item := tape.wait()) is not None and (not item.messages or item.at < (start or 0)):
        facts.note(tape.pop())
    if item is None:
        tape.close()
        return None
    return LakeVenue(facts, streams, tape, item.at if start is None else start)


def _is_shifted(store: ObjectStore, venue: str) -> bool:
    """By the first recorded object of each dataset: rows of bulk files were received at any time later."""
    for dataset in _LIVE:
        for day in days_of(store, dataset, venue)[:1]:
            recorded = (one for one in objects_of_day(store, dataset, venue, day) if archived_name(one.key) is None)
            first = next(recorded, None)
            rows = ObjectRows(store, dataset, [dataset.time_column, "receipt_time"])
            wanted = Wanted(ds.field("venue") == venue, venue, ("venue",))
            for at, received in columns(
                rows.read([first] if first else [], wanted).slice(0, 1), dataset.time_column, "receipt_time"
            ):
                if abs(int(received or 0) - int(at or 0)) > MARGIN_US // 2:
                    return True
    return False


def _list_symbols(facts: LakeFacts, store: ObjectStore, since: int, until: int) -> set[str]:
    """The streams that were recorded."""
    words = facts.words
    decimals: dict[str, tuple[int, int]] = {}
    streams: set[str] = set()
    for dataset in _LIVE:
        for rows in _sampled(store, dataset, words.name, since, until):
            symbols = pc.unique(rows.column("symbol")).to_pylist()
            streams |= {words.stream(dataset, symbol) for symbol in symbols}
            decimals = dict.fromkeys(symbols, (DECIMALS, 0)) | decimals
            if dataset is TRADES:
                _look_at_decimals(decimals, rows)
    for folder in store.folders_in(object_key(KLINES, {"venue": words.name}, "")):
        key = parse_object_key(object_key(KLINES, {"venue": words.name}, f"{folder}/x"))
        if key is not None and "symbol" in key.partitions:
            decimals.setdefault(key.partitions["symbol"], (DECIMALS, 0))
    for symbol in sorted(decimals):
        facts.list_symbol(symbol, decimals[symbol])
    return streams


def _sampled(store: ObjectStore, dataset: Dataset, venue: str, since: int, until: int) -> Iterator[pa.Table]:
    """Rows of some objects; of symbols alone, but of trades."""
    found = list(_between(store, dataset, venue, since, until))
    step = -(-len(found) // _MOST_OPENED) or 1
    names = ["symbol", *(("price", "quantity") if dataset is TRADES else ())]
    rows = ObjectRows(store, dataset, names)
    wanted = Wanted(ds.field("venue") == venue, venue, ("symbol",))
    for chunk in in_chunks(found[::step], 8 * 1024 * 1024, 50):
        yield rows.read(chunk, wanted)


def _between(store: ObjectStore, dataset: Dataset, venue: str, since: int, until: int) -> Iterator[ObjectSummary]:
    for day in days_of(store, dataset, venue):
        if since - MARGIN_US < day + DAY_US and day < until + MARGIN_US:
            for summary in objects_of_day(store, dataset, venue, day):
                received = first_receipt(summary.key)
                if received is None or since - MARGIN_US <= received <= until + MARGIN_US:
                    yield summary


def _look_at_decimals(decimals: dict[str, tuple[int, int]], trades: pa.Table) -> None:
    """How many places prices and quantities have, of the symbols of the first trades."""
    for symbol, price, quantity in columns(trades.slice(0, 20_000), "symbol", "price", "quantity"):
        before = decimals.get(str(symbol), (DECIMALS, 0))
        places = [len(str(text).partition(".")[2].rstrip("0")) for text in (price, quantity)]
        tick = places[0] if before == (DECIMALS, 0) else max(places[0], before[0])
        decimals[str(symbol)] = tick, min(max(places[1], before[1]), DECIMALS)

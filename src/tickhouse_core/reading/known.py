"""What a lake ever had: it tells an argument that is spelled wrongly from a range without rows. Asked where no row is found."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from tickhouse_core.datasets import DATASETS, KLINES, STREAM_EVENTS, Dataset
from tickhouse_core.errors import UsageError
from tickhouse_core.lake_keys import object_key, parse_object_key
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.reading.object_rows import ObjectRows, Wanted, in_chunks
from tickhouse_core.reading.objects import days_of, objects_of_day, symbols_of
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import INTERVAL_SECONDS

log = logging.getLogger(__name__)

MOST_OBJECTS = 2_000
"""That are opened to look for a symbol, the newest days first: each is a request of S3."""

_CHUNK_BYTES, _CHUNK_OBJECTS = 8 * 1024 * 1024, 100
_MOST_NAMED = 12
LAKE, WAREHOUSE = "this lake", "this warehouse"

_WITH_SYMBOLS = [dataset for dataset in DATASETS if dataset is not KLINES and "symbol" in dataset.schema.names]
_OF_NO_ROW = ["unknown_symbol", "not_subscribed"]
"""Events about symbols that are not recorded."""


class Known:
    """Thread-safe. What was found stays known: a lake loses no symbol."""

    def __init__(self, store: ObjectStore, most_objects: int = MOST_OBJECTS) -> None:
        self._store, self._most = store, most_objects
        self._lock = threading.Lock()
        self._symbols: dict[str, set[str]] = {}

    def check(self, request: Request) -> None:
        """Raises UsageError for a venue, a symbol or an interval that the lake never had. An empty lake refuses nothing."""
        venues = sorted({venue for dataset in DATASETS for venue in self._values(dataset.prefix, "venue")})
        if not venues:
            return
        if request.venue not in venues:
            raise unknown_venue(request.venue, venues)
        for symbol in request.symbols:
            self._check_symbol(request.venue, symbol)
            if request.interval:
                self._check_interval(request, symbol)

    def _check_interval(self, request: Request, symbol: str) -> None:
        intervals = self._values(_folder(venue=request.venue, symbol=symbol), "interval")
        if intervals and request.interval not in intervals:
            raise unknown_interval(request.interval, symbol, intervals)

    def _check_symbol(self, venue: str, symbol: str) -> None:
        with self._lock:
            known = self._symbols.setdefault(venue, set())
            if symbol in known:
                return
            for dataset in (KLINES, *_WITH_SYMBOLS):
                known.update(symbols_of(self._store, dataset, venue))
            recorded, opened = self._recorded(venue), 0
            while symbol not in known and (more := next(recorded, None)) is not None:
                opened += more[0]
                known.update(more[1])
            names = sorted(known - {""})  # an event of a whole connection names no symbol
        if symbol in names:
            return
        if opened >= self._most and not like(symbol, names):  # older ones may have it
            log.warning("the newest objects have no such symbol", extra={"symbol": symbol, "venue": venue, "objects": opened})
            return
        raise unknown_symbol(symbol, venue, names)

    def _recorded(self, venue: str) -> Iterator[tuple[int, set[str]]]:
        """How many objects, and the symbols in them; day by day from the newest on."""
        left = self._most
        for dataset in _WITH_SYMBOLS:
            rows = ObjectRows(self._store, dataset, ["symbol"])
            wanted = Wanted(ds.field("venue") == venue, venue, ("symbol",))
            if dataset is STREAM_EVENTS:
                wanted = Wanted(wanted.rows & ~ds.field("event").isin(_OF_NO_ROW), venue, ("event", "symbol"))
            for chunk in in_chunks(list(islice(self._newest(dataset, venue), left)), _CHUNK_BYTES, _CHUNK_OBJECTS):
                left -= len(chunk)
                yield len(chunk), set(pc.unique(rows.read(chunk, wanted).column("symbol")).to_pylist())

    def _newest(self, dataset: Dataset, venue: str) -> Iterator[ObjectSummary]:
        for day in reversed(days_of(self._store, dataset, venue)):
            yield from objects_of_day(self._store, dataset, venue, day)

    def _values(self, prefix: str, name: str) -> list[str]:
        """Of the partition `name` directly in a folder of the lake."""
        keys = (parse_object_key(f"{prefix}{folder}/x") for folder in self._store.folders_in(prefix))
        return sorted(key.partitions[name] for key in keys if key is not None and name in key.partitions)


def _folder(**partitions: str) -> str:
    """Of klines, up to these partitions."""
    return object_key(KLINES, partitions, "")


def like(symbol: str, names: Iterable[str]) -> list[str]:
    """Those of the names that differ in case and punctuation alone."""
    return [name for name in names if _letters(name) == _letters(symbol)]


def unknown_symbol(symbol: str, venue: str, names: Sequence[str], where: str = LAKE) -> UsageError:
    """`names`: all symbols of the venue."""
    if meant := like(symbol, names):
        return UsageError(f"symbol {symbol!r}: {where} has none of it at {venue}: did you mean {meant[0]}?")
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return UsageError(f"symbol {symbol!r}: {where} has {', '.join(names[:_MOST_NAMED]) or 'nothing'}{rest} at {venue}")


def unknown_venue(venue: str, names: Iterable[str], where: str = LAKE) -> UsageError:
    known = list(names)
    meant = get_close_matches(venue.lower(), known, 1, 0.75)
    said = f": did you mean {meant[0]}?" if meant else ""
    return UsageError(f"venue {venue!r}: {where} has {', '.join(known)}{said}")


def unknown_interval(interval: str, symbol: str, names: Iterable[str], where: str = LAKE) -> UsageError:
    has = list(names)
    said = f"interval {interval!r}: {where} has {', '.join(has)} of {symbol}"
    length = INTERVAL_SECONDS.get(interval, 0)
    if not any(INTERVAL_SECONDS.get(name, length) < length for name in has):
        return UsageError(said)
    return UsageError(
        f"{said}: query gold_ohlcv_{interval} in SQL, or group those rows by open_time (in Polars group_by_dynamic), or fetch it "
        f"with `tickhouse klines --symbol {symbol} --interval {interval}`"
    )


def _letters(symbol: str) -> str:
    return "".join(letter for letter in symbol.upper() if letter.isalnum())


def checked_tables(tables: Iterator[pa.Table], request: Request, check: Callable[[Request], None]) -> Iterator[pa.Table]:
    """The same tables; then the symbols without a row are checked."""
    empty = set(request.symbols)
    for table in tables:
        if empty:
            empty -= empty if len(request.symbols) == 1 else set(pc.unique(table.column("symbol")).to_pylist())
        yield table
    if empty:
        check(replace(request, symbols=tuple(symbol for symbol in request.symbols if symbol in empty)))

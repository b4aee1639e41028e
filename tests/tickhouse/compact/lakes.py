"""Lakes to compact, compactors that die, and what a reader has of a lake. Not a test."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tests.tickhouse.test_read_api import write
from tests.transform_process.warehouse_rows import depth_diff, stream_event, trades, us

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse.compact.counts import VenueCounts
from tickhouse.compact.day import DayOptions
from tickhouse.compact.passes import BY_DAY, Selection, compact
from tickhouse_core.datasets import DEPTH_DIFFS, STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import compacted_name
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.parquet_check import read_checked
from tickhouse_core.s3_store import S3Store

DAY = us("2024-08-09")
SECOND, HOUR, DAY_US = 1_000_000, 3_600_000_000, 86_400_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
LONG_AFTER = DAY + 30 * DAY_US


class Killed(BaseException):
    """kill -9: nothing after it happens."""


class Death:
    """Comes before or after the nth effect, counted over writes and deletions."""

    def __init__(self, nth: int, *, is_before: bool) -> None:
        self._left, self._is_before = nth, is_before

    @contextmanager
    def at(self) -> Iterator[None]:
        self._left -= 1
        if self._left == 0 and self._is_before:
            raise Killed
        yield
        if self._left == 0:
            raise Killed


class _MortalFolder(FolderStore):
    death: Death

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        with self.death.at():
            return super().write(key, body, replaces=replaces, must_be_new=must_be_new)

    def delete(self, key: str, *, only: str | None = None) -> None:
        with self.death.at():
            super().delete(key, only=only)


class _MortalS3(S3Store):
    death: Death

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        with self.death.at():
            return super().write(key, body, replaces=replaces, must_be_new=must_be_new)

    def delete(self, key: str, *, only: str | None = None) -> None:
        with self.death.at():
            super().delete(key, only=only)


def mortal(lake: Path | str, nth: int, *, is_before: bool) -> ObjectStore:
    """The lake in a folder or a bucket, for a process that dies at its nth effect."""
    store = _MortalFolder(lake) if isinstance(lake, Path) else _MortalS3(lake)
    store.death = Death(nth, is_before=is_before)
    return store


class InterruptedStore(FolderStore):
    """Does something else before each of its writes and deletions, as a process beside it would."""

    def __init__(self, folder: Path, meanwhile: Callable[[], object]) -> None:
        super().__init__(folder)
        self._meanwhile = meanwhile

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        self._meanwhile()
        return super().write(key, body, replaces=replaces, must_be_new=must_be_new)

    def delete(self, key: str, *, only: str | None = None) -> None:
        self._meanwhile()
        super().delete(key, only=only)


def options(*, at: int = LONG_AFTER, keep_us: int = DAY_US) -> DayOptions:
    """As of an instant."""
    return DayOptions(at - 2 * HOUR, keep_us, clock=lambda: at)


def run(store: ObjectStore, settings: DayOptions | None = None, *datasets: Dataset) -> list[VenueCounts]:
    done: list[VenueCounts] = []
    compact(store, Selection(datasets or BY_DAY), settings or options(), StopRequest(), done)
    return [one for one in done if one.counts.sources or one.counts.deleted or one.counts.refused]


def run_and_retire(store: ObjectStore, at: int = LONG_AFTER) -> None:
    """Twice, two days apart: the sources go."""
    run(store, options(at=at))
    run(store, options(at=at + 2 * DAY_US))


def objects(store: ObjectStore, dataset: Dataset = TRADES, *, compacted: bool | None = None) -> list[ObjectSummary]:
    found = store.list_keys(dataset.prefix)
    return [one for one in found if compacted is None or (compacted_name(one.key) is not None) == compacted]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader has of a lake."""

    rows: dict[str, list[dict[str, Any]]]
    coverage: list[dict[str, Any]]
    gaps: list[dict[str, Any]]


def seen(lake: "th.Lake", symbols: Sequence[str], start: int, end: int) -> Seen:
    asked: tuple[Any, ...] = (symbols, start, end)
    kinds = {"trades": lake.trades, "depth_diffs": lake.depth_diffs, "depth_snapshots": lake.depth_snapshots}
    found = {name: read(*asked, exact=True) for name, read in kinds.items()}
    return Seen(
        {name: rows.arrow().to_pylist() for name, rows in found.items()},
        [line for rows in found.values() for line in rows.coverage.to_pylist()],
        [gap for rows in found.values() for gap in rows.gaps.to_pylist()],
    )


def trades_seen(lake: Path | str) -> list[dict[str, Any]]:
    return list(th.open(lake).trades(SYMBOLS, DAY, DAY + DAY_US, exact=True).arrow().to_pylist())


def with_doubles(symbols: Sequence[str] = SYMBOLS) -> list[tuple[Dataset, pa.Table, str, int]]:
    """Batches of two hours that two instances recorded: dataset, rows, instance, first receipt. Each object has both symbols."""
    found: list[tuple[Dataset, pa.Table, str, int]] = []
    for number, (instance, late) in itertools.product(range(6), (("a", 5_000), ("b", 4_000))):
        at = DAY + 50 * 60 * SECOND + number * 200 * SECOND
        ids = range(10 * number, 10 * number + 12)  # the last two again in the next batch
        rows = [trades(ids, times_us=[at + 9 * one for one in ids], symbol=symbol, latency_us=late) for symbol in symbols]
        found.append((TRADES, pa.concat_tables(rows), instance, at))
        diffs = [
            depth_diff(one, one, event_us=at + one, bids=[("100", str(one + 1))], latency_us=late, market=("binance", symbol))
            for one in ids
            for symbol in symbols
        ]
        found.append((DEPTH_DIFFS, pa.concat_tables(diffs), instance, at))
    gap = stream_event("gap", "trades", 20, 22, started_us=DAY + HOUR, ended_us=DAY + HOUR + SECOND, instance="a")
    found += [(STREAM_EVENTS, gap, "a", DAY + HOUR), (STREAM_EVENTS, gap, "b", DAY + HOUR + 1)]
    return found


def record_all(store: ObjectStore, batches: Sequence[tuple[Dataset, pa.Table, str, int]]) -> None:
    for dataset, table, instance, at in batches:
        write(store, dataset, table, instance, at)


def replaced(store: ObjectStore, key: str, without: int) -> None:
    """As a repair writes it: under the same key, without the rows of one trade."""
    rows = read_checked(store.read(key).body, TRADES, key)
    store.write(key, parquet_bytes(rows.filter(pc.not_equal(rows.column("trade_id"), without)), TRADES))

"""Rows of a bulk file day by day: where parts are cut, which ids are said to be missing, and how much memory it takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract_process.backfill.day_writer import DayWriter, HistoryReport, Market
from extract_process.backfill.recorded_trades import Stretch
from extract_process.ranges import Range
from extract_process.venues import venue_named
from extract_process.venues.history_tables import agg_trades_table, trades_table
from tickhouse_core.datasets import AGG_TRADES, STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.errors import VenueRefused
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import ArchivedName, archived_key, archived_name
from tickhouse_core.timestamps import DAY_US, HOUR_US, SECOND_US, parse_instant

DAY = parse_instant("2024-03-09") // DAY_US
START = DAY * DAY_US


@dataclass
class File:
    """`rows`: trade ids and times."""

    blocks: list[pa.Table] = field(default_factory=list)
    name: str = "BTCUSDT-trades-2024-03.zip"
    date: str = "2024-03"
    sha256: str = "ab"

    def tables(self) -> Iterator[pa.Table]:
        yield from self.blocks


def trades(rows: Mapping[int, int]) -> pa.Table:
    columns: dict[str, Any] = {"trade_id": pa.array(list(rows), pa.uint64()), "trade_time": list(rows.values())}
    columns |= {"price": ["1"] * len(rows), "quantity": ["2"] * len(rows), "is_buyer_maker": [True] * len(rows)}
    return trades_table(columns, venue="binance", symbol="BTCUSDT", receipt_time=START + 9 * DAY_US)


def aggregates(spans: Mapping[tuple[int, int], int]) -> pa.Table:
    columns: dict[str, Any] = {"agg_trade_id": list(range(len(spans))), "trade_time": list(spans.values())}
    columns |= {name: [span[place] for span in spans] for place, name in enumerate(("first_trade_id", "last_trade_id"))}
    columns |= {"price": ["1"] * len(spans), "quantity": ["2"] * len(spans), "is_buyer_maker": [True] * len(spans)}
    arrays = {name: pa.array(values) for name, values in columns.items()}
    return agg_trades_table(arrays, venue="binance", symbol="BTCUSDT", receipt_time=START + 9 * DAY_US)


@dataclass
class Written:
    store: FolderStore
    report: HistoryReport
    market: Market

    def events(self) -> list[tuple[str, int, int]]:
        found = [row for one in self.store.list_keys(STREAM_EVENTS.prefix) for row in self._rows(one.key)]
        return [(row["event"], row["from_update_id"], row["to_update_id"]) for row in found]

    def times(self, kind: str) -> list[tuple[int, int]]:
        """In microseconds."""
        found = [row for one in self.store.list_keys(STREAM_EVENTS.prefix) for row in self._rows(one.key)]
        us = {
            name: [int(pa.scalar(row[name]).value) for row in found if row["event"] == kind]
            for name in ("started_at", "ended_at")
        }
        return list(zip(*us.values(), strict=True))

    def parts(self, dataset: Dataset = TRADES) -> dict[str, list[int]]:
        """Ids by file name."""
        keys = [one.key for one in self.store.list_keys(dataset.prefix)]
        return {key.split("date=")[1]: [row[dataset.id_column] for row in self._rows(key)] for key in keys}

    def _rows(self, key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(pa.BufferReader(self.store.read(key).body)).to_pylist()
        return rows


def write(
    folder: Path, blocks: list[pa.Table], days: list[int], *, venue: str = "binance", dataset: Dataset = TRADES, **known: Any
) -> Written:
    said = {"missing": [], "lacking_days": frozenset(), "spans": {}} | known
    written = Written(FolderStore(folder), HistoryReport(), Market(venue_named(venue), "BTCUSDT", dataset, **said))
    writer = DayWriter(written.store, written.market, File(blocks), days, written.report, part_rows=4)
    for table in blocks:
        writer.take(table)
    writer.finish()
    return written


def test_parts_are_cut_by_rows_so_that_other_blocks_give_the_same_objects(tmp_path: Path) -> None:
    rows = {number: START + number * SECOND_US for number in range(10)}
    whole = write(tmp_path / "a", [trades(rows)], [DAY])
    split = [trades({number: rows[number]}) for number in rows]
    pieces = write(tmp_path / "b", split, [DAY])

    assert list(whole.parts().values()) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert whole.parts() == pieces.parts()
    name = archived_name(next(whole.store.list_keys(TRADES.prefix)).key)
    assert name == ArchivedName("BTCUSDT", START, START + 3 * SECOND_US)


def test_rows_some_seconds_beside_midnight_are_of_the_day_of_their_time_and_other_days_are_left_out(tmp_path: Path) -> None:
    end = START + DAY_US
    rows = {1: end - 2, 2: end + 1, 3: end - 1, 4: end + 2, 5: end + DAY_US}
    found = write(tmp_path, [trades(rows)], [DAY, DAY + 1])
    assert sorted(found.parts().values()) == [[1, 3], [2, 4]]
    assert found.report.recorded == 2
    with pytest.raises(VenueRefused, match=r"BTCUSDT-trades-2024-03\.zip: its rows are not in the order of time"):
        write(tmp_path / "b", [trades({1: START}), trades({2: end + DAY_US}), trades({3: START + 1})], [DAY, DAY + 2])


@pytest.mark.parametrize(
    ("venue", "told"),
    [
        ("binance", [("gap", 3, 4), ("heal_failed", 3, 4), ("gap", 6, 29), ("heal_failed", 6, 29)]),
        ("binance-usdm", [("no_trade", 3, 4), ("gap", 6, 29), ("heal_failed", 6, 29)]),
    ],
)
def test_holes_are_gaps_and_short_ones_of_futures_no_trades(tmp_path: Path, venue: str, told: list[Any]) -> None:
    rows = {number: START + number for number in (1, 2, 5, 30)}
    found = write(tmp_path, [trades(rows)], [DAY], venue=venue)
    assert found.events() == [*told, ("backfilled", 1, 30)]


def test_ids_at_midnight_are_looked_for_and_gaps_that_the_file_fills_are_healed(tmp_path: Path) -> None:
    known: dict[str, Any] = {
        "spans": {
            DAY - 1: Stretch(50, 99, START - HOUR_US, START - 3),
            DAY + 1: Stretch(103, 121, START + DAY_US, START + DAY_US),
        },
        "missing": [Range(60, 61), Range(100, 130)],
    }
    rows = {number: START + number for number in (100, 101, 102)}
    found = write(tmp_path, [trades(rows)], [DAY], lacking_days=frozenset({DAY}), **known)
    healed = [("healed", 100, 102), ("healed", START, START + DAY_US - 1)]
    assert found.events() == [("gap", 99, 99), ("heal_failed", 99, 99), *healed, ("backfilled", 100, 102)]
    assert found.market.spans[DAY] == Stretch(100, 103, START + 100, START + 102)
    assert found.times("gap") == [(START - 3, START + 100)]


def test_aggregates_are_complete_where_their_trades_follow_each_other(tmp_path: Path) -> None:
    spans = {(1, 3): START, (4, 4): START + 1, (6, 9): START + 2}
    found = write(tmp_path, [aggregates(spans)], [DAY], dataset=AGG_TRADES)
    assert found.events() == [("gap", 5, 5), ("heal_failed", 5, 5), ("backfilled", 1, 9)]
    assert found.parts(AGG_TRADES) == {f"2024-03-09/hour=00/archive-{START}-{START + 2}-0001-BTCUSDT.parquet": [0, 1, 2]}


def test_key_says_symbol_and_times_whatever_the_symbol_is() -> None:
    name = ArchivedName("币安-1/X", START, START + 5)
    key = archived_key(TRADES, "binance", START, name, 7)
    assert archived_name(key) == name
    assert archived_name(key.replace("archive-", "")) is None


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Forty times as many rows as a part holds."""
    store, report = FolderStore(tmp_path), HistoryReport()
    market = Market(venue_named("binance"), "BTCUSDT", TRADES, [], frozenset(), {})
    writer = DayWriter(store, market, File(), [DAY], report, part_rows=10_000)
    before, peak = pa.total_allocated_bytes(), 0
    for block in range(400):
        writer.take(trades({block * 1_000 + number: START + block * 1_000 + number for number in range(1_000)}))
        peak = max(peak, pa.total_allocated_bytes() - before)
    writer.finish()
    assert report.rows == 400_000
    assert report.objects == 40
    assert peak < 40_000 * 100, "bytes of some parts, not of the file's 40 MB"

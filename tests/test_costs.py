"""The costs in docs/scaling.md are what the script computes, and the requests that it counts are those that a sweep makes."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tickhouse.compact.lakes import DAY, DAY_US, LONG_AFTER, options, run
from tests.tickhouse.test_read_api import write
from tests.transform_process.warehouse_rows import trades
from tools.make_costs import LISTS_OF_A_DATASET, PAGE, Compacted, compactions, monthly, page_with, read_costs, tables

from bench_month import DAY as BENCH_DAY
from bench_month import DAYS_AFTER, FIRST, RECORDED, Month
from counted_stores import CountedMemory
from load_process.selection import is_outside
from tickhouse.compact.passes import BY_DAY
from tickhouse_core.datasets import TRADES
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.object_store import Folder, ObjectSummary
from tickhouse_core.timestamps import HOUR_US, parse_instant


class Counting(FolderStore):
    lists = 0

    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        self.lists += 1
        return super().list_keys(prefix)

    def list_folder(self, prefix: str) -> tuple[Folder, list[str]]:
        self.lists += 1
        return super().list_folder(prefix)


def test_the_page_is_what_the_script_makes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page_with(text, tables(read_costs())), "make costs writes it anew"


def test_a_sweep_of_one_dataset_lists_as_many_folders_as_are_counted(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    for day in (1, 2, 3):
        for hour in range(24):
            store.write(f"{TRADES.prefix}venue=binance/date=2024-01-0{day}/hour={hour:02}/1-a-1.parquet", b"x")
    end = parse_instant("2024-01-03T12:30")
    list(store.list_folders(TRADES.prefix, lambda name: is_outside(name, (end - 24 * HOUR_US, end))))
    assert store.lists == 1 + 1 + 2 + 25


def test_a_pass_of_the_compactor_asks_for_as_many_lists_as_are_counted(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    write(store, TRADES, trades([1], times_us=[DAY]), "a", DAY)
    run(store, options(), TRADES)
    store.lists = 0
    run(store, options(), TRADES)
    assert store.lists == LISTS_OF_A_DATASET + 1 + 2, "a day that waits: its objects, and twice what is recorded of it"
    for later in (2, 4):
        run(store, options(at=LONG_AFTER + later * DAY_US), TRADES)
    shutil.rmtree(tmp_path / "data_sources" / "trades" / "venue=binance" / "date=2024-08-09")  # as in a bucket
    store.lists = 0
    run(store, options(at=LONG_AFTER + 5 * DAY_US), TRADES)
    assert store.lists == LISTS_OF_A_DATASET


@pytest.mark.slow
def test_a_simulated_month_takes_as_many_requests_as_are_counted() -> None:
    """Four days of three symbols, in objects of an hour, with a pass an hour."""
    store, days = CountedMemory(), 4
    month = Month(store, ["AUSDT", "BUSDT", "CUSDT"], HOUR_US)
    found = Counter[str]()
    for hour in range(24 * (days + DAYS_AFTER)):
        at = FIRST + hour * HOUR_US
        if at < FIRST + days * BENCH_DAY:
            month.record(at)
        store.requests.clear()
        month.compact(at + HOUR_US)
        found.update(store.requests)
    every = [Compacted(24, 3, 3), Compacted(24, 3, 3), Compacted(24, 0, 1)]
    idle = 24 * DAYS_AFTER * len(every) * LISTS_OF_A_DATASET
    absent = 24 * (days + DAYS_AFTER) * (len(BY_DAY) - len(RECORDED))
    counted = compactions(24 * days, days, every, 0)
    venues = 2
    lists = (found["ListObjectsV2"] - absent + 24 * (days + DAYS_AFTER) * len(every)) / venues  # one list of venues for both
    assert lists == pytest.approx(counted.lists + idle, rel=0.03)
    assert found["PutObject"] / venues == counted.puts
    assert (found["GetObject"] + found["HeadObject"]) / venues == pytest.approx(counted.gets, rel=0.1)
    assert found["DeleteObject"] == month.recorded == found["HeadObject"]


def test_what_adds_up_adds_up_and_what_does_not_depend_on_symbols_does_not() -> None:
    known = read_costs()
    first, last, many = monthly(known, 10, 1), monthly(known, 10, 12), monthly(known, 1_000, 1)
    assert {kind for kind in first if last[kind] > first[kind]} == {"S3 storage", "ClickHouse disk"}
    assert {kind for kind in first if many[kind] == first[kind]} == {"PUT", "GET", "SQS", "servers and tasks"}
    assert monthly(known, 10, 1, with_klines=True)["PUT"] > first["PUT"]

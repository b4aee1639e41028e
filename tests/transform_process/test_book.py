"""Answers from depth: the book at an instant, its top every second, and how much of an hour it is right."""

import random
from bisect import bisect_right
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tickhouse_core.datasets import Dataset
from tickhouse_core.timestamps import HOUR_US, SECOND_US, from_datetime, to_datetime
from tickhouse_core.warehouse import Warehouse

from . import warehouse_rows as rows
from .warehouse_rows import DEPTH_DIFFS, DEPTH_SNAPSHOTS, Row, land, same_after_rebuild, select, transform, us

START = us("2024-08-09")
BOOK_TABLES = ("stored_book_top", "stored_book_hours")
AT = "select * from gold_book_at(venue = 'binance', symbol = 'BTCUSDT', at = '{}')"
BEST = (
    "select min(last_update_id), max(last_update_id), min(is_proven), maxIf(price, side = 'bid'), "
    "argMaxIf(quantity, price, side = 'bid'), minIf(price, side = 'ask'), argMinIf(quantity, price, side = 'ask') from ({})"
)


class RecordedBook:
    """The session's diffs in order, and the bookTicker each of them leads to."""

    def __init__(self, diffs: pa.Table, snapshots: pa.Table, tickers: list[tuple[int, Row]]) -> None:
        by_id = {ticker["u"]: ticker for _, ticker in tickers}
        self._ids, self._tickers = sorted(by_id), by_id
        [snapshot_id] = snapshots["last_update_id"].to_pylist()
        columns = (diffs[name].to_pylist() for name in ("first_update_id", "last_update_id", "event_time"))
        self.diffs: list[tuple[int, int, int]] = [
            (first, last, from_datetime(event_time))
            for first, last, event_time in zip(*columns, strict=True)
            if last > snapshot_id
        ]
        self._times = [event_us for _, _, event_us in self.diffs]

    def last_diff(self, at_us: int) -> int:
        """The last_update_id of the last diff sent at or before an instant."""
        _, last, _ = self.diffs[bisect_right(self._times, at_us) - 1]
        return last

    def best(self, last_update_id: int) -> list[Decimal]:
        """Bid, its quantity, ask, its quantity: the bookTicker with the highest update id up to this one."""
        ticker = self._tickers[self._ids[bisect_right(self._ids, last_update_id) - 1]]
        return [Decimal(ticker[key]) for key in "bBaA"]


@pytest.fixture
def recorded(warehouse: Warehouse, shared_data: Path) -> RecordedBook:
    diffs, snapshots, tickers = rows.recorded_depth(shared_data)
    land(warehouse, DEPTH_DIFFS, diffs)
    land(warehouse, DEPTH_SNAPSHOTS, snapshots)
    return RecordedBook(diffs, snapshots, tickers)


def text(at_us: int) -> str:
    return to_datetime(at_us).strftime("%Y-%m-%d %H:%M:%S.%f")


def best_of(levels: list[Row]) -> list[Decimal]:
    bids = [level for level in levels if level["side"] == "bid"]
    asks = [level for level in levels if level["side"] == "ask"]
    return [bids[0]["price"], bids[0]["quantity"], asks[0]["price"], asks[0]["quantity"]]


@pytest.mark.parametrize("count", [10, pytest.param(500, marks=pytest.mark.long)])
def test_the_book_at_random_instants_is_the_recorded_book_ticker(
    count: int, warehouse: Warehouse, recorded: RecordedBook
) -> None:
    """Acceptance d. (After two of the session's 6,493 diffs no bookTicker was recorded; none of the 500 instants is there.)"""
    dice = random.Random(20240808)
    first, last = recorded.diffs[0][2], recorded.diffs[-1][2]
    wrong = []
    for at_us in (dice.randrange(first, last) for _ in range(count)):
        [[first_id, last_id, is_proven, *best]] = warehouse.query(BEST.format(AT.format(text(at_us))))
        assert first_id == last_id == recorded.last_diff(at_us)
        assert is_proven
        if best != recorded.best(last_id):
            wrong.append((at_us, last_id))
    assert wrong == []


@pytest.mark.slow
def test_the_top_of_every_second_is_the_recorded_book_ticker(warehouse: Warehouse, recorded: RecordedBook) -> None:
    transform(warehouse)
    found = select(warehouse, "select * from gold_book_top_1s order by open_time")
    names = ("best_bid_price", "best_bid_quantity", "best_ask_price", "best_ask_quantity")
    wrong = 0
    for row in found:
        end_us = from_datetime(row["open_time"]) + SECOND_US
        assert row["last_update_id"] == recorded.last_diff(end_us - 1)
        wrong += [row[name] for name in names] != recorded.best(row["last_update_id"])
    assert wrong == 0
    first, last = recorded.diffs[0][2], recorded.diffs[-1][2]
    assert len(found) == last // SECOND_US - first // SECOND_US


@pytest.mark.slow
def test_depth_and_middle_agree_with_the_book_at_that_instant(warehouse: Warehouse, recorded: RecordedBook) -> None:
    transform(warehouse)
    found = select(warehouse, "select * from gold_book_top_1s order by open_time")
    for row in found[:: len(found) // 5]:
        levels = select(warehouse, AT.format(text(from_datetime(row["open_time"]) + SECOND_US - 1)))
        bid, bid_quantity, ask, ask_quantity = best_of(levels)
        middle = (bid + ask) / 2
        for bps in (10, 50, 100):
            edges = middle * (1 - Decimal(bps) / 10_000), middle * (1 + Decimal(bps) / 10_000)
            bids = [level["quantity"] for level in levels if level["side"] == "bid" and level["price"] >= edges[0]]
            asks = [level["quantity"] for level in levels if level["side"] == "ask" and level["price"] <= edges[1]]
            assert (row[f"bid_depth_{bps}bps"], row[f"ask_depth_{bps}bps"]) == (sum(bids), sum(asks))
        assert row["spread"] == ask - bid
        assert row["microprice"] == pytest.approx(
            float((bid * ask_quantity + ask * bid_quantity) / (bid_quantity + ask_quantity)), rel=1e-12
        )
        assert row["imbalance"] == pytest.approx(float((bid_quantity - ask_quantity) / (bid_quantity + ask_quantity)))
        reach = warehouse.query("select arrayMin(bids.price), arrayMax(asks.price) from depth_snapshots")[0]
        assert row["bid_reach_bps"] == pytest.approx(float(1 - reach[0] / middle) * 1e4)
        assert row["ask_reach_bps"] == pytest.approx(float(reach[1] / middle - 1) * 1e4)
        assert row["is_within_reach"] == (bid >= reach[0] and ask <= reach[1])


@pytest.mark.slow
def test_the_session_is_covered_from_the_snapshot_to_the_last_diff(warehouse: Warehouse, recorded: RecordedBook) -> None:
    transform(warehouse)
    found = select(warehouse, "select * from gold_book_coverage order by open_time")
    assert [row["open_time"].hour for row in found] == [23, 0]
    seconds = (recorded.diffs[-1][2] - recorded.diffs[0][2]) / 1e6
    assert sum(row["proven_seconds"] for row in found) == pytest.approx(seconds)
    assert sum(row["recorded_seconds"] for row in found) > seconds
    assert (sum(row["diffs"] for row in found), sum(row["holes"] for row in found)) == (6_495, 0)


def all_of_the_book(warehouse: Warehouse) -> list[list[Row]]:
    return [
        select(warehouse, f"select * from {view} order by symbol, open_time")
        for view in ("gold_book_top_1s", "gold_book_coverage")
    ]


@pytest.mark.parametrize("minutes", [pytest.param(3, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.long)])
def test_the_book_does_not_depend_on_the_order_in_which_objects_came(
    minutes: int, warehouse: Warehouse, shared_data: Path
) -> None:
    """Objects of so many minutes in any order, each of them twice, with a pass after each."""
    diffs, snapshots, _ = rows.recorded_depth(shared_data)
    parts: list[Any] = list(rows.by_part(diffs, "event_time", lambda instant: instant.minute // minutes).values())
    random.Random(3).shuffle(parts)
    for place, part in enumerate(parts):
        land(warehouse, DEPTH_DIFFS, part)
        if place == len(parts) // 2:
            land(warehouse, DEPTH_SNAPSHOTS, snapshots)
        transform(warehouse)
        land(warehouse, DEPTH_DIFFS, part)
    transform(warehouse)
    stepwise = same_after_rebuild(warehouse, all_of_the_book, BOOK_TABLES)
    assert len(stepwise[0]) > 600


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_what_a_pass_leaves_unread_does_not_matter(seed: int, warehouse: Warehouse) -> None:
    """Four hours of two symbols, with holes, quiet hours, rows received twice and late ones: passes against a rebuild."""
    dice = random.Random(seed)
    objects = []
    for market in (("binance", "BTCUSDT"), ("kucoin", "BTC-USDT")):
        update, at_us = 10, START
        while at_us < START + 4 * HOUR_US:
            first = update + 1 + dice.choice([0, 0, 0, 0, 0, 3])
            update = first + dice.randrange(3)
            at_us += round(dice.choice([0.3, 1, 20, 400, 1_500]) * SECOND_US)
            level = [[str(90 + dice.randrange(9)), str(dice.randrange(3))]]
            for latency_us in [5_000] * dice.choice([1, 1, 2]):
                jitter_us = dice.randrange(-2_000, 2_000)
                diff = rows.depth_diff(
                    first, update, event_us=at_us + jitter_us, bids=level, latency_us=latency_us, market=market
                )
                objects.append((DEPTH_DIFFS, at_us + dice.choice([0, 0, 0, 2 * HOUR_US]), diff))
            if dice.random() < 0.2:
                asked = update + dice.randrange(-2, 3)
                found = rows.depth_snapshot(
                    asked, receipt_us=at_us + 900_000, bids=[["89", str(asked)]], asks=[["101", "2"]], market=market
                )
                objects.append((DEPTH_SNAPSHOTS, at_us + dice.choice([0, 0, HOUR_US]), found))
    objects.sort(key=lambda made: made[1])
    for first in range(0, len(objects), len(objects) // 10):
        for dataset in (DEPTH_DIFFS, DEPTH_SNAPSHOTS):
            if some := [table for of, _, table in objects[first : first + len(objects) // 10] if of is dataset]:
                land(warehouse, dataset, pa.concat_tables(some, promote_options="permissive").unify_dictionaries())
        transform(warehouse)
    stepwise = same_after_rebuild(warehouse, all_of_the_book, BOOK_TABLES)
    assert len(stepwise[0]) > 600


def diff(number: int, seconds: float) -> tuple[Dataset, pa.Table]:
    return DEPTH_DIFFS, rows.depth_diff(number, number, event_us=START + round(seconds * SECOND_US), bids=[["99", str(number)]])


def snapshot(number: int, seconds: float) -> tuple[Dataset, pa.Table]:
    bids = [["99", str(number)]]
    return DEPTH_SNAPSHOTS, rows.depth_snapshot(
        number, receipt_us=START + round(seconds * SECOND_US), bids=bids, asks=[["101", "2"]]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "late", "proven_seconds"),
    [
        pytest.param(
            [diff(11, 10), diff(12, 3_605), diff(13, 3_700), diff(14, 3_800)],
            snapshot(10, 5),
            3_790,
            id="a snapshot of the first minute of an hour, after the diffs of the next",
        ),
        pytest.param(
            [snapshot(10, 0), diff(11, 1.5), diff(13, 2.5), diff(14, 4.5), diff(15, 7.5), diff(16, 9.5)],
            diff(12, 6.2),
            11.7,
            id="a diff whose time is after those of later ids",
        ),
        pytest.param(
            [diff(10, 300), snapshot(10, 600), diff(11, 11_500), diff(12, 11_600)],
            snapshot(10, 7_800),
            0,
            id="a second snapshot of an id, in another hour: silver keeps the first received",
        ),
    ],
)
def test_what_comes_late_leaves_the_book_of_a_rebuild(
    warehouse: Warehouse, before: list[tuple[Dataset, pa.Table]], late: tuple[Dataset, pa.Table], proven_seconds: float
) -> None:
    for dataset, table in before:
        land(warehouse, dataset, table)
    transform(warehouse)
    land(warehouse, *late)
    transform(warehouse)
    warehouse.command("optimize table silver_depth_snapshots final")
    stepwise = same_after_rebuild(warehouse, all_of_the_book, BOOK_TABLES)
    assert sum(hour["proven_seconds"] for hour in stepwise[1]) == pytest.approx(proven_seconds)


def small_book(warehouse: Warehouse, *diffs: tuple[int, int, float]) -> None:
    """A snapshot at update 10 and diffs (first, last, seconds after START) that each move the bid."""
    land(warehouse, DEPTH_SNAPSHOTS, rows.depth_snapshot(10, receipt_us=START, bids=[["99", "1"]], asks=[["101", "2"]]))
    for first, last, seconds in diffs:
        event_us = START + round(seconds * SECOND_US)
        land(warehouse, DEPTH_DIFFS, rows.depth_diff(first, last, event_us=event_us, bids=[["99", str(last)]]))


def seconds_of(warehouse: Warehouse) -> list[tuple[int, int]]:
    """Second after START and the bid's quantity, which is the last update id."""
    found = select(warehouse, "select open_time, best_bid_quantity from gold_book_top_1s order by open_time")
    return [((from_datetime(row["open_time"]) - START) // SECOND_US, int(row["best_bid_quantity"])) for row in found]


def test_a_quiet_book_stays_as_it_is_until_the_next_diff(warehouse: Warehouse) -> None:
    small_book(warehouse, (9, 11, 0.5), (12, 12, 3.2), (13, 14, 3.9), (15, 15, 5.0))
    transform(warehouse)
    assert seconds_of(warehouse) == [(0, 11), (1, 11), (2, 11), (3, 14), (4, 14)]


@pytest.mark.slow
def test_a_hole_ends_the_book_until_the_missing_diff_comes(warehouse: Warehouse) -> None:
    small_book(warehouse, (11, 11, 0.5), (12, 12, 1.5), (14, 14, 3.5), (15, 15, 4.5))
    transform(warehouse)
    assert seconds_of(warehouse) == [(0, 11)]
    [hour] = select(warehouse, "select * from gold_book_coverage")
    assert (hour["proven_seconds"], hour["recorded_seconds"], hour["holes"]) == (1.0, 2.0, 1)
    land(warehouse, DEPTH_DIFFS, rows.depth_diff(13, 13, event_us=START + 2_500_000, bids=[["99", "13"]]))
    transform(warehouse)
    assert seconds_of(warehouse) == [(0, 11), (1, 12), (2, 13), (3, 14)]
    [hour] = select(warehouse, "select * from gold_book_coverage")
    assert (hour["proven_seconds"], hour["recorded_seconds"], hour["holes"]) == (4.0, 4.0, 0)


@pytest.mark.slow
def test_a_snapshot_after_a_hole_begins_the_book_anew(warehouse: Warehouse) -> None:
    small_book(warehouse, (11, 11, 0.5), (14, 14, 1.5), (15, 16, 2.5), (17, 17, 3.5), (18, 18, 4.5))
    land(
        warehouse, DEPTH_SNAPSHOTS, rows.depth_snapshot(15, receipt_us=START + 2_600_000, bids=[["98", "7"]], asks=[["103", "1"]])
    )
    transform(warehouse)
    assert seconds_of(warehouse) == [(2, 16), (3, 17)]
    proven = {second: select(warehouse, AT.format(text(START + second * SECOND_US)))[0]["is_proven"] for second in (2, 3)}
    assert proven == {2: False, 3: True}


@pytest.mark.slow
def test_a_snapshot_that_lies_before_the_run_proves_nothing(warehouse: Warehouse) -> None:
    small_book(warehouse, (12, 12, 0.5), (13, 13, 1.5), (14, 14, 2.5))
    transform(warehouse)
    assert seconds_of(warehouse) == []


@pytest.mark.slow
def test_an_hour_is_covered_only_between_its_own_borders(warehouse: Warehouse) -> None:
    small_book(warehouse, (11, 11, -30.0), (12, 12, 1.0), (13, 13, 3590.0), (14, 14, 3610.0))
    land(
        warehouse,
        DEPTH_SNAPSHOTS,
        rows.depth_snapshot(12, receipt_us=START + SECOND_US, bids=[["99", "12"]], asks=[["101", "2"]]),
    )
    transform(warehouse)
    hours = select(warehouse, "select open_time, proven_seconds from gold_book_coverage order by open_time")
    assert [row["proven_seconds"] for row in hours] == [30.0, 3600.0, 10.0]
    assert len(seconds_of(warehouse)) == 3640

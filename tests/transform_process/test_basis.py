"""A contract against spot, per second in which both books are verified: by hand, and against a loop over recorded messages."""

import gzip
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from extract_process.records import DepthDiff, DepthSnapshot
from extract_process.spool.row_buffer import ArrowRows
from extract_process.venues.binance import ws as spot_ws
from extract_process.venues.binance.futures import ws as futures_ws
from tickhouse_core.timestamps import SECOND_US, from_datetime
from tickhouse_core.warehouse import Warehouse

from .warehouse_rows import DEPTH_DIFFS, DEPTH_SNAPSHOTS, Row, depth_diff, depth_snapshot, land, select, transform, us

START = us("2024-08-09T10:00:00")
SPOT, PERPETUAL, COIN, DATED = (
    ("binance", "BTCUSDT"),
    ("binance-usdm", "BTCUSDT"),
    ("binance-coinm", "BTCUSD_PERP"),
    ("binance-coinm", "BTCUSD_240927"),
)
KNOWN: dict[str, Any] = {"bids": [["1", "1"]], "asks": [["100000", "1"]]}
Market = tuple[str, str]
Second = dict[int, Decimal]
"""The middle at the end of each verified second."""


def basis(warehouse: Warehouse, market: Market, since: str = "2024-08-08", until: str = "2024-08-10") -> list[Row]:
    asked = f"venue = '{market[0]}', symbol = '{market[1]}', since = '{since}', until = '{until}'"
    return select(warehouse, f"select * from gold_basis_1s({asked}) order by spot_venue, spot_symbol, open_time")


def book(warehouse: Warehouse, market: Market, bids: dict[int, str], *, first: int = 2) -> None:
    """A snapshot of 1 and 100,000, and a diff at half past each second that leaves one bid, and one ask 200 above it."""
    land(warehouse, DEPTH_SNAPSHOTS, depth_snapshot(1, receipt_us=START - SECOND_US, market=market, **KNOWN))
    bid_before, ask_before = "1", "100000"
    for place, (second, bid) in enumerate(sorted(bids.items())):
        ask = str(Decimal(bid) + 200)
        levels: dict[str, Any] = {"bids": [[bid_before, "0"], [bid, "1"]], "asks": [[ask_before, "0"], [ask, "1"]]}
        at = START + second * SECOND_US + SECOND_US // 2
        land(warehouse, DEPTH_DIFFS, depth_diff(first + place, first + place, event_us=at, market=market, **levels))
        bid_before, ask_before = bid, ask


def test_the_basis_of_a_second_is_made_by_hand(warehouse: Warehouse) -> None:
    """Spot at 1,000 to 1,003 (middles 1,100 to 1,103), contracts 11, 22 and 33 above it."""
    book(warehouse, SPOT, {second: str(1_000 + second) for second in range(5)})
    book(warehouse, ("kucoin", "BTC-USDT"), {second: str(990 + second) for second in range(5)})
    book(warehouse, PERPETUAL, {second: f"{1_011 + second}.000000000000000001" for second in range(1, 5)})
    book(warehouse, COIN, {second: str(1_022 + second) for second in range(5)})
    book(warehouse, DATED, {second: str(1_033 + second) for second in range(5)})
    book(warehouse, ("binance-usdm", "ETHUSDT"), dict.fromkeys(range(5), "50"))
    transform(warehouse)
    rows = basis(warehouse, PERPETUAL)
    assert [(row["spot_venue"], (from_datetime(row["open_time"]) - START) // SECOND_US) for row in rows] == [
        ("binance", 1), ("binance", 2), ("binance", 3), ("kucoin", 1), ("kucoin", 2), ("kucoin", 3),
    ]  # fmt: skip
    row = rows[1]
    assert (row["mid"], row["spot_mid"]) == (Decimal("1113.000000000000000001"), Decimal(1102))
    assert row["basis"] == Decimal("11.000000000000000001")
    assert row["basis_bps"] == pytest.approx(11 / 1102 * 1e4, rel=1e-15)
    assert (row["delivery_time"], row["annualised_basis"]) == (None, None)
    assert [row["basis"] for row in basis(warehouse, COIN) if row["spot_venue"] == "binance"] == [22] * 4
    dated = basis(warehouse, DATED)[0]
    assert dated["delivery_time"].isoformat() == "2024-09-27T08:00:00+00:00"
    left = us("2024-09-27T08:00:00") - from_datetime(dated["open_time"])
    assert dated["annualised_basis"] == pytest.approx(33 / 1100 * 365 * 86_400 * SECOND_US / left, rel=1e-12)
    assert basis(warehouse, ("binance-usdm", "ETHUSDT")) == [], "no spot"
    assert basis(warehouse, SPOT) == [], "no contract"
    assert basis(warehouse, PERPETUAL, since="2024-08-09 10:00:02", until="2024-08-09 10:00:03") == [rows[1], rows[4]]


def test_a_second_in_which_one_book_is_not_verified_has_no_basis_and_one_beyond_its_snapshot_says_so(
    warehouse: Warehouse,
) -> None:
    book(warehouse, SPOT, {second: str(1_000 + second) for second in range(8)})
    book(warehouse, PERPETUAL, {0: "1010", 1: "1011", 2: "200000", 3: "1012"})
    book(warehouse, PERPETUAL, {5: "1010", 6: "1011", 7: "1012"}, first=10)  # ids 6 to 9 are missing, and no snapshot came since
    transform(warehouse)
    found = [
        ((from_datetime(row["open_time"]) - START) // SECOND_US, row["is_within_reach"]) for row in basis(warehouse, PERPETUAL)
    ]
    assert found == [(0, True), (1, True), (2, False)]


def test_late_and_repeated_rows_give_what_a_rebuild_gives(warehouse: Warehouse) -> None:
    dice = random.Random(5)
    parts = []
    for market in (SPOT, PERPETUAL):
        parts.append((DEPTH_SNAPSHOTS, depth_snapshot(1, receipt_us=START - SECOND_US, market=market, **KNOWN)))
        for number in range(2, 32):
            bid, ask = str(dice.randint(1_000, 1_100)), str(dice.randint(1_101, 1_200))
            at = START + number * SECOND_US // 2
            parts.append(
                (DEPTH_DIFFS, depth_diff(number, number, event_us=at, market=market, bids=[[bid, "1"]], asks=[[ask, "1"]]))
            )
    dice.shuffle(parts)
    for place in range(0, len(parts), 16):
        for dataset, table in parts[max(0, place - 4) : place + 16]:  # four of them again
            land(warehouse, dataset, table)
        transform(warehouse)
    stepwise = basis(warehouse, PERPETUAL)
    transform(warehouse, rebuild=True)
    assert basis(warehouse, PERPETUAL) == stepwise
    assert len(stepwise) == 14


@pytest.mark.slow
def test_the_recorded_sessions_by_second(warehouse: Warehouse, shared_data: Path) -> None:
    """Spot, USD-M and COIN-M of the same minutes: every second's basis against books that are built here message by message."""
    mids = {
        market: recorded(warehouse, market, shared_data / name)
        for market, name in (
            (SPOT, "binance_session_BTCUSDT_20240808.jsonl.gz"),
            (PERPETUAL, "binance_usdm_session_BTCUSDT_20240808.jsonl.gz"),
            (COIN, "binance_coinm_session_BTCUSD_PERP_20240808.jsonl.gz"),
        )
    }
    transform(warehouse)
    for market in (PERPETUAL, COIN):
        common = sorted(mids[SPOT].keys() & mids[market].keys())
        rows = basis(warehouse, market)
        assert [from_datetime(row["open_time"]) // SECOND_US for row in rows] == common
        assert len(common) > 330
        assert 290 < sum(row["is_within_reach"] for row in rows) < len(rows), "spot left the 1,000 levels of its snapshot"
        for second, row in zip(common, rows, strict=True):
            spot, contract = mids[SPOT][second], mids[market][second]
            assert (row["spot_mid"], row["mid"], row["basis"]) == (spot, contract, contract - spot)
            assert row["basis_bps"] == pytest.approx(float((contract - spot) / spot * 10_000), rel=1e-12)
    whole = [row["basis_bps"] for row in basis(warehouse, PERPETUAL)]
    assert -20 < min(whole) < max(whole) < 20


def recorded(warehouse: Warehouse, market: Market, path: Path) -> Second:
    """Lands the session's snapshot and diffs; returns the middles of its verified seconds."""
    diffs, snapshots = ArrowRows(DEPTH_DIFFS, market[0]), ArrowRows(DEPTH_SNAPSHOTS, market[0])
    parse = spot_ws.parse_frame if market == SPOT else futures_ws.parse_frame
    raw_diffs, snapshot = [], None
    for line in _lines(path):
        received, raw = line["recv_ns"] // 1_000, line["raw"]
        if line["src"] == "rest":
            snapshot = raw
            snapshots.append(DepthSnapshot(market[1], raw["lastUpdateId"], raw["bids"], raw["asks"], "start"), received)
        elif line["src"] == "ws" and "@depth" in raw["stream"]:
            raw_diffs.append(raw["data"])
            for message in parse(orjson.dumps(raw), received):
                assert isinstance(message, DepthDiff)
                diffs.append(message, received)
    land(warehouse, DEPTH_DIFFS, diffs.table())
    land(warehouse, DEPTH_SNAPSHOTS, snapshots.table())
    assert snapshot is not None
    return dict(_middles(snapshot, raw_diffs))


def _middles(snapshot: Row, diffs: list[Row]) -> Iterator[tuple[int, Decimal]]:
    """A second has the middle after the last diff of it or before it, up to the second before the last diff's."""
    sides: list[dict[Decimal, Decimal]] = [
        {Decimal(price): Decimal(quantity) for price, quantity in snapshot[side]} for side in ("bids", "asks")
    ]
    second = 0
    for diff in diffs:
        if diff["u"] <= snapshot["lastUpdateId"]:
            continue
        at = diff["E"] // 1_000
        for between in range(second or at, at):
            yield between, (max(sides[0]) + min(sides[1])) / 2
        second = at
        for book_side, name in zip(sides, "ba", strict=True):
            for price, quantity in diff[name]:
                if Decimal(quantity):
                    book_side[Decimal(price)] = Decimal(quantity)
                else:
                    book_side.pop(Decimal(price), None)


def _lines(path: Path) -> Iterator[Any]:
    with gzip.open(path) as lines:
        yield from map(orjson.loads, lines)

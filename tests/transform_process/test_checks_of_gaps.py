"""PROPERTY: the checks that compare gaps with ids and with healings agree with plain sets; they stay fast with 50,000 of each."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.waiting import patience

from tickhouse_core.timestamps import DAY_US, MINUTE_US, to_datetime
from tickhouse_core.warehouse import Warehouse
from transform_process.checks import read_checks, run_checks

from .warehouse_rows import us

START = us("2024-08-09")
MOST_ID = 40
MANY = 50_000
MANY_SECONDS = 10.0
"""For the three checks together. Each took minutes when it compared every gap with every healing."""

Range = tuple[int, int]
"""First and last id, both included."""

_RANGES = st.lists(st.tuples(st.integers(0, MOST_ID), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair))), max_size=7)
_markets = itertools.count()


@dataclass(frozen=True)
class Market:
    """`diffs`: of the book, in order; `gaps`, `healed` and `absent` (the venue has nothing) are the events of both channels."""

    trades: Sequence[int]
    diffs: Sequence[Range]
    gaps: Sequence[Range]
    healed: Sequence[Range]
    absent: Sequence[Range]


def _diffs(steps: Sequence[Range]) -> list[Range]:
    """Messages in order, of (ids left out before, ids in it)."""
    ranges, behind = [], 0
    for left_out, count in steps:
        ranges.append((behind + left_out, behind + left_out + count - 1))
        behind += left_out + count
    return ranges


MARKETS = st.builds(
    Market,
    trades=st.sets(st.integers(0, MOST_ID), max_size=20).map(sorted),
    diffs=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), max_size=6).map(_diffs),
    gaps=_RANGES,
    healed=_RANGES,
    absent=_RANGES,
)


def ids_of(ranges: Sequence[Range]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def holes(seen: Sequence[Range], gaps: Sequence[Range]) -> list[tuple[int, int, float]]:
    """First and last missing id of each hole, and how many of its ids no gap has."""
    told = ids_of(gaps)
    found = []
    for (_, before), (after, _) in itertools.pairwise(seen):
        unexplained = set(range(before + 1, after)) - told
        if unexplained:
            found.append((before + 1, after - 1, float(len(unexplained))))
    return found


def still_open(market: Market) -> list[Range]:
    closed = ids_of([*market.healed, *market.absent])
    return sorted({gap for gap in market.gaps if ids_of([gap]) - closed})


def land(warehouse: Warehouse, markets: dict[str, Market]) -> None:
    trades = [(name, number) for name, market in markets.items() for number in market.trades]
    diffs = [(name, *ids) for name, market in markets.items() for ids in market.diffs]
    events = [
        (name, channel, event, cause, *ids)
        for name, market in markets.items()
        for channel in ("trades", "depth")
        for event, cause, ranges in (
            ("gap", "disconnect", market.gaps),
            ("healed", "disconnect", market.healed),
            ("gap", "venue_has_no_data", market.absent),
        )
        for ids in ranges
    ]
    trade_rows = [
        {"venue": "binance", "symbol": name, "trade_id": number, "trade_time": to_datetime(START + number % DAY_US)}
        for name, number in trades
    ]
    diff_rows = [
        {
            "venue": "binance",
            "symbol": name,
            "first_update_id": first,
            "last_update_id": last,
            "event_time": to_datetime(START + last % DAY_US),
        }
        for name, first, last in diffs
    ]
    event_rows = [
        {
            "venue": "binance",
            "symbol": name,
            "channel": channel,
            "instance": "main",
            "event": event,
            "cause": cause,
            "from_update_id": first,
            "to_update_id": last,
            "started_at": to_datetime(START),
            "detail": cause,
        }
        for name, channel, event, cause, first, last in events
    ]
    for table, rows in (
        ("silver_trades", trade_rows),
        ("silver_depth_diffs", diff_rows),
        ("silver_stream_events", event_rows),
    ):
        if rows:
            warehouse.insert_rows(table, rows)


def found_by(warehouse: Warehouse) -> dict[str, list[tuple[str, float, str]]]:
    """Symbol, value and detail of each finding, by check."""
    checks = read_checks(only=["trade_id_gaps", "update_id_gaps", "open_gaps"])
    verdicts = run_checks(warehouse, checks, START - MINUTE_US, START + DAY_US, stores=False)
    return {
        verdict.check.name: sorted((finding.symbol, finding.value, finding.detail) for finding in verdict.findings)
        for verdict in verdicts
    }


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(drawn=st.lists(MARKETS, min_size=20, max_size=40))
def test_the_checks_find_what_plain_sets_find(drawn: list[Market], warehouse: Warehouse) -> None:
    markets = {f"S{next(_markets)}": market for market in drawn}
    land(warehouse, markets)
    found = {name: [one for one in findings if one[0] in markets] for name, findings in found_by(warehouse).items()}
    said = "ids {} to {} are missing, {:.0f} of them are in no gap event"
    expected: dict[str, list[tuple[str, float, str]]] = {"trade_id_gaps": [], "update_id_gaps": [], "open_gaps": []}
    for name, market in markets.items():
        gaps = [*market.gaps, *market.absent]
        seen = {"trade_id_gaps": [(number, number) for number in market.trades], "update_id_gaps": market.diffs}
        for check, ranges in seen.items():
            expected[check] += [(name, value, said.format(first, last, value)) for first, last, value in holes(ranges, gaps)]
        details = [
            f"{channel} {first} to {last}: disconnect" for channel in ("trades", "depth") for first, last in still_open(market)
        ]
        expected["open_gaps"] += [(name, 0.0, detail) for detail in details]
    assert found == {name: sorted(findings) for name, findings in expected.items()}


@pytest.mark.slow
def test_fifty_thousand_gaps_and_healings_are_compared_in_seconds(warehouse: Warehouse) -> None:
    """Every second id is missing, each hole is a gap of its own, and all but the last one are healed in two parts."""
    warehouse.command(
        "insert into silver_trades (venue, symbol, trade_id, trade_time) "
        "select 'binance', 'BTCUSDT', 10 * number, fromUnixTimestamp64Micro({start:Int64}) from numbers({many:UInt32})",
        {"start": START, "many": MANY + 1},
    )
    warehouse.command(
        "insert into silver_depth_diffs (venue, symbol, first_update_id, last_update_id, event_time) "
        "select 'binance', 'BTCUSDT', 10 * number as id, id, fromUnixTimestamp64Micro({start:Int64}) from numbers({many:UInt32})",
        {"start": START, "many": MANY + 1},
    )
    for event, first, last, count in (("gap", 1, 9, MANY), ("healed", 1, 4, MANY), ("healed", 5, 9, MANY - 1)):
        warehouse.command(
            "insert into silver_stream_events "
            "(venue, symbol, channel, instance, event, from_update_id, to_update_id, started_at, cause) "
            "select 'binance', 'BTCUSDT', arrayJoin(['trades', 'depth']), 'main', {event:String}, "
            "10 * number + {first:UInt32}, 10 * number + {last:UInt32}, fromUnixTimestamp64Micro({start:Int64}), 'disconnect' "
            "from numbers({count:UInt32})",
            {"event": event, "first": first, "last": last, "start": START, "count": count},
        )
    began = time.monotonic()
    found = found_by(warehouse)
    took = time.monotonic() - began
    last_gap = f"{10 * MANY - 9} to {10 * MANY - 1}: disconnect"
    assert found == {
        "trade_id_gaps": [],
        "update_id_gaps": [],
        "open_gaps": [("BTCUSDT", 0.0, f"{channel} {last_gap}") for channel in ("depth", "trades")],
    }
    print(f"{took:.2f} s for three checks over {MANY:,} gaps of two channels")
    assert took < patience(MANY_SECONDS)


@pytest.mark.parametrize("number", [2**40, 2**63 - 1, 2**63, 2**64 - 1])
def test_an_implausible_id_hides_no_missing_one_and_is_no_end_of_a_hole(warehouse: Warehouse, number: int) -> None:
    """Its row is there, and as many ids as a column can hold are missing before it."""
    seen = [(1, 1), (2, 2), (4, 4), (number, number)]
    land(warehouse, {"BTCUSDT": Market([1, 2, 4, number], seen, [], [], [])})
    told: dict[str, object] = {"venue": "binance", "symbol": "BTCUSDT", "instance": "main", "event": "implausible_id"}
    told |= {"from_update_id": number, "to_update_id": number, "started_at": to_datetime(START), "detail": "the last one was 4"}
    warehouse.insert_rows("silver_stream_events", [told | {"channel": channel} for channel in ("trades", "depth")])
    missing = [("BTCUSDT", 1.0, "ids 3 to 3 are missing, 1 of them are in no gap event")]
    began = time.monotonic()
    assert found_by(warehouse) == {"trade_id_gaps": missing, "update_id_gaps": missing, "open_gaps": []}
    assert time.monotonic() - began < patience(MANY_SECONDS)

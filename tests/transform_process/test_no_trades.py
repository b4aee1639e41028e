"""Candles of a venue whose ids of trades are not all trades (Binance futures): ids that it calls none are no holes."""

import random
from itertools import pairwise

import pytest

from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.warehouse import Warehouse
from transform_process.transformer import Transformer, TransformOptions

from . import warehouse_rows as rows
from .warehouse_rows import STREAM_EVENTS, TRADES, Row, land, same_after_rebuild, select, transform, us

START, SECOND = us("2024-08-09"), 1_000_000


def land_trades(warehouse: Warehouse, *ids: int) -> None:
    """The trade with the id n is made in the second n."""
    land(warehouse, TRADES, rows.trades(ids, times_us=[START + number * SECOND for number in ids]))


def land_no_trades(warehouse: Warehouse, first: int, last: int) -> None:
    land(warehouse, STREAM_EVENTS, rows.stream_event("no_trade", "trades", first, last, started_us=START + first * SECOND))


def complete(warehouse: Warehouse, interval: str = "1s") -> list[bool]:
    return [row["is_complete"] for row in select(warehouse, f"select * from gold_ohlcv_{interval} order by open_time")]


def test_an_id_that_is_no_trade_is_no_hole(warehouse: Warehouse) -> None:
    land_trades(warehouse, 1, 2, 4, 5, 8, 9)
    land_no_trades(warehouse, 3, 3)
    transform(warehouse)
    assert complete(warehouse) == [False, True, True, False, False, False]  # 6 and 7 are missing; nothing is before 1
    assert complete(warehouse, "1m") == [False]


def test_an_id_that_is_a_trade_all_the_same_is_counted_once(warehouse: Warehouse) -> None:
    """Neither makes it a whole minute incomplete, nor does it stand for another id that is missing."""
    land_trades(warehouse, *range(59, 121), *(number for number in range(121, 181) if number != 150))
    land_no_trades(warehouse, 100, 101)
    land_no_trades(warehouse, 160, 160)
    transform(warehouse)
    assert complete(warehouse, "1m") == [False, True, False, False]


def test_the_minute_before_an_id_that_is_no_trade_is_built_anew_too(warehouse: Warehouse) -> None:
    gold = Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0))
    minutes = {7: 0, 8: 60, 10: 120, 11: 180}
    land(warehouse, TRADES, rows.trades(list(minutes), times_us=[START + at * SECOND for at in minutes.values()]))
    gold.run_pass()
    land(warehouse, STREAM_EVENTS, rows.stream_event("no_trade", "trades", 9, 9, started_us=START + 120 * SECOND))
    gold.run_pass()
    assert same_after_rebuild(warehouse, lambda read: complete(read, "1m"), ["stored_ohlcv"]) == [False, True, True, False]


def test_minutes_are_complete_whenever_the_event_comes(warehouse: Warehouse) -> None:
    """It is in an object of its own, which may be loaded later."""
    gold = Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0))
    ids = [number for number in range(55, 190) if number not in (60, 61, 100, 150)]
    land_trades(warehouse, *ids)
    gold.run_pass()
    assert complete(warehouse, "1m") == [False] * 4
    land_no_trades(warehouse, 100, 100)
    gold.run_pass()
    land_no_trades(warehouse, 150, 150)
    land_trades(warehouse, 190)
    gold.run_pass()
    assert complete(warehouse, "1m") == [False, False, True, False]  # two ids in a row are not looked past at an end


@pytest.mark.parametrize("told", [[(60, 63)], [(62, 62), (60, 61), (63, 63)], [(60, 60), (63, 63), (61, 62)]])
def test_however_many_such_ids_are_at_the_end_of_a_minute_they_are_looked_past(
    warehouse: Warehouse, told: list[tuple[int, int]]
) -> None:
    """Also where several events tell them, whichever is loaded last."""
    gold = Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0))
    land_trades(warehouse, *range(59), 59, *range(64, 121))
    gold.run_pass()
    for first, last in told:
        assert complete(warehouse, "1m") == [False, False, False]
        land_no_trades(warehouse, first, last)
        gold.run_pass()
    assert same_after_rebuild(warehouse, lambda read: complete(read, "1m"), ["stored_ohlcv"]) == [True, True, False]


@pytest.mark.parametrize("is_late", [False, True])
def test_a_batch_that_ends_before_such_an_id_is_built_again_with_the_next_one(warehouse: Warehouse, is_late: bool) -> None:
    """The id may also be told long before or after its neighbours were made."""
    gold = Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0))
    land_trades(warehouse, 1, 2)
    number = 3 + 7_200 * is_late
    land(warehouse, STREAM_EVENTS, rows.stream_event("no_trade", "trades", 3, 3, started_us=START + number * SECOND))
    gold.run_pass()
    land_trades(warehouse, 4, 5, 6)
    gold.run_pass()
    built = _gold(warehouse)
    assert complete(warehouse) == [False, True, True, True, False]
    transform(warehouse, rebuild=True)
    assert built == _gold(warehouse)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_what_was_built_step_by_step_is_what_a_rebuild_builds(warehouse: Warehouse, seed: int) -> None:
    chance = random.Random(seed)
    steps = [(number, chance.random() < 0.2) for number in range(1, 200)]
    cuts = [0, *sorted(chance.sample(range(1, 200), 12)), 200]
    parts = [steps[at:end] for at, end in pairwise(cuts)]
    chance.shuffle(parts)
    gold = Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0))
    for part in parts:
        land_trades(warehouse, *[number for number, is_none in part if not is_none])
        gold.run_pass()
        for number, is_none in part:
            if is_none:
                land_no_trades(warehouse, number, number)
    land_trades(warehouse, 200)
    gold.run_pass()
    built = _gold(warehouse)
    transform(warehouse, rebuild=True)
    assert built == _gold(warehouse)
    assert sum(bool(row["is_complete"]) for row in built) > 20


def _gold(warehouse: Warehouse) -> list[Row]:
    return [
        {name: value for name, value in row.items() if name != "build_version"}
        for interval in ("1s", "1m", "5m")
        for row in select(warehouse, f"select * from gold_ohlcv_{interval} order by open_time")
    ]

"""Which trades are missing, and what a file fills of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.backfill.trade_gaps import LeftOut, MissingTrades, OpenGap, open_gaps, stretches
from extract_process.parquet import parquet_bytes
from extract_process.ranges import EVERY_ID, Range
from extract_process.venues.history_tables import trades_table
from tickhouse_core.datasets import STREAM_EVENTS, TRADES
from tickhouse_core.errors import Interrupted
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.reading.events import GapEvents
from tickhouse_core.reading.objects import LATE_US
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US, MINUTE_US

START = 1_741_478_400_000_000  # 2025-03-09
ASKED = Request("binance", (), START, START + DAY_US)


def block(ids: list[int]) -> pa.Table:
    count = len(ids)
    columns = {"trade_id": pa.array(ids, pa.uint64()), "price": ["1"] * count, "quantity": ["2"] * count}
    columns |= {"is_buyer_maker": [True] * count, "trade_time": [START + number for number in ids]}
    return trades_table(columns, venue="binance", symbol="BTCUSDT", receipt_time=START + DAY_US)


def events(*rows: tuple[str, int, int, str]) -> pa.Table:
    """Kind, first and last id, cause; they last a second."""
    common = {"venue": "binance", "symbol": "BTCUSDT", "channel": "trades", "instance": "a", "detail": ""}
    names = ("event", "from_update_id", "to_update_id", "cause")
    times = {"started_at": START + 10, "ended_at": START + 1_000_010}
    plain = pa.schema(
        [pa.field(one.name, pa.string() if pa.types.is_dictionary(one.type) else one.type) for one in STREAM_EVENTS.schema]
    )
    return pa.Table.from_pylist([common | times | dict(zip(names, row, strict=True)) for row in rows], schema=plain)


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        ([("gap", 5, 9, "restart")], [Range(5, 9)]),
        ([("gap", 5, 9, "restart"), ("healed", 5, 9, "")], []),
        ([("gap", 5, 9, "restart"), ("healed", 6, 7, "")], [Range(5, 5), Range(8, 9)]),
        ([("gap", 5, 9, "restart"), ("heal_failed", 5, 9, "not_available")], [Range(5, 9)]),
        ([("gap", 5, 9, "restart"), ("heal_failed", 5, 6, "archive_has_no_data")], [Range(7, 9)]),
    ],
)
def test_gap_is_what_neither_a_heal_nor_a_published_file_accounts_for(
    told: list[tuple[str, int, int, str]], missing: list[Range]
) -> None:
    found = open_gaps(events(*told), ASKED)
    assert found == ([OpenGap("BTCUSDT", missing, START + 10, START + 1_000_010)] if missing else [])


def test_what_a_file_lacked_is_asked_for_again_on_request() -> None:
    told = events(("gap", 5, 9, "restart"), ("heal_failed", 5, 9, "archive_has_no_data"))
    assert open_gaps(told, ASKED) == []
    assert [gap.ids for gap in open_gaps(told, ASKED, again=True)] == [[Range(5, 9)]]


def test_reading_of_events_that_is_stopped_keeps_nothing_of_it(tmp_path: Path) -> None:
    """Where a stop comes while a large lake is read, the process must end within its grace."""
    store = FolderStore(tmp_path)
    for number in (1, 2):
        told = events(("gap", number * 10, number * 10 + 4, "restart"))
        store.write(hourly_key(STREAM_EVENTS, "binance", START, "a", number), parquet_bytes(told, STREAM_EVENTS))
    looked: list[None] = []

    def check() -> None:
        looked.append(None)
        if len(looked) == 2:
            raise Interrupted("stopped")

    reader = GapEvents(store, ("gap",), check)
    with pytest.raises(Interrupted):
        reader.of(TRADES, ASKED)
    assert sorted(reader.of(TRADES, ASKED)["from_update_id"].to_pylist()) == [10, 20]


def test_gap_over_midnight_is_of_both_days() -> None:
    first = START // DAY_US
    assert list(OpenGap("BTCUSDT", [], START + 1, START + DAY_US + 1).days) == [first, first + 1]


def test_only_missing_rows_are_taken_each_once_and_in_order() -> None:
    missing = MissingTrades([Range(5, 9), Range(12, 12)])

    taken = missing.take(block([3, 9, 5, 5, 12, 13]))

    assert taken["trade_id"].to_pylist() == [5, 9, 12]
    assert missing.ids == [Range(6, 8)]
    assert missing.take(block([5, 6]))["trade_id"].to_pylist() == [6], "what was taken is not missing any more"


def test_short_hole_of_a_file_of_futures_is_no_trade_and_a_long_one_a_gap() -> None:
    missing = MissingTrades([Range(5, 60)], leaves_out_no_trades=True)

    for ids in ([4, 5, 7], [9, 10, 40]):
        missing.take(block(ids))

    assert missing.end_file() == [LeftOut(Range(6, 6), START + 5), LeftOut(Range(8, 8), START + 7)], "between two blocks too"
    assert missing.ids == [Range(11, 39), Range(41, 60)]


@pytest.mark.parametrize("blocks", [[[4, 5, 7, 6, 9, 10]], [[4, 5, 7, 9], [6, 10]]])
def test_file_that_is_not_in_order_proves_no_hole(blocks: list[list[int]]) -> None:
    missing = MissingTrades([Range(5, 10)], leaves_out_no_trades=True)
    taken = [number for ids in blocks for number in missing.take(block(ids))["trade_id"].to_pylist()]

    assert sorted(taken) == [5, 6, 7, 9, 10]
    assert missing.end_file() == []
    assert missing.ids == [Range(8, 8)]


def test_hole_of_a_file_of_spot_is_a_gap() -> None:
    missing = MissingTrades([Range(5, 8)])
    missing.take(block([4, 5, 7, 8]))
    assert missing.end_file() == []
    assert missing.ids == [Range(6, 6)]


def test_hole_between_two_files_is_not_one_of_a_file() -> None:
    missing = MissingTrades([Range(5, 8)], leaves_out_no_trades=True)
    missing.take(block([4, 5]))
    missing.begin_file()
    missing.take(block([7, 8]))
    assert missing.end_file() == []
    assert missing.ids == [Range(6, 6)]


@given(
    st.lists(st.tuples(st.integers(1, 80), st.integers(0, 9)), max_size=8),
    st.lists(st.lists(st.integers(1, 90), min_size=1, max_size=30), max_size=5),
    st.lists(st.integers(1, 90), max_size=20),
)
def test_every_id_is_recorded_taken_or_still_missing(
    spans: list[tuple[int, int]], blocks: list[list[int]], recorded: list[int]
) -> None:
    missing = MissingTrades(Range(first, first + more) for first, more in spans)
    wanted = {number for first, more in spans for number in range(first, first + more + 1)}
    if recorded:
        missing.recorded(np.array(recorded, np.int64))
    taken = [number for ids in blocks for number in missing.take(block(ids))["trade_id"].to_pylist()]

    assert len(taken) == len(set(taken))
    assert set(taken) == (wanted - set(recorded)) & {number for ids in blocks for number in ids}
    left = {number for span in missing.ids for number in range(span.first, span.last + 1)}
    assert left == wanted - set(recorded) - set(taken)
    assert missing.ids == EVERY_ID.joined(missing.ids)


def test_gaps_near_each_other_are_looked_for_in_one_scan() -> None:
    near = [OpenGap("BTCUSDT", [Range(10 * n, 10 * n + 1)], START + n * MINUTE_US, START + n * MINUTE_US + 5) for n in range(3)]
    far = OpenGap("BTCUSDT", [Range(90, 95)], START + DAY_US, START + DAY_US + 5)

    assert stretches([far, *near]) == [
        (START - LATE_US, START + 2 * MINUTE_US + 5 + LATE_US, (0, 21)),
        (START + DAY_US - LATE_US, START + DAY_US + 5 + LATE_US, (90, 95)),
    ]

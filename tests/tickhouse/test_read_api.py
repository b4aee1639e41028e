"""The read API against the warehouse's own views, on one lake: duplicates of two instances, gaps, heals; folder and bucket."""

import itertools
import random
import socket
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Lake as Bucket
from tests.transform_process.warehouse_rows import (
    book_tickers,
    depth_diff,
    depth_snapshot,
    klines,
    land,
    recorded_depth,
    recorded_trades,
    select,
    stream_event,
    table_of,
    trades,
    transform,
    us,
)

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import (
    BOOK_TICKERS,
    DEPTH_DIFFS,
    DEPTH_SNAPSHOTS,
    KLINES,
    STREAM_EVENTS,
    TICKERS,
    TRADES,
    Dataset,
)
from tickhouse_core.errors import UsageError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key, klines_month_key, stream_klines_key
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.reading.known import Known
from tickhouse_core.reading.numbers import floats
from tickhouse_core.reading.object_rows import SMALL_BYTES
from tickhouse_core.reading.ranges import request
from tickhouse_core.reading.rows import RowScan
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.sql_door.serving import serving_sql
from tickhouse_core.warehouse import Warehouse

DAY = us("2024-08-09")
SECOND, MINUTE, HOUR, DAY_US = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
_sequences = itertools.count(1)


def on(venue: str, table: pa.Table) -> pa.Table:
    """The rows, of this venue."""
    field = table.schema.field("venue")
    return table.set_column(table.schema.get_field_index("venue"), field, pa.array([venue] * len(table), field.type))


def write(store: ObjectStore, dataset: Dataset, table: pa.Table, instance: str = "a", received_us: int | None = None) -> str:
    """One micro-batch, filed under the receipt of its first row."""
    column = "started_at" if dataset is STREAM_EVENTS else "receipt_time"
    first = received_us or min(table.column(column).cast(pa.int64()).to_pylist())
    venue = table.column("venue")[0].as_py() or "binance"
    key = hourly_key(dataset, venue, first, instance, next(_sequences))
    store.write(key, parquet_bytes(table, dataset))
    return key


def record(store: ObjectStore, dataset: Dataset, table: pa.Table, instance: str = "a", rows: int = 500) -> None:
    """As a capture lands it: batch after batch."""
    for start in range(0, table.num_rows, rows):
        write(store, dataset, table.slice(start, rows), instance)


def shifted(table: pa.Table, column: str, microseconds: Iterable[int]) -> pa.Table:
    """The same rows, an instant later or earlier."""
    moved = pa.array([at + by for at, by in zip(table.column(column).cast(pa.int64()).to_pylist(), microseconds, strict=False)])
    return table.set_column(
        table.schema.get_field_index(column), table.schema.field(column), moved.cast(pa.timestamp("us", "UTC"))
    )


def instants(table: pa.Table) -> list[dict[str, Any]]:
    return list(table.to_pylist())


def without(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "data" / "lake")


@pytest.fixture
def lake(folder: FolderStore, tmp_path: Path) -> "th.Lake":
    """Opened while it is empty: what is written later is seen too."""
    (tmp_path / "data" / "lake" / "data_sources").mkdir(parents=True)
    return th.open(tmp_path / "data")


@pytest.fixture(scope="module")
def session(shared_data: Path) -> tuple[dict[Dataset, list[tuple[str, pa.Table]]], pa.Table]:
    """The session as two instances recorded it, by dataset; and their gaps.

    Both miss something, once the same diffs, and the second one is sometimes the earlier one.
    """
    deals = recorded_trades(shared_data)
    diffs, snapshots, _ = recorded_depth(shared_data)
    late = [(-2_000 if number % 3 else 3_000) for number in range(deals.num_rows)]
    second = shifted(deals, "receipt_time", late)
    second_diffs = shifted(shifted(diffs, "receipt_time", late), "event_time", itertools.cycle([0, 0, 1_000, -1_000]))
    gaps = pa.concat_tables(
        [
            _gap(deals, "trades", "trade_id", 1_000, 1_500, "a"),
            _gap(diffs, "depth", "last_update_id", 2_900, 2_920, "a"),
            _gap(diffs, "depth", "last_update_id", 2_910, 2_920, "b"),
        ]
    )
    both = {
        TRADES: [("a", _hole(deals, 1_000, 1_500)), ("b", second.slice(0, 15_000))],
        DEPTH_DIFFS: [("a", _hole(diffs, 2_900, 2_920)), ("b", _hole(second_diffs, 2_910, 2_920))],
        DEPTH_SNAPSHOTS: [("a", snapshots)],
    }
    return both, gaps


def _hole(table: pa.Table, first: int, end: int) -> pa.Table:
    return pa.concat_tables([table.slice(0, first), table.slice(end)])


def _gap(table: pa.Table, channel: str, ids: str, first: int, end: int, instance: str) -> pa.Table:
    first_id = table.column("first_update_id" if channel == "depth" else ids)[first].as_py()
    received = table.column("receipt_time").cast(pa.int64())
    return stream_event(
        "gap", channel, first_id, table.column(ids)[end - 1].as_py(), started_us=received[first - 1].as_py(),
        ended_us=received[end].as_py(), cause="disconnect", instance=instance,
    )  # fmt: skip


def land_session(store: ObjectStore, session: tuple[dict[Dataset, list[tuple[str, pa.Table]]], pa.Table]) -> None:
    both, gaps = session
    for dataset, parts in both.items():
        for instance, table in parts:
            record(store, dataset, table, instance)
    write(store, STREAM_EVENTS, gaps)


def compare(lake: "th.Lake", warehouse: Warehouse, start: int, end: int) -> None:
    """Every answer of the API with the warehouse's, value for value."""
    found = instants(lake.trades("BTCUSDT", start, end, exact=True).arrow())
    wanted = select(
        warehouse, f"select * from trades where trade_time >= {_at(start)} and trade_time < {_at(end)} order by trade_id"
    )
    assert found == wanted

    found = instants(lake.depth_diffs("BTCUSDT", start, end, exact=True).arrow())
    sql = f"select * from depth_diffs where event_time >= {_at(start)} and event_time < {_at(end)} order by last_update_id"
    wanted = select(warehouse, sql)
    assert without(found, "bids", "asks") == without(wanted, "bids", "asks")
    assert [_pairs(row) for row in found] == [_pairs(row) for row in wanted]

    found = instants(lake.books("BTCUSDT", start, end, levels=1, exact=True).arrow())
    sql = f"select * from gold_book_top_1s where open_time >= {_at(start)} and open_time < {_at(end)} order by open_time"
    wanted = select(warehouse, sql)
    assert len(wanted) > 250
    assert [_top(row) for row in found] == [tuple(row[name] for name in _TOP) for row in wanted]

    events = select(
        warehouse, "select * from stream_events where event = 'gap' and channel = 'depth' order by started_at, instance"
    )
    assert without(instants(lake.depth_diffs("BTCUSDT", start, end).gaps), "is_open") == events


_TOP = ("open_time", "last_update_id", "best_bid_price", "best_bid_quantity", "best_ask_price", "best_ask_quantity")


def _at(instant: int) -> str:
    return f"fromUnixTimestamp64Micro({instant}, 'UTC')"


def _pairs(row: dict[str, Any]) -> list[list[tuple[Any, Any]]]:
    return [
        [tuple(level.values()) if isinstance(level, dict) else tuple(level) for level in row[side]] for side in ("bids", "asks")
    ]


def _top(row: dict[str, Any]) -> tuple[Any, ...]:
    (bid,), (ask,) = _pairs(row)
    return row["open_time"], row["last_update_id"], *bid, *ask


@pytest.mark.slow  # chDB builds the books of a session
def test_answers_equal_the_views_on_a_recorded_session(
    lake: "th.Lake",
    folder: FolderStore,
    warehouse: Warehouse,
    session: tuple[dict[Dataset, list[tuple[str, pa.Table]]], pa.Table],
) -> None:
    """Two instances, gaps that one has and that both have; from a folder."""
    both, gaps = session
    land_session(folder, session)
    for dataset, parts in both.items():
        for _, table in parts:
            land(warehouse, dataset, table)
    land(warehouse, STREAM_EVENTS, gaps)
    transform(warehouse)

    compare(lake, warehouse, us("2024-08-08T23:00:00"), us("2024-08-09T01:00:00"))
    for at in ("2024-08-08T23:57:00.25", "2024-08-08T23:59:59.999999", "2024-08-09T00:02:00"):
        book = lake.book("BTCUSDT", at, exact=True)
        wanted = select(
            warehouse, f"select * from gold_book_at(venue = 'binance', symbol = 'BTCUSDT', at = '{at.replace('T', ' ')}')"
        )
        assert wanted
        assert instants(book.arrow()) == without(wanted, "last_update_id", "is_proven")
        assert {(row["last_update_id"], bool(row["is_proven"])) for row in wanted} == {(book.last_update_id, book.is_proven)}


@pytest.mark.slow  # as above
@pytest.mark.parametrize("seed", range(2))
def test_books_equal_gold_over_hours_of_holes_and_snapshots(
    seed: int, lake: "th.Lake", folder: FolderStore, warehouse: Warehouse
) -> None:
    """Diffs that overlap or are missing, snapshots at any update, quiet minutes, times that run against ids by a little."""
    dice = random.Random(seed)
    at, last = DAY + HOUR - 10 * MINUTE, 1_000
    diffs, snapshots = [], []
    for _ in range(700):
        at += dice.choice([100_000, 400_000, 2_500_000, 30 * SECOND] if dice.random() < 0.9 else [3 * MINUTE])
        first = last + 1 + (5 if dice.random() < 0.02 else -1 if dice.random() < 0.1 else 0)
        last = first + dice.randrange(1, 4)
        bids, asks = (
            [[str(100 + side * away), str(dice.choice([0, 0, 1, 2.5]))] for away in dice.sample(range(1, 6), 3)]
            for side in (-1, 1)
        )
        diffs.append(depth_diff(first, last, event_us=at, bids=bids, asks=asks))
        if dice.random() < 0.03:
            bids, asks = [["99", "3"], ["97", "1"]], [["101", "3"], ["104", "1"]]
            snapshots.append(depth_snapshot(last - dice.randrange(3), receipt_us=at + 50_000, bids=bids, asks=asks))
    for dataset, parts, rows in ((DEPTH_DIFFS, diffs, 20), (DEPTH_SNAPSHOTS, snapshots, 1)):
        record(folder, dataset, pa.concat_tables(parts), rows=rows)
        land(warehouse, dataset, pa.concat_tables(parts))
    transform(warehouse)

    found = lake.books("BTCUSDT", DAY, at, levels=1, exact=True)

    wanted = select(warehouse, "select * from gold_book_top_1s order by open_time")
    assert len(wanted) > 500
    assert [_first(row) for row in instants(found.arrow())] == [tuple(row[name] for name in _TOP) for row in wanted]
    assert not found.is_complete
    hours = [(DAY, DAY + HOUR), (DAY + HOUR, DAY + 2 * HOUR + 1_500 * SECOND), (DAY + 2 * HOUR + 1_500 * SECOND, at)]
    parts = [lake.books("BTCUSDT", start, end, levels=1, exact=True).arrow() for start, end in hours]
    assert pa.concat_tables(parts) == found.arrow()


def _first(row: dict[str, Any]) -> tuple[Any, ...]:
    bid, ask = ([*_side, (None, None)][0] for _side in _pairs(row))
    return row["open_time"], row["last_update_id"], *bid, *ask


@pytest.mark.slow
def test_a_bucket_answers_as_a_folder_does(
    lake: "th.Lake",
    folder: FolderStore,
    moto_lake: Bucket,
    session: tuple[dict[Dataset, list[tuple[str, pa.Table]]], pa.Table],
) -> None:
    for store in (folder, moto_lake.store):
        land_session(store, session)
    bucket = th.open(f"s3://{moto_lake.store.bucket}")
    start, end = "2024-08-08T23:56:00Z", datetime(2024, 8, 8, 23, 57, tzinfo=UTC)

    def answers(one: th.Lake) -> list[pa.Table]:
        rows = [one.trades("BTCUSDT", start, end), one.depth_diffs("BTCUSDT", start, end, exact=True)]
        books = [one.books("BTCUSDT", start, end, every="250ms", levels=5), one.book("BTCUSDT", end)]
        return [table for answer in (*rows, *books) for table in (answer.arrow(), answer.gaps, answer.coverage)]

    for mine, other in zip(answers(lake), answers(bucket), strict=True):
        assert mine.num_rows or "cause" in mine.schema.names
        assert mine == other


@pytest.fixture
def address(warehouse_settings: WarehouseSettings) -> Iterator[str]:
    """Where the warehouse answers over HTTP."""
    listener = socket.create_server(("127.0.0.1", 0))
    with serving_sql(warehouse_settings, listener=listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/{warehouse_settings.database}"


@pytest.mark.slow
def test_a_warehouse_answers_as_a_folder_does(
    lake: "th.Lake",
    folder: FolderStore,
    warehouse: Warehouse,
    address: str,
    session: tuple[dict[Dataset, list[tuple[str, pa.Table]]], pa.Table],
) -> None:
    both, gaps = session
    land_session(folder, session)
    for dataset, parts in (*both.items(), (STREAM_EVENTS, [("a", gaps)])):
        for _, table in parts:
            land(warehouse, dataset, table)
    start, end = "2024-08-08T23:56:00Z", "2024-08-09T00:03:00Z"

    def answers(one: th.Lake) -> list[pa.Table]:
        rows = [one.trades("BTCUSDT", start, end, exact=True), one.depth_diffs("BTCUSDT", start, end)]
        rows += [
            one.depth_snapshots("BTCUSDT", "2024-08-08T22:00:00Z", end),
            one.books("BTCUSDT", start, end, every="10s", levels=5),
        ]
        rows += [one.book("BTCUSDT", "2024-08-08T23:59:59.5")]
        return [table for answer in rows for table in (answer.arrow(), answer.gaps, answer.coverage)]

    for mine, other in zip(answers(lake), answers(th.open(address)), strict=True):
        assert mine.num_rows or "cause" in mine.schema.names
        assert mine == other


def test_a_warehouse_knows_gaps_heals_klines_and_names_too(
    lake: "th.Lake", folder: FolderStore, warehouse: Warehouse, address: str
) -> None:
    opens = [DAY + MINUTE * number for number in range(5)]
    folder.write(klines_month_key("binance", "BTCUSDT", "1m", "2024-08"), parquet_bytes(klines(opens), KLINES))
    land(warehouse, KLINES, klines(opens))
    deals = pa.concat_tables([trades([1, 2, 5, 6]), trades([7, 8], symbol="ETHUSDT")])
    gap = stream_event("gap", "trades", 3, 4, started_us=DAY + 2 * SECOND, ended_us=DAY + 5 * SECOND, cause="restart")
    for dataset, table in ((TRADES, deals), (STREAM_EVENTS, gap)):
        write(folder, dataset, table)
        land(warehouse, dataset, table)
    other = th.open(address)
    for one in (lake, other):
        assert one.trades(["BTCUSDT", "ETHUSDT"], DAY, DAY + MINUTE).gaps.column("is_open").to_pylist() == [True]
        assert one.klines("BTCUSDT", "1m", opens[1], DAY + HOUR).arrow().num_rows == 4
        with pytest.raises(UsageError, match="did you mean BTCUSDT"):
            one.trades("btcusdt", DAY, DAY + MINUTE).arrow()
        with pytest.raises(UsageError, match="has 1m of BTCUSDT"):
            one.klines("BTCUSDT", "1h", DAY, DAY + MINUTE).arrow()
        with pytest.raises(UsageError, match="has binance"):
            one.trades("BTCUSDT", DAY, DAY + MINUTE, venue="kraken").arrow()
    for exact in (False, True):
        answers = [one.trades(["ETHUSDT", "BTCUSDT"], DAY, DAY + MINUTE, exact=exact).arrow() for one in (lake, other)]
        assert answers[0] == answers[1]
        assert answers[0].num_rows == 6
    for wrong in ("http://127.0.0.1:1/a/b", "http://127.0.0.1:no/a", "https://127.0.0.1:8123/a", "clickhouse://x"):
        with pytest.raises(UsageError):
            th.open(wrong)


def test_a_row_that_comes_twice_is_the_one_received_first(lake: "th.Lake", folder: FolderStore) -> None:
    """Whatever object it is in, and its event time with it."""
    times = [DAY + SECOND * number for number in range(4)]
    write(folder, TRADES, trades([1, 2, 3], prices=["1", "2", "3"], latency_us=900), "a")
    write(folder, TRADES, trades([2, 3, 4], times_us=times[1:], prices=["20", "30", "40"], latency_us=100), "b")

    found = lake.trades("BTCUSDT", DAY, DAY + MINUTE)

    assert found.polars()["price"].to_list() == [1.0, 20.0, 30.0, 40.0]
    assert [batch.num_rows for batch in found.batches(3)] == [3, 1]
    assert lake.trades("BTCUSDT", DAY + HOUR, DAY + 2 * HOUR).arrow().num_rows == 0
    assert lake.trades("BTCUSDT", times[1], times[3]).pandas()["trade_id"].tolist() == [2, 3]


def test_a_closed_kline_beats_an_open_one_and_then_the_later_one(
    lake: "th.Lake", folder: FolderStore, warehouse: Warehouse
) -> None:
    opens = [DAY + MINUTE * number for number in range(5)]
    month = klines(opens, close="1", receipt_time=DAY + HOUR)
    live = klines(opens[3:], close=["2", "3"], closed=False, receipt_time=DAY + 2 * HOUR)
    newer = klines(opens[:1], close="4", receipt_time=DAY + 3 * HOUR)
    folder.write(klines_month_key("binance", "BTCUSDT", "1m", "2024-08"), parquet_bytes(month, KLINES))
    for number, part in enumerate((live, newer)):
        key = stream_klines_key("binance", "BTCUSDT", "1m", DAY + (number + 2) * HOUR, "a", number)
        folder.write(key, parquet_bytes(part, KLINES))
    for part in (month, live, newer):
        land(warehouse, KLINES, part)

    found = lake.klines("BTCUSDT", "1m", DAY, DAY + 5 * MINUTE, exact=True)

    assert instants(found.arrow()) == select(warehouse, "select * from klines order by open_time")
    assert [str(row["close"])[:1] for row in instants(found.arrow())] == ["4", "1", "1", "1", "1"]
    assert found.is_complete
    assert not lake.klines("BTCUSDT", "1m", DAY, DAY + 6 * MINUTE).is_complete


def test_healed_rows_count_however_late_they_came(lake: "th.Lake", folder: FolderStore) -> None:
    """Two days after the gap, by the event that says so."""
    days_later = DAY + 49 * HOUR
    ids = [1, 2, 5, 6]
    write(folder, TRADES, trades(ids, times_us=[DAY + SECOND * number for number in ids]))
    gap = stream_event("gap", "trades", 3, 4, started_us=DAY + 2 * SECOND, ended_us=DAY + 5 * SECOND, cause="restart")
    write(folder, STREAM_EVENTS, gap)
    before = lake.trades("BTCUSDT", DAY + SECOND, DAY + 6 * SECOND)

    assert before.polars()["trade_id"].to_list() == [1, 2, 5]
    assert not before.is_complete
    assert before.gaps.column("is_open").to_pylist() == [True]
    assert before.coverage.column("covered_seconds").to_pylist() == [pytest.approx(2.0, abs=1e-5)]

    late = trades([3, 4], times_us=[DAY + 3 * SECOND, DAY + 4 * SECOND], latency_us=days_later - DAY - 3 * SECOND)
    write(folder, TRADES, late)
    write(folder, STREAM_EVENTS, stream_event("healed", "trades", 3, 4, started_us=days_later + SECOND), received_us=days_later)
    after = lake.trades("BTCUSDT", DAY + SECOND, DAY + 6 * SECOND)

    assert after.polars()["trade_id"].to_list() == [1, 2, 3, 4, 5]
    assert after.is_complete
    assert after.gaps.column("is_open").to_pylist() == [False]


def test_a_gap_that_another_instance_recorded_is_none(lake: "th.Lake", folder: FolderStore) -> None:
    write(folder, TRADES, trades([1, 2, 6, 7], times_us=[DAY + SECOND * number for number in (1, 2, 6, 7)]), "a")
    write(folder, TRADES, trades([3, 4, 5], times_us=[DAY + SECOND * number for number in (3, 4, 5)]), "b")
    for first, last in ((3, 5), (8, 9)):
        gap = stream_event("gap", "trades", first, last, started_us=DAY + first * SECOND, ended_us=DAY + last * SECOND)
        write(folder, STREAM_EVENTS, gap)

    gaps = lake.gaps("BTCUSDT", DAY, DAY + MINUTE)

    assert gaps.column("from_update_id").to_pylist() == [3, 8]
    assert gaps.column("is_open").to_pylist() == [False, True]
    assert lake.gaps("BTCUSDT", DAY, DAY + MINUTE, channel="depth").num_rows == 0


def test_a_hole_in_the_diffs_that_nobody_named_is_not_complete(lake: "th.Lake", folder: FolderStore) -> None:
    spans = [(1, 2), (3, 4), (6, 7)]
    for number, (first, last) in enumerate(spans):
        write(folder, DEPTH_DIFFS, depth_diff(first, last, event_us=DAY + number * SECOND, bids=[["1", "2"]]))

    assert lake.depth_diffs("BTCUSDT", DAY, DAY + SECOND + 1).is_complete is False
    assert lake.coverage("BTCUSDT", DAY, DAY + 2 * SECOND, channel="depth").column("holes").to_pylist() == [1]
    assert lake.depth_diffs("BTCUSDT", DAY, DAY + SECOND).coverage.column("coverage").to_pylist() == [1.0]


@pytest.mark.parametrize("first", [20, 100], ids=["before", "behind"])
def test_a_gap_beside_the_range_is_no_hole_of_it(lake: "th.Lake", folder: FolderStore, first: int) -> None:
    """Rows up to a minute outside are read too, to see that the recording ran at the border."""
    ids = [number for number in range(200) if not first <= number <= first + 5]
    write(folder, TRADES, trades(ids, times_us=[DAY + number * SECOND for number in ids]))
    for channel in ("trades", "depth"):
        began, ended = DAY + (first - 1) * SECOND, DAY + (first + 6) * SECOND
        gap = stream_event("gap", channel, first, first + 5, cause="disconnect", started_us=began, ended_us=ended)
        write(folder, STREAM_EVENTS, gap)
    for number in ids:
        write(folder, DEPTH_DIFFS, depth_diff(number, number, event_us=DAY + number * SECOND, bids=[["1", "2"]]))
    asked = ("BTCUSDT", DAY + 50 * SECOND, DAY + 80 * SECOND)
    assert lake.trades(*asked).is_complete is True
    assert lake.depth_diffs(*asked).is_complete is True
    assert lake.trades("BTCUSDT", DAY + 10 * SECOND, DAY + 150 * SECOND).is_complete is False


def test_an_object_of_trades_that_was_taken_away_is_not_complete(lake: "th.Lake", folder: FolderStore) -> None:
    """No recorder has written a gap for it. KuCoin's ids have holes of their own."""
    keys = {}
    for venue in ("binance", "kucoin"):
        for number in range(1, 4):
            table = trades([10 * number + one for one in range(10)], times_us=[DAY + number * SECOND] * 10, venue=venue)
            key = hourly_key(TRADES, venue, DAY + number * SECOND, "a", next(_sequences))
            folder.write(key, parquet_bytes(table, TRADES))
            keys[venue, number] = key
    asked = ("BTCUSDT", DAY + SECOND, DAY + 3 * SECOND)
    assert [lake.trades(*asked, venue=venue).is_complete for venue in ("binance", "kucoin")] == [True, True]

    for venue in ("binance", "kucoin"):
        folder.delete(keys[venue, 2])

    assert [lake.trades(*asked, venue=venue).is_complete for venue in ("binance", "kucoin")] == [False, True]
    assert lake.trades(*asked).coverage.column("holes").to_pylist() == [1]


@pytest.mark.parametrize(("next_id", "is_complete"), [(30, True), (31, False)])
def test_a_day_of_a_bulk_file_that_ends_early_is_complete_only_if_ids_go_on_the_next_day(
    lake: "th.Lake", folder: FolderStore, next_id: int, is_complete: bool
) -> None:
    """Its last row is in the first hour. The next day was recorded live, or comes from a file too."""

    def backfilled(day: int, first: int, last: int) -> pa.Table:
        began, ended = day + HOUR // 2 if day > DAY else day, day + HOUR
        return stream_event("backfilled", "trades", first, last, started_us=began, ended_us=ended)

    tomorrow = DAY + 24 * HOUR
    write(folder, TRADES, trades(range(10, 30), times_us=[DAY + number * MINUTE for number in range(19)] + [DAY + HOUR]))
    write(folder, STREAM_EVENTS, backfilled(DAY, 10, 29))
    assert lake.trades("BTCUSDT", DAY, tomorrow).is_complete
    assert lake.trades("BTCUSDT", DAY + 2 * HOUR, tomorrow).is_complete, "nothing says that its file has not all"

    ids, times = [next_id, next_id + 1], [tomorrow + HOUR // 2, tomorrow + HOUR]
    write(folder, TRADES, trades(ids, times_us=times))
    for start in (DAY, DAY + 2 * HOUR):
        assert lake.trades("BTCUSDT", start, tomorrow + HOUR).is_complete is is_complete

    write(folder, STREAM_EVENTS, backfilled(tomorrow, *ids))
    for start, end in ((DAY, tomorrow + HOUR), (DAY + 2 * HOUR, tomorrow + HOUR), (DAY + 2 * HOUR, tomorrow + HOUR // 4)):
        assert lake.trades("BTCUSDT", start, end).is_complete is is_complete, "with and without rows in the range"


@pytest.mark.parametrize("lost", [slice(10, 15), slice(24, 29), slice(10, 29)], ids=["first", "last", "all but one"])
def test_rows_of_a_day_of_a_bulk_file_that_were_taken_away_are_a_hole(lake: "th.Lake", folder: FolderStore, lost: slice) -> None:
    ids = [number for number in range(10, 30) if number not in range(30)[lost]]
    write(folder, TRADES, trades(ids, times_us=[DAY + number * MINUTE for number in ids]))
    said = stream_event("backfilled", "trades", 10, 29, started_us=DAY + 10 * MINUTE, ended_us=DAY + 29 * MINUTE)
    write(folder, STREAM_EVENTS, said)
    found = lake.trades("BTCUSDT", DAY, DAY + 24 * HOUR)
    assert (found.coverage.column("holes").to_pylist(), found.is_complete) == ([1], False)


def test_an_id_of_futures_that_is_no_trade_is_no_hole_and_any_other_is(
    lake: "th.Lake", folder: FolderStore, warehouse: Warehouse, address: str
) -> None:
    """One is streamed, the other one was left out by an answer that healed a gap."""
    ids = [number for number in range(1, 13) if number not in (3, 6, 9)]
    tables = {
        TRADES: [trades(ids, times_us=[DAY + number * SECOND for number in ids], venue="binance-usdm")],
        STREAM_EVENTS: [
            on("binance-usdm", stream_event("no_trade", "trades", 3, 3, started_us=DAY + 2 * SECOND)),
            on("binance-usdm", stream_event("gap", "trades", 5, 7, started_us=DAY + 4 * SECOND, ended_us=DAY + 8 * SECOND)),
            on("binance-usdm", stream_event("no_trade", "trades", 6, 6, started_us=DAY + 5 * SECOND)),
            on("binance-usdm", stream_event("healed", "trades", 5, 7, started_us=DAY + 9 * SECOND)),
        ],
    }
    for dataset, parts in tables.items():
        for table in parts:
            land(warehouse, dataset, table)
            key = hourly_key(dataset, "binance-usdm", DAY, "a", next(_sequences))
            folder.write(key, parquet_bytes(table, dataset))
    for asked in (lake, th.open(address)):
        whole = asked.trades("BTCUSDT", DAY + SECOND, DAY + 8 * SECOND, venue="binance-usdm")
        assert whole.coverage.column("holes").to_pylist() == [0]
        assert whole.is_complete
        broken = asked.trades("BTCUSDT", DAY + SECOND, DAY + 12 * SECOND, venue="binance-usdm")
        assert broken.coverage.column("holes").to_pylist() == [1]
        assert not broken.is_complete


@pytest.mark.parametrize("cause", ["restart", "venue_has_no_data"])
def test_a_healed_gap_whose_rows_were_taken_away_is_not_complete(lake: "th.Lake", folder: FolderStore, cause: str) -> None:
    """What the venue does not have is no hole, until it was there."""
    opens = [DAY + MINUTE * number for number in range(6)]

    def month(present: list[int]) -> None:
        folder.write(klines_month_key("binance", "BTCUSDT", "1m", "2024-08"), parquet_bytes(klines(present), KLINES))

    def event(name: str, first: int, received: int) -> None:
        told = stream_event(
            name, "klines", opens[first], opens[3], started_us=opens[first], ended_us=opens[4], cause=cause,
            instance="backfill-1m",
        )  # fmt: skip
        write(folder, STREAM_EVENTS, told, received_us=received)

    month([*opens[:2], *opens[4:]])
    event("gap", 2, DAY + HOUR)
    asked = ("BTCUSDT", "1m", DAY, DAY + 6 * MINUTE)
    assert lake.klines(*asked).is_complete is (cause == "venue_has_no_data")
    month(opens)
    event("healed", 2, DAY + 2 * HOUR)
    assert lake.klines(*asked).is_complete

    month([*opens[:3], *opens[4:]])

    assert lake.klines(*asked).coverage.column("holes").to_pylist() == [1]
    assert not lake.klines(*asked).is_complete


def test_healed_trades_that_were_taken_away_are_not_complete(lake: "th.Lake", folder: FolderStore) -> None:
    write(folder, TRADES, trades([1, 2, 5, 6], times_us=[DAY + SECOND * number for number in (1, 2, 5, 6)]))
    late = trades([3, 4], times_us=[DAY + 3 * SECOND, DAY + 4 * SECOND], latency_us=2 * HOUR)
    healed = write(folder, TRADES, late)
    for name, started in (("gap", DAY + 2 * SECOND), ("healed", DAY + 2 * HOUR + 5 * SECOND)):
        write(folder, STREAM_EVENTS, stream_event(name, "trades", 3, 4, started_us=started, cause="restart"))
    assert lake.trades("BTCUSDT", DAY + SECOND, DAY + 6 * SECOND).is_complete

    folder.delete(healed)

    assert not lake.trades("BTCUSDT", DAY + SECOND, DAY + 6 * SECOND).is_complete


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_never_changes_rows_without_a_word(lake: "th.Lake", folder: FolderStore, seed: int) -> None:
    """In page, page header, bounds of the footer or anywhere else: the object is left out and named, before rows are read."""
    dice = random.Random(seed)
    keys = {}
    for number in range(3):
        ids = range(20 * number, 20 * number + 20)
        times = [DAY + SECOND * one for one in ids]
        both = pa.concat_tables([trades(ids, times_us=times, symbol=symbol) for symbol in ("BTCUSDT", "ETHUSDT")])
        key = write(folder, TRADES, both)
        keys[Path(folder.where(key))] = key
    asked = ("BTCUSDT", DAY + 5 * SECOND, DAY + 55 * SECOND)
    sound = lake.trades(*asked, exact=True)
    rows = sound.arrow()
    assert (rows.num_rows, sound.is_complete) == (50, True)

    for _ in range(12):
        path = dice.choice(list(keys))
        whole = path.read_bytes()
        place = dice.randrange(len(whole))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << dice.randrange(8)]) + whole[place + 1 :])
        found = lake.trades(*asked, exact=True)
        if found.is_complete:  # nothing but the sums themselves can be other than it was
            assert found.arrow() == rows, (path, place)
        else:
            assert [said.partition(":")[0] for said in found.unreadable] == [keys[path]]
        path.write_bytes(whole)


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_statistics_of_another_tool_are_in_its_own_unit(lake: "th.Lake", folder: FolderStore, tmp_path: Path, unit: str) -> None:
    table = trades([1, 2, 3])
    place = table.schema.get_field_index("trade_time")
    pq.write_table(table.set_column(place, "trade_time", table.column(place).cast(pa.timestamp(unit, "UTC"))), tmp_path / "x")
    folder.write(hourly_key(TRADES, "binance", DAY, "a", next(_sequences)), (tmp_path / "x").read_bytes())

    assert lake.trades("BTCUSDT", DAY, DAY + MINUTE).arrow().column("trade_id").to_pylist() == [1, 2, 3]


def test_object_by_object_the_rows_are_those_of_one_pass(lake: "th.Lake", folder: FolderStore) -> None:
    """Three hours in small objects of two instances that overlap, whose times run against the ids here and there."""
    dice = random.Random(7)
    ids = list(range(150))
    times = [DAY + 72 * SECOND * number + dice.randrange(-50 * SECOND, 50 * SECOND) for number in ids]
    for instance in ("a", "b"):
        start = 0
        while start < len(ids):
            end = start + dice.randrange(1, 20)
            part = [depth_diff(number, number, event_us=times[number] + dice.randrange(1_000)) for number in ids[start:end]]
            late = [dice.randrange(-2_000, 2_000) for _ in part]
            write(folder, DEPTH_DIFFS, shifted(pa.concat_tables(part), "receipt_time", late), instance)
            start = end - dice.randrange(2)
    asked = request("binance", "BTCUSDT", DAY + HOUR, DAY + 2 * HOUR)

    in_one, one_by_one = (
        pa.concat_tables(RowScan(folder, DEPTH_DIFFS, asked, chunk_objects=number).tables()) for number in (10_000, 1)
    )

    assert in_one == one_by_one
    assert in_one == lake.depth_diffs("BTCUSDT", DAY + HOUR, DAY + 2 * HOUR, exact=True).arrow()
    found = in_one.column("last_update_id").to_pylist()
    assert found == sorted(set(found))
    assert len(found) == pytest.approx(HOUR / SECOND / 72, abs=3)


def test_several_symbols_come_in_order_of_time(lake: "th.Lake", folder: FolderStore) -> None:
    for symbol, offset in (("BTCUSDT", 0), ("ETHUSDT", SECOND // 2)):
        times = [DAY + SECOND * number + offset for number in range(3)]
        write(folder, TRADES, trades([1, 2, 3], times_us=times, symbol=symbol))

    rows = lake.trades(["ETHUSDT", "BTCUSDT"], DAY, DAY + MINUTE)

    assert rows.polars()["symbol"].to_list() == ["BTCUSDT", "ETHUSDT"] * 3
    assert rows.coverage.column("symbol").to_pylist() == ["ETHUSDT", "BTCUSDT"]


def test_an_object_that_cannot_be_read_is_left_out_and_named(lake: "th.Lake", folder: FolderStore) -> None:
    write(folder, TRADES, trades([1, 2]))
    key = hourly_key(TRADES, "binance", DAY + 1, "b", 1)
    folder.write(key, b"PAR1 no Parquet PAR1")

    rows = lake.trades("BTCUSDT", DAY, DAY + 1_500_000)

    assert rows.polars()["trade_id"].to_list() == [1, 2]
    assert not rows.is_complete
    assert [said.startswith(f"{key}: not_parquet") for said in rows.unreadable] == [True]


def test_objects_of_other_tools_are_read_as_the_loader_reads_them(lake: "th.Lake", folder: FolderStore) -> None:
    """One by polars without the columns of its key, and one that is too large to be read whole: only its row groups are."""
    small = folder.where(write(folder, TRADES, trades([1, 2, 3])))
    frame = pl.read_parquet(small).with_columns(pl.col("trade_id") + 10).drop("venue")
    frame.write_parquet(Path(small).with_name("mine.parquet"))
    times = [DAY + 1_000 * number for number in range(16_000)]
    large = trades(range(100, 16_100), times_us=times).cast(plain_schema(TRADES))
    path = Path(small).with_name(f"{DAY}-large-1.parquet")
    pq.write_table(large, path, compression="none", use_dictionary=False, row_group_size=4_000)
    assert path.stat().st_size > SMALL_BYTES

    assert lake.trades("BTCUSDT", DAY + 500, DAY + 2_500).polars()["trade_id"].to_list() == [101, 102]
    found = lake.trades("BTCUSDT", DAY, DAY + 2_001).polars()["trade_id"].to_list()
    assert found == [1, 11, 100, 101, 102]


def plain_schema(dataset: Dataset) -> pa.Schema:
    """Without dictionaries."""
    return pa.schema(
        [(field.name, pa.string() if pa.types.is_dictionary(field.type) else field.type) for field in dataset.schema]
    )


def test_floats_are_the_nearest_and_decimals_are_exact(lake: "th.Lake", folder: FolderStore) -> None:
    prices = ["0.1", "61234.12345678", "0.000000000000000001", "99999999999999999999", "12345678.123456789012345678"]
    write(folder, TRADES, trades(range(5), prices=prices))

    assert lake.trades("BTCUSDT", DAY, DAY + MINUTE).arrow().column("price").to_pylist() == [float(price) for price in prices]
    exact = lake.trades("BTCUSDT", DAY, DAY + MINUTE, exact=True).arrow()
    assert exact.column("price").to_pylist() == [Decimal(price) for price in prices]
    nothing = pa.table({"price": pa.array([None, Decimal("0.1")], pa.decimal128(38, 18))})
    assert floats(nothing).column("price").to_pylist() == [None, 0.1]


def test_a_replay_is_in_order_of_receipt_with_gaps_as_items(lake: "th.Lake", folder: FolderStore) -> None:
    write(folder, TRADES, trades([1, 2, 3], latency_us=700))
    for number in range(3):
        write(folder, DEPTH_DIFFS, depth_diff(number + 1, number + 1, event_us=DAY + number * SECOND, latency_us=500))
    write(folder, DEPTH_SNAPSHOTS, depth_snapshot(1, receipt_us=DAY + 600, bids=[["1", "2"]], asks=[]))
    ticker = dict.fromkeys(TICKERS.schema.names, "1") | {"venue": "binance", "symbol": ["BTCUSDT"]}
    write(folder, TICKERS, table_of(TICKERS, ticker | {"event_time": [DAY + SECOND], "receipt_time": [DAY + SECOND - 1]}))
    write(folder, STREAM_EVENTS, stream_event("gap", "depth", 9, 9, started_us=DAY, ended_us=DAY + SECOND, cause="sequence"))
    write(folder, BOOK_TICKERS, book_tickers([(5, DAY + 800, "1", "2", "3", "4"), (6, DAY + 2 * SECOND, "1", "2", "3", "4")]))

    found = list(th.replay(lake, "BTCUSDT", DAY, DAY + 2 * SECOND))

    kinds = ["depth_diff", "depth_snapshot", "trade", "book_ticker", "ticker", "gap", "depth_diff", "trade"]
    assert [item.kind for item in found] == kinds
    assert [item.receipt_time - DAY for item in found] == [500, 600, 700, 800, 999_999, 1_000_000, 1_000_500, 1_000_700]
    assert found[1].row["bids"] == [{"price": 1.0, "quantity": 2.0}]
    assert [found[3].row[name] for name in ("update_id", "bid_price", "ask_quantity", "event_time")] == [5, 1.0, 4.0, None]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda lake: lake.trades("BTCUSDT", "2024-08-09", "2024-08-09"), "not before"),
        (lambda lake: lake.trades([], DAY, DAY + 1), "no symbol"),
        (lambda lake: lake.trades("BTCUSDT", "yesterday", DAY), "start='yesterday' is no instant"),
        (lambda lake: lake.trades("BTCUSDT", 1.5, DAY), "start=1.5"),
        (lambda lake: lake.trades("BTCUSDT", DAY // 1_000, DAY), "microseconds since 1970"),
        (lambda lake: lake.trades("BTCUSDT", DAY, DAY * 1_000), "microseconds since 1970"),
        (lambda lake: lake.trades("BTCUSDT", DAY, 10**30), "microseconds since 1970"),
        (lambda lake: lake.trades(5, DAY, DAY + 1), "no symbol"),
        (lambda lake: lake.trades(["BTCUSDT", ""], DAY, DAY + 1), "no symbol"),
        (lambda lake: lake.books("BTCUSDT", DAY, DAY + 1, every="1 fortnight"), "every="),
        (lambda lake: lake.books("BTCUSDT", DAY, DAY + 1, levels=0), "levels=0"),
        (lambda lake: lake.books("BTCUSDT", DAY, DAY + 1, levels="20"), "levels='20'"),
        (lambda lake: lake.books("BTCUSDT", DAY, DAY + 1, every=5), "every=5"),
        (lambda lake: next(lake.trades("BTCUSDT", DAY, DAY + 1).batches(0)), "rows=0"),
        (lambda lake: next(lake.trades("BTCUSDT", DAY, DAY + 1).batches("a")), "rows='a': a batch has at least one"),
        (lambda lake: next(lake.trades("BTCUSDT", DAY, DAY + 1).batches(2.5)), "rows=2.5"),
        (lambda lake: lake.trades("BTCUSDT", DAY, DAY + 1, None), "venue=None"),
        (lambda lake: lake.klines("BTCUSDT", 60, DAY, DAY + 1), "interval=60"),
        (lambda lake: lake.gaps("BTCUSDT", DAY, DAY + 1, channel=["trades"]), "choose from klines"),
        (lambda lake: lake.gaps("BTCUSDT", DAY, DAY + 1, channel="news"), "choose from klines"),
        (lambda _: th.open("nowhere"), "no lake there"),
        (lambda _: th.open("s3://"), "name the bucket"),
        (lambda _: th.open("gs://bucket"), "a data folder, s3://bucket, or a warehouse"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(ask: Any, says: str, lake: "th.Lake") -> None:
    with pytest.raises(UsageError, match=says) as raised:
        ask(lake)

    assert "\n" not in str(raised.value)


def _every_answer(lake: "th.Lake", symbol: str, venue: str = "binance") -> list[Any]:
    range_ = (DAY + DAY_US, DAY + 2 * DAY_US, venue)
    rows = lake.trades(symbol, *range_)
    books = lake.books(["BTCUSDT", symbol], *range_[:2], every="1h", venue=venue)
    return [
        *(rows.arrow, lambda: rows.is_complete, lambda: lake.coverage(symbol, *range_[:2], venue=venue), books.arrow),
        lambda: books.is_complete,
        *(lambda: list(lake.klines(symbol, "1m", *range_).batches()), lake.book(symbol, DAY, venue).arrow),
        lambda: list(th.replay(lake, symbol, *range_)),
    ]


@pytest.mark.parametrize(
    ("symbol", "venue", "says"),
    [
        ("btcusdt", "binance", "symbol 'btcusdt': this lake has none of it at binance: did you mean BTCUSDT?"),
        ("ETH-USDT", "binance", "symbol 'ETH-USDT': this lake has none of it at binance: did you mean ETHUSDT?"),
        ("DOGEUSDT", "binance", "symbol 'DOGEUSDT': this lake has BTCUSDT, ETHUSDT at binance"),
        ("BTCUSDT", "kraken", "venue 'kraken': this lake has binance"),
    ],
)
def test_a_symbol_or_venue_that_the_lake_never_had_is_an_error_and_not_nothing(
    symbol: str, venue: str, says: str, lake: "th.Lake", folder: FolderStore
) -> None:
    write(folder, TRADES, trades([1], times_us=[DAY]))
    folder.write(klines_month_key("binance", "ETHUSDT", "1m", "2024-08"), parquet_bytes(klines([DAY]), KLINES))
    event = stream_event("unknown_symbol", "trades", None, None, started_us=DAY)
    other = pa.array(["DOGEUSDT"]).dictionary_encode()
    write(folder, STREAM_EVENTS, event.set_column(1, event.schema.field("symbol"), other))
    for answer in _every_answer(lake, symbol, venue):
        with pytest.raises(UsageError) as refused:
            answer()
        assert str(refused.value) == says
    for answer in _every_answer(lake, "BTCUSDT") + _every_answer(lake, "ETHUSDT"):
        answer()
    assert lake.trades(["ETHUSDT", "BTCUSDT"], DAY, DAY + SECOND).arrow().num_rows == 1


def test_an_interval_that_the_lake_never_had_is_an_error(lake: "th.Lake", folder: FolderStore) -> None:
    for interval in ("1m", "1h"):
        folder.write(klines_month_key("binance", "BTCUSDT", interval, "2024-08"), parquet_bytes(klines([DAY]), KLINES))
    with pytest.raises(UsageError, match="interval '1min': this lake has 1h, 1m of BTCUSDT"):
        lake.klines("BTCUSDT", "1min", DAY, DAY + HOUR).arrow()
    assert lake.klines("BTCUSDT", "1h", DAY + HOUR, DAY + 2 * HOUR).arrow().num_rows == 0


def test_a_symbol_is_looked_for_in_so_many_objects_alone(folder: FolderStore, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        write(folder, TRADES, trades([number + 1], times_us=[DAY + number * DAY_US]))
    Known(folder, most_objects=2).check(request("binance", "DOGEUSDT", DAY, DAY + HOUR))
    assert "no such symbol" in caplog.text
    with pytest.raises(UsageError, match="this lake has BTCUSDT"):
        Known(folder).check(request("binance", "DOGEUSDT", DAY, DAY + HOUR))


class ListedDays(FolderStore):
    """Remembers which prefixes were listed, and how often folders were."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.listed: list[str] = []
        self.folders_listed = 0

    def folders_in(self, prefix: str) -> list[str]:
        self.folders_listed += 1
        return super().folders_in(prefix)

    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        self.listed.append(prefix.rpartition("date=")[2])
        return super().list_keys(prefix)


def test_a_long_range_is_listed_as_it_is_read(tmp_path: Path) -> None:
    """Objects of a month of ten seconds each would be 130 MB of keys."""
    store = ListedDays(tmp_path)
    days = range(6)
    for day in days:
        write(store, TRADES, trades([day + 1], times_us=[DAY + day * 24 * HOUR]))
    scan = RowScan(store, TRADES, request("binance", "BTCUSDT", DAY, DAY + 7 * 24 * HOUR), chunk_objects=1)
    read = scan.tables()
    assert next(read).column("trade_id").to_pylist() == [1]
    assert len(store.listed) < 5
    assert [number for table in read for number in table.column("trade_id").to_pylist()] == [2, 3, 4, 5, 6]
    assert len(store.listed) == len(days) + 1  # and what was compacted of the symbol: an object a day


def test_what_was_compacted_of_other_symbols_is_not_listed(tmp_path: Path) -> None:
    store = ListedDays(tmp_path)
    write(store, TRADES, trades([1], times_us=[DAY]))
    for number in range(50):
        store.write(f"data_sources/trades/venue=binance/symbol=S{number}USDT/date=2024-08-10/compacted.parquet", b"")
    scan = RowScan(store, TRADES, request("binance", "BTCUSDT", DAY, DAY + HOUR))
    assert [number for table in scan.tables() for number in table.column("trade_id").to_pylist()] == [1]
    assert store.folders_listed < 5


def test_objects_of_another_tool_may_have_rows_of_the_day_before(folder: FolderStore, lake: "th.Lake") -> None:
    for day in range(4):
        write(folder, TRADES, trades([10 * day + 1, 10 * day + 3], times_us=[DAY + day * 24 * HOUR, DAY + (day * 24 + 1) * HOUR]))
    between = trades([12], times_us=[DAY + 24 * HOUR + MINUTE])
    folder.write("data_sources/trades/venue=binance/date=2024-08-11/hour=00/compacted.parquet", parquet_bytes(between, TRADES))
    found = lake.trades("BTCUSDT", DAY, DAY + 4 * 24 * HOUR).arrow()
    assert found.column("trade_id").to_pylist() == [1, 3, 11, 12, 13, 21, 23, 31, 33]

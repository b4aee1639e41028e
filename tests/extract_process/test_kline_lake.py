from __future__ import annotations

import io
import json
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.tickhouse_core.test_parquet_check import with_encrypted_columns

from extract_process.backfill.month_files import Disagreement, KlineLake, compare
from extract_process.backfill.plan import Coverage
from extract_process.parquet import parquet_bytes
from extract_process.ranges import Range, grid_of
from extract_process.venues.binance.klines import parse_klines
from tickhouse_core.columns import INSTANT
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import ObjectRefused, ObjectTooLarge
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.parquet_check import read_checked
from tickhouse_core.s3_store import S3Store
from tickhouse_core.timestamps import parse_instant

if TYPE_CHECKING:
    from conftest import Lake


GRID = grid_of("1h")
START = parse_instant("2024-01-01")
KEY = "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1h/2024-01.parquet"


def hour(number: int) -> int:
    return START + number * GRID.step_us


def hours(first: int, last: int) -> Range:
    return Range(hour(first), hour(last))


def klines(*numbers: int, price: str = "1.5", receipt_time: int = START, symbol: str = "BTCUSDT") -> pa.Table:
    rows = [[hour(n) // 1_000, price, "2", "1", "1.5", "10", hour(n + 1) // 1_000 - 1, "15", 3, "5", "7.5", "0"] for n in numbers]
    return parse_klines(json.dumps(rows).encode(), symbol=symbol, interval="1h", receipt_time=receipt_time)


@pytest.fixture
def lake(moto_lake: Lake) -> KlineLake:
    return lake_on(moto_lake.store)


def lake_on(store: ObjectStore) -> KlineLake:
    return KlineLake(store, "binance", "BTCUSDT", "1h", GRID)


def stored(store: ObjectStore) -> pa.Table:
    return pq.read_table(pa.BufferReader(store.read(KEY).body))


def stored_hours(store: ObjectStore) -> list[int]:
    return [(time.value - START) // GRID.step_us for time in stored(store)["open_time"]]


def absences(store: ObjectStore) -> object:
    return json.loads(stored(store).schema.metadata[b"tickhouse.no_data"])


def test_a_first_landing_makes_the_months_object(lake: KlineLake, moto_lake: Lake) -> None:
    landed = lake.land("2024-01", klines(0, 1, 2), [])
    assert (landed.key, landed.rows, landed.healed, landed.disagreements) == (KEY, 3, [], [])
    assert stored(moto_lake.store).schema.names == KLINES.schema.names
    assert stored_hours(moto_lake.store) == [0, 1, 2]


def test_a_later_landing_adds_and_keeps_the_order(lake: KlineLake, moto_lake: Lake) -> None:
    lake.land("2024-01", klines(0, 1, 5), [])
    assert lake.land("2024-01", klines(2, 3), []).rows == 2
    assert stored_hours(moto_lake.store) == [0, 1, 2, 3, 5]


def test_rows_in_any_order_land_in_the_order_of_time(lake: KlineLake, moto_lake: Lake) -> None:
    lake.land("2024-01", pa.concat_tables([klines(4, 5), klines(0, 1)]), [])
    assert stored_hours(moto_lake.store) == [0, 1, 4, 5]


def test_a_row_that_is_there_is_never_overwritten(lake: KlineLake, moto_lake: Lake) -> None:
    lake.land("2024-01", klines(0, 1, price="1.5", receipt_time=START + 7), [])
    landed = lake.land("2024-01", klines(1, 2, price="9.5", receipt_time=START + 8), [])
    assert landed.rows == 1
    table = stored(moto_lake.store)
    assert [str(price.as_py()) for price in table["open"]] == [f"{price}{'0' * 17}" for price in ("1.5", "1.5", "9.5")]
    assert [time.value - START for time in table["receipt_time"]] == [7, 7, 8]


def test_rows_that_come_twice_count_once(lake: KlineLake, moto_lake: Lake) -> None:
    lake.land("2024-01", klines(0, 1), [])
    landed = lake.land("2024-01", pa.concat_tables([klines(2, 3), klines(0, 1, 2), klines(3)]), [])
    assert (landed.rows, landed.disagreements) == (2, [])
    assert stored_hours(moto_lake.store) == [0, 1, 2, 3]


def test_a_disagreement_is_found_with_both_values(lake: KlineLake) -> None:
    lake.land("2024-01", klines(0, 1, price="1.5"), [])
    landed = lake.land("2024-01", klines(1, 2, price="9.5"), [])
    assert landed.disagreements == [Disagreement(hour(1), "open", f"1.5{'0' * 17}", f"9.5{'0' * 17}")]


def test_the_same_values_from_another_source_at_another_time_agree() -> None:
    offered = klines(0, 1, receipt_time=START + 99)
    source = pa.array(["archive", "archive"]).dictionary_encode()
    offered = offered.set_column(offered.schema.get_field_index("source"), KLINES.schema.field("source"), source)
    assert compare(klines(0, 1), offered) == []


def test_tables_are_compared_by_open_time_whatever_their_order() -> None:
    mixed = pa.concat_tables([klines(3, 4), klines(1, price="8")])
    found = compare(klines(0, 1, 2, 3), mixed)
    assert [(one.open_time, one.column) for one in found] == [(hour(1), "open")]
    assert compare(klines(0, 1), klines(2, 3)) == []
    assert compare(klines(), klines(2, 3)) == []


def test_proven_absences_are_in_the_footer_and_survive_later_landings(lake: KlineLake, moto_lake: Lake) -> None:
    lake.land("2024-01", klines(3, 4), [hours(0, 2)])
    assert absences(moto_lake.store) == [[hour(0), hour(2)]]
    lake.land("2024-01", klines(5), [hours(8, 9)])
    assert absences(moto_lake.store) == [[hour(0), hour(2)], [hour(8), hour(9)]]
    assert lake.read_coverage(["2024-01"]) == {"2024-01": Coverage([hours(3, 5)], [hours(0, 2), hours(8, 9)])}


def test_a_month_without_any_kline_is_an_object_that_says_so(lake: KlineLake, moto_lake: Lake) -> None:
    landed = lake.land("2024-01", klines(), [hours(0, 743)])
    assert (landed.rows, stored_hours(moto_lake.store)) == (0, [])
    assert lake.read_coverage(["2024-01"]) == {"2024-01": Coverage([], [hours(0, 743)])}


def test_a_row_that_appears_where_there_was_none_heals_the_absence(lake: KlineLake, moto_lake: Lake) -> None:
    lake.land("2024-01", klines(4), [hours(0, 3)])
    landed = lake.land("2024-01", klines(1, 2), [])
    assert landed.healed == [(hours(1, 2), "venue_has_no_data")]
    assert absences(moto_lake.store) == [[hour(0), hour(0)], [hour(3), hour(3)]]


def test_a_present_row_is_never_called_absent(lake: KlineLake, moto_lake: Lake) -> None:
    lake.land("2024-01", klines(1, 2), [hours(0, 3)])
    assert absences(moto_lake.store) == [[hour(0), hour(0)], [hour(3), hour(3)]]


def test_the_same_rows_are_the_same_bytes(lake: KlineLake, moto_lake: Lake) -> None:
    lake.land("2024-01", klines(0, 1, 2), [hours(5, 6)])
    first = moto_lake.store.read(KEY)
    lake.land("2024-01", klines(0, 1, 2, receipt_time=START + 99), [hours(5, 6)])
    assert moto_lake.store.read(KEY) == first


def test_rows_that_arrived_in_two_landings_are_the_bytes_of_one(lake: KlineLake, moto_lake: Lake) -> None:
    lake.land("2024-01", klines(0, 3), [])
    lake.land("2024-01", klines(1, 2), [])
    in_two = moto_lake.store.read(KEY)
    moto_lake.store.write(KEY, b"gone")
    lake.land("2024-01", klines(0, 1, 2, 3), [])
    assert moto_lake.store.read(KEY) == in_two


@pytest.mark.parametrize("writers", [2, 4])
def test_landings_that_race_lose_no_row(writers: int, moto_lake: Lake) -> None:
    lakes, start, rows = [lake_on(S3Store(moto_lake.store.bucket)) for _ in range(writers)], Barrier(writers), []

    def land(number: int) -> None:
        start.wait(10)
        rows.append(lakes[number].land("2024-01", klines(*range(number * 5, number * 5 + 5)), []).rows)

    threads = [Thread(target=land, args=[number]) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows == [5] * writers
    assert stored_hours(moto_lake.store) == list(range(writers * 5))


class Rival(S3Store):
    """Somebody else lands an hour between our reading and our writing, `times` times."""

    times = 1

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        if self.times:
            self.times -= 1
            lake_on(S3Store(self.bucket)).land("2024-01", klines(10 + self.times), [])
        return super().write(key, body, replaces=replaces, must_be_new=must_be_new)


@pytest.mark.parametrize("times", [1, 4])
def test_whoever_loses_the_race_reads_again_and_merges(times: int, moto_lake: Lake) -> None:
    rival = Rival(moto_lake.store.bucket)
    rival.times = times
    assert lake_on(rival).land("2024-01", klines(0, 1), []).rows == 2
    assert stored_hours(moto_lake.store) == [0, 1, *range(10, 10 + times)]


@pytest.mark.parametrize("garbage", [b"", b"not parquet", b"PAR1" + bytes(100) + b"PAR1"])
def test_an_object_that_is_no_month_is_asked_for_again_and_written_anew(garbage: bytes, lake: KlineLake, moto_lake: Lake) -> None:
    moto_lake.store.write(KEY, garbage)
    assert lake.read_coverage(["2024-01"]) == {"2024-01": Coverage([], [])}
    assert lake.land("2024-01", klines(0, 1), []).rows == 2
    assert stored_hours(moto_lake.store) == [0, 1]


def test_a_parquet_file_of_something_else_is_written_anew(lake: KlineLake, moto_lake: Lake) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [1, 2]}), sink)
    moto_lake.store.write(KEY, sink.getvalue())
    assert lake.read_coverage(["2024-01"]) == {"2024-01": Coverage([], [])}
    assert lake.land("2024-01", klines(0, 1), []).rows == 2
    assert stored_hours(moto_lake.store) == [0, 1]


def as_another_tool_writes(rows: pa.Table) -> bytes:
    """Smaller decimals, nanoseconds, plain text, an index, and no venue, symbol and interval but in the key."""
    columns: dict[str, pa.ChunkedArray] = {}
    for field in rows.drop_columns(["venue", "symbol", "interval"]).schema:
        smaller = {pa.decimal128(38, 18): pa.decimal128(18, 8), INSTANT: pa.timestamp("ns", "UTC")}.get(field.type, field.type)
        columns[field.name] = rows[field.name].cast(smaller)
    columns |= {"trade_count": rows["trade_count"].cast(pa.int16()), "source": rows["source"].cast(pa.string())}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns).append_column("__index_level_0__", pa.array(range(rows.num_rows))), sink)
    return sink.getvalue()


def test_a_month_of_another_tool_counts_as_it_would_load_and_is_completed_with_its_rows_kept(
    lake: KlineLake, moto_lake: Lake
) -> None:
    body = as_another_tool_writes(klines(0, 1, 2))
    moto_lake.store.write(KEY, body)
    assert lake.read_coverage(["2024-01"])["2024-01"].present == [hours(0, 2)]
    assert lake.land("2024-01", klines(2, 3, price="9.5"), []).rows == 1
    landed = stored(moto_lake.store).cast(KLINES.schema)
    assert landed.drop_columns(["open"]).equals(klines(0, 1, 2, 3).drop_columns(["open"]))
    assert [str(price.as_py())[:3] for price in stored(moto_lake.store)["open"]] == ["1.5", "1.5", "1.5", "9.5"]
    assert read_checked(body, KLINES, KEY).equals(klines(0, 1, 2))  # the loader's findings


def unfit(rows: pa.Table, what: str) -> pa.Table:
    def changed(name: str, column: pa.ChunkedArray) -> pa.Table:
        return rows.set_column(rows.schema.names.index(name), name, column)

    return {
        "extra": lambda: rows.append_column("mood", pa.array(["good"] * rows.num_rows)),
        "instant": lambda: changed("close_time", pa.array([-1] * rows.num_rows, INSTANT)),
        "digits": lambda: changed("open", rows["open"].cast(pa.float64())),
        "null": lambda: changed("trade_count", pa.nulls(rows.num_rows, pa.int64())),
    }[what]()


def test_a_month_with_encrypted_columns_is_no_complete_month_and_ends_no_process(lake: KlineLake, moto_lake: Lake) -> None:
    metadata = {"tickhouse.schema_version": "1", "tickhouse.row_count": "3"}
    moto_lake.store.write(KEY, with_encrypted_columns(klines(0, 1, 2).cast(KLINES.schema.with_metadata(metadata))))
    assert lake.read_coverage(["2024-01"]) == {"2024-01": Coverage([], [])}


@pytest.mark.parametrize("has_our_metadata", [False, True])
@pytest.mark.parametrize("what", ["extra", "instant", "digits", "null"])
def test_what_the_loader_refuses_is_no_complete_month_and_is_kept_aside_before_it_is_written_anew(
    what: str, has_our_metadata: bool, lake: KlineLake, moto_lake: Lake
) -> None:
    sink = io.BytesIO()
    metadata = {"tickhouse.schema_version": "1", "tickhouse.row_count": "3"} if has_our_metadata else None
    pq.write_table(unfit(klines(0, 1, 2), what).replace_schema_metadata(metadata), sink)
    moto_lake.store.write(KEY, sink.getvalue())
    with pytest.raises(ObjectRefused):
        read_checked(sink.getvalue(), KLINES, KEY)
    assert lake.read_coverage(["2024-01"]) == {"2024-01": Coverage([], [])}
    assert lake.land("2024-01", klines(1), []).rows == 1
    assert moto_lake.store.read(f"quarantine/{KEY}").body == sink.getvalue()
    assert stored_hours(moto_lake.store) == [1]


def renamed(rows: pa.Table, name: str, value: str) -> pa.Table:
    column = pa.array([value] * rows.num_rows).dictionary_encode()
    return rows.set_column(rows.schema.names.index(name), KLINES.schema.field(name), column)


@pytest.mark.parametrize(("name", "value"), [("symbol", "ETHUSDT"), ("venue", "kucoin"), ("interval", "1m")])
def test_rows_of_another_series_count_for_nothing_and_stay(name: str, value: str, lake: KlineLake, moto_lake: Lake) -> None:
    """The loader believes the columns: such a month is no complete one of this series."""
    others = renamed(klines(0, 1, 2, price="9.5"), name, value)
    moto_lake.store.write(KEY, parquet_bytes(others, KLINES, {"no_data": f"[[{hour(3)}, {hour(5)}]]"}))
    assert lake.read_coverage(["2024-01"]) == {"2024-01": Coverage([], [])}
    landed = lake.land("2024-01", klines(0, 1, 2, 4), [])
    assert (landed.rows, landed.healed, landed.disagreements) == (4, [], [])
    assert stored(moto_lake.store).to_pylist() == klines(0, 1, 2, 4).to_pylist() + others.to_pylist()
    assert lake.read_coverage(["2024-01"])["2024-01"].present == [hours(0, 2), hours(4, 4)]
    assert lake.land("2024-01", klines(3), []).rows == 1
    assert stored(moto_lake.store).num_rows == 8


def test_coverage_is_by_month_and_only_of_months_that_were_asked_for(lake: KlineLake) -> None:
    lake.land("2024-01", klines(0, 1, 2), [])
    lake.land("2024-02", klines(31 * 24), [])
    lake.land("2024-03", klines(60 * 24), [])
    assert lake.read_coverage(["2024-01", "2024-02", "2024-04"]) == {
        "2024-01": Coverage([hours(0, 2)], []),
        "2024-02": Coverage([hours(31 * 24, 31 * 24)], []),
    }


def test_holes_are_seen_wherever_they_are(lake: KlineLake) -> None:
    lake.land("2024-01", klines(1, 2, 4, 7, 8), [])
    assert lake.read_coverage(["2024-01"])["2024-01"].present == [hours(1, 2), hours(4, 4), hours(7, 8)]


def test_files_of_the_live_capture_and_other_series_are_not_coverage(lake: KlineLake, moto_lake: Lake) -> None:
    prefix = "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT"
    moto_lake.store.write(f"{prefix}/interval=1h/stream-1-a-1.parquet", b"x")
    moto_lake.store.write(f"{prefix}/interval=1M/2024-01.parquet", b"x")
    moto_lake.store.write(f"{prefix}2/interval=1h/2024-01.parquet", b"x")
    assert lake.read_coverage(["2024-01"]) == {}


def test_klines_off_the_grid_are_kept_but_cover_nothing(lake: KlineLake, moto_lake: Lake) -> None:
    half = parse_klines(
        json.dumps(
            [[hour(1) // 1_000 + 1_800_000, "1", "2", "1", "1.5", "10", hour(2) // 1_000 - 1, "15", 3, "5", "7.5", "0"]]
        ).encode(),
        symbol="BTCUSDT",
        interval="1h",
        receipt_time=START,
    )
    lake.land("2024-01", pa.concat_tables([klines(0), half, klines(3)]), [])
    assert stored(moto_lake.store).num_rows == 3
    assert lake.read_coverage(["2024-01"])["2024-01"].present == [hours(0, 0), hours(3, 3)]


class Counting(S3Store):
    """Counts the bytes read of listed objects."""

    bytes_read = 0

    def read_range(self, summary: ObjectSummary, start: int, end: int) -> bytes:
        self.bytes_read += end - start
        return super().read_range(summary, start, end)


def test_coverage_of_a_complete_month_costs_its_footer_only(moto_lake: Lake) -> None:
    lake_on(moto_lake.store).land("2024-01", noisy_month(), [])
    counting = Counting(moto_lake.store.bucket)
    assert lake_on(counting).read_coverage(["2024-01"])["2024-01"].present == [hours(0, 743)]
    size = len(moto_lake.store.read(KEY).body)
    assert counting.bytes_read < 70_000 < 90_000 < size


def noisy_month() -> pa.Table:
    """744 klines whose digits do not compress."""
    digits = [str(pow(3, 7_000 + n * 17, 10**36)).zfill(36) for n in range(744 * 8)]
    texts = [f"{text[:18]}.{text[18:]}" for text in digits]
    rows = []
    for n in range(744):
        of_row = texts[n * 8 : n * 8 + 8]
        low, high = sorted(of_row[1:3])
        rows.append(
            [hour(n) // 1_000, of_row[0], high, low, *of_row[3:5], hour(n + 1) // 1_000 - 1, of_row[5], n, *of_row[6:], "0"]
        )
    return parse_klines(json.dumps(rows).encode(), symbol="BTCUSDT", interval="1h", receipt_time=START)


def test_symbols_of_any_script_have_their_own_month(moto_lake: Lake) -> None:
    chinese = KlineLake(moto_lake.store, "binance", "币安人生USDT", "1h", GRID)
    landed = chinese.land("2024-01", klines(0, symbol="币安人生USDT"), [])
    assert landed.key == "data_sources/klines_pricing/venue=binance/symbol=币安人生USDT/interval=1h/2024-01.parquet"
    assert chinese.read_coverage(["2024-01"]) == {"2024-01": Coverage([hours(0, 0)], [])}
    assert lake_on(moto_lake.store).read_coverage(["2024-01"]) == {}


def test_a_month_s_object_above_the_limit_is_neither_read_nor_replaced(moto_lake: Lake) -> None:
    moto_lake.store.write(KEY, b"x" * 5_000)
    small = KlineLake(moto_lake.store, "binance", "BTCUSDT", "1h", GRID, most_object_bytes=4_999)
    with pytest.raises(ObjectTooLarge, match=r"2024-01\.parquet has 5,000 bytes, 4,999 are allowed"):
        small.land("2024-01", klines(0), [])
    assert moto_lake.store.read(KEY).body == b"x" * 5_000

"""Answers of the read API explain themselves: what is missing and what helps, and what a lake has at all."""

import os
from datetime import date
from pathlib import Path

import pytest
from tests.tickhouse.test_python_page import small_lake
from tests.tickhouse.test_read_api import DAY, DAY_US, MINUTE, SECOND, address, write
from tests.transform_process.warehouse_rows import depth_diff, klines, land, trades, us

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import DEPTH_DIFFS, KLINES, TRADES
from tickhouse_core.errors import UsageError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import klines_month_key
from tickhouse_core.reading.contents import held_in
from tickhouse_core.warehouse import Warehouse

__all__ = ["address"]


@pytest.fixture
def lake(tmp_path: Path) -> "th.Lake":
    small_lake(tmp_path / "data")
    return th.open(tmp_path / "data")


@pytest.fixture
def folder(lake: "th.Lake", tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "data" / "lake")


def test_rows_say_why_they_are_not_complete(lake: "th.Lake") -> None:
    rows = lake.trades("BTCUSDT", DAY, DAY + MINUTE)
    assert not rows.is_complete
    assert rows.why_incomplete == "1 open gap, known to be recorded from 2024-08-09T00:00:00Z to 2024-08-09T00:00:02Z"
    whole = lake.trades("BTCUSDT", DAY, DAY + SECOND)
    assert (whole.is_complete, whole.why_incomplete) == (True, "")
    both = lake.trades(["BTCUSDT", "ETHUSDT"], DAY, DAY + SECOND)
    assert both.why_incomplete.startswith(
        "ETHUSDT: no rows from 2024-08-09T00:00:00Z to 2024-08-09T00:00:01Z; the lake has trades"
    )


def test_rows_of_a_day_without_any_name_the_days_that_there_are(lake: "th.Lake", folder: FolderStore) -> None:
    write(folder, TRADES, trades([9], times_us=[DAY + 2 * DAY_US]))
    nothing = lake.trades("BTCUSDT", DAY + 9 * DAY_US, DAY + 10 * DAY_US)
    said = (
        "no rows from 2024-08-18T00:00:00Z to 2024-08-19T00:00:00Z; the lake has trades of binance from 2024-08-09 to 2024-08-11"
    )
    assert (nothing.is_complete, nothing.why_incomplete) == (False, said)


def test_an_unreadable_object_is_a_reason(lake: "th.Lake", folder: FolderStore) -> None:
    key = write(folder, TRADES, trades([3]))
    Path(folder.where(key)).write_bytes(b"nothing")
    rows = lake.trades("BTCUSDT", DAY, DAY + SECOND)
    assert rows.why_incomplete == "1 unreadable object"


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("2027-01-01", "no update of the book in the day before 2027-01-01T00:00:00Z; the lake has depth_diffs of binance of "),
        ("2024-08-08", "no update of the book in the day before 2024-08-08T00:00:00Z; the lake has depth_diffs of binance of "),
    ],
)
def test_a_book_from_before_or_after_the_recording_says_so(lake: "th.Lake", at: str, why: str) -> None:
    book = lake.book("BTCUSDT", at)
    assert (len(book), book.is_proven, book.why_incomplete) == (0, False, f"{why}2024-08-09")
    assert repr(book) == f"<Book of binance BTCUSDT at {at}T00:00:00Z: not read yet; not complete: {book.why_incomplete}>"


def test_a_book_says_what_is_missing_of_its_updates(lake: "th.Lake", folder: FolderStore) -> None:
    assert lake.book("BTCUSDT", DAY + 2 * SECOND).why_incomplete == ""
    write(folder, DEPTH_DIFFS, depth_diff(9, 9, event_us=DAY + 3 * SECOND, bids=[["99", "1"]], asks=[]))
    book = lake.book("BTCUSDT", DAY + 3 * SECOND)
    assert book.why_incomplete == "updates of the book are missing since its snapshot of 2024-08-09T00:00:00Z"
    assert len(book) == book.arrow().num_rows == 3


def test_books_say_how_many_steps_have_one(lake: "th.Lake") -> None:
    books = lake.books("BTCUSDT", DAY, DAY + MINUTE)
    assert not books.is_complete
    said = "BTCUSDT: 2 of 60 steps have a verified book; known to be recorded from 2024-08-09T00:00:00Z to 2024-08-09T00:00:02Z"
    assert books.why_incomplete == said
    assert repr(books).endswith(f"every 1s: not read yet; not complete: {said}>")
    whole = lake.books("BTCUSDT", DAY, DAY + 2 * SECOND)
    assert (whole.is_complete, whole.why_incomplete) == (True, "")


def test_an_answer_shows_what_is_known_of_it_in_one_line_and_reads_nothing(
    lake: "th.Lake", folder: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, whole = lake.trades("BTCUSDT", DAY, DAY + MINUTE), lake.trades("BTCUSDT", DAY, DAY + SECOND)
    about = "trades of binance BTCUSDT from 2024-08-09T00:00:00Z to 2024-08-09T00:01:00Z"
    assert repr(rows) == f"<Rows of {about}: not read yet; .is_complete was not asked yet>"
    assert (rows.arrow().num_rows, whole.arrow().num_rows, whole.is_complete) == (3, 1, True)
    assert sum(len(batch) for batch in rows.batches(rows=2)) == 3
    assert repr(rows) == f"<Rows of {about}: 3 rows; .is_complete was not asked yet>"
    monkeypatch.setattr(FolderStore, "list_keys", None)
    assert repr(whole).endswith("to 2024-08-09T00:00:01Z: 1 row; complete>")
    place = folder.where("data_sources").removesuffix("/data_sources")
    assert repr(lake) == f"<Lake {place}: .contents() lists its venues, channels and symbols>"


def contents(lake: "th.Lake") -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in lake.contents().to_pylist()]


def test_a_lake_lists_what_it_has(lake: "th.Lake", folder: FolderStore) -> None:
    write(folder, TRADES, trades([9], times_us=[DAY + 2 * DAY_US]))
    write(folder, TRADES, trades([1], times_us=[DAY + DAY_US], symbol="ETHUSDT"))
    day = date(2024, 8, 9)
    found = contents(lake)
    assert [row for row in found if row[1] != "klines"] == [
        ("binance", "depth", "BTCUSDT", "", day, day),
        ("binance", "ticker", "BTCUSDT", "", day, day),
        ("binance", "trades", "BTCUSDT", "", day, date(2024, 8, 11)),
        ("binance", "trades", "ETHUSDT", "", date(2024, 8, 10), date(2024, 8, 10)),
    ]
    assert [row[:5] for row in found if row[1] == "klines"] == [
        ("binance", "klines", symbol, "1m", date(2024, 8, 1)) for symbol in ("BTCUSDT", "ETHUSDT")
    ]


def test_of_a_lake_of_many_objects_the_newest_are_listed_with_a_word(
    folder: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder, TRADES, trades([1], times_us=[DAY + DAY_US], symbol="ETHUSDT"))
    assert {one.symbol for one in held_in(folder, most_objects=1) if one.channel == "trades"} == {"ETHUSDT"}
    assert "only the newest objects were opened" in caplog.text


def test_a_warehouse_lists_what_it_has(warehouse: Warehouse, address: str) -> None:
    land(warehouse, TRADES, trades([1, 2], times_us=[DAY, DAY + DAY_US]))
    land(warehouse, KLINES, klines([DAY]))
    served = th.open(address)
    day = date(2024, 8, 9)
    assert contents(served) == [
        ("binance", "klines", "BTCUSDT", "1m", day, day),
        ("binance", "trades", "BTCUSDT", "", day, date(2024, 8, 10)),
    ]
    assert repr(served).startswith(f"<Lake {address.removeprefix('http://')}: ")


def test_an_empty_lake_lists_nothing(tmp_path: Path) -> None:
    (tmp_path / "data" / "lake" / "data_sources").mkdir(parents=True)
    assert th.open(tmp_path / "data").contents().num_rows == 0


@pytest.mark.parametrize(
    ("interval", "helps"),
    [
        ("1h", ": query gold_ohlcv_1h in SQL, or group those rows by open_time (in Polars group_by_dynamic), or fetch it"),
        ("1s", None),
        ("1min", None),
    ],
)
def test_an_interval_that_is_not_there_names_what_helps(lake: "th.Lake", interval: str, helps: str | None) -> None:
    with pytest.raises(UsageError) as refused:
        lake.klines("BTCUSDT", interval, DAY, DAY + MINUTE).arrow()
    said = f"interval '{interval}': this lake has 1m of BTCUSDT"
    assert str(refused.value).startswith(said + (helps or ""))
    assert (str(refused.value) == said) == (helps is None)


@pytest.mark.parametrize(
    ("month", "written", "last_day"), [("2024-02", "2024-05-05", "2024-02-29"), ("2024-08", "2024-08-09T12:00", "2024-08-09")]
)
def test_a_month_of_klines_ends_with_the_month_or_when_it_was_written(
    folder: FolderStore, month: str, written: str, last_day: str
) -> None:
    key = klines_month_key("binance", "SOLUSDT", "1m", month)
    folder.write(key, parquet_bytes(klines([us(f"{month}-01")], symbol="SOLUSDT"), KLINES))
    os.utime(folder.where(key), (us(written) // SECOND,) * 2)
    (one,) = [one for one in held_in(folder) if one.symbol == "SOLUSDT"]
    assert (one.first_day, one.last_day) == (us(f"{month}-01"), us(last_day))

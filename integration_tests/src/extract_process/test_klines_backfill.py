"""The backfiller from the exchange to the lake and the view `klines`: complete, exact, and never asking twice."""

import gzip
import json
import re
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from integration_tests.src.extract_process.conftest import Asked, Kline, kline_of, us
from tests.commands import run_here
from tests.waiting import patience, wait_until

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.clock import StandingClock

if TYPE_CHECKING:
    from integration_tests.src.extract_process.conftest import Command, LakeView, OpenVenue, RunBackfill, Venue

    from tickhouse_core.warehouse import Warehouse

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
NO_DATA = "venue_has_no_data"
SYMBOLS = ("BTCUSDT", "ETHUSDT")


# Recorded history


@pytest.mark.heart
def test_every_recorded_row_is_in_the_view_with_all_its_columns_and_nothing_is_asked_twice(
    shared_data: Path,
    open_venue: "OpenVenue",
    backfill: "RunBackfill",
    lake: "LakeView",
    load: Callable[[], None],
    warehouse: "Warehouse",
) -> None:
    files = tuple(shared_data / f"binance_rest_klines_{symbol}_30m_2024.jsonl.gz" for symbol in SYMBOLS)
    venue = open_venue(ExchangeConfig(replay=files))
    recorded = {symbol: recorded_klines(file) for symbol, file in zip(SYMBOLS, files, strict=True)}
    assert len(recorded["BTCUSDT"]) == 18_144

    first = backfill(*SYMBOLS, interval="30m", start="2024-01-01")
    requests = len(venue.asked())
    second = backfill(*SYMBOLS, interval="30m", start="2024-01-01")

    assert requests <= 2 * (19 + 1), "a page holds 1000, one question finds the listing date"
    assert len(venue.asked()) == requests
    assert second.rest.client.tally.by_path.get("/api/v3/klines", 0) == 0
    assert (first.report.rows_landed, second.report.rows_landed) == (36_288, 0)
    for symbol in SYMBOLS:
        assert lake.klines(symbol, "30m") == recorded[symbol]
    load()
    for symbol in SYMBOLS:
        assert rows_of_view(warehouse, symbol, "30m") == recorded[symbol]
    assert lake.gaps() == []


@pytest.mark.heart
def test_outage_of_march_2023_is_a_recorded_gap_that_is_not_asked_for_again(
    shared_data: Path,
    open_venue: "OpenVenue",
    backfill: "RunBackfill",
    lake: "LakeView",
    load: Callable[[], None],
    warehouse: "Warehouse",
) -> None:
    files = tuple(shared_data / f"binance_rest_klines_{symbol}_1h_202303_outage.jsonl.gz" for symbol in SYMBOLS)
    venue = open_venue(ExchangeConfig(replay=files))

    first = backfill(*SYMBOLS, interval="1h", start="2023-03-01")
    venue.forget()
    backfill(*SYMBOLS, interval="1h", start="2023-03-01")

    assert venue.asked() == []
    missing = us("2023-03-24T13:00:00")
    assert lake.gaps() == [(symbol, missing, missing, NO_DATA) for symbol in SYMBOLS]
    assert (first.report.gaps, first.report.rows_without_data, first.report.rows_landed) == (2, 2, 2 * 743)
    load()
    for symbol, file in zip(SYMBOLS, files, strict=True):
        recorded = recorded_klines(file)
        odd = [kline for kline in recorded if kline.close_time != kline.open_time + HOUR_US - 1_000]
        assert [kline.open_time for kline in odd] == [us("2023-03-24T12:00:00")], "the recording has an odd close time"
        assert lake.klines(symbol, "1h") == rows_of_view(warehouse, symbol, "1h") == recorded
    events = warehouse.query(
        "select symbol, channel, from_update_id, to_update_id, cause from stream_events where event = 'gap' order by symbol"
    )
    assert [tuple(row) for row in events] == [(symbol, "klines", missing, missing, NO_DATA) for symbol in SYMBOLS]


# Damage to the lake


@pytest.mark.parametrize("with_footer", [True, False], ids=["footer kept", "footer lost"])
def test_hour_deleted_from_a_finished_month_is_all_that_is_asked_for(
    with_footer: bool,
    venue: "Venue",
    backfill: "RunBackfill",
    lake: "LakeView",
) -> None:
    expected = venue.klines("BTCUSDT", "1m", "2024-01-20", "2024-03-10")
    backfill("BTCUSDT", start="2024-01-20", end="2024-03-10")
    lake.cut_out(lake.key("BTCUSDT", "1m", "2024-02"), "2024-02-10T05:00", "2024-02-10T06:00", with_footer=with_footer)
    venue.forget()

    healing = backfill("BTCUSDT", start="2024-01-20", end="2024-03-10")

    assert venue.asked() == [Asked("BTCUSDT", us("2024-02-10T05:00"), us("2024-02-10T05:59"))]
    assert (healing.report.rows_missing, healing.report.rows_landed) == (60, 60)
    assert lake.klines("BTCUSDT", "1m") == expected
    assert lake.gaps() == []


def test_silver_is_whole_again_when_the_damaged_object_was_the_first_it_saw(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView", load: Callable[[], None], warehouse: "Warehouse"
) -> None:
    expected = venue.klines("BTCUSDT", "5m", "2024-02-01", "2024-03-01")
    backfill("BTCUSDT", interval="5m", start="2024-02-01", end="2024-03-01")
    lake.cut_out(lake.key("BTCUSDT", "5m", "2024-02"), "2024-02-10T05:00", "2024-02-10T06:00", with_footer=True)
    load()
    assert len(rows_of_view(warehouse, "BTCUSDT", "5m")) == len(expected) - 12

    backfill("BTCUSDT", interval="5m", start="2024-02-01", end="2024-03-01")
    load()

    assert rows_of_view(warehouse, "BTCUSDT", "5m") == expected


def test_footer_that_is_lost_with_a_known_gap_costs_one_question(
    open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    venue = open_venue()
    venue.exchange.set_halts(["BTCUSDT=2024-02-03T04:00/2024-02-03T09:00"])
    backfill("BTCUSDT", interval="5m", start="2024-02-01", end="2024-03-01")
    whole = lake.klines("BTCUSDT", "5m")
    lake.cut_out(lake.key("BTCUSDT", "5m", "2024-02"), "2024-02-10T05:00", "2024-02-10T06:00", with_footer=False)
    venue.forget()

    backfill("BTCUSDT", interval="5m", start="2024-02-01", end="2024-03-01")
    asked = venue.asked()
    backfill("BTCUSDT", interval="5m", start="2024-02-01", end="2024-03-01")

    assert asked == [
        Asked("BTCUSDT", us("2024-02-03T04:00"), us("2024-02-03T08:55")),
        Asked("BTCUSDT", us("2024-02-10T05:00"), us("2024-02-10T05:55")),
    ]
    assert venue.asked() == asked
    assert lake.klines("BTCUSDT", "5m") == whole


def test_deleted_month_is_asked_for_again_and_no_other(venue: "Venue", backfill: "RunBackfill", lake: "LakeView") -> None:
    backfill("ETHUSDT", interval="15m", start="2024-01-01", end="2024-04-01")
    whole, etags = lake.klines("ETHUSDT", "15m"), lake.etags("ETHUSDT", "15m")
    lake.delete(lake.key("ETHUSDT", "15m", "2024-02"))
    venue.forget()

    backfill("ETHUSDT", interval="15m", start="2024-01-01", end="2024-04-01")

    assert covered(venue.asked(), 15 * MINUTE_US) == range_of("2024-02-01", "2024-03-01", 15 * MINUTE_US)
    assert lake.klines("ETHUSDT", "15m") == whole
    untouched = [lake.key("ETHUSDT", "15m", month) for month in ("2024-01", "2024-03")]
    assert [lake.etags("ETHUSDT", "15m")[key] for key in untouched] == [etags[key] for key in untouched]


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "footer", "pages", "other_schema"])
def test_month_overwritten_with_garbage_is_written_anew(
    damage: str, venue: "Venue", backfill: "RunBackfill", lake: "LakeView", caplog: pytest.LogCaptureFixture
) -> None:
    backfill("ETHUSDT", interval="15m", start="2024-01-01", end="2024-04-01")
    whole, key = lake.klines("ETHUSDT", "15m"), lake.key("ETHUSDT", "15m", "2024-02")
    sound = lake.store.read(key).body
    garbage = {
        "text": b"this is no Parquet file\n" * 50,
        "empty": b"",
        "cut": sound[: len(sound) // 2],
        "footer": sound[:-200] + bytes(192) + sound[-8:],
        "pages": sound[:4] + bytes(len(sound) // 2 - 4) + sound[len(sound) // 2 :],
        "other_schema": other_parquet(),
    }[damage]
    lake.store.write(key, garbage)
    venue.forget()

    backfill("ETHUSDT", interval="15m", start="2024-01-01", end="2024-04-01")

    if damage == "pages":  # the footer vouches for rows nobody reads: to find this is the loader's and the audit's job
        assert venue.asked() == []
        return
    assert covered(venue.asked(), 15 * MINUTE_US) == range_of("2024-02-01", "2024-03-01", 15 * MINUTE_US)
    assert lake.klines("ETHUSDT", "15m") == whole
    assert any("not a month of klines" in record.message and record.levelname == "WARNING" for record in caplog.records)


def test_broken_pages_are_found_by_a_recheck(venue: "Venue", backfill: "RunBackfill", lake: "LakeView") -> None:
    backfill("ETHUSDT", interval="15m", start="2024-02-01", end="2024-03-01")
    whole, key = lake.klines("ETHUSDT", "15m"), lake.key("ETHUSDT", "15m", "2024-02")
    sound = lake.store.read(key).body
    lake.store.write(key, sound[:4] + bytes(len(sound) // 2 - 4) + sound[len(sound) // 2 :])

    backfill("ETHUSDT", interval="15m", start="2024-02-01", end="2024-03-01", recheck=True)

    assert lake.klines("ETHUSDT", "15m") == whole


# What the venue has not


def test_listing_date_inside_the_range_is_one_gap_and_one_question(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    expected = venue.klines("NOVAUSDT", "1m", "2024-01-01", "2024-03-14")
    assert expected[0].open_time == us("2024-03-12T10:00")

    backfill("NOVAUSDT", start="2024-01-01", end="2024-03-14")
    asked = venue.asked()
    backfill("NOVAUSDT", start="2024-01-01", end="2024-03-14")

    assert len(asked) == 1 + 3, "where does it begin, and 2,280 rows"
    assert venue.asked() == asked
    assert lake.klines("NOVAUSDT", "1m") == expected
    gaps = lake.gaps()
    assert {(symbol, cause) for symbol, _, _, cause in gaps} == {("NOVAUSDT", NO_DATA)}
    assert union((first, last) for _, first, last, _ in gaps) == [(us("2024-01-01"), us("2024-03-12T09:59"))]


def test_market_that_is_listed_after_the_range_costs_one_question_once(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    report = backfill("币安人生USDT", start="2024-01-01", end="2024-07-01").report
    backfill("币安人生USDT", start="2024-01-01", end="2024-07-01")

    assert len(venue.asked()) == 1
    assert (report.rows_landed, report.rows_without_data) == (0, 182 * 1_440)
    assert lake.klines("币安人生USDT", "1m") == []


@pytest.mark.heart
def test_halt_is_a_recorded_gap_with_exact_borders(venue: "Venue", backfill: "RunBackfill", lake: "LakeView") -> None:
    venue.exchange.set_halts(["BTCUSDT=2024-01-05T03:10/2024-01-05T09:25", "BTCUSDT=2024-01-30T00:00/2024-02-03T00:00"])
    expected = venue.klines("BTCUSDT", "5m", "2024-01-01", "2024-02-15")

    report = backfill("BTCUSDT", interval="5m", start="2024-01-01", end="2024-02-15").report
    pages = len(venue.asked())
    backfill("BTCUSDT", interval="5m", start="2024-01-01", end="2024-02-15")

    assert pages == 1 + 13, "45 days of 288"
    assert len(venue.asked()) == pages
    assert lake.klines("BTCUSDT", "5m") == expected
    assert union((first, last) for _, first, last, _ in lake.gaps()) == [
        (us("2024-01-05T03:10"), us("2024-01-05T09:20")),
        (us("2024-01-30T00:00"), us("2024-02-02T23:55")),
    ]
    assert report.rows_without_data == 75 + 4 * 288
    assert report.rows_wanted == report.rows_landed + report.rows_without_data == 45 * 288


def test_klines_that_appear_after_all_are_found_by_a_recheck_and_the_gap_is_healed(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView", load: Callable[[], None], warehouse: "Warehouse"
) -> None:
    expected = venue.klines("BTCUSDT", "5m", "2024-01-01", "2024-02-01")
    venue.exchange.set_halts(["BTCUSDT=2024-01-05T03:10/2024-01-05T09:25"])
    backfill("BTCUSDT", interval="5m", start="2024-01-01", end="2024-02-01")
    venue.exchange.set_halts([])
    backfill("BTCUSDT", interval="5m", start="2024-01-01", end="2024-02-01")
    assert len(lake.klines("BTCUSDT", "5m")) == len(expected) - 75

    backfill("BTCUSDT", interval="5m", start="2024-01-01", end="2024-02-01", recheck=True)

    assert lake.klines("BTCUSDT", "5m") == expected
    load()
    events = warehouse.query("select event, from_update_id, to_update_id from stream_events order by event")
    hole = us("2024-01-05T03:10"), us("2024-01-05T09:20")
    assert [tuple(row) for row in events] == [("gap", *hole), ("healed", *hole)]


def test_absence_of_the_last_minutes_proves_nothing_yet(
    open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    venue = open_venue(clock=StandingClock(us("2024-05-10T12:00:30") // 1_000))
    venue.exchange.set_halts(["BTCUSDT=2024-05-10T11:58/2024-05-10T12:30"])
    backfill("BTCUSDT", start="2024-05-10", end=None)
    assert lake.gaps() == []
    venue.exchange.set_halts([])

    backfill("BTCUSDT", start="2024-05-10", end=None)

    assert [kline.open_time for kline in lake.klines("BTCUSDT", "1m")] == range_of("2024-05-10", "2024-05-10T12:00", MINUTE_US)


def test_kline_off_the_grid_is_kept_and_costs_no_other_its_place_in_the_page(
    tmp_path: Path, open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    """A page of 1000 minutes with an odd one between them has 1001 rows: the venue cuts the last, which is no gap."""
    recorded = sorted([*range_of("2024-01-01", "2024-01-02", MINUTE_US), us("2024-01-01T00:10:30")])
    write_recording(tmp_path / "odd.jsonl", "BTCUSDT", "1m", recorded)
    venue = open_venue(ExchangeConfig(replay=(tmp_path / "odd.jsonl",)))

    backfill("BTCUSDT", start="2024-01-01")
    venue.forget()
    backfill("BTCUSDT", start="2024-01-01")

    assert [kline.open_time for kline in lake.klines("BTCUSDT", "1m")] == recorded
    assert lake.gaps() == []
    assert venue.asked() == []


# Time


def test_open_kline_is_never_stored_and_the_running_month_is_only_continued(
    open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    clock = StandingClock(us("2024-05-10T12:00:30") // 1_000)
    venue = open_venue(clock=clock)
    backfill("BTCUSDT", start="2024-04-28")
    assert lake.klines("BTCUSDT", "1m")[-1].open_time == us("2024-05-10T11:59")
    april = lake.etags("BTCUSDT", "1m")[lake.key("BTCUSDT", "1m", "2024-04")]
    venue.forget()

    venue.move_to("2024-05-10T13:30:59")
    backfill("BTCUSDT", start="2024-04-28")
    asked = venue.asked()

    assert asked == [Asked("BTCUSDT", us("2024-05-10T12:00"), us("2024-05-10T13:29"))]
    assert lake.etags("BTCUSDT", "1m")[lake.key("BTCUSDT", "1m", "2024-04")] == april
    assert lake.klines("BTCUSDT", "1m") == venue.klines("BTCUSDT", "1m", "2024-04-28", "2024-05-10T13:30")


def test_minute_that_closes_this_instant_is_stored_and_the_one_that_opens_is_not(
    open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    open_venue(clock=StandingClock(us("2024-05-10T12:00:00") // 1_000))

    backfill("BTCUSDT", start="2024-05-10T11:00")

    assert lake.klines("BTCUSDT", "1m")[-1].open_time == us("2024-05-10T11:58") + MINUTE_US


def test_slow_answers_do_not_make_an_open_kline_a_closed_one(
    open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    """The exchange's clock is learned through an answer that was 2.4 s on its way, all of it before the clock was read."""
    venue = open_venue(clock=StandingClock(us("2024-05-10T12:00:59") // 1_000))
    venue.exchange.set_faults(["latency@/api/v3/time:1:1:2400"])

    backfill("BTCUSDT", start="2024-05-10T11:00")

    assert lake.klines("BTCUSDT", "1m")[-1].open_time == us("2024-05-10T11:59")


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2024-01-01T10:00", "2024-01-01T10:05", "2024-01-01T10:00", "2024-01-01T10:04"),
        ("2024-01-01T10:00:01", "2024-01-01T10:05:01", "2024-01-01T10:01", "2024-01-01T10:05"),
        ("2024-01-31T23:59", "2024-02-01T00:01", "2024-01-31T23:59", "2024-02-01T00:00"),
        ("2024-01-01T00:00", "2024-01-01T00:01", "2024-01-01T00:00", "2024-01-01T00:00"),
    ],
)
def test_start_is_included_and_end_is_not(
    start: str, end: str, first: str, last: str, venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    backfill("BTCUSDT", start=start, end=end)

    stored = [kline.open_time for kline in lake.klines("BTCUSDT", "1m")]
    assert stored == list(range(us(first), us(last) + 1, MINUTE_US))


def test_range_without_a_single_open_time_asks_and_stores_nothing(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    report = backfill("BTCUSDT", interval="1h", start="2024-01-01T10:01", end="2024-01-01T10:59").report

    assert (venue.asked(), lake.klines("BTCUSDT", "1h"), report.rows_wanted) == ([], [], 0)


def test_every_minute_of_a_leap_february_is_counted_and_stored_once(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    report = backfill("BTCUSDT", start="2024-02-01", end="2024-03-01").report

    assert len(venue.asked()) == 1 + 42, "41,760 rows in pages of 1000, and where they begin"
    assert (report.rows_wanted, report.rows_missing, report.rows_received, report.rows_landed) == (41_760,) * 4
    assert [kline.open_time for kline in lake.klines("BTCUSDT", "1m")] == range_of("2024-02-01", "2024-03-01", MINUTE_US)


@pytest.mark.parametrize("interval", ["1s", "1h", "1d", "3d", "1w", "1M"])
def test_interval_is_complete_and_the_second_run_changes_nothing(
    interval: str, open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    venue = open_venue(clock=StandingClock(us("2024-03-20T10:30:00") // 1_000))
    start = "2024-03-20T09:17:03" if interval == "1s" else "2023-11-15T13:00"
    offered = venue.klines("BTCUSDT", interval, start, "2024-03-20T10:30")
    expected = [kline for kline in offered if kline.close_time < us("2024-03-20T10:30")]
    assert len(expected) >= 3

    backfill("BTCUSDT", interval=interval, start=start)
    stored, etags = lake.klines("BTCUSDT", interval), lake.etags("BTCUSDT", interval)
    venue.forget()
    backfill("BTCUSDT", interval=interval, start=start)

    assert stored == expected
    assert lake.etags("BTCUSDT", interval) == etags
    assert lake.gaps() == []
    anchor_questions = 1 if interval == "3d" else 0
    assert len(venue.asked()) == anchor_questions


# Several at once


def test_several_symbols_non_ascii_ones_too_are_kept_apart(venue: "Venue", backfill: "RunBackfill", lake: "LakeView") -> None:
    symbols = ("BTCUSDT", "币安人生USDT", "ETHUSDT", "NOVAUSDT")
    expected = {symbol: venue.klines(symbol, "15m", "2025-10-01", "2025-10-20") for symbol in symbols}
    assert len(expected["币安人生USDT"]) == 12 * 96

    backfill(*symbols, interval="15m", start="2025-10-01", end="2025-10-20")
    venue.forget()
    backfill(*symbols, interval="15m", start="2025-10-01", end="2025-10-20")

    assert venue.asked() == []
    for symbol in symbols:
        assert lake.klines(symbol, "15m") == expected[symbol]
        [table] = [lake.table(key) for key in lake.months(symbol, "15m")]
        assert table["symbol"].unique().to_pylist() == [symbol]
    assert {gap[0] for gap in lake.gaps()} == {"币安人生USDT"}


def test_symbol_named_twice_is_asked_for_once(venue: "Venue", backfill: "RunBackfill", lake: "LakeView") -> None:
    backfill("BTCUSDT", "BTCUSDT", interval="1h", start="2024-02-01", end="2024-03-01")

    assert len(venue.asked()) == 2
    assert len(lake.klines("BTCUSDT", "1h")) == 29 * 24


@pytest.mark.parametrize("attempt", [1, 2])
def test_backfills_of_the_same_month_at_once_lose_nothing(
    attempt: int, open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    """Each of five writers has other days of the month, all land at about the same time: a lost update leaves a hole."""
    venue = open_venue(ExchangeConfig(latency_ms=100))
    borders = ["2024-01-02", "2024-01-05", "2024-01-08", "2024-01-11", "2024-01-14", "2024-01-17"]
    expected = venue.klines("BTCUSDT", "5m", borders[0], borders[-1])

    with ThreadPoolExecutor(5) as threads:
        parts = [threads.submit(backfill, "BTCUSDT", interval="5m", start=a, end=b) for a, b in pairwise(borders)]
        for part in parts:
            part.result()

    assert lake.klines("BTCUSDT", "5m") == expected


def test_same_range_by_two_backfills_at_once_is_stored_once(venue: "Venue", backfill: "RunBackfill", lake: "LakeView") -> None:
    expected = venue.klines("BTCUSDT", "5m", "2024-01-10", "2024-02-25")

    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(backfill, "BTCUSDT", interval="5m", start="2024-01-10", end="2024-02-25") for _ in range(2)]
        for run in runs:
            run.result()

    assert lake.klines("BTCUSDT", "5m") == expected


def test_overlapping_ranges_merge_and_only_the_new_part_is_asked(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    expected = venue.klines("BTCUSDT", "5m", "2024-01-05", "2024-03-05")
    backfill("BTCUSDT", interval="5m", start="2024-01-20", end="2024-02-10")
    venue.forget()

    backfill("BTCUSDT", interval="5m", start="2024-01-05", end="2024-03-05")

    pages = [asked for asked in venue.asked() if asked.last != us("2024-03-04T23:55") or asked.first > us("2024-01-05")]
    before = range_of("2024-01-05", "2024-01-20", 5 * MINUTE_US)
    assert covered(pages, 5 * MINUTE_US) == before + range_of("2024-02-10", "2024-03-05", 5 * MINUTE_US)
    assert lake.klines("BTCUSDT", "5m") == expected


# The command


@pytest.mark.heart
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--symbol", "NOSUCHUSDT"], "NOSUCHUSDT"),
        (["--symbol", "btcusdt"], "btcusdt"),
        (["--symbol", ""], "symbol"),
        (["--symbol", "BTCUSDT", "--interval", "7m"], "7m"),
        (["--symbol", "BTCUSDT", "--interval", "1H"], "1H"),
        (["--symbol", "BTCUSDT", "--start", "2100-01-01"], "future"),
        (["--symbol", "BTCUSDT", "--start", "2024-02-01", "--end", "2024-01-01"], "--end"),
        (["--symbol", "BTCUSDT", "--start", "2024-02-01", "--end", "2024-02-01"], "--end"),
        (["--symbol", "BTCUSDT", "--start", "yesterday"], "yesterday"),
        (["--symbol", "BTCUSDT", "--end", "2024-02-30"], "2024-02-30"),
        (["--symbol", "BTCUSDT", "--venue", "nasdaq"], "nasdaq"),
        (["--symbol", "BTCUSDT", "--source", "carrier-pigeon"], "carrier-pigeon"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_usage_error_is_one_line_and_exit_code_2(arguments: list[str], named: str, venue: "Venue", lake: "LakeView") -> None:
    ended = run_here("extract_process.klines", *arguments)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(r"error: .+\n", ended.stderr), ended.stderr
    assert named in ended.stderr
    assert venue.asked() == []


def test_command_prints_a_summary_and_ends_with_0(venue: "Venue", command: "Command", lake: "LakeView") -> None:
    ended = command.run("--symbol", "NOVAUSDT", "--interval", "1h", "--start", "2024-03-01", "--end", "2024-04-01")

    assert ended.returncode == 0, ended.stderr
    summary = {name.strip(): figure for name, figure in re.findall(r"^ *(.+?)  +([\d.,]+)$", ended.stdout, re.MULTILINE)}
    assert summary["rows wanted"] == "744"
    assert summary["rows landed"] == "470"
    assert summary["rows the venue has not"] == "274"
    assert summary["gaps recorded"] == "1"
    assert summary["klines requests"] == str(len(venue.asked())) == "2"
    assert summary["weight"] == str(venue.exchange.tally()["weight"]["total"])


@pytest.mark.heart
def test_sigterm_keeps_what_has_arrived_and_the_next_run_asks_only_for_the_rest(
    open_venue: "OpenVenue", command: "Command", lake: "LakeView", backfill: "RunBackfill"
) -> None:
    venue = open_venue(ExchangeConfig(latency_ms=40))
    with command.start("--symbol", "BTCUSDT", "--start", "2024-01-01", "--end", "2024-01-21", "--concurrency", "2") as process:
        wait_until(lambda: len(venue.asked()) >= 12, "a quarter of the pages is asked for")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=patience(20))

    assert process.returncode == 1
    assert [line for line in err.splitlines() if line.startswith("error:")] == err.splitlines()[-1:]
    assert "signal" in err.splitlines()[-1]
    assert "Traceback" not in err
    arrived = [kline.open_time for kline in lake.klines("BTCUSDT", "1m")]
    assert len(arrived) >= (len(venue.asked()) - 1 - 2) * 1_000
    venue.forget()

    backfill("BTCUSDT", start="2024-01-01", end="2024-01-21")

    pages = [asked for asked in venue.asked() if asked.last - asked.first < 1_000 * MINUTE_US]
    assert sorted(arrived + covered(pages, MINUTE_US)) == range_of("2024-01-01", "2024-01-21", MINUTE_US)
    assert lake.klines("BTCUSDT", "1m") == venue.klines("BTCUSDT", "1m", "2024-01-01", "2024-01-21")


def test_sigterm_while_many_months_are_landing_keeps_them_all(venue: "Venue", command: "Command", lake: "LakeView") -> None:
    expected = venue.klines("BTCUSDT", "1d", "2019-01-01", "2024-01-01")
    with command.start("--symbol", "BTCUSDT", "--interval", "1d", "--start", "2019-01-01", "--end", "2024-01-01") as process:
        wait_until(lambda: bool(lake.months("BTCUSDT", "1d")), "the first of sixty months has landed")
        answered = len(venue.asked())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=patience(20))

    assert answered == 1 + 2, "both pages were answered before the signal"
    assert lake.klines("BTCUSDT", "1d") == expected


def test_sigterm_ends_a_run_that_waits_before_its_first_page(venue: "Venue", command: "Command", lake: "LakeView") -> None:
    venue.exchange.set_faults(["http_429@/api/v3/exchangeInfo:1:1:40"])
    with command.start("--symbol", "BTCUSDT", "--interval", "1d") as process:
        wait_until(lambda: "http_429" in venue.exchange.tally()["faults"], "it was told to wait")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=patience(10))

    assert process.returncode == 1
    assert "signal" in err.splitlines()[-1]


def recorded_klines(file: Path) -> list[Kline]:
    """A recording as it was made; a row that was recorded twice counts as recorded last."""
    rows = {}
    with gzip.open(file, "rt") as lines:
        for line in lines:
            raw = json.loads(line)["raw"]
            for row in json.loads(raw) if isinstance(raw, str) else raw:
                rows[row[0]] = kline_of(row)
    return [rows[open_time] for open_time in sorted(rows)]


def rows_of_view(warehouse: "Warehouse", symbol: str, interval: str) -> list[Kline]:
    instants = {"open_time", "close_time"}
    columns = ", ".join(f"toUnixTimestamp64Micro({name})" if name in instants else name for name in Kline._fields)
    rows = warehouse.query(
        f"select {columns} from klines where symbol = {{symbol:String}} and interval = {{interval:String}} "
        "and venue = 'binance' and is_closed order by open_time",
        {"symbol": symbol, "interval": interval},
    )
    return [Kline(*row) for row in rows]


def write_recording(path: Path, symbol: str, interval: str, open_times_us: Iterable[int]) -> None:
    """A recording of plain klines that open at these instants and last a minute."""
    rows = [[at // 1_000, *["1.0"] * 5, at // 1_000 + 59_999, "1.0", 1, "1.0", "1.0", "0"] for at in sorted(open_times_us)]
    line = {"src": "rest", "url": f"/api/v3/klines?symbol={symbol}&interval={interval}", "raw": json.dumps(rows)}
    path.write_text(json.dumps(line) + "\n")


def range_of(start: str, end: str, step_us: int) -> list[int]:
    return list(range(us(start), us(end), step_us))


def covered(asked: Iterable[Asked], step_us: int) -> list[int]:
    """The open times that requests of pages asked for, doubles included; questions for the first kline left out."""
    pages = [entry for entry in asked if (entry.last - entry.first) // step_us < 1_000]
    return sorted(at for page in pages for at in range(page.first, page.last + 1, step_us))


def union(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that follow each other within five minutes, as one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 5 * MINUTE_US:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined


def other_parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"open_time": ["Monday", "Tuesday"], "price": [1.0, 2.0]}), sink)
    return bytes(sink.getvalue().to_pybytes())

"""Acceptance e: every check is silent on sound data and fires on the fault it is there for."""

import io
import random
import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console
from tools import make_sql

from extract_process.records import DepthDiff
from extract_process.spool.row_buffer import ArrowRows
from tickhouse_core.datasets import (
    BOOK_TICKERS,
    DEPTH_DIFFS,
    DEPTH_SNAPSHOTS,
    FUNDING_RATES,
    KLINES,
    OPEN_INTEREST,
    STREAM_EVENTS,
    TICKERS,
    TRADES,
)
from tickhouse_core.errors import UsageError
from tickhouse_core.lake_keys import history_month_key
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.timestamps import HOUR_US, MINUTE_US, SECOND_US, from_datetime, now_us
from tickhouse_core.warehouse import Warehouse
from transform_process.checks import Finding, Verdict, has_failed, read_checks, run_checks, verdicts_table

from . import warehouse_rows as rows
from .warehouse_rows import land, transform, us

START = us("2024-08-09")
SECONDS = 1200
VERDICTS = "gold_kline_verdicts_1m(since = '2024-08-08', until = '2024-08-10')"
STEP = 2
"""Seconds between trades; a diff every second."""


class Data:
    """Twenty sound minutes of one market; a test spoils one thing before it lands."""

    def __init__(self) -> None:
        self.trade_ids = list(range(1, SECONDS // STEP + 1))
        self.diff_ids = list(range(1, SECONDS + 1))
        self.trade_latency_us: dict[int, int] = {}
        self.late_from: int | None = None
        self.late_us = 0
        self.prices: dict[int, str] = {}
        self.kline_closes: dict[int, str] = {}
        self.minutes = list(range(1, 19))
        self.best_bid = "99"

    def price(self, number: int) -> str:
        return self.prices.get(number, str(100 + number % 5))

    def latency(self, seconds: int) -> int:
        """4 to 12 ms, and what a clock that was set adds."""
        spread = 4_000 + (seconds * 2_503) % 8_000
        return spread + (self.late_us if self.late_from is not None and seconds >= self.late_from else 0)

    def land(self, warehouse: Warehouse) -> None:
        times = [(number - 1) * STEP for number in self.trade_ids]
        trades = rows.trades(
            self.trade_ids,
            times_us=[START + time * SECOND_US for time in times],
            prices=[self.price(number) for number in self.trade_ids],
        )
        received = pa.array([START + time * SECOND_US + self.latency(time) for time in times], pa.int64())
        place = trades.schema.get_field_index("receipt_time")
        land(
            warehouse,
            TRADES,
            trades.set_column(place, trades.schema.field(place), received.cast(trades.schema.field(place).type)),
        )
        diffs = ArrowRows(DEPTH_DIFFS, "binance")
        for number in self.diff_ids:
            event_us = START + (number - 1) * SECOND_US
            diff = DepthDiff("BTCUSDT", number, number, [[self.best_bid, str(number)]], [], event_us)
            diffs.append(diff, event_us + self.latency(number - 1))
        land(warehouse, DEPTH_DIFFS, diffs.table())
        snapshot = rows.depth_snapshot(1, receipt_us=START + 500_000, bids=[["99", "1"]], asks=[["101", "2"]])
        land(warehouse, DEPTH_SNAPSHOTS, snapshot)
        land(warehouse, KLINES, self.klines())
        transform(warehouse)

    def klines(self) -> pa.Table:
        """What the venue says: the sound trades, whatever of them we have."""
        per_minute = 60 // STEP
        tables = []
        for minute in self.minutes:
            prices = [100 + number % 5 for number in range(minute * per_minute + 1, (minute + 1) * per_minute + 1)]
            table = rows.klines(
                [START + minute * MINUTE_US], close=self.kline_closes.get(minute, str(prices[-1])), volume="15", trade_count=30
            )
            for name, value in (("open", prices[0]), ("high", max(prices)), ("low", min(prices))):
                place = table.schema.get_field_index(name)
                column = pa.array([Decimal(value)], table.schema.field(place).type)
                table = table.set_column(place, table.schema.field(place), column)
            tables.append(table)
        return pa.concat_tables(tables)


def check(warehouse: Warehouse, *names: str, until: int = START + HOUR_US) -> dict[str, list[Finding]]:
    """Findings of the checks that have any."""
    verdicts = run_checks(warehouse, without_load_time(read_checks(only=names)), START - HOUR_US, until)
    return {verdict.check.name: list(verdict.findings) for verdict in verdicts if verdict.findings}


def without_load_time(checks: Iterable[Any]) -> list[Any]:
    """Recordings are loaded years after their receipt."""
    return [
        type(one)(one.name, one.sql_file, one.severity, {**one.limits, "max_load_p99_ms": 1e15}) if one.name == "latency" else one
        for one in checks
    ]


@pytest.mark.slow
def test_sound_data_has_no_findings(warehouse: Warehouse) -> None:
    """The silent half of every check, on data that every check looks at."""
    Data().land(warehouse)
    assert warehouse.query(f"select count() from {VERDICTS} where verdict = 'match'") == [(18,)]
    assert warehouse.query("select count() from gold_book_top_1s") == [(SECONDS - 1,)]
    assert check(warehouse, until=START + 59 * MINUTE_US) == {}
    assert warehouse.query("select uniqExact(check_name), min(verdict), max(verdict), max(findings) from ops_check_results") == [
        (len(read_checks()), "passed", "passed", 0)
    ]


@pytest.mark.slow
def test_dropped_trade_ids_fire_unless_an_event_tells_of_them(warehouse: Warehouse) -> None:
    data = Data()
    for number in (100, 101, 102, 300):
        data.trade_ids.remove(number)
    data.land(warehouse)
    found = check(warehouse, "trade_id_gaps")["trade_id_gaps"]
    assert [(finding.value, finding.symbol) for finding in found] == [(3.0, "BTCUSDT"), (1.0, "BTCUSDT")]
    assert "ids 100 to 102 are missing, 3 of them are in no gap event" in found[0].detail
    land(warehouse, STREAM_EVENTS, rows.stream_event("gap", "trades", 100, 101, started_us=START))
    land(warehouse, STREAM_EVENTS, rows.stream_event("gap", "trades", 101, 101, started_us=START))  # told twice, counted once
    land(warehouse, STREAM_EVENTS, rows.stream_event("gap", "trades", 299, 305, started_us=START))
    [left] = check(warehouse, "trade_id_gaps")["trade_id_gaps"]
    assert (left.value, left.detail) == (1.0, "ids 100 to 102 are missing, 1 of them are in no gap event")
    land(warehouse, STREAM_EVENTS, rows.stream_event("gap", "trades", 102, 102, started_us=START))
    assert check(warehouse, "trade_id_gaps") == {}


@pytest.mark.slow
def test_dropped_update_ids_fire_unless_an_event_tells_of_them(warehouse: Warehouse) -> None:
    data = Data()
    del data.diff_ids[499:503]
    data.land(warehouse)
    [finding] = check(warehouse, "update_id_gaps")["update_id_gaps"]
    assert (finding.value, finding.detail) == (4.0, "ids 500 to 503 are missing, 4 of them are in no gap event")
    land(warehouse, STREAM_EVENTS, rows.stream_event("gap", "depth", 500, 503, started_us=START))
    assert check(warehouse, "update_id_gaps") == {}


@pytest.mark.slow
def test_missing_klines_fire_unless_an_event_tells_of_them(warehouse: Warehouse) -> None:
    data = Data()
    data.minutes = [minute for minute in data.minutes if minute not in (5, 6)]
    data.land(warehouse)
    [finding] = check(warehouse, "kline_gaps")["kline_gaps"]
    assert finding.value == 2.0
    first = START + 5 * MINUTE_US
    event = rows.stream_event("gap", "klines", first, first + MINUTE_US, started_us=first, cause="venue_has_no_data")
    land(warehouse, STREAM_EVENTS, event)
    assert check(warehouse, "kline_gaps", "open_gaps") == {}


def test_a_funding_rate_that_is_missing_and_in_no_gap_is_found(warehouse: Warehouse) -> None:
    """Of a contract of one hour, whose periods become four hours: only the missing one is a finding."""
    times = [START + hour * HOUR_US + 4_000 for hour in (0, 1, 2, 5, 6, 7, 11, 15)]
    said = {"venue": "binance", "symbol": "BTCUSDT", "funding_time": times, "funding_rate": ["0.0001"] * len(times)}
    land(
        warehouse, FUNDING_RATES, rows.table_of(FUNDING_RATES, said | {"mark_price": [None] * len(times), "receipt_time": times})
    )
    [finding] = check(warehouse, "missing_settlements", until=START + 24 * HOUR_US)["missing_settlements"]
    assert (finding.value, from_datetime(finding.at)) == (3.0, times[3])
    assert finding.detail.startswith("no funding rate for 3 hours, from ")
    gap = rows.stream_event("gap", "funding_rates", START + 3 * HOUR_US, START + 4 * HOUR_US, started_us=START + 3 * HOUR_US)
    land(warehouse, STREAM_EVENTS, gap)
    assert check(warehouse, "missing_settlements", until=START + 24 * HOUR_US) == {}


def test_the_real_outage_of_march_2023_is_one_finding(warehouse: Warehouse, shared_data: Path) -> None:
    land(warehouse, KLINES, rows.recorded_klines(shared_data, "BTCUSDT", "1m_20230320_outage"))
    checks = read_checks(only=["kline_gaps"])
    [verdict] = run_checks(warehouse, checks, us("2023-03-01"), us("2023-04-01"))
    [finding] = verdict.findings
    assert finding.value == 80.0
    assert "open times 2023-03-24 12:40:00.000000 to 2023-03-24 13:59:00.000000" in finding.detail


def test_a_gap_that_was_written_down_stays_open_until_it_is_healed(warehouse: Warehouse) -> None:
    land(warehouse, STREAM_EVENTS, rows.stream_event("gap", "trades", 5, 9, started_us=START, cause="disconnect"))
    [finding] = check(warehouse, "open_gaps")["open_gaps"]
    assert finding.detail == "trades 5 to 9: disconnect"
    land(warehouse, STREAM_EVENTS, rows.stream_event("healed", "trades", 5, 9, started_us=START + 1))
    assert check(warehouse, "open_gaps") == {}


def test_a_gap_is_closed_by_parts_too(warehouse: Warehouse) -> None:
    """In any order, overlapping, and one of them proven absent."""
    land(warehouse, STREAM_EVENTS, rows.stream_event("gap", "trades", 5, 9, started_us=START, cause="disconnect"))
    land(warehouse, STREAM_EVENTS, rows.stream_event("healed", "trades", 8, 20, started_us=START + 1))
    land(warehouse, STREAM_EVENTS, rows.stream_event("healed", "trades", 3, 6, started_us=START + 2))
    assert "open_gaps" in check(warehouse, "open_gaps"), "7 is missing"
    land(warehouse, STREAM_EVENTS, rows.stream_event("gap", "trades", 7, 7, started_us=START + 3, cause="venue_has_no_data"))
    assert check(warehouse, "open_gaps") == {}


def test_a_gap_of_the_archive_is_closed_by_the_klines_of_its_own_interval(warehouse: Warehouse) -> None:
    """Parts touch where one ends and the next begins: open times are not consecutive numbers."""

    def of_series(event: str, first: int, last: int, instance: str) -> None:
        spans = {"started_us": START + first * MINUTE_US, "ended_us": START + (last + 1) * MINUTE_US}
        ids = (START + first * MINUTE_US, START + last * MINUTE_US)
        cause = "archive_has_no_data"
        land(warehouse, STREAM_EVENTS, rows.stream_event(event, "klines", *ids, **spans, cause=cause, instance=instance))

    of_series("gap", 0, 9, "backfill-BTCUSDT-1m")
    of_series("healed", 0, 9, "backfill-BTCUSDT-5m")
    of_series("healed", 0, 3, "backfill-BTCUSDT-1m")
    of_series("healed", 5, 9, "backfill-BTCUSDT-1m")
    assert "open_gaps" in check(warehouse, "open_gaps"), "minute 4 is missing"
    of_series("healed", 4, 4, "backfill-BTCUSDT-1m")
    assert check(warehouse, "open_gaps") == {}


@pytest.mark.slow
@pytest.mark.parametrize("skew_ms", [250, -250])
def test_a_clock_that_was_set_is_measured_within_10_ms(skew_ms: int, warehouse: Warehouse) -> None:
    data = Data()
    data.late_from, data.late_us = 600, skew_ms * 1_000
    data.land(warehouse)
    [step] = check(warehouse, "clock_step")["clock_step"]
    assert step.value == pytest.approx(skew_ms, abs=10)
    assert from_datetime(step.at) == START + 600 * SECOND_US


@pytest.mark.slow
@pytest.mark.parametrize("skew_ms", [250, -250])
def test_a_clock_that_is_wrong_from_the_beginning_is_measured_within_10_ms(skew_ms: int, warehouse: Warehouse) -> None:
    data = Data()
    data.late_from, data.late_us = 0, skew_ms * 1_000
    data.land(warehouse)
    found = check(warehouse, "clock_skew", "clock_step", "negative_latency")
    [skew] = found.pop("clock_skew")
    assert skew.value == pytest.approx(skew_ms, abs=10)
    assert list(found) == ([] if skew_ms > 0 else ["negative_latency"])


def test_the_recorders_clock_of_the_session_was_behind(warehouse: Warehouse, shared_data: Path) -> None:
    land(warehouse, TRADES, rows.recorded_trades(shared_data))
    found = check(warehouse, "clock_skew", "negative_latency")
    assert {round(finding.value / 1000, 1) for finding in found["clock_skew"]} == {-1.3}
    assert {finding.value for finding in found["negative_latency"]} == {1.0}
    assert "of 19904 trades were received before they were sent" in found["negative_latency"][0].detail


@pytest.mark.slow
def test_slow_messages_fire_latency_with_all_its_percentiles(warehouse: Warehouse) -> None:
    data = Data()
    data.late_from, data.late_us = 1150, 2_000_000
    data.land(warehouse)
    found = check(warehouse, "latency")["latency"]
    assert {finding.detail.split()[0] for finding in found} == {"trades", "depth_diffs"}
    assert all(2_000 < finding.value < 2_013 for finding in found)
    assert all(word in found[0].detail for word in (" avg ", " p50 ", " p99 ", " p999 ", "receipt->load", "; 0 of "))


@pytest.mark.slow
def test_a_frozen_depth_stream_fires_while_trades_go_on(warehouse: Warehouse) -> None:
    data = Data()
    data.diff_ids = [number for number in data.diff_ids if number <= 1_100]
    data.land(warehouse)
    [finding] = check(warehouse, "stream_alignment")["stream_alignment"]
    assert finding.value == pytest.approx(SECONDS - STEP - 1_099)
    assert finding.detail.startswith("no depth for")


@pytest.mark.slow
def test_a_frozen_trade_stream_fires_while_diffs_go_on(warehouse: Warehouse) -> None:
    data = Data()
    data.trade_ids = data.trade_ids[:400]
    data.land(warehouse)
    [finding] = check(warehouse, "stream_alignment")["stream_alignment"]
    assert finding.detail.startswith("no trades for")
    assert finding.value > 300


def restarted(warehouse: Warehouse, gap_ends: int) -> None:
    """A minute of both streams, 88 s without any, another minute; the trades of the pause came over REST, eight at once."""
    seen = [*range(60), *range(148, 208)]
    received = [START + second * SECOND_US + 5_000 for second in seen]
    live = rows.trades([1_000 + second for second in seen], times_us=[START + second * SECOND_US - 300 for second in seen])
    events = pa.array([START + second * SECOND_US for second in seen], pa.timestamp("us", "UTC"))
    live = live.set_column(live.schema.get_field_index("event_time"), live.schema.field("event_time"), events)
    land(warehouse, TRADES, live)
    for first in range(60, 148, 8):
        times = [START + second * SECOND_US for second in range(first, first + 8)]
        healed = rows.trades([1_000 + second for second in range(first, first + 8)], times_us=times)
        at = pa.array([START + 149 * SECOND_US] * 8, pa.timestamp("us", "UTC"))
        place = healed.schema.get_field_index("receipt_time")
        land(warehouse, TRADES, healed.set_column(place, healed.schema.field(place), at))
        event = rows.stream_event("healed", "trades", 1_000 + first, 1_007 + first, started_us=START + 149 * SECOND_US)
        land(warehouse, STREAM_EVENTS, event)
    diffs = ArrowRows(DEPTH_DIFFS, "binance")
    for second, at_us in zip(seen, received, strict=True):
        diffs.append(DepthDiff("BTCUSDT", second, second, [["99", "1"]], [], at_us - 5_000), at_us)
    land(warehouse, DEPTH_DIFFS, diffs.table())
    for channel, ids in (("trades", (1_060, 1_147)), ("depth", (60, 147))):
        began, ended = received[59], START + gap_ends * SECOND_US + 5_000
        land(warehouse, STREAM_EVENTS, rows.stream_event("gap", channel, *ids, started_us=began, ended_us=ended, cause="restart"))


def test_a_restart_is_an_open_gap_of_the_book_and_nothing_else(warehouse: Warehouse) -> None:
    restarted(warehouse, gap_ends=148)
    found = check(warehouse, "stream_alignment", "latency", "open_gaps", "trade_id_gaps", "update_id_gaps")
    assert {name: [one.detail for one in findings] for name, findings in found.items()} == {
        "open_gaps": ["depth 60 to 147: restart"]
    }
    ((trades, slowest),) = warehouse.query(
        "select messages, receipt_p999_ms from gold_latency_1h where dataset = 'trades' and venue = 'binance'"
    )
    assert (trades, slowest) == (120, 4.7), "the healed ones took up to 89 s"


def test_a_book_that_stands_still_among_streamed_trades_fires_beside_gaps_that_explain_a_part(warehouse: Warehouse) -> None:
    """Of 88 s, 40 are in two recorded gaps that overlap; the trades of ten other seconds were streamed."""
    restarted(warehouse, gap_ends=90)
    began = START + 80 * SECOND_US
    gap = rows.stream_event("gap", "depth", 90, 99, started_us=began, ended_us=began + 20 * SECOND_US, cause="disconnect")
    land(warehouse, STREAM_EVENTS, gap)
    assert check(warehouse, "stream_alignment") == {}, "nothing was streamed"
    extra = [2_000 + second for second in range(110, 120)]
    land(warehouse, TRADES, rows.trades(extra, times_us=[START + (number - 2_000) * SECOND_US for number in extra]))
    [finding] = check(warehouse, "stream_alignment")["stream_alignment"]
    assert finding.value == pytest.approx(89 - 41, abs=0.1)
    assert finding.detail.endswith(" s while 10 messages of the other stream came")


def test_a_trade_that_is_there_twice_fires(warehouse: Warehouse) -> None:
    """Silver keeps one row a key and month: only a venue that dates one trade in two months can get past it."""
    land(warehouse, TRADES, rows.trades([1, 2]))
    land(warehouse, TRADES, rows.trades([2]))
    assert check(warehouse, "duplicates") == {}
    land(warehouse, TRADES, rows.trades([2], times_us=[us("2024-07-31T23:59:59")]))
    verdicts = run_checks(warehouse, read_checks(only=["duplicates"]), us("2024-07-01"), us("2024-09-01"))
    assert [(finding.value, finding.detail) for finding in verdicts[0].findings] == [(2.0, "trades 2 is there 2 times")]


@pytest.mark.slow
def test_a_crossed_book_fires_as_rebuilt_as_snapshot_as_ticker_and_as_best_prices(warehouse: Warehouse) -> None:
    data = Data()
    data.best_bid = "101"
    data.land(warehouse)
    land(warehouse, DEPTH_SNAPSHOTS, rows.depth_snapshot(7, receipt_us=START, bids=[["102", "1"]], asks=[["101", "2"]]))
    columns: dict[str, Any] = {"venue": ["binance"], "symbol": "BTCUSDT", "event_time": START, "receipt_time": START}
    columns |= dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), "1")
    columns |= {"best_bid_price": "5", "best_ask_price": "4", "best_bid_quantity": "1", "best_ask_quantity": "1"}
    land(warehouse, TICKERS, rows.table_of(TICKERS, columns))
    land(warehouse, BOOK_TICKERS, rows.book_tickers([(1, START, "5", "1", "4", "1"), (2, START, "5", "1", "0", "0")]))
    found = check(warehouse, "crossed_books")["crossed_books"]
    assert {finding.detail.split(":")[0] for finding in found} == {"rebuilt book", "snapshot", "ticker", "best prices"}
    assert sum(finding.detail.startswith("best prices") for finding in found) == 1, "an empty side crosses nothing"


@pytest.mark.slow
def test_best_prices_that_the_book_does_not_have_fire_as_rebuilt_and_as_a_capture_found_them(warehouse: Warehouse) -> None:
    """The book's best bid is 99 with the diff's number as its quantity, the best ask 101 with 2."""
    Data().land(warehouse)
    right = [(number, START + number * SECOND_US, "99", str(number), "101", "2") for number in range(2, 9)]
    land(warehouse, BOOK_TICKERS, rows.book_tickers(right))
    transform(warehouse)
    assert check(warehouse, "best_prices_differ") == {}
    wrong = [(20, START + 20 * SECOND_US, "98.5", "20", "101", "2"), (21, START + 21 * SECOND_US, "99", "7", "101", "2")]
    land(warehouse, BOOK_TICKERS, rows.book_tickers(wrong))
    land(warehouse, STREAM_EVENTS, rows.stream_event("mismatch", "book_tickers", 30, 30, started_us=START + 30 * SECOND_US))
    land(warehouse, STREAM_EVENTS, rows.stream_event("mismatch", "depth", 31, 31, started_us=START + 31 * SECOND_US))
    found = check(warehouse, "best_prices_differ")["best_prices_differ"]
    assert sorted((finding.value, finding.detail.partition(":")[0]) for finding in found) == [
        (0.0, "rebuilt book at 21"),
        (0.0, "running book at 30"),
        (0.5, "rebuilt book at 20"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("price", ["0", "-1", "500", "20"])
def test_an_impossible_price_fires(price: str, warehouse: Warehouse) -> None:
    data = Data()
    data.prices[77] = price
    data.land(warehouse)
    [finding] = check(warehouse, "impossible_prices")["impossible_prices"]
    assert finding.detail.startswith("trade 77: ")
    assert finding.value == float(price)


def test_a_kline_that_contradicts_itself_fires(warehouse: Warehouse) -> None:
    land(warehouse, KLINES, rows.klines([START], close="103"))
    [finding] = check(warehouse, "impossible_prices")["impossible_prices"]
    assert finding.detail.startswith("kline 1m: open 100, high 102")


@pytest.mark.slow
def test_one_altered_kline_is_a_venue_that_differs(warehouse: Warehouse) -> None:
    data = Data()
    data.kline_closes[7] = "103.5"
    data.land(warehouse)
    found = check(warehouse, "venue_differs", "our_gap")
    [finding] = found.pop("venue_differs")
    assert from_datetime(finding.at) == START + 7 * MINUTE_US
    assert found == {}


@pytest.mark.slow
def test_a_missing_trade_is_our_gap_and_not_the_venues_difference(warehouse: Warehouse) -> None:
    data = Data()
    data.trade_ids.remove(7 * 30 + 5)
    data.land(warehouse)
    found = check(warehouse, "venue_differs", "our_gap")
    [finding] = found.pop("our_gap")
    assert (from_datetime(finding.at), finding.value) == (START + 7 * MINUTE_US, 0.5)
    assert found == {}


@pytest.mark.slow
def test_an_hour_with_holes_is_a_finding_of_the_coverage_matrix(warehouse: Warehouse) -> None:
    Data().land(warehouse)
    [finding] = check(warehouse, "coverage", until=START + 2 * HOUR_US)["coverage"]
    assert finding.detail == "trades 1, book 0.3331, klines 0.3"
    assert finding.value == pytest.approx(0.3)
    assert check(warehouse, "coverage", until=START + MINUTE_US * 59) == {}, "the hour is not over"


def test_a_whole_hour_passes_the_coverage_check(warehouse: Warehouse) -> None:
    land(warehouse, KLINES, rows.klines([START + minute * MINUTE_US for minute in range(60)]))
    land(warehouse, TRADES, rows.trades([5, 6, 7]))
    assert check(warehouse, "coverage", until=START + HOUR_US) == {}


@pytest.mark.slow
def test_rows_that_say_another_name_than_their_key_fire(warehouse: Warehouse) -> None:
    klines, trades = rows.klines([START], close="100"), rows.trades([1, 2], times_us=[START, START])
    folder = "data_sources/klines_pricing/venue=binance/symbol"
    for key in (f"{folder}=BTCUSDT/interval=1m/2024-08.parquet", f"{folder}=BTC%55SDT/x.parquet", "data_sources/btc/x.parquet"):
        land(warehouse, KLINES, klines, key)
    land(warehouse, TRADES, trades, "data_sources/trades/venue=binance/date=2024-08-09/hour=00/1-main-1.parquet")
    now = now_us()

    def found() -> list[tuple[str, str, float, str]]:
        [verdict] = run_checks(warehouse, read_checks(only=["key_says_otherwise"]), now - HOUR_US, now + HOUR_US)
        return sorted((one.venue, one.symbol, one.value, one.detail) for one in verdict.findings)

    assert found() == []
    wrong = f"{folder}=ETHUSDT/interval=1m/2024-08.parquet"
    short = f"{folder}=BTCUSDT/interval=1h/2024-08.parquet"
    live = "data_sources/trades/venue=kucoin/date=2024-08-09/hour=00/1-main-1.parquet"
    land(warehouse, KLINES, klines, wrong)
    land(warehouse, KLINES, klines, short)
    land(warehouse, TRADES, trades, live)
    assert found() == [
        ("binance", "BTCUSDT", 1.0, f"1 rows of {short} say binance BTCUSDT 1m"),
        ("binance", "BTCUSDT", 1.0, f"1 rows of {wrong} say binance BTCUSDT 1m"),
        ("binance", "BTCUSDT", 2.0, f"2 rows of {live} say binance BTCUSDT"),
    ]


def test_open_interest_of_another_period_than_its_key_fires(warehouse: Warehouse) -> None:
    counted = {"event_time": [START], "open_interest": ["5"], "open_interest_value": [None], "receipt_time": [START]}
    market = {"venue": "binance-usdm", "symbol": "BTCUSDT", "source": "rest"}
    hours = rows.table_of(OPEN_INTEREST, market | counted | {"period": "1h"})
    right, wrong = (history_month_key(OPEN_INTEREST, "binance-usdm", "BTCUSDT", one, "2024-08") for one in ("1h", "5m"))
    land(warehouse, OPEN_INTEREST, hours, right)
    land(warehouse, OPEN_INTEREST, hours, wrong)
    now = now_us()
    [verdict] = run_checks(warehouse, read_checks(only=["key_says_otherwise"]), now - HOUR_US, now + HOUR_US)
    assert [one.detail for one in verdict.findings] == [f"1 rows of {wrong} say binance-usdm BTCUSDT 1h"]


def test_only_an_error_fails_the_run() -> None:
    finding = Finding("binance", "BTCUSDT", datetime(2024, 1, 1), 1.0, "why")
    checks = {one.name: one for one in read_checks()}
    assert not has_failed([Verdict(checks["duplicates"], []), Verdict(checks["latency"], [finding])])
    assert has_failed([Verdict(checks["duplicates"], [finding])])


def test_the_table_says_what_and_where(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, rows.trades([1, 2, 5]))
    verdicts = run_checks(warehouse, read_checks(only=["trade_id_gaps", "duplicates"]), START, START + HOUR_US)
    written = io.StringIO()
    Console(width=160, file=written).print(verdicts_table(verdicts))
    lines = written.getvalue()
    assert "binance BTCUSDT 2024-08-09T00:00:02Z: ids 3 to 4 are missing" in lines
    assert "duplicates" in lines


def test_findings_are_kept_with_their_run(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, rows.trades(random.Random(1).sample(range(1, 100), 40)))
    run_checks(warehouse, read_checks(only=["trade_id_gaps"]), START, START + HOUR_US)
    kept = warehouse.query("select count(), any(findings), any(verdict), any(severity) from ops_check_results")
    assert kept[0][0] == kept[0][1] > 10
    assert kept[0][2:] == ("failed", "error")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a", "expected check names"),
        ("duplicates: {severity: fatal}", "severity must be one of error, warning, got 'fatal'"),
        ("duplicates: {severity: error, limit: 3}", "unknown setting limit"),
        ("nothing: {severity: error}", "there is no sql/clickhouse/checks/nothing.sql"),
        ("{", "expected"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=problem):
        read_checks(path)


def test_every_file_is_a_check_and_says_what_offends() -> None:
    files = sorted((SQL_ROOT / "checks").iterdir())
    assert {path.name for path in files} == {one.sql_file for one in read_checks()}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert text.removeprefix(make_sql.GENERATED).lstrip().startswith("-- Offends: ")
        assert "-- value: " in text
        assert ";" not in re.sub(r"--.*|'[^']*'", "", text)


def test_an_unknown_check_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match="unknown check 'x': choose from latency, "):
        read_checks(only=["x"])

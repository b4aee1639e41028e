"""Gaps of trades, healed from the bulk archive a day later: every trade once, each heal an event, nothing asked for twice."""

from typing import TYPE_CHECKING, Any

import pytest
from integration_tests.src.extract_process.archived_market import APIS, ARCHIVES, ROW, Recording, archived_market
from integration_tests.src.extract_process.conftest import us
from integration_tests.src.extract_process.live import capturing, rows_of, wait_until
from tests.commands import run_python

import tickhouse as th
from extract_process.parquet import parquet_bytes
from extract_process.trades import run_healing
from extract_process.venues.history_tables import trades_table
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.clock import StandingClock
from simulated_exchange.server.faults import Fault, FaultKind
from tickhouse_core.aws import s3_client
from tickhouse_core.datasets import TRADES
from tickhouse_core.errors import UsageError, VenueError
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US, now_us

if TYPE_CHECKING:
    from conftest import Lake
    from integration_tests.src.extract_process.conftest import OpenVenue, Venue

    from tickhouse_core.warehouse import Warehouse


@pytest.fixture(params=APIS)
def recording(request: pytest.FixtureRequest, open_venue: "OpenVenue", moto_lake: "Lake") -> Recording:
    """Two minutes around midnight, a day ago by the venue's clock."""
    return archived_market(request.param, open_venue, moto_lake.store)


@pytest.mark.heart
def test_gap_over_midnight_is_healed_exactly_and_nothing_is_asked_for_twice(recording: Recording) -> None:
    count = len(recording.rows)
    recording.record((0, 20), (count - 20, count))

    healer = recording.heal()
    first = recording.downloads()
    recording.heal()

    assert recording.in_lake() == recording.rows
    assert healer.report.healed == healer.report.missing == count - 40
    assert healer.report.lacking == healer.report.unfetched == 0
    assert sorted(first) == [
        f"{recording.symbol}-trades-2025-03-{day}.zip{end}" for day in ("09", "10") for end in ("", ".CHECKSUM")
    ]
    assert set(first.values()) == {1}
    assert recording.downloads() == first, "the second run asks for nothing"
    healed = recording.events("healed")
    assert [(row["cause"], row["instance"]) for row in healed] == [("archive", f"archive-{recording.symbol}")] * 2
    assert healed[0]["detail"].startswith(f"{recording.symbol}-trades-2025-03-09.zip, SHA-256 ")
    ids = sorted((row["from_update_id"], row["to_update_id"]) for row in healed)
    assert (ids[0][0], ids[1][1]) == (recording.rows[20][0], recording.rows[count - 21][0])
    assert ids[0][1] + 1 == ids[1][0]


def test_readers_see_the_healed_rows_and_no_open_gap(recording: Recording, moto_lake: "Lake") -> None:
    count = len(recording.rows)
    recording.record((0, 20), (300, 310), (count - 20, count))
    recording.heal()

    lake = th.open(f"s3://{recording.store.bucket}")
    start, end = recording.rows[0][4], recording.rows[-1][4]
    trades = lake.trades(recording.symbol, start, end, venue=recording.name)

    table = trades.arrow()
    assert table["trade_id"].to_pylist() == [row[0] for row in recording.rows if row[4] < end]
    assert [gap["is_open"] for gap in trades.gaps.to_pylist()] == [False, False]
    assert trades.is_complete


def test_rows_that_another_recorder_has_are_not_written_again(recording: Recording) -> None:
    count = len(recording.rows)
    recording.record((0, 20), (count - 20, count))
    other = recording.rows[100][4] + 40_000
    columns = dict(zip(ROW, map(list, zip(*recording.rows[100:200], strict=True)), strict=True))
    columns |= {name: list(map(str, columns[name])) for name in ("price", "quantity")}
    table = trades_table(columns, venue=recording.name, symbol=recording.symbol, receipt_time=other)
    recording.store.write(hourly_key(TRADES, recording.name, other, "another", 1), parquet_bytes(table, TRADES))

    report = recording.heal().report

    assert recording.in_lake() == recording.rows
    assert (report.recorded, report.healed) == (100, count - 140)


def test_file_that_does_not_match_its_checksum_is_one_line_and_writes_nothing(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    count = len(recording.rows)
    recording.record((0, 20), (count - 20, count))
    path = f"/data/{ARCHIVES[recording.name]}/daily/trades/{recording.symbol}/{recording.symbol}-trades-2025-03-09"
    recording.venue.exchange.set_faults([Fault(FaultKind.ARCHIVE_BAD_CHECKSUM, count=1, path=path)])

    with pytest.raises(VenueError, match=r"trades-2025-03-09\.zip: [0-9]+ bytes do not match their CHECKSUM, 3 times"):
        recording.heal()

    midnight = us("2025-03-10T00:00")
    healed = [row for row in recording.rows[20 : count - 20] if row[4] >= midnight]
    assert recording.in_lake() == [*recording.rows[:20], *healed, *recording.rows[count - 20 :]], "the other day is healed"
    assert len(recording.events("healed")) == 1

    recording.venue.exchange.set_faults([])
    recording.heal()
    assert recording.in_lake() == recording.rows


def test_trades_that_the_file_lacks_stay_a_gap_and_are_not_asked_for_again(recording: Recording) -> None:
    count = len(recording.rows)
    recording.record((0, 20), (count - 20, count))
    path = f"/data/{ARCHIVES[recording.name]}/daily/trades/{recording.symbol}/{recording.symbol}-trades-2025-03-09"
    recording.venue.exchange.set_faults([Fault(FaultKind.ARCHIVE_MISSING_ROWS, count=1, path=path)])

    report = recording.heal().report
    asked = recording.downloads()
    recording.heal()

    assert report.lacking > 0
    assert report.healed == report.missing - report.lacking
    assert recording.downloads() == asked, "a published file does not change"
    (failed,) = recording.events("heal_failed")
    assert failed["cause"] == "archive_has_no_data"
    assert failed["to_update_id"] - failed["from_update_id"] + 1 == report.lacking
    assert len(recording.in_lake()) == count - report.lacking

    recording.venue.exchange.set_faults([])
    assert recording.heal(again=True).report.healed == report.lacking, "--recheck asks for it: the venue replaces files"
    assert recording.in_lake() == recording.rows


def test_day_without_a_file_yet_stays_open_and_is_healed_when_it_is_published(recording: Recording) -> None:
    count = len(recording.rows)
    recording.record((0, 20), (count - 20, count))
    assert isinstance(recording.venue.clock, StandingClock)
    published = recording.venue.clock.now
    recording.venue.clock.now = us("2025-03-10T00:05") // 1_000

    report = recording.heal().report
    midnight = us("2025-03-10T00:00")
    today = sum(row[4] >= midnight for row in recording.rows[20 : count - 20])
    assert (report.unfetched, report.lacking, recording.events("heal_failed")) == (today, 0, [])

    recording.venue.clock.now = published
    recording.heal()
    assert recording.in_lake() == recording.rows


@pytest.mark.parametrize("recording", ["binance"], indirect=True)
def test_run_that_was_killed_between_rows_and_their_event_leaves_nothing_lost_or_doubled(
    recording: Recording, moto_lake: "Lake"
) -> None:
    """The gap stays open, so that the next run writes the batch again, and readers have each row once."""
    count = len(recording.rows)
    recording.record((0, 20), (count - 20, count))
    recording.heal()
    (healed, *more) = [item.key for item in recording.store.list_keys("data_sources/stream_events/") if "archive-" in item.key]
    for key in (healed, *more):
        s3_client().delete_object(Bucket=recording.store.bucket, Key=key)

    recording.heal()

    lake = th.open(f"s3://{recording.store.bucket}")
    trades = lake.trades(recording.symbol, recording.rows[0][4], recording.rows[-1][4], venue=recording.name)
    assert trades.arrow()["trade_id"].to_pylist() == [row[0] for row in recording.rows if row[4] < recording.rows[-1][4]]
    assert trades.is_complete


@pytest.mark.parametrize("recording", ["binance-usdm"], indirect=True)
def test_healed_trades_are_in_the_warehouse_once_and_its_gap_is_closed(
    recording: Recording, warehouse: "Warehouse", load: Any
) -> None:
    count = len(recording.rows)
    recording.record((0, 20), (count - 20, count))
    recording.heal()

    load()

    assert warehouse.query("select count(), uniqExact(trade_id) from trades") == [(count, count)]


@pytest.mark.parametrize("recording", ["binance"], indirect=True)
def test_stop_keeps_what_was_healed(recording: Recording) -> None:
    recording.record((0, 20), (len(recording.rows) - 20, len(recording.rows)))
    stop = StopRequest()
    stop.set()

    with pytest.raises(Exception, match="stopped by a signal"):
        recording.heal(stop=stop)

    recording.heal()
    assert recording.in_lake() == recording.rows


def test_venue_without_files_of_trades_is_refused(moto_lake: "Lake") -> None:
    with pytest.raises(UsageError, match="--venue kucoin: it publishes no files of trades"):
        run_healing(Request("kucoin", (), 0, now_us()), StopRequest())


@pytest.mark.parametrize("recording", ["binance-usdm"], indirect=True)
def test_symbol_that_the_lake_never_had_is_one_line(recording: Recording) -> None:
    recording.record((0, 40))
    for symbol, said in (("NOPE", "this lake has BTCUSDT at binance-usdm"), ("btcusdt", "did you mean BTCUSDT?")):
        asked = ["--venue", recording.name, "--symbol", symbol, "--start", "2025-03-09", "--gaps"]
        ended = run_python("-m", "extract_process.trades", *asked, code=2)
        assert ended.stdout == ""
        assert f"symbol '{symbol}': this lake has" in ended.stderr
        assert said in ended.stderr
    asked = ["--venue", recording.name, "--symbol", recording.symbol, "--start", "2025-03-09", "--gaps"]
    assert "open gaps  0\n" in run_python("-m", "extract_process.trades", *asked).stdout


class ShiftedClock:
    """The wall clock, moved forward by a test."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def now_us(self) -> int:
        return now_us() + self.ahead_us


def test_downtime_of_a_recorder_is_healed_a_day_later(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    """More than REST has: of futures the last 1,000 trades."""
    clock = ShiftedClock()
    open_venue(ExchangeConfig(pace=20), clock)
    with capturing("BTCUSDT", channels=("trades",), venue="binance-usdm"):
        wait_until(lambda: len(rows_of(moto_lake.store, "trades")) > 20)
    clock.ahead_us += 120_000_000
    with capturing("BTCUSDT", channels=("trades",), venue="binance-usdm"):
        wait_until(lambda: any(row["event"] == "heal_failed" for row in rows_of(moto_lake.store, "stream_events")))
    ids = recorded_ids(moto_lake.store)
    assert len(ids) < ids[-1] - ids[0] + 1
    clock.ahead_us += DAY_US

    report = run_healing(Request("binance-usdm", (), now_us() - DAY_US, now_us() + DAY_US), StopRequest()).report

    assert recorded_ids(moto_lake.store) == list(range(ids[0], ids[-1] + 1))
    assert report.healed == ids[-1] - ids[0] + 1 - len(ids)


def recorded_ids(store: ObjectStore) -> list[int]:
    return sorted(row["trade_id"] for row in rows_of(store, "trades"))


def test_command_says_what_it_did(venue: "Venue", moto_lake: "Lake") -> None:
    assert "open gaps  0\n" in run_python("-m", "extract_process.trades", "--venue", "binance").stdout

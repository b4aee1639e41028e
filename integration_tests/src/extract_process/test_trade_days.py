"""Whole days of trades and of aggregates from the bulk archive: every row once, resumed after a kill, nothing requested twice."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from integration_tests.src.extract_process.archived_market import APIS, ARCHIVES, Recording, archived_market, us_of
from integration_tests.src.extract_process.conftest import us
from integration_tests.src.extract_process.live import rows_of
from tests.commands import run_python
from tests.extract_process.test_trade_days import DAY, NEXT
from tests.extract_process.test_trade_days import Lake as OfFiles
from tests.transform_process.warehouse_rows import transform

import tickhouse as th
from extract_process.backfill.trade_days import TradeDays
from extract_process.trades import run_days
from extract_process.venues import venue_named
from simulated_exchange.binance.agg_trades import aggregates
from simulated_exchange.server.clock import StandingClock
from simulated_exchange.server.faults import Fault, FaultKind
from tickhouse_core.datasets import TRADES
from tickhouse_core.errors import Interrupted, LakeUnavailable, UsageError, VenueError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US

if TYPE_CHECKING:
    from conftest import Lake
    from integration_tests.src.extract_process.conftest import OpenVenue

    from tickhouse_core.warehouse import Warehouse

START, END = "2025-03-09", "2025-03-11"
AGGREGATE = ("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "is_buyer_maker")


@pytest.fixture(params=["binance"])
def market(request: pytest.FixtureRequest, open_venue: "OpenVenue", moto_lake: "Lake") -> Recording:
    """Two minutes around midnight, in the files of two days."""
    return archived_market(request.param, open_venue, moto_lake.store)


def asked_of(market: Recording, start: str = START, end: str = END) -> Request:
    return Request(market.name, (market.symbol,), us(start), us(end))


def record(market: Recording, start: str = START, end: str = END, **options: Any) -> TradeDays:
    return run_days(asked_of(market, start, end), StopRequest(), **options)


def file_of(market: Recording, day: str, kind: str = "trades") -> str:
    return f"/data/{ARCHIVES[market.name]}/daily/{kind}/{market.symbol}/{market.symbol}-{kind}-{day}"


@pytest.mark.heart
@pytest.mark.parametrize("market", APIS, indirect=True)
def test_every_trade_of_the_days_is_recorded_once_and_a_second_run_requests_nothing(market: Recording) -> None:
    report = record(market).report
    first = market.downloads()
    again = record(market).report

    assert market.in_lake() == market.rows
    assert (report.recorded, report.rows, report.gaps, report.no_trades) == (2, len(market.rows), 0, 0)
    assert sorted(first) == [
        f"{market.symbol}-trades-2025-03-{day}.zip{end}" for day in ("09", "10") for end in ("", ".CHECKSUM")
    ]
    assert market.downloads() == first
    assert (again.complete, again.recorded, again.files) == (2, 0, 0)
    days = market.events("backfilled")
    assert min(us_of(row["started_at"]) for row in days) == market.rows[0][4]
    assert max(us_of(row["ended_at"]) for row in days) == market.rows[-1][4]
    ids = sorted((row["from_update_id"], row["to_update_id"]) for row in days)
    assert (ids[0][0], ids[0][1] + 1, ids[1][1]) == (market.rows[0][0], ids[1][0], market.rows[-1][0])
    assert ", SHA-256 " in days[0]["detail"]
    assert bool(market.events("contract")) == (market.name == "binance-coinm")
    trades = th.open(f"s3://{market.store.bucket}").trades(market.symbol, START, END, venue=market.name)
    assert trades.arrow()["trade_id"].to_pylist() == [row[0] for row in market.rows]
    assert trades.is_complete, "the files have whole days, so no row beside them is needed"


@pytest.mark.parametrize("market", APIS, indirect=True)
def test_aggregates_are_those_of_the_trades(market: Recording, warehouse: "Warehouse", load: Any) -> None:
    record(market, is_aggregated=True)
    first = market.downloads()
    record(market, is_aggregated=True)
    load()

    named = [dict(zip(("id", "price", "qty", "isBuyerMaker", "time"), row, strict=True)) for row in market.rows]
    wanted = [(*(one[name] for name in "apqfl"), one["m"], one["T"]) for one in aggregates(named)]
    wanted = [(row[0], row[1], type(row[1])(row[2]), *row[3:]) for row in wanted]
    assert market.downloads() == first
    found = rows_of(market.store, "agg_trades")
    assert sorted((*(row[name] for name in AGGREGATE), us_of(row["trade_time"])) for row in found) == wanted
    lake = th.open(f"s3://{market.store.bucket}")
    rows = lake.agg_trades(market.symbol, START, END, venue=market.name)
    assert rows.arrow().num_rows == len(wanted)
    assert rows.is_complete
    ((count, trades),) = warehouse.query("select count(), sum(last_trade_id - first_trade_id + 1) from agg_trades")
    assert (count, trades) == (len(wanted), len(market.rows))
    assert rows_of(market.store, "trades") == []


class Killed(FolderStore):
    """A lake that a process cannot write to any more after some objects: what is left of a process that was killed then."""

    def __init__(self, folder: Path, writes: int) -> None:
        super().__init__(folder)
        self.left = writes

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        if not self.left:
            raise LakeUnavailable("killed")
        self.left -= 1
        return super().write(key, body, replaces=replaces, must_be_new=must_be_new)


def record_into(store: FolderStore, market: Recording, folder: Path) -> TradeDays:
    async def run() -> TradeDays:
        venue = venue_named(market.name)
        assert venue.open_archive is not None
        async with venue.open_archive(1) as archive:
            days = TradeDays(venue, archive, store, folder, TRADES, part_rows=300)
            await days.run(asked_of(market), StopRequest())
            return days

    return asyncio.run(run())


def test_run_that_is_killed_after_any_object_goes_on_without_a_double_or_a_hole(market: Recording, tmp_path: Path) -> None:
    whole = Killed(tmp_path / "whole", 1_000)
    record_into(whole, market, tmp_path)
    writes = 1_000 - whole.left
    assert writes > 6, "several parts a day"
    keys = sorted(one.key for one in whole.list_keys("data_sources/trades/"))

    for left in range(writes):
        store = Killed(tmp_path / str(left), left)
        with pytest.raises(LakeUnavailable):
            record_into(store, market, tmp_path)
        store.left = 1_000
        report = record_into(store, market, tmp_path).report

        assert sorted(row["trade_id"] for row in rows_of(store, "trades")) == [row[0] for row in market.rows]
        assert sorted(one.key for one in store.list_keys("data_sources/trades/")) == keys
        assert report.complete + report.recorded == 2
        assert record_into(store, market, tmp_path).report.files == 0


def test_gap_in_these_days_is_healed_and_a_recorded_row_stays_the_first(
    market: Recording, warehouse: "Warehouse", load: Any
) -> None:
    count = len(market.rows)
    market.record((0, 20), (count - 20, count))

    report = record(market).report
    load()

    assert report.healed == count - 40
    healed = sorted((row["from_update_id"], row["to_update_id"]) for row in market.events("healed"))
    assert (healed[0][0], healed[-1][1]) == (market.rows[20][0], market.rows[count - 21][0])
    lake = th.open(f"s3://{market.store.bucket}")
    trades = lake.trades(market.symbol, START, END, venue=market.name)
    assert trades.arrow().num_rows == count
    assert [gap["is_open"] for gap in trades.gaps.to_pylist()] == [False]
    assert trades.is_complete
    assert warehouse.query("select count(), uniqExact(trade_id) from trades") == [(count, count)]
    late = "select count() from trades where receipt_time > trade_time + interval 1 hour"
    assert warehouse.query(late) == [(count - 40,)], "of two rows of one trade the recorded one stays"


def test_day_without_a_file_is_one_line_and_a_gap_until_its_file_is_there(market: Recording) -> None:
    assert isinstance(market.venue.clock, StandingClock)
    published = market.venue.clock.now
    market.venue.clock.now = us("2025-03-10T12:00") // 1_000

    with pytest.raises(VenueError, match=r"^BTCUSDT: 2025-03-10: no file is published$"):
        record(market)
    (gap,) = market.events("gap")
    assert (gap["cause"], gap["instance"]) == ("archive_has_no_data", "backfill-BTCUSDT-trades")
    assert (us_of(gap["started_at"]), us_of(gap["ended_at"])) == (us("2025-03-10"), us("2025-03-11"))
    lake = th.open(f"s3://{market.store.bucket}")
    assert not lake.trades(market.symbol, START, END).is_complete
    with pytest.raises(VenueError):
        record(market)
    assert len(market.events("gap")) == 1, "one gap, however often it is requested"

    market.venue.clock.now = published
    assert record(market).report.recorded == 1
    assert market.in_lake() == market.rows
    assert [row["instance"] for row in market.events("healed")] == ["backfill-BTCUSDT-trades"]
    assert th.open(f"s3://{market.store.bucket}").trades(market.symbol, START, END).is_complete
    report = market.heal().report
    assert (report.gaps, report.files) == (0, 0), "a whole day is no gap of ids"


def test_file_that_does_not_match_its_checksum_costs_its_day_alone(market: Recording) -> None:
    path = file_of(market, "2025-03-09")
    market.venue.exchange.set_faults([Fault(FaultKind.ARCHIVE_BAD_CHECKSUM, count=1, path=path)])
    with pytest.raises(VenueError, match=r"2025-03-09: .*trades-2025-03-09\.zip: [0-9]+ bytes do not match their CHECKSUM"):
        record(market)

    midnight = us("2025-03-10")
    assert market.in_lake() == [row for row in market.rows if row[4] >= midnight]
    market.venue.exchange.set_faults([])
    record(market)
    assert market.in_lake() == market.rows


def test_hole_in_a_file_is_a_gap_and_the_file_that_replaces_it_heals_it(market: Recording) -> None:
    path = file_of(market, "2025-03-09")
    market.venue.exchange.set_faults([Fault(FaultKind.ARCHIVE_MISSING_ROWS, count=1, path=path)])
    record(market)
    (gap,) = market.events("gap")
    missing = gap["to_update_id"] - gap["from_update_id"] + 1
    assert len(market.in_lake()) == len(market.rows) - missing
    asked = market.downloads()
    market.heal()
    assert market.downloads() == asked, "the file lacks it: it is not requested again"

    market.venue.exchange.set_faults([])
    report = record(market, again=True).report
    assert (report.healed, report.recorded) == (missing, 1), "the other day's file is the same"
    trades = th.open(f"s3://{market.store.bucket}").trades(market.symbol, START, END)
    assert trades.arrow()["trade_id"].to_pylist() == [row[0] for row in market.rows]
    assert trades.is_complete


def test_month_that_is_over_is_one_file_and_its_days_without_trades_are_requested_alone(market: Recording) -> None:
    assert isinstance(market.venue.clock, StandingClock)
    market.venue.clock.now = us("2025-04-02") // 1_000
    with pytest.raises(VenueError, match=r"^BTCUSDT: 2025-03-01 to 2025-03-08: no file is published; BTCUSDT: 2025-03-11 to"):
        record(market, "2025-03-01", "2025-04-01")

    assert market.in_lake() == market.rows
    asked = market.downloads()
    assert asked["BTCUSDT-trades-2025-03.zip"] == 1
    assert "BTCUSDT-trades-2025-03-09.zip" not in asked
    assert len(market.events("gap")) == 29


def test_month_stands_in_for_a_day_without_a_usable_file(market: Recording) -> None:
    assert isinstance(market.venue.clock, StandingClock)
    market.venue.clock.now = us("2025-04-02") // 1_000
    path = file_of(market, "2025-03-09")
    market.venue.exchange.set_faults([Fault(FaultKind.ARCHIVE_BAD_CHECKSUM, count=1, path=path)])
    record(market)
    assert market.in_lake() == market.rows


def test_deleted_day_is_requested_again(market: Recording) -> None:
    record(market)
    keys = [one.key for one in market.store.list_keys("data_sources/trades/") if "date=2025-03-09" in one.key]
    for key in keys:
        market.store.delete(key)
    assert record(market).report.recorded == 1
    assert market.in_lake() == market.rows


def test_stop_leaves_whole_days_and_the_next_run_goes_on(market: Recording) -> None:
    stop = StopRequest()
    stop.set()
    with pytest.raises(Interrupted, match="stopped by a signal"):
        run_days(asked_of(market), stop)
    record(market)
    assert market.in_lake() == market.rows


def test_rows_of_a_file_that_was_replaced_leave_the_warehouse(
    moto_lake: "Lake", warehouse: "Warehouse", load: Any, tmp_path: Path
) -> None:
    days = OfFiles(tmp_path)
    days.files.put(DAY, range(100, 200), began=us(DAY) + 60_000_000)
    days.record(part_rows=30, store=moto_lake.store)
    load()
    assert warehouse.query("select price, count() from trades group by price") == [(Decimal("1.5"), 100)]

    days.files.put(DAY, range(99, 199), price="9.9")
    days.record(again=True, part_rows=30, store=moto_lake.store)
    load()
    assert warehouse.query("select price, count() from trades group by price") == [(Decimal("9.9"), 100)]
    minutes = "select sum(trade_count), min(low) from gold_ohlcv_1m"
    transform(warehouse)
    assert warehouse.query(minutes) == [(100, Decimal("9.9"))]
    assert warehouse.query("select count(), countIf(is_complete) from gold_ohlcv_1m") == [(100, 100)], "first and last too"
    rows = th.open(f"s3://{moto_lake.store.bucket}").trades("BTCUSDT", DAY, NEXT)
    assert rows.arrow().num_rows == 100
    assert rows.is_complete


@pytest.mark.parametrize(
    ("symbol", "said"),
    [
        ("NOPE", "unknown symbol NOPE on binance: write it as the venue does, for example BTCUSDT"),
        ("btc-usdt", "unknown symbol btc-usdt on binance: did you mean BTCUSDT[?]"),
    ],
)
def test_symbol_that_the_venue_does_not_list_is_one_line_and_no_gap(market: Recording, symbol: str, said: str) -> None:
    with pytest.raises(VenueError, match=rf"^{symbol}: no file is published of 2025-03-09 to 2025-03-10: {said}$"):
        run_days(Request(market.name, (symbol,), us(START), us(END)), StopRequest())
    assert rows_of(market.store, "stream_events") == []


@pytest.mark.parametrize("market", APIS, indirect=True)
def test_listed_symbol_without_any_file_is_a_gap_and_no_matter_of_spelling(market: Recording) -> None:
    with pytest.raises(VenueError, match=rf"^{market.symbol}: 2025-03-01 to 2025-03-02: no file is published$"):
        record(market, "2025-03-01", "2025-03-03")
    assert len(market.events("gap")) == 2


def test_days_before_a_listing_are_no_failure_and_not_requested_again(market: Recording) -> None:
    """NOVAUSDT is listed on 2024-03-12, by its first candle."""
    asked = Request(market.name, ("NOVAUSDT",), us("2024-02-01"), us("2024-03-12"))
    report = run_days(asked, StopRequest()).report
    first = market.downloads()
    again = run_days(asked, StopRequest()).report

    assert [(one.early, one.lacking, one.failures) for one in (report, again)] == [(29 + 11, 0, [])] * 2
    assert market.downloads() == first
    assert len(first) == 2 * (1 + 11 + 1), "the month before, then days and their month; each file has a CHECKSUM"
    (gap,) = market.events("gap")
    assert (gap["cause"], us_of(gap["started_at"]), us_of(gap["ended_at"])) == ("venue_has_no_data", asked.start, asked.end)
    assert gap["detail"] == "trading began later: the venue's first candle is of 2024-03-12"


def test_symbol_without_any_file_while_no_list_can_be_had_is_one_line_and_no_gap(market: Recording) -> None:
    market.venue.exchange.set_faults([Fault(FaultKind.HTTP_403, path="/api/v3/exchangeInfo")])
    said = "its markets cannot be looked up now: write it as the venue does, for example BTCUSDT"
    with pytest.raises(VenueError, match=rf"^BTCUSDT: no file is published of 2025-03-01: {said}$"):
        record(market, "2025-03-01", "2025-03-02")
    assert rows_of(market.store, "stream_events") == []


def test_command_says_what_it_did_and_what_it_cannot_do(market: Recording) -> None:
    asked = ["-m", "extract_process.trades", "--symbol", market.symbol, "--start", START, "--end", END]
    figures = dict(line.rsplit("  ", 1) for line in run_python(*asked).stdout.splitlines() if "  " in line)
    assert {name.strip(): count.strip() for name, count in figures.items()}["rows recorded"] == f"{len(market.rows):,}"
    assert "open gaps" in run_python(*asked, "--gaps").stdout
    for wrong, said in (
        (["--agg-trades", "--gaps"], "--agg-trades records whole days"),
        (["--start", "2025-03-09T05:00"], "files have whole days of UTC"),
    ):
        assert said in run_python(*asked, *wrong, code=2).stderr
    for option, missing in (("--start", "--end"), ("--end", "--start")):
        half = ["-m", "extract_process.trades", "--symbol", market.symbol, option, START]
        said = f"--symbol and {option} without {missing}: add {missing} for whole days, or --gaps to heal gaps only"
        assert said in run_python(*half, code=2).stderr
        assert "open gaps" in run_python(*half, "--gaps", *(["--start", "2025-03-01"] if option == "--end" else [])).stdout
    with pytest.raises(UsageError, match="--venue kucoin: it publishes no files of trades"):
        run_days(Request("kucoin", ("BTC-USDT",), 0, DAY_US), StopRequest())

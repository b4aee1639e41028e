"""Settled funding rates and open interest: exact against the exchange, resumable, within its limits, and asked for once."""

import threading
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from integration_tests.src.extract_process.conftest import us
from integration_tests.src.extract_process.live import rows_of, wait_until
from tests.commands import run_python
from tests.waiting import patience

import tickhouse as th
from extract_process.backfill.history import History, HistoryBackfill, funding_history, open_interest_history
from extract_process.backfill.history_run import run_history
from simulated_exchange.config import ExchangeConfig, parse_halt
from simulated_exchange.server.clock import StandingClock
from simulated_exchange.server.faults import Fault, FaultKind
from tickhouse_core.errors import Interrupted, UsageError, VenueError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.timestamps import DAY_US, format_instant, now_us

if TYPE_CHECKING:
    from conftest import Lake
    from integration_tests.src.extract_process.conftest import OpenVenue, Venue

    from tickhouse_core.warehouse import Warehouse

NOW = "2025-03-10T12:34"
MARKETS = {"binance-usdm": "BTCUSDT", "binance-coinm": "BTCUSD_PERP"}
APIS = {"binance-usdm": "/fapi/v1", "binance-coinm": "/dapi/v1"}
RATES = "fundingRate"
Run = Callable[..., HistoryBackfill]


@pytest.fixture
def venue(open_venue: "OpenVenue") -> "Venue":
    """At noon of a day: in the middle of a funding period."""
    return open_venue(ExchangeConfig(), StandingClock(us(NOW) // 1_000))


@pytest.fixture(params=MARKETS)
def market(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def run(moto_lake: "Lake") -> Run:
    def one(market: str, history: History, start: str, end: str | None = None, *symbols: str) -> HistoryBackfill:
        until = None if end is None else us(end)
        return run_history(market, history, symbols or (MARKETS[market],), us(start), until, StopRequest())

    return one


def requests(venue: "Venue", market: str) -> dict[str, int]:
    """To the endpoints of history, by name."""
    asked = venue.exchange.tally()[market.removeprefix("binance-")]["requests"]
    named = {path.rpartition("/")[2]: sum(answers.values()) for path, answers in asked.items()}
    return {name: count for name, count in named.items() if name in (RATES, "openInterestHist")}


def pages(venue: "Venue", path: str, sent: dict[str, str], time: str, span: tuple[str, str], limit: int) -> list[dict[str, Any]]:
    """All rows of [start, end), by plain requests of a few at a time; forgets the tally afterwards."""
    rows: list[dict[str, Any]] = []
    first, end = (us(one) // 1_000 for one in span)
    with httpx.Client(base_url=venue.exchange.url, trust_env=False, timeout=patience(20)) as client:
        while first < end:
            until = min(first + limit * 300_000, end) - 1
            bounds = {"startTime": str(first), "endTime": str(until), "limit": str(limit)}
            rows += client.get(path, params=sent | bounds).raise_for_status().json()
            first = until + 1
    venue.forget()
    assert len({row[time] for row in rows}) == len(rows)
    return rows


def rates_of(venue: "Venue", market: str, start: str, end: str) -> list[tuple[int, Decimal, Decimal | None]]:
    path = f"{APIS[market]}/{RATES}"
    with httpx.Client(base_url=venue.exchange.url, trust_env=False, timeout=patience(20)) as client:
        bounds = {"startTime": str(us(start) // 1_000), "endTime": str(us(end) // 1_000 - 1)}
        sent = {"symbol": MARKETS[market], **bounds, "limit": "1000"}
        rows = client.get(path, params=sent).raise_for_status().json()
    venue.forget()
    assert len(rows) < 1_000
    return [
        (row["fundingTime"] * 1_000, Decimal(row["fundingRate"]), Decimal(row["markPrice"]) if "markPrice" in row else None)
        for row in rows
    ]


def lake_rates(lake: "Lake") -> list[tuple[int, Decimal, Decimal | None]]:
    rows = rows_of(lake.store, "funding_rates")
    return [(time_of(row["funding_time"]), row["funding_rate"], row["mark_price"]) for row in rows]


def time_of(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000_000 + instant.microsecond


def gaps_of(lake: "Lake") -> list[tuple[str, int, int, str]]:
    rows = [row for row in rows_of(lake.store, "stream_events") if row["event"] == "gap"]
    return sorted((row["channel"], row["from_update_id"], row["to_update_id"], row["cause"]) for row in rows)


@pytest.mark.heart
def test_funding_rates_equal_the_exchanges_and_a_second_run_asks_for_nothing(
    market: str, venue: "Venue", run: Run, moto_lake: "Lake"
) -> None:
    expected = rates_of(venue, market, "2024-11-15", NOW)
    assert len(expected) > 300
    assert any(rate < 0 for _, rate, _ in expected)

    first = run(market, funding_history(), "2024-11-15")
    asked = requests(venue, market)
    again = run(market, funding_history(), "2024-11-15")

    assert lake_rates(moto_lake) == expected
    assert first.report.rows_landed == len(expected)
    assert asked == {RATES: 1}
    assert requests(venue, market) == asked
    assert (again.report.slots_missing, again.report.rows_landed) == (0, 0)
    assert gaps_of(moto_lake) == []


def test_readers_find_the_rows_of_a_range(market: str, venue: "Venue", run: Run, moto_lake: "Lake") -> None:
    """They were received long after their time, so that their months say where they are."""
    run(market, funding_history(), "2024-11-15")
    start, end = us("2025-01-10"), us("2025-02-02")

    rates = th.open(f"s3://{moto_lake.store.bucket}").funding_rates(MARKETS[market], start, end, market, exact=True)

    assert rates.arrow()["funding_rate"].to_pylist() == [rate for at, rate, _ in lake_rates(moto_lake) if start <= at < end]
    assert rates.arrow().num_rows == 23 * 3
    assert rates.gaps.num_rows == 0


def test_readers_have_each_period_of_open_interest_and_its_gaps(open_venue: "OpenVenue", run: Run, moto_lake: "Lake") -> None:
    halt = parse_halt("BTCUSDT=2025-03-02T07:30/2025-03-02T09:00")
    open_venue(ExchangeConfig(halts=(halt,)), StandingClock(us(NOW) // 1_000))
    for period in ("1h", "4h"):
        run("binance-usdm", open_interest_history(period), "2025-03-01")

    lake = th.open(f"s3://{moto_lake.store.bucket}")
    hours = lake.open_interest("BTCUSDT", us("2025-03-02"), us("2025-03-03"), "1h")

    assert hours.arrow().num_rows == 23
    assert lake.open_interest("BTCUSDT", us("2025-03-02"), us("2025-03-03"), "4h").arrow().num_rows == 5
    (gap, *_) = [one for one in hours.gaps.to_pylist() if one["instance"] == "backfill-BTCUSDT-1h"]
    assert (gap["from_update_id"], gap["to_update_id"]) == (us("2025-03-02T08:00"), us("2025-03-02T08:00"))


def test_later_run_asks_only_for_the_hours_since(market: str, venue: "Venue", run: Run, moto_lake: "Lake") -> None:
    run(market, funding_history(), "2025-02-20")
    venue.move_to("2025-03-11T16:04")
    run(market, funding_history(), "2025-02-20")
    until_noon = lake_rates(moto_lake)

    venue.move_to("2025-03-11T16:06")
    report = run(market, funding_history(), "2025-02-20").report

    assert report.slots_missing == 1, "the hour of 16:00 is over for five minutes"
    assert lake_rates(moto_lake) == rates_of(venue, market, "2025-02-20", "2025-03-11T16:06")
    assert len(lake_rates(moto_lake)) == len(until_noon) + 1


@pytest.mark.parametrize("period", ["5m", "1h"])
def test_open_interest_equals_the_exchanges_and_a_second_run_asks_for_nothing(
    period: str, market: str, venue: "Venue", run: Run, moto_lake: "Lake"
) -> None:
    named = {"symbol": "BTCUSDT"} if market == "binance-usdm" else {"pair": "BTCUSD", "contractType": "PERPETUAL"}
    start = "2025-02-20T03:02"
    told = pages(venue, "/futures/data/openInterestHist", named | {"period": period}, "timestamp", (start, NOW), 100)
    expected = [(row["timestamp"] * 1_000, Decimal(row["sumOpenInterest"]), Decimal(row["sumOpenInterestValue"])) for row in told]
    settled = us("2025-03-10T12:30" if period == "5m" else "2025-03-10T12:00") - (300_000_000 if period == "5m" else 0)
    expected = [row for row in expected if row[0] <= settled]

    first = run(market, open_interest_history(period), start)
    asked = requests(venue, market)
    run(market, open_interest_history(period), start)

    rows = rows_of(moto_lake.store, "open_interest")
    assert [(time_of(row["event_time"]), row["open_interest"], row["open_interest_value"]) for row in rows] == expected
    assert {(row["period"], row["source"], row["symbol"]) for row in rows} == {(period, "rest", MARKETS[market])}
    assert first.report.rows_landed == len(expected)
    assert requests(venue, market) == asked
    assert gaps_of(moto_lake) == []


def test_older_than_the_venue_has_is_said_and_not_asked_for(venue: "Venue", run: Run, moto_lake: "Lake") -> None:
    report = run("binance-usdm", open_interest_history("1d"), "2025-01-01").report
    assert report.too_old == 39
    assert report.rows_landed == 30


def test_stretch_without_rows_is_a_gap_and_not_asked_for_again(
    market: str, open_venue: "OpenVenue", run: Run, moto_lake: "Lake"
) -> None:
    halt = parse_halt("BTCUSDT=2025-03-02T07:30/2025-03-03T09:00")
    venue = open_venue(ExchangeConfig(halts=(halt,)), StandingClock(us(NOW) // 1_000))

    run(market, funding_history(), "2025-02-20")
    run(market, open_interest_history("1h"), "2025-02-20")
    asked = requests(venue, market)
    run(market, funding_history(), "2025-02-20")
    run(market, open_interest_history("1h"), "2025-02-20")

    cause = "venue_has_no_data"
    assert gaps_of(moto_lake) == [
        ("funding_rates", us("2025-03-02T08:00"), us("2025-03-03T08:00"), cause),
        ("open_interest", us("2025-03-02T08:00"), us("2025-03-03T08:00"), cause),
    ]
    assert requests(venue, market) == asked


def test_gap_over_the_end_of_two_runs_is_found(open_venue: "OpenVenue", run: Run, moto_lake: "Lake") -> None:
    """The eight hours are judged once all of them are known, whichever run asked for which."""
    halt = parse_halt("BTCUSDT=2025-03-02T07:30/2025-03-02T16:30")
    open_venue(ExchangeConfig(halts=(halt,)), StandingClock(us(NOW) // 1_000))

    run("binance-usdm", funding_history(), "2025-03-01", "2025-03-02T12:00")
    assert gaps_of(moto_lake) == []
    run("binance-usdm", funding_history(), "2025-03-01", "2025-03-04")

    found = [(first, last) for _, first, last, _ in gaps_of(moto_lake)]
    assert found == [(us("2025-03-02T08:00"), us("2025-03-02T16:00"))]


def test_answer_so_full_that_it_may_lack_rows_is_halved(venue: "Venue", run: Run, moto_lake: "Lake") -> None:
    """Two years and more have over 1,000 rates: COIN-M says nothing of which it sends then."""
    expected = rates_of(venue, "binance-usdm", "2024-05-01", NOW)
    wide = History(**{name: getattr(funding_history(), name) for name in ("dataset", "grid", "rows_grid")}, page=100_000)

    run("binance-usdm", wide, "2023-01-01")

    assert lake_rates(moto_lake)[-len(expected) :] == expected
    assert requests(venue, "binance-usdm")[RATES] == 7, "one, its halves and their halves"
    assert gaps_of(moto_lake) == []


def test_interrupted_run_is_continued(market: str, venue: "Venue", run: Run, moto_lake: "Lake") -> None:
    """Page by page: what has landed is not asked for again."""
    history = History(funding_history().dataset, funding_history().grid, funding_history().rows_grid, page=24)
    expected = rates_of(venue, market, "2025-02-20", NOW)
    venue.exchange.set_faults([Fault(FaultKind.LATENCY, path=f"{APIS[market]}/{RATES}", value=100)])
    stop, failures = StopRequest(), []

    def stopped_run() -> None:
        try:
            run_history(market, history, (MARKETS[market],), us("2025-02-20"), None, stop)
        except Interrupted as error:
            failures.append(str(error))

    thread = threading.Thread(target=stopped_run)
    thread.start()
    wait_until(lambda: len(rows_of(moto_lake.store, "funding_rates")) >= 6)
    stop.set()
    thread.join(patience(30))

    assert failures == ["stopped by a signal; what has arrived is kept, run again to go on"]
    assert len(lake_rates(moto_lake)) < len(expected)
    run(market, history, "2025-02-20")
    assert lake_rates(moto_lake) == expected
    assert requests(venue, market)[RATES] <= 19 + 1, "only the answer that the stop cut off is asked for again"


def test_rate_limit_of_requests_is_kept(venue: "Venue", run: Run, moto_lake: "Lake") -> None:
    """No 429: of 500 requests in five minutes half are used, whenever those begin."""
    history = History(funding_history().dataset, funding_history().grid, funding_history().rows_grid, page=24)
    report = run("binance-usdm", history, "2024-07-20")
    assert requests(venue, "binance-usdm")[RATES] == 234
    assert [tally.rate_limited for tally in report.rest.tallies] == [0, 0]


@pytest.mark.parametrize("kind", [FaultKind.TRUNCATED_BODY, FaultKind.HTTP_500, FaultKind.DROPPED_CONNECTION])
def test_spoiled_answer_is_asked_for_again(kind: FaultKind, market: str, venue: "Venue", run: Run, moto_lake: "Lake") -> None:
    expected = rates_of(venue, market, "2025-02-01", NOW)
    venue.exchange.set_faults([Fault(kind, count=1, path=f"{APIS[market]}/{RATES}")])
    run(market, funding_history(), "2025-02-01")
    assert lake_rates(moto_lake) == expected


def test_unknown_symbol_is_named_and_keeps_no_other_from_its_rates(venue: "Venue", run: Run, moto_lake: "Lake") -> None:
    with pytest.raises(VenueError, match="unknown symbol NOSUCHUSDT on binance-usdm; all others are complete"):
        run("binance-usdm", funding_history(), "2025-02-01", None, "BTCUSDT", "NOSUCHUSDT")
    assert lake_rates(moto_lake) == rates_of(venue, "binance-usdm", "2025-02-01", NOW)


@pytest.mark.parametrize(
    ("market", "symbol", "why"),
    [
        ("binance-coinm", "BTCUSD_250627", "BTCUSD_250627 has a delivery date: it has no funding"),
        ("binance-usdm", "BTCUSDT_250627", "BTCUSDT_250627 has a delivery date: it has no funding"),
        ("binance", "BTCUSDT", "--venue binance: it has no funding rates; choose from binance-usdm, binance-coinm"),
    ],
)
def test_market_without_such_a_history_is_refused(
    market: str, symbol: str, why: str, venue: "Venue", run: Run, moto_lake: "Lake"
) -> None:
    with pytest.raises(UsageError, match=why):
        run(market, funding_history(), "2025-02-01", None, symbol)
    assert rows_of(moto_lake.store, "funding_rates") == []


def test_histories_are_in_the_warehouse_once(market: str, venue: "Venue", run: Run, warehouse: "Warehouse", load: Any) -> None:
    run(market, funding_history(), "2025-02-01", "2025-03-01")
    load()
    run(market, funding_history(), "2025-02-01")
    run(market, open_interest_history("1h"), "2025-03-01")
    load()

    expected = rates_of(venue, market, "2025-02-01", NOW)
    told = warehouse.query("select count(), uniqExact(funding_time), sum(funding_rate) from funding_rates")
    assert told == [(len(expected), len(expected), sum(rate for _, rate, _ in expected))]
    assert warehouse.query("select count(), uniqExact(event_time), any(period) from open_interest") == [(229, 229, "1h")]


def test_commands_say_what_they_did(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    open_venue()
    day = format_instant(now_us() - 3 * DAY_US)[:10]
    assert "rows landed" in run_python("-m", "extract_process.funding", "--symbol", "BTCUSDT", "--start", day).stdout
    of_coin = ("--symbol", "BTCUSD_PERP", "--venue", "binance-coinm", "--start", day)
    assert "rows landed" in run_python("-m", "extract_process.open_interest", *of_coin).stdout
    assert {row["symbol"] for row in rows_of(moto_lake.store, "open_interest")} == {"BTCUSD_PERP"}

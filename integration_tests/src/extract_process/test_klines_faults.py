"""An exchange that misbehaves: the result is exact all the same, the log says what happened, and the limits are kept."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import httpx
import pytest
from integration_tests.src.extract_process.conftest import from_json, us
from tests.waiting import patience, wait_until

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.faults import Fault, FaultKind
from tickhouse_core.errors import VenueBanned, VenueUnavailable

if TYPE_CHECKING:
    from integration_tests.src.extract_process.conftest import Command, LakeView, OpenVenue, RunBackfill, Venue

KLINES = "/api/v3/klines"
SAID = {
    FaultKind.HTTP_429: "rate limited (429)",
    FaultKind.HTTP_500: "answered 500 -1000",
    FaultKind.HTTP_503_BUSY: "answered 503 -1008",
    FaultKind.TRUNCATED_BODY: "unusable answer of",
    FaultKind.DROPPED_BODY: "RemoteProtocolError",
    FaultKind.DROPPED_CONNECTION: "RemoteProtocolError",
}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        *((kind, KLINES) for kind in SAID),
        (FaultKind.TRUNCATED_BODY, "/api/v3/time"),
        (FaultKind.DROPPED_BODY, "/api/v3/exchangeInfo"),
        (FaultKind.HTTP_429, "/api/v3/exchangeInfo"),
    ],
)
def test_burst_of_one_trouble_costs_nothing_but_time(
    kind: FaultKind, path: str, venue: "Venue", backfill: "RunBackfill", lake: "LakeView", caplog: pytest.LogCaptureFixture
) -> None:
    burst = 1 if kind is FaultKind.HTTP_429 else 5
    expected = venue.klines("BTCUSDT", "15m", "2024-01-01", "2024-03-01")
    venue.exchange.set_faults([Fault(kind, count=burst, path=path)])

    tally = backfill("BTCUSDT", interval="15m", start="2024-01-01", end="2024-03-01").rest.client.tally

    assert lake.klines("BTCUSDT", "15m") == expected
    assert lake.gaps() == []
    report = venue.exchange.tally()
    assert report["faults"] == {kind: burst}
    assert tally.retries + tally.rate_limited == burst
    assert (tally.weight, tally.requests) == (report["weight"]["total"], report["requests_total"])
    assert SAID[kind] in said(caplog)


@pytest.mark.parametrize("seed", [pytest.param(1, marks=pytest.mark.heart), 2])
def test_all_troubles_at_once_leave_an_exact_result(
    seed: int, open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView", caplog: pytest.LogCaptureFixture
) -> None:
    venue = open_venue(ExchangeConfig(seed=seed, latency_ms=2, latency_jitter_ms=30))
    halt = "BTCUSDT=2024-01-20T04:00/2024-01-20T16:00"
    venue.exchange.set_halts([halt])
    expected = venue.klines("BTCUSDT", "1m", "2024-01-10", "2024-02-20")
    kinds = [kind for kind in SAID if kind is not FaultKind.HTTP_429]
    mixed = [Fault(kind, probability=0.05) for kind in kinds]
    venue.exchange.set_faults([*mixed, Fault(FaultKind.HTTP_429, count=1, after=20), Fault(FaultKind.LATENCY, probability=0.1)])

    backfill("BTCUSDT", start="2024-01-10", end="2024-02-20")

    assert lake.klines("BTCUSDT", "1m") == expected
    assert [gap[1:3] for gap in lake.gaps()] == [(us("2024-01-20T04:00"), us("2024-01-20T15:59"))]
    met = venue.exchange.tally()["faults"]
    assert len(met) >= 4, f"the seed gave hardly any trouble: {met}"
    assert all(SAID[kind] in said(caplog) for kind in kinds if kind in met)


def test_after_a_429_nobody_asks_until_retry_after_is_over(
    open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    venue = open_venue(ExchangeConfig(latency_ms=20))
    venue.exchange.set_faults([Fault(FaultKind.HTTP_429, count=1, value=2, path=KLINES, after=9)])
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(backfill, "BTCUSDT", start="2024-01-01", end="2024-02-01", concurrency=4)
        wait_until(lambda: bool(venue.exchange.tally()["faults"]), "the 429 was sent")
        refused = time.monotonic()
        counts = []
        while time.monotonic() < refused + 1.5:
            counts.append((time.monotonic() - refused, len(venue.asked())))
            time.sleep(0.05)
        run.result()

    settled = {count for seconds, count in counts if seconds > 0.2}
    assert len(settled) == 1, "what was under way has been answered, nothing new is asked"
    assert max(settled) <= 10 + 4
    assert len(lake.klines("BTCUSDT", "1m")) == 44_640


def test_trouble_that_does_not_end_fails_with_what_and_where_and_keeps_what_arrived(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    venue.exchange.set_faults([Fault(FaultKind.HTTP_500, path=KLINES, after=20)])

    with pytest.raises(VenueUnavailable, match=r"/api/v3/klines answered 500 -1000: An unknown error"):
        backfill("BTCUSDT", start="2024-01-01", end="2024-02-01", concurrency=2)
    arrived = len(lake.klines("BTCUSDT", "1m"))
    venue.exchange.set_faults([])
    rest = backfill("BTCUSDT", start="2024-01-01", end="2024-02-01").report

    assert arrived >= 17_000
    assert rest.rows_missing == rest.rows_landed == 44_640 - arrived
    assert len(lake.klines("BTCUSDT", "1m")) == 44_640


def test_exchange_that_is_away_is_one_line_and_exit_code_1(lake: "LakeView", command: "Command", venue: "Venue") -> None:
    venue.exchange.set_faults(["dropped_connection@/api/v3/time"])

    process = command.start("--symbol", "BTCUSDT")
    with process:
        wait_until(lambda: venue.exchange.tally()["faults"].get("dropped_connection", 0) >= 3, "it asks again")
        process.terminate()
        _, err = process.communicate(timeout=patience(10))

    assert process.returncode == 1
    assert "asking again attempt=2" in err
    assert "Traceback" not in err


# Shut out


@pytest.mark.heart
def test_ban_ends_the_run_says_until_when_and_a_restart_asks_nothing(
    venue: "Venue", command: "Command", lake: "LakeView", backfill: "RunBackfill"
) -> None:
    venue.exchange.set_faults([Fault(FaultKind.HTTP_418, count=1, value=90, path=KLINES, after=15)])
    arguments = ("--symbol", "BTCUSDT", "--start", "2024-01-01", "--end", "2024-02-01", "--concurrency", "2")
    banned = command.run(*arguments)
    asked = venue.exchange.tally()["requests_total"]
    again = command.run(*arguments)

    assert (banned.returncode, again.returncode) == (1, 1)
    until = re.search(r"^error: shut out until (\S+), asking nothing before: .*418", banned.stderr, re.MULTILINE)
    assert until, banned.stderr
    assert 0 < us(until[1].removesuffix("Z")) / 1e6 - time.time() <= 90
    still = re.fullmatch(r"error: still shut out until (\S+), asking nothing: .*\n", again.stderr)
    assert still, again.stderr
    later = us(still[1].removesuffix("Z")) - us(until[1].removesuffix("Z"))
    assert 0 <= later < 1_000_000, "the other request under way may have been told the same a moment later"
    assert (again.stdout, venue.exchange.tally()["requests_total"]) == ("", asked)
    assert asked <= 2 + 16 + 1, "one request may have been under way when the ban came"
    assert len(lake.klines("BTCUSDT", "1m")) >= 13_000


def test_after_the_ban_is_over_the_run_goes_on_by_itself(venue: "Venue", backfill: "RunBackfill", lake: "LakeView") -> None:
    venue.exchange.set_faults([Fault(FaultKind.HTTP_418, count=1, value=2, path=KLINES, after=3)])
    with pytest.raises(VenueBanned):
        backfill("BTCUSDT", start="2024-01-01", end="2024-01-10", concurrency=1)
    asked = venue.exchange.tally()["requests_total"]

    with pytest.raises(VenueBanned, match="still shut out"):
        backfill("BTCUSDT", start="2024-01-01", end="2024-01-10")
    assert venue.exchange.tally()["requests_total"] == asked

    def works_again() -> bool:
        with suppress(VenueBanned):
            backfill("BTCUSDT", start="2024-01-01", end="2024-01-10")
            return True
        return False

    wait_until(works_again, "the ban is over")
    assert len(lake.klines("BTCUSDT", "1m")) == 9 * 1_440
    assert venue.exchange.tally()["refused"]["418"] == {"limiter": 0, "injected": 1}


def test_firewall_is_not_asked_twice(venue: "Venue", command: "Command", lake: "LakeView") -> None:
    venue.exchange.set_faults([Fault(FaultKind.HTTP_403, path=KLINES)])
    arguments = ("--symbol", "BTCUSDT", "--start", "2024-01-01", "--end", "2024-02-01")
    refused = command.run(*arguments)
    again = command.run(*arguments)

    assert (refused.returncode, again.returncode) == (1, 1)
    assert re.search(r"^error: shut out until \S+, .*firewall.*403", refused.stderr, re.MULTILINE)
    assert "still shut out until" in again.stderr
    assert venue.exchange.tally()["requests"][KLINES] == {"403": 1}


# Weight


def test_small_limit_is_used_up_and_never_broken(open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView") -> None:
    """80 pages cost 160 and more, a minute allows 100: the run has to wait for the turn of the exchange's minute."""
    turn = us("2025-03-01T12:00")
    venue = open_venue(
        ExchangeConfig(weight_limit=100, now=turn // 1_000 - round(patience(4) * 1_000), latency_ms=5, latency_jitter_ms=40)
    )

    tally = backfill("BTCUSDT", start="2024-01-01", end="2024-02-25").rest.client.tally

    report = venue.exchange.tally()
    assert report["refused"]["429"] == {"limiter": 0, "injected": 0}
    assert tally.rate_limited == 0
    assert tally.weight == report["weight"]["total"] == 21 + 2 + 2 * 80
    [before, after] = report["weight"]["per_minute"].values()
    assert 80 <= before <= 95, "all but the room left for others was used"
    assert after <= 95 + 5
    assert len(lake.klines("BTCUSDT", "1m")) == 55 * 1_440


def test_weight_that_a_neighbour_uses_is_left_to_it(open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView") -> None:
    turn = us("2025-03-01T12:00")
    venue = open_venue(ExchangeConfig(weight_limit=200, now=turn // 1_000 - round(patience(4) * 1_000)))
    with httpx.Client(base_url=venue.exchange.url, trust_env=False) as neighbour:
        for _ in range(2):
            neighbour.get("/api/v3/depth", params={"symbol": "BTCUSDT", "limit": 1000}).raise_for_status()

        tally = backfill("BTCUSDT", start="2024-01-01", end="2024-02-20").rest.client.tally

    report = venue.exchange.tally()
    assert report["refused"]["429"] == {"limiter": 0, "injected": 0}
    assert tally.weight + 100 == report["weight"]["total"]
    [before, after] = report["weight"]["per_minute"].values()
    assert 180 <= before <= 190, "the neighbour's 100 count"
    assert after > 0
    assert len(lake.klines("BTCUSDT", "1m")) == 50 * 1_440


def test_two_backfills_on_one_address_keep_the_limit_together(
    open_venue: "OpenVenue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    turn = us("2025-03-01T12:00")
    venue = open_venue(ExchangeConfig(weight_limit=600, now=turn // 1_000 - 3_000, latency_ms=2))
    borders = ["2024-01-01", "2024-04-15", "2024-07-31"]
    with ThreadPoolExecutor(2) as threads:
        halves = [threads.submit(backfill, "BTCUSDT", interval="1m", start=a, end=b, concurrency=4) for a, b in pairwise(borders)]
        tallies = [half.result().rest.client.tally for half in halves]

    report = venue.exchange.tally()
    assert report["refused"]["429"] == {"limiter": 0, "injected": 0}
    assert sum(tally.weight for tally in tallies) == report["weight"]["total"] > 600


def test_log_is_json_where_that_is_wanted(venue: "Venue", command: "Command", lake: "LakeView") -> None:
    venue.exchange.set_faults([Fault(FaultKind.HTTP_500, count=1, path=KLINES)])

    ended = command.run(
        "--symbol", "BTCUSDT", "--interval", "1h", "--start", "2024-02-01", "--end", "2024-03-01", LOG_FORMAT="json"
    )

    assert ended.returncode == 0
    entries = [from_json(line) for line in ended.stderr.splitlines()]
    assert [entry["why"] for entry in entries if entry["message"] == "asking again"] == [
        "/api/v3/klines answered 500 -1000: An unknown error occurred while processing the request."
    ]
    assert [entry["new_rows"] for entry in entries if entry["message"] == "month landed"] == [29 * 24]


def said(caplog: pytest.LogCaptureFixture) -> str:
    """Messages and their fields, as a person reads them."""
    records = (record for record in caplog.records if record.name.startswith(("extract_process", "tickhouse_core")))
    return "\n".join(f"{record.getMessage()} {getattr(record, 'why', '')}" for record in records)

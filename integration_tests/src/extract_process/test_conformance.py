"""The conformance suite of a venue's live side: the same troubles for each, and the same promises kept."""

import signal
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import wait_until

import tickhouse as th
from simulated_exchange.app import RunningExchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.generated import Halt
from simulated_exchange.server.faults import Fault, FaultKind, SocketFault, SocketFaultKind
from tickhouse_core.timestamps import from_datetime

from .live import capturing, events_of, ids_in_events, row_count, rows_of, start_command
from .venue_cases import CASES, VenueCase

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import OpenVenue

pytestmark = pytest.mark.parametrize("case", CASES, ids=lambda case: case.venue)


@pytest.fixture(params=[pytest.param(5.0, id="five times as fast"), pytest.param(1.0, id="real pace", marks=pytest.mark.long)])
def config(request: pytest.FixtureRequest) -> ExchangeConfig:
    """Two symbols; `time_scale` of the exchange's seconds pass in one."""
    return ExchangeConfig(symbols=2, time_scale=request.param)


@pytest.mark.heart
def test_lost_doubled_and_late_diffs_are_told_to_the_id_and_the_book_starts_anew(
    case: VenueCase, config: ExchangeConfig, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    first = round(40 * (config.time_scale - 1))  # a fast clock sends what a busy machine's first snapshot takes by itself
    faults = (
        SocketFault(SocketFaultKind.DROP, case.depth, numbers=(first + 12, first + 13)),
        SocketFault(SocketFaultKind.DUPLICATE, case.depth, numbers=(first + 20,)),
        SocketFault(SocketFaultKind.REORDER, case.depth, numbers=(first + 26,)),
        SocketFault(SocketFaultKind.SEQUENCE_JUMP, case.depth, numbers=(first + 33,), value=9),
    )
    exchange = open_venue(replace(config, faults=faults)).exchange
    with capturing(case.symbol, venue=case.venue, channels=("depth",), prove_seconds=1.0):
        wait_until(lambda: case.sent(exchange, case.depth) > first + 45, "diffs behind the troubles")
        wait_until(lambda: len(events_of(moto_lake.store, "proven")) >= 2, "proofs after the troubles")
    told = {name: ids_in_events(moto_lake.store, name, "depth", case.symbol) for name in ("gap", "healed")}
    assert told["gap"] - told["healed"] == case.missing(exchange, case.depth)
    assert told["healed"], "the late diff came after all"
    assert events_of(moto_lake.store, "mismatch") == []
    assert len(events_of(moto_lake.store, "synced")) >= 3, "once at the start, once after every hole"
    rows = rows_of(moto_lake.store, "depth_diffs")
    assert len(rows) == len({row["last_update_id"] for row in rows}) + 1, "the doubled diff lands twice, silver merges it"
    assert {row["venue"] for row in rows} == {case.venue}


@pytest.mark.heart
def test_an_interruption_is_written_down_and_trades_are_healed_over_rest(
    case: VenueCase, config: ExchangeConfig, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    exchange = open_venue(config).exchange
    with capturing(case.symbol, venue=case.venue):
        wait_until(lambda: case.sent(exchange, case.trades) > 5 and case.sent(exchange, case.depth) > 5, "first messages")
        wait_until(lambda: loses_a_diff(case, exchange), "an interruption that costs a diff", 60)
        after = case.sent(exchange, case.trades)
        wait_until(lambda: case.sent(exchange, case.trades) > after + 5, "trades after it")
        until = trades_until_now(case, exchange)
        wait_until(lambda: until <= landed_trades(moto_lake), "the trades of the gap", 20)
    assert {gap["cause"] for gap in events_of(moto_lake.store, "gap", "depth")} == {"disconnect"}
    assert case.missing(exchange, case.depth) <= ids_in_events(moto_lake.store, "gap", "depth", case.symbol)
    assert_new_tokens(case, exchange)


def loses_a_diff(case: VenueCase, exchange: RunningExchange) -> bool:
    """Interrupts until diffs come again. Whether one is missing: the next connection may be quicker than the next diff."""
    connects, sent = case.sockets(exchange)["connects"], case.sent(exchange, case.depth)
    exchange.disconnect()
    wait_until(lambda: case.sockets(exchange)["connects"] > connects, "the next connection")
    wait_until(lambda: case.sent(exchange, case.depth) > sent, "a diff on it")
    return bool(case.missing(exchange, case.depth))


def trades_until_now(case: VenueCase, exchange: RunningExchange) -> set[int]:
    """The ids of all trades there were from the first that was sent to the last."""
    log = case.sockets(exchange)["streams"][case.trades]
    return {case.trade_id_of(number) for number in range(log["first_id"], log["last_id"] + 1)}


def landed_trades(lake: "Lake") -> set[int]:
    return {row["trade_id"] for row in rows_of(lake.store, "trades")}


def assert_new_tokens(case: VenueCase, exchange: RunningExchange) -> None:
    """Where the venue has tokens: one for every connection, none twice."""
    tally = exchange.tally()
    if tokens := (tally if case.part is None else tally[case.part]).get("tokens"):
        assert tokens["reused"] == 0
        assert tokens["used"] == case.sockets(exchange)["connects"] >= 2


@pytest.mark.heart
def test_a_rotation_leaves_no_hole(case: VenueCase, config: ExchangeConfig, open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(config).exchange
    with capturing(case.symbol, venue=case.venue, rotate_seconds=2.0):
        wait_until(lambda: case.sockets(exchange)["connects"] >= 3, "two rotations")
        wait_until(lambda: len(events_of(moto_lake.store, "rotated")) >= 2, "their events")
    assert events_of(moto_lake.store, "gap") == []
    ids = sorted({(row["first_update_id"], row["last_update_id"]) for row in rows_of(moto_lake.store, "depth_diffs")})
    assert len(ids) > 20, "two connections' diffs"
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(ids))
    assert_new_tokens(case, exchange)


def test_a_snapshot_that_comes_late_or_from_the_past_makes_no_wrong_book(
    case: VenueCase, config: ExchangeConfig, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    faults = (
        Fault(FaultKind.LATENCY, count=2, value=1_200, path=case.book_path),
        Fault(FaultKind.TRUNCATED_BODY, count=1, path=case.book_path),
        Fault(FaultKind.HTTP_500, count=1, path=case.book_path),
    )
    open_venue(replace(config, faults=faults))
    with capturing(case.symbol, venue=case.venue, channels=("depth",), prove_seconds=1.0):
        wait_until(lambda: len(events_of(moto_lake.store, "proven")) >= 3, "proofs", 40)
    assert events_of(moto_lake.store, "mismatch") == []
    assert events_of(moto_lake.store, "gap") == []


def test_a_flipped_level_is_found_by_the_proof(
    case: VenueCase, config: ExchangeConfig, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    exchange = open_venue(config).exchange
    with capturing(case.symbol, venue=case.venue, channels=("depth",), prove_seconds=1.0):
        wait_until(lambda: events_of(moto_lake.store, "proven") != [], "a right book", 40)
        exchange.set_faults([SocketFault(SocketFaultKind.FLIPPED_LEVEL, case.depth)])
        wait_until(lambda: events_of(moto_lake.store, "mismatch") != [], "the mismatch", 40)
        exchange.set_faults([])
        wait_until(lambda: len(events_of(moto_lake.store, "synced")) >= 2, "a new book", 40)


def test_a_halt_is_silence_and_no_gap(
    case: VenueCase, config: ExchangeConfig, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    exchange = open_venue(config).exchange
    with capturing(case.symbol, venue=case.venue):
        wait_until(lambda: case.sent(exchange, case.trades) > 3, "trades before the halt")
        exchange.set_halts([Halt("BTCUSDT", 0, 4_000_000_000_000)])
        sent: list[int] = []
        wait_until(lambda: stands_still(sent, case.sent(exchange, case.depth)), "silence")
        silent = case.sent(exchange, case.depth)
        exchange.set_halts([])
        wait_until(lambda: case.sent(exchange, case.depth) > silent + 5, "diffs after the halt")
    assert row_count(moto_lake.store, "depth_diffs") > silent, "what came after the halt landed too"
    assert events_of(moto_lake.store, "gap") == []


def stands_still(seen: list[int], count: int) -> bool:
    """Whether the last ten looks, 50 ms apart, saw the same."""
    seen.append(count)
    return len(seen) >= 10 and len(set(seen[-10:])) == 1


def test_every_kline_of_the_stream_is_the_one_that_rest_has(case: VenueCase, open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(symbols=2, time_scale=30.0)).exchange
    with capturing(case.symbol, venue=case.venue, channels=("klines",)):
        wait_until(lambda: row_count(moto_lake.store, "klines_pricing") >= 4, "four minutes of the exchange's clock", 40)
    rows = {row["open_time"]: row for row in rows_of(moto_lake.store, "klines_pricing")}
    assert all(row["is_closed"] and row["venue"] == case.venue for row in rows.values())
    settled = sorted(rows)
    assert [(later - earlier).total_seconds() for earlier, later in pairwise(settled)] == [60.0] * (len(settled) - 1)
    for opened, row in rows.items():
        assert case.kline(exchange, opened) == (row["open"], row["high"], row["low"], row["close"], row["volume"])


@pytest.mark.heart
def test_tickers_land_once_and_interruptions_and_restarts_of_them_are_gaps(
    case: VenueCase, config: ExchangeConfig, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    """Two markets trade: Binance sends both in one stream, and the one that is not recorded has no gap."""
    exchange = open_venue(config).exchange
    with capturing(case.symbol, venue=case.venue, channels=("ticker",)):
        wait_until(lambda: row_count(moto_lake.store, "tickers") > 3, "tickers")
        exchange.disconnect()
        wait_until(lambda: bool(events_of(moto_lake.store, "gap")), "the gap", 60)
    with capturing(case.symbol, venue=case.venue, channels=("ticker",)):
        wait_until(lambda: len(events_of(moto_lake.store, "gap")) > 1, "the gap of the restart", 60)
    rows: list[dict[str, Any]] = rows_of(moto_lake.store, "tickers")
    assert {(row["venue"], row["symbol"]) for row in rows} == {(case.venue, case.symbol)}
    gaps = events_of(moto_lake.store, "gap")
    assert [(gap["symbol"], gap["channel"], gap["cause"]) for gap in gaps] == [
        (case.symbol, "ticker", "disconnect"),
        (case.symbol, "ticker", "restart"),
    ]
    assert_between_rows(gaps, rows)
    lake, until = th.open(f"s3://{moto_lake.store.bucket}"), gaps[-1]["ended_at"] + timedelta(seconds=1)
    told = lake.gaps(case.symbol, gaps[0]["started_at"], until, channel="ticker", venue=case.venue)
    assert [(row["cause"], row["is_open"]) for row in told.to_pylist()] == [("disconnect", True), ("restart", True)]


def test_a_killed_capture_leaves_one_gap_of_tickers(
    case: VenueCase, config: ExchangeConfig, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    open_venue(config)
    named = ["--venue", case.venue, "--symbol", case.symbol, "--channel", "ticker", "--batch-seconds", "1"]
    with start_command(*named, **moto_lake.environment) as killed:
        wait_until(lambda: row_count(moto_lake.store, "tickers") > 3, "tickers", 60)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    with start_command(*named, **moto_lake.environment) as process:
        wait_until(lambda: events_of(moto_lake.store, "gap") != [], "the gap of the restart", 60)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert process.returncode == 0, err
    gaps = events_of(moto_lake.store, "gap")
    assert [(gap["symbol"], gap["channel"], gap["cause"]) for gap in gaps] == [(case.symbol, "ticker", "restart")]
    assert_between_rows(gaps, rows_of(moto_lake.store, "tickers"))


def assert_between_rows(gaps: list[dict[str, Any]], tickers: list[dict[str, Any]]) -> None:
    """Each row is there once. A gap goes from the row before it to the row after it, and has none."""
    times = [from_datetime(row["event_time"]) for row in tickers]
    assert len(set(times)) == len(times)
    for gap in gaps:
        assert {gap["from_update_id"] - 1, gap["to_update_id"] + 1} <= set(times)
        assert not any(gap["from_update_id"] <= at <= gap["to_update_id"] for at in times)


@pytest.mark.heart
def test_best_prices_land_once_and_an_interruption_of_them_is_a_gap_that_nothing_is_asked_for(
    case: VenueCase, config: ExchangeConfig, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    exchange = open_venue(config).exchange
    with capturing(case.symbol, venue=case.venue, channels=("book_tickers",)):
        wait_until(lambda: row_count(moto_lake.store, "book_tickers") > 3, "best prices")
        exchange.disconnect()
        wait_until(lambda: bool(events_of(moto_lake.store, "gap", "book_tickers")), "the gap", 60)
    rows: list[dict[str, Any]] = rows_of(moto_lake.store, "book_tickers")
    ids = [row["update_id"] for row in rows]
    assert len(set(ids)) == len(ids)
    assert all(0 < row["bid_price"] < row["ask_price"] and row["bid_quantity"] > 0 < row["ask_quantity"] for row in rows)
    assert {(row["venue"], row["symbol"], row["event_time"] is None) for row in rows} == {
        (case.venue, case.symbol, case.venue == "binance")
    }
    (gap,) = events_of(moto_lake.store, "gap", "book_tickers")
    assert gap["cause"] == "disconnect"
    assert max(number for number in ids if number < gap["from_update_id"]) == gap["from_update_id"] - 1
    assert gap["to_update_id"] + 1 in ids
    assert events_of(moto_lake.store, "heal_failed") == []

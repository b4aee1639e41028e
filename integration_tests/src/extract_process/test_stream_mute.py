"""Connections that are there, answer pings and deliver nothing: in use, or about to take over."""

from typing import TYPE_CHECKING

from tests.waiting import wait_until

from simulated_exchange.config import ExchangeConfig, KucoinLimits
from simulated_exchange.server.faults import SocketFault, SocketFaultKind
from simulated_exchange.server.socket_limits import SocketLimits

from .live import capturing, events_of, ids_in_events, missing_of, row_count, rows_of

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import OpenVenue

PINGS = SocketLimits(ping_seconds=1.0, pong_seconds=60.0)


def mute(connection: int, stream: str = "*") -> SocketFault:
    return SocketFault(SocketFaultKind.MUTE, stream=stream, connection=connection)


def test_a_mute_connection_is_said_and_replaced_and_its_hole_is_one_gap(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=21, time_scale=4, sockets=PINGS)).exchange
    with capturing("BTCUSDT", "ETHUSDT", streams_per_connection=2, mute_seconds=2.0):
        wait_until(lambda: row_count(moto_lake.store, "depth_diffs") > 400, "the usual rate")
        exchange.set_faults([mute(1)])
        wait_until(lambda: bool(events_of(moto_lake.store, "rotated")), "the replacement", 60)
        wait_until(lambda: len(events_of(moto_lake.store, "gap")) == 2, "both gaps")
    (said,) = events_of(moto_lake.store, "mute")
    assert "and no data for " in said["detail"]
    (rotated,) = events_of(moto_lake.store, "rotated")
    assert rotated["cause"] == "mute"
    assert events_of(moto_lake.store, "disconnected") == []
    gaps = events_of(moto_lake.store, "gap")
    assert {(row["channel"], row["cause"]) for row in gaps} == {("depth", "mute"), ("trades", "mute")}
    (symbol,) = {row["symbol"] for row in gaps}
    for channel, stream in (("depth", "depth@100ms"), ("trades", "trade")):
        assert ids_in_events(moto_lake.store, "gap", channel, symbol) == missing_of(exchange, f"{symbol.lower()}@{stream}")


def test_answers_to_our_own_pings_are_no_data(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=26, kucoin=KucoinLimits(ping_seconds=0.3))).exchange
    with capturing("BTC-USDT", "ETH-USDT", venue="kucoin", mute_seconds=2.0):
        wait_until(lambda: row_count(moto_lake.store, "depth_diffs") > 120, "the usual rate")
        exchange.set_faults([mute(1)])
        wait_until(lambda: bool(events_of(moto_lake.store, "rotated")), "the replacement", 60)
    assert [row["event"] for row in events_of(moto_lake.store, "mute")] == ["mute"]
    assert events_of(moto_lake.store, "disconnected") == []


def test_a_successor_that_never_delivers_does_not_take_over(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=22, time_scale=4, sockets=PINGS)).exchange
    exchange.set_faults([mute(2)])
    with capturing("BTCUSDT", "ETHUSDT", rotate_seconds=1.5, overlap_seconds=0.2):
        wait_until(lambda: bool(events_of(moto_lake.store, "rotated")), "the next successor", 60)
        wait_until(lambda: row_count(moto_lake.store, "trades") > 100, "trades of it")
    given_up = events_of(moto_lake.store, "successor_given_up")
    assert (given_up[0]["cause"], len(given_up)) == ("rotation", 1)
    assert "delivered nothing" in given_up[0]["detail"]
    _assert_nothing_is_missing(moto_lake)


def test_a_successor_that_lacks_one_stream_does_not_take_over(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=23, time_scale=4, sockets=PINGS)).exchange
    exchange.set_faults([SocketFault(SocketFaultKind.DROP, stream="ethusdt@depth@100ms", connection=2)])
    with capturing("BTCUSDT", "ETHUSDT", rotate_seconds=1.5, overlap_seconds=0.2):
        wait_until(lambda: bool(events_of(moto_lake.store, "rotated")), "the next successor", 60)
    (given_up,) = events_of(moto_lake.store, "successor_given_up")
    assert "did not deliver depth ETHUSDT" in given_up["detail"]
    _assert_nothing_is_missing(moto_lake)


def test_a_venue_that_says_goodbye_is_not_left_for_a_silent_connection(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=24, time_scale=4, sockets=PINGS)).exchange
    exchange.set_faults([mute(2)])
    with capturing("BTCUSDT", overlap_seconds=0.2):
        wait_until(lambda: bool(events_of(moto_lake.store, "synced")), "the book to be synced")
        exchange.announce_shutdown()
        wait_until(lambda: bool(events_of(moto_lake.store, "rotated")), "the next successor", 60)
        exchange.disconnect([1])
        rows = row_count(moto_lake.store, "trades")
        wait_until(lambda: row_count(moto_lake.store, "trades") > rows + 20, "trades of it")
    assert [row["cause"] for row in events_of(moto_lake.store, "successor_given_up")] == ["server_shutdown"]
    assert [row["cause"] for row in events_of(moto_lake.store, "rotated")] == ["server_shutdown"]
    _assert_nothing_is_missing(moto_lake)


def test_the_old_one_dies_before_a_successor_delivers(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    """The silent one is not used in its place; a new one is."""
    exchange = open_venue(ExchangeConfig(seed=25, time_scale=4, sockets=PINGS)).exchange
    exchange.set_faults([mute(2)])
    with capturing("BTCUSDT", overlap_seconds=2.0):
        wait_until(lambda: bool(events_of(moto_lake.store, "synced")), "the book to be synced")
        exchange.announce_shutdown()
        wait_until(lambda: exchange.tally()["sockets"]["connects"] == 2, "the successor")
        sent = exchange.tally()["sockets"]["messages"]
        wait_until(lambda: exchange.tally()["sockets"]["messages"] > sent + 100, "data that it owes")
        exchange.disconnect([1])
        wait_until(lambda: len(events_of(moto_lake.store, "connected")) == 2, "the third connection")
        wait_until(lambda: bool(events_of(moto_lake.store, "gap", "depth")), "the gap")
    assert len(events_of(moto_lake.store, "successor_given_up")) == 1
    assert events_of(moto_lake.store, "rotated") == []
    assert {row["cause"] for row in events_of(moto_lake.store, "gap")} == {"disconnect"}


def _assert_nothing_is_missing(lake: "Lake") -> None:
    assert events_of(lake.store, "gap") == []
    assert events_of(lake.store, "mute") == []
    ids = {row["trade_id"] for row in rows_of(lake.store, "trades") if row["symbol"] == "BTCUSDT"}
    assert len(ids) == max(ids) - min(ids) + 1

"""One symbol that the venue does not know, at the start: the others are recorded and mirrored, and it joins when it is listed."""

import logging
from typing import TYPE_CHECKING

import pytest

from extract_process.mirror.subscriber_book import Applied
from simulated_exchange.config import ExchangeConfig
from tickhouse.provision_pubsub import provision_pubsub
from tickhouse_core.settings import PubSubSettings, read

from .live import capturing, events_of, row_count, rows_of, wait_until
from .mirroring import mirroring, subscribing
from .odd_venue import diff, odd_venue, trade, until_subscribed
from .venue_cases import CASES, VenueCase

if TYPE_CHECKING:
    from conftest import Lake, PubSubEmulator

    from .conftest import OpenVenue

SYMBOLS = ("OLDUSDT", "BTCUSDT")


def test_a_symbol_that_is_listed_later_is_taken_up_and_never_doubled(
    moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = moto_lake.store
    with odd_venue(monkeypatch, "BTCUSDT") as venue, capturing(*SYMBOLS, look_again_seconds=0.1):
        until_subscribed(venue)
        venue.say(trade("BTCUSDT", 1))
        wait_until(lambda: bool(rows_of(store, "trades")), "the known symbol's trade")
        venue.list_symbol("OLDUSDT")
        wait_until(lambda: venue.sockets == 2, "a connection for the other one")
        venue.say_to("oldusdt@trade", trade("OLDUSDT", 5), diff("OLDUSDT", 101))
        venue.say_to("btcusdt@trade", trade("BTCUSDT", 2))
        wait_until(lambda: row_count(store, "trades") == 3, "the trades of both")
        wait_until(lambda: bool(events_of(store, "synced")), "its book")
    assert [(row["symbol"], row["trade_id"]) for row in rows_of(store, "trades")] == [
        ("BTCUSDT", 1),
        ("OLDUSDT", 5),
        ("BTCUSDT", 2),
    ]
    for event in ("unknown_symbol", "symbol_listed"):
        assert [row["symbol"] for row in events_of(store, event)] == ["OLDUSDT"]
    assert events_of(store, "gap") == []
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [vars(record)["symbols"] for record in said] == ["OLDUSDT"]


def test_where_rest_is_away_at_the_start_an_unknown_symbol_is_named_later_and_subscribed_anew_when_listed(
    moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch
) -> None:
    store = moto_lake.store
    with odd_venue(monkeypatch, "BTCUSDT") as venue:
        venue.is_away = True
        with capturing(*SYMBOLS, look_again_seconds=0.1, overlap_seconds=0.1):
            until_subscribed(venue)
            venue.say_to("btcusdt@trade", trade("BTCUSDT", 1))
            venue.is_away = False
            wait_until(lambda: bool(events_of(store, "unknown_symbol")), "the unknown symbol's name", 60)
            venue.list_symbol("OLDUSDT")
            wait_until(lambda: venue.connects == 2, "a connection whose subscription counts", 60)
            wait_until(lambda: venue.sockets == 2, "its subscription")
            venue.say(trade("BTCUSDT", 2), trade("OLDUSDT", 5))
            wait_until(lambda: bool(events_of(store, "rotated")), "the change", 60)
    assert [row["symbol"] for row in events_of(store, "unknown_symbol")] == ["OLDUSDT"]
    assert [row["symbol"] for row in events_of(store, "symbol_listed")] == ["OLDUSDT"]
    assert [row["cause"] for row in events_of(store, "rotated")] == ["symbol_listed"]
    assert {row["trade_id"] for row in rows_of(store, "trades") if row["symbol"] == "OLDUSDT"} == {5}
    assert events_of(store, "gap") == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.venue)
def test_the_symbols_that_a_venue_knows_are_recorded(case: VenueCase, open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    open_venue(ExchangeConfig(symbols=2, time_scale=5.0))
    unknown = case.symbol.replace("BTC", "OLD")
    with capturing(unknown, case.symbol, venue=case.venue, channels=("trades", "depth", "ticker"), look_again_seconds=0.2):
        wait_until(lambda: {"synced", "unknown_symbol"} <= {row["event"] for row in rows_of(moto_lake.store, "stream_events")})
        wait_until(lambda: row_count(moto_lake.store, "trades") > 5, "trades")
    assert [row["symbol"] for row in events_of(moto_lake.store, "unknown_symbol")] == [unknown]
    assert {row["symbol"] for row in rows_of(moto_lake.store, "trades")} == {case.symbol}
    assert events_of(moto_lake.store, "symbol_listed") == []


def test_the_known_symbols_are_mirrored(pubsub_emulator: "PubSubEmulator", monkeypatch: pytest.MonkeyPatch) -> None:
    provision_pubsub(read(PubSubSettings))
    with (
        odd_venue(monkeypatch, "BTCUSDT") as venue,
        subscribing("crypto.binance.l2") as subscriber,
        mirroring(*SYMBOLS, look_again_seconds=0.2),
    ):
        until_subscribed(venue)
        venue.say(diff("BTCUSDT", 101))
        subscriber.pull_until(lambda: "BTCUSDT" in subscriber.books, "the known book")
        venue.list_symbol("OLDUSDT")
        wait_until(lambda: venue.sockets == 2, "a connection for the other one")
        venue.say_to("oldusdt@depth@100ms", diff("OLDUSDT", 101))
        subscriber.pull_until(lambda: "OLDUSDT" in subscriber.books, "the other book")
    assert subscriber.applied[Applied.SNAPSHOT] >= 2
    assert subscriber.applied[Applied.JUMP] == 0

"""A venue that says what nobody expects: nothing of it ends the capture, and every id is a row or part of a gap."""

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tickhouse_core.object_store import ObjectStore

from .live import capturing, events_of, ids_in_events, rows_of, wait_until
from .odd_venue import OddVenue, diff, odd_venue, trade, until_subscribed

if TYPE_CHECKING:
    from conftest import Lake

SYMBOLS = ("BTCUSDT", "ETHUSDT")
ODD_LEVELS: list[Any] = [
    ["99.50", "1e-8"],
    ["1.0105e2", "1.0"],
    ["101.0500000000000000001", "1.0"],
    ["101.05", "-1.0"],
    ["", "1.0"],
    [101.05, 1.0],
    ["abc", "1.0"],
    [None, None],
    [["1"], "5"],
    ["9" * 5_000, "5"],
    ["999999999999999999999", "5"],
    ["1_0", "5"],
    ["101,05", "5"],
    [{"a": 1}, True],
    ["NaN", "Infinity"],
]
READABLE = 2
"""The first ones: written oddly, and exactly a decimal."""


def depth_ids(store: ObjectStore, symbol: str) -> set[int]:
    rows = [row for row in rows_of(store, "depth_diffs") if row["symbol"] == symbol]
    return {number for row in rows for number in range(row["first_update_id"], row["last_update_id"] + 1)}


def synced(store: ObjectStore, symbol: str) -> int:
    return sum(row["symbol"] == symbol for row in events_of(store, "synced"))


def until_books_are_synced(venue: OddVenue, store: ObjectStore, symbols: tuple[str, ...]) -> None:
    until_subscribed(venue)
    venue.say(*(diff(symbol, 101) for symbol in symbols))
    wait_until(lambda: all(synced(store, symbol) for symbol in symbols), "the books")


def test_a_number_that_cannot_be_read_costs_that_one_message(
    moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = moto_lake.store
    with odd_venue(monkeypatch, *SYMBOLS) as venue, capturing(*SYMBOLS, prove_seconds=1.0) as run:
        until_books_are_synced(venue, store, SYMBOLS)
        for place, level in enumerate(ODD_LEVELS):
            venue.book_ids["BTCUSDT"] = 102 + place
            venue.say(diff("BTCUSDT", 102 + place, asks=[level]), diff("ETHUSDT", 102 + place, bids=[["99.98", "2.0"]]))
            venue.say(trade("BTCUSDT", 7 + place, *level), trade("ETHUSDT", 7 + place))
        last = 102 + len(ODD_LEVELS)
        venue.book_ids = dict.fromkeys(SYMBOLS, last)
        venue.say(*(diff(symbol, last) for symbol in SYMBOLS), *(trade(symbol, last) for symbol in SYMBOLS))
        wait_until(lambda: last in depth_ids(store, "BTCUSDT"), "the last diff")
        wait_until(lambda: synced(store, "BTCUSDT") > 1, "the book again")
        wait_until(lambda: any(row["symbol"] == "BTCUSDT" for row in events_of(store, "proven")), "a proof after it")
        assert venue.connects == 1, "the connection stays"

    assert run.report is not None
    refused = set(range(102 + READABLE, last))
    assert depth_ids(store, "BTCUSDT") == set(range(101, last + 1)) - refused
    assert ids_in_events(store, "refused_row", "depth", "BTCUSDT") == refused
    assert ids_in_events(store, "gap", "depth", "BTCUSDT") == refused
    assert {row["cause"] for row in events_of(store, "gap", "depth")} == {"unreadable_number"}
    assert depth_ids(store, "ETHUSDT") == set(range(101, last + 1))
    assert ids_in_events(store, "gap", "depth", "ETHUSDT") == set()

    readable = {7, 8}
    trades = {row["trade_id"] for row in rows_of(store, "trades") if row["symbol"] == "BTCUSDT"}
    assert trades == {*readable, last}
    assert ids_in_events(store, "refused_row", "trades", "BTCUSDT") == set(range(9, 7 + len(ODD_LEVELS)))
    assert ids_in_events(store, "gap", "trades", "BTCUSDT") == set(range(9, last))
    said = [record for record in caplog.records if record.getMessage() == "refused_row" and record.levelno == logging.WARNING]
    assert said, "a refused row is a line of the log"
    assert not [record for record in caplog.records if record.exc_info], "no traceback"


def test_an_odd_number_is_the_same_in_the_lake_as_written_plainly(moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch) -> None:
    store = moto_lake.store
    with odd_venue(monkeypatch, "BTCUSDT") as venue, capturing("BTCUSDT"):
        until_subscribed(venue)
        venue.say(diff("BTCUSDT", 101, bids=[["99.50", "1e-8"]], asks=[["1.0105e2", ".5"]]), trade("BTCUSDT", 1, "1e5", "2."))
        wait_until(lambda: bool(rows_of(store, "trades")) and bool(rows_of(store, "depth_diffs")), "the rows")
    (row,) = rows_of(store, "depth_diffs")
    levels = [*row["bids"], *row["asks"]]
    assert [(float(level["price"]), float(level["quantity"])) for level in levels] == [(99.5, 1e-8), (101.05, 0.5)]
    (row,) = rows_of(store, "trades")
    assert (float(row["price"]), float(row["quantity"])) == (100_000.0, 2.0)

"""A venue that says what nobody expects: nothing of it ends the capture, and every id is a row or part of a gap."""

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tickhouse_core.object_store import ObjectStore

from .live import capturing, events_of, ids_in_events, row_count, rows_of, wait_until
from .odd_venue import LEVELS, NOW_US, OddVenue, diff, odd_venue, trade, until_subscribed

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
    assert not [
        record
        for record in caplog.records
        if record.levelno >= logging.WARNING and vars(record).get("cause") == "unreadable_number" and record.getMessage() == "gap"
    ], "and its gap is no second one"
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


def test_garbage_is_counted_and_not_amplified(
    moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, garbage = moto_lake.store, 20_000
    with odd_venue(monkeypatch, "BTCUSDT") as venue, capturing("BTCUSDT") as run:
        until_subscribed(venue)
        venue.say(trade("BTCUSDT", 1), *[b"1"] * garbage, trade("BTCUSDT", 2))
        wait_until(lambda: row_count(store, "trades") == 2, "both trades")
    assert run.report is not None
    assert run.report.counts.refused_frames == garbage
    details = [row["detail"] for row in events_of(store, "refused_frame")]
    assert len(details) == 21
    assert details[-1].startswith(f"{garbage - 20:,} more in ")
    assert sum(record.getMessage() == "refused_frame" for record in caplog.records) <= 10


def test_markets_that_nobody_asked_for_leave_a_number_and_nothing_else(
    moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, strangers = moto_lake.store, 2_000
    with odd_venue(monkeypatch, "BTCUSDT") as venue, capturing("BTCUSDT") as run:
        until_subscribed(venue)
        venue.say(*(diff(f"S{number}", 1) for number in range(strangers)), trade("S1", 5), trade("BTCUSDT", 1))
        wait_until(lambda: bool(rows_of(store, "trades")), "the trade")
        assert venue.requests["/api/v3/depth"] == 0, "no snapshot is asked for either"
    assert run.report is not None
    assert run.report.counts.unsubscribed_rows == strangers + 1
    assert [row["symbol"] for row in rows_of(store, "trades")] == ["BTCUSDT"]
    assert rows_of(store, "depth_diffs") == []
    assert len(events_of(store, "not_subscribed")) == 21
    assert sum(record.getMessage() == "not_subscribed" for record in caplog.records) <= 10


def test_a_flood_does_not_keep_a_capture_from_its_end(moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue sends without a pause for as long as there is somebody."""
    with odd_venue(monkeypatch, "BTCUSDT") as venue:
        over = threading.Event()

        def flood() -> None:
            while not over.is_set():
                venue.say(*[b"1"] * 5_000)

        flooding = threading.Thread(target=flood, name="flood")
        with capturing("BTCUSDT", duration_seconds=4.0) as run:
            until_subscribed(venue)
            flooding.start()
            wait_until(lambda: run.report is not None, "the end by itself", 30)
        over.set()
        flooding.join(30)
    assert run.report is not None
    assert run.report.counts.refused_frames > 5_000


def test_an_error_message_while_running_is_said_in_the_venues_words(
    moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = moto_lake.store
    with odd_venue(monkeypatch, "BTCUSDT") as venue, capturing("BTCUSDT"):
        until_subscribed(venue)
        wait_until(lambda: bool(events_of(store, "connected")), "the connection")
        venue.say(
            b'{"error": {"code": 3, "msg": "Invalid JSON"}, "id": null}', b'{"code": 2, "msg": "Invalid request", "id": 77}'
        )
        venue.say(trade("BTCUSDT", 1))
        wait_until(lambda: bool(rows_of(store, "trades")), "the trade")
        assert venue.connects == 1
    details = [row["detail"] for row in events_of(store, "venue_error")]
    assert len(details) == 2
    assert "Invalid JSON" in details[0]
    assert details[1].endswith("2 Invalid request")
    assert sum(record.getMessage() == "venue_error" for record in caplog.records) == 2


def test_silent_streams_are_one_line_a_connection(
    moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quiet = tuple(f"Q{number}USDT" for number in range(30))
    with odd_venue(monkeypatch, *quiet, "BTCUSDT") as venue, capturing(*quiet, "BTCUSDT", first_message_seconds=1.0):
        until_subscribed(venue)
        venue.say(trade("BTCUSDT", 1), diff("BTCUSDT", 101))
        wait_until(lambda: len(events_of(moto_lake.store, "silent_stream")) == 60, "the events")
    (line,) = [record for record in caplog.records if record.getMessage().startswith("no message yet")]
    assert vars(line)["silent"] == "60 of 62 streams"


def test_ids_that_begin_anew_are_said_once_and_followed(
    moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = moto_lake.store
    with odd_venue(monkeypatch, "BTCUSDT") as venue:
        with capturing("BTCUSDT", prove_seconds=1.0):
            until_subscribed(venue)
            venue.say(*(frame for number in (1_001, 1_002) for frame in (diff("BTCUSDT", number), trade("BTCUSDT", number))))
            venue.book_ids["BTCUSDT"] = 1_002
            wait_until(lambda: bool(events_of(store, "synced")), "the first book")
            venue.book_ids["BTCUSDT"] = 8
            venue.say(*(frame for number in range(1, 9) for frame in (diff("BTCUSDT", number), trade("BTCUSDT", number))))
            venue.say(*(frame for number in range(12, 15) for frame in (diff("BTCUSDT", number), trade("BTCUSDT", number))))
            venue.book_ids["BTCUSDT"] = 14
            wait_until(lambda: any(row["from_update_id"] <= 14 for row in events_of(store, "synced")), "the new book")
            wait_until(lambda: any(row["from_update_id"] == 14 for row in events_of(store, "proven")), "its proof")
        with capturing("BTCUSDT"):
            until_subscribed(venue)
            venue.say(diff("BTCUSDT", 17), trade("BTCUSDT", 17))
            wait_until(lambda: bool(ids_in_events(store, "gap", "trades", "BTCUSDT") & {16}), "the gap of the restart")
    for channel in ("trades", "depth"):
        (numbering,) = events_of(store, "new_numbering", channel)
        assert (numbering["from_update_id"], numbering["to_update_id"]) == (1, 3)
        gaps = [(row["from_update_id"], row["to_update_id"], row["cause"]) for row in events_of(store, "gap", channel)]
        assert gaps == [(9, 11, "sequence"), (15, 16, "restart")]
    said = [record for record in caplog.records if record.getMessage() == "new_numbering"]
    assert [record.levelno for record in said] == [logging.ERROR] * 2


def test_an_absurd_id_is_said_and_never_remembered(moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch) -> None:
    store, most = moto_lake.store, 2**64 - 1
    with odd_venue(monkeypatch, "BTCUSDT") as venue:
        with capturing("BTCUSDT"):
            until_books_are_synced(venue, store, ("BTCUSDT",))
            venue.say(trade("BTCUSDT", 101), diff("BTCUSDT", most, at=NOW_US), trade("BTCUSDT", most, at=NOW_US))
            venue.say(*(frame for number in (102, 103) for frame in (diff("BTCUSDT", number), trade("BTCUSDT", number))))
            wait_until(lambda: 103 in depth_ids(store, "BTCUSDT"), "the diffs")
        with capturing("BTCUSDT"):
            until_subscribed(venue)
            venue.say(diff("BTCUSDT", 104), trade("BTCUSDT", 104))
            wait_until(lambda: 104 in depth_ids(store, "BTCUSDT"), "the last diff")
    assert {row["event"] for row in rows_of(store, "stream_events")}.isdisjoint({"gap", "healed", "new_numbering"})
    said = [(row["channel"], row["from_update_id"]) for row in events_of(store, "implausible_id")]
    assert sorted(said) == [("depth", most), ("trades", most)]


def test_a_snapshot_that_stays_behind_the_stream_starts_the_book(moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is the book of 60 diffs before; a diff comes every 25 ms."""
    store = moto_lake.store
    with odd_venue(monkeypatch, "BTCUSDT") as venue, capturing("BTCUSDT"):
        until_subscribed(venue)
        at = 1_000

        def depth(symbol: str) -> dict[str, Any]:
            return {"lastUpdateId": at - 60, "bids": LEVELS[0], "asks": LEVELS[1]}

        venue.depth_of = depth

        def is_synced_after_one_more() -> bool:
            nonlocal at
            at += 1
            venue.say(diff("BTCUSDT", at))
            return at % 40 == 0 and bool(events_of(store, "synced"))

        wait_until(is_synced_after_one_more, "the book", 60)
    requests = events_of(store, "snapshot_requested")
    assert len(requests) >= 2, "the first answers were too old"
    assert {row["cause"] for row in requests[1:]} == {"snapshot_too_old"}
    assert events_of(store, "gap") == []

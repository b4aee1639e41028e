"""StreamMonitor: messages of many symbols to events and questions; what a restart must remember."""

from collections.abc import Callable

import pytest

from extract_process.live.monitor import Findings, MonitorRules, StreamMonitor
from extract_process.live.requests import GapRequest, SnapshotRequest
from extract_process.records import (
    BookTicker,
    DepthDiff,
    DepthSnapshot,
    Kline,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Ticker,
    Trade,
    UnreadableRow,
)
from extract_process.stream_ids import StreamKey

DEPTH, TRADES = StreamKey("depth", "BTCUSDT"), StreamKey("trades", "BTCUSDT")
KLINES = StreamKey("klines", "BTCUSDT", "1m")
MINUTE = 60_000_000
NOON = 1_704_110_400_000_000


def trade(trade_id: int, symbol: str = "BTCUSDT") -> Trade:
    return Trade(symbol, trade_id, "1", "1", True, 5, 5)


def diff(first: int, last: int, symbol: str = "BTCUSDT") -> DepthDiff:
    return DepthDiff(symbol, first, last, [], [], 5)


def kline(open_time: int, *, is_closed: bool = True) -> Kline:
    return Kline("BTCUSDT", "1m", open_time, 0, "1", "1", "1", "1", "1", "1", 1, "1", "1", is_closed)


def new_monitor(**last_ids: int) -> StreamMonitor:
    keys = {"depth": DEPTH, "trades": TRADES, "klines": KLINES}
    return StreamMonitor("binance", "main", {keys[name]: (last, 10) for name, last in last_ids.items()})


def test_a_hole_in_trades_is_an_event_from_message_to_message_and_a_question() -> None:
    monitor = new_monitor()
    monitor.on_messages([trade(5)], receipt_time=100)
    findings = monitor.on_messages([trade(8)], receipt_time=200)

    (event,) = findings.events
    assert (event.venue, event.symbol, event.channel, event.instance) == ("binance", "BTCUSDT", "trades", "main")
    assert (event.event, event.from_update_id, event.to_update_id, event.cause) == ("gap", 6, 7, "sequence")
    assert (event.started_at, event.ended_at) == (100, 200)
    assert findings.requests == [GapRequest(TRADES, 6, 7)]


def test_a_hole_in_diffs_asks_for_a_snapshot_of_that_symbol_only() -> None:
    monitor = new_monitor()
    monitor.on_messages([diff(1, 5), diff(1, 5, "ETHUSDT")], receipt_time=100)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        monitor.on_snapshot(DepthSnapshot(symbol, 5, [], [], "start"), 1_000, 150)
    findings = monitor.on_messages([diff(8, 9), diff(6, 9, "ETHUSDT")], receipt_time=200)

    assert [(event.event, event.symbol) for event in findings.events] == [("gap", "BTCUSDT")]
    assert findings.requests == [SnapshotRequest("BTCUSDT", "gap")]
    assert (monitor.books(synced=True), monitor.books(synced=False)) == (["ETHUSDT"], ["BTCUSDT"])


def test_klines_are_tracked_when_they_are_closed_and_their_events_name_the_interval() -> None:
    monitor = new_monitor()
    monitor.on_messages([kline(0), kline(2 * MINUTE, is_closed=False)], receipt_time=100)
    findings = monitor.on_messages([kline(3 * MINUTE)], receipt_time=200)
    (event,) = findings.events
    assert (event.from_update_id, event.to_update_id, event.detail) == (MINUTE, 2 * MINUTE, "1m")
    assert findings.requests == [GapRequest(KLINES, MINUTE, 2 * MINUTE)]


def test_what_has_no_ids_decides_nothing() -> None:
    findings = new_monitor().on_messages([kline(0, is_closed=False), object()], receipt_time=1)
    assert (findings.events, findings.requests) == ([], [])


def test_ids_of_best_prices_jump_and_only_an_interruption_or_a_restart_makes_a_gap_which_nothing_is_asked_for() -> None:
    key = StreamKey("book_tickers", "BTCUSDT")
    rules = MonitorRules()
    monitor = StreamMonitor("binance", "main", {}, rules)

    def top(update_id: int) -> BookTicker:
        return BookTicker("BTCUSDT", update_id, "1", "1", "2", "1")

    assert monitor.on_messages([top(5), top(9), top(700)], receipt_time=100) == Findings()
    monitor.on_break("disconnect", lambda broken: broken == key)
    findings = monitor.on_messages([top(800), top(900)], receipt_time=200)
    (event,) = findings.events
    assert (event.channel, event.event, event.cause) == ("book_tickers", "gap", "disconnect")
    assert (event.from_update_id, event.to_update_id, event.started_at, event.ended_at) == (701, 799, 100, 200)
    assert findings.requests == [], "REST has no history of best prices"

    again = StreamMonitor("binance", "main", monitor.last_ids(), rules)
    (event,) = again.on_messages([top(902)], receipt_time=300).events
    assert (event.cause, event.from_update_id, event.to_update_id) == ("restart", 901, 901)


JUMPING: dict[str, Callable[[int], object]] = {
    "mark_prices": lambda number: MarkPrice("BTCUSDT", number, "1", None, None, None, None),
    "liquidations": lambda number: Liquidation("BTCUSDT", number, "sell", "", "", "", "1", "1", "1", "1", "1", number, number),
    "open_interest": lambda number: OpenInterest("BTCUSDT", number, "1"),
    "ticker": lambda number: Ticker("BTCUSDT", number, "1", "1", "1", "1", "1", "1"),
}


@pytest.mark.parametrize("channel", JUMPING)
def test_an_interruption_of_a_channel_whose_ids_are_instants_is_a_gap_with_its_times(channel: str) -> None:
    row, key = JUMPING[channel], StreamKey(channel, "BTCUSDT")
    monitor = new_monitor()
    assert monitor.on_messages([row(NOON), row(NOON + 3_000_000), row(NOON + 3_000_000)], receipt_time=100) == Findings()
    monitor.on_break("disconnect", lambda broken: broken == key)
    findings = monitor.on_messages([row(NOON + 60_000_000), row(NOON + 61_000_000)], receipt_time=200)
    (event,) = findings.events
    assert (event.channel, event.symbol, event.event, event.cause) == (channel, "BTCUSDT", "gap", "disconnect")
    assert (event.from_update_id, event.to_update_id) == (NOON + 3_000_001, NOON + 59_999_999)
    assert (event.started_at, event.ended_at) == (100, 200)
    assert findings.requests == [], "no venue has them later"

    again = StreamMonitor("binance", "main", monitor.last_ids())
    (event,) = again.on_messages([row(NOON + 90_000_000)], receipt_time=300).events
    assert (event.channel, event.cause, event.started_at, event.ended_at) == (channel, "restart", 200, 300)


def test_a_restart_remembers_every_stream_and_begins_a_gap_where_the_old_process_ended() -> None:
    first = new_monitor()
    first.on_messages([trade(5), diff(1, 9), kline(0)], receipt_time=100)
    assert first.last_ids() == {TRADES: (5, 100), DEPTH: (9, 100), KLINES: (0, 100)}

    second = StreamMonitor("binance", "main", first.last_ids())
    (event,) = second.on_messages([trade(9)], receipt_time=900).events
    assert (event.from_update_id, event.to_update_id, event.cause) == (6, 8, "restart")
    assert (event.started_at, event.ended_at) == (100, 900)
    assert second.last_ids() == {TRADES: (9, 900), DEPTH: (9, 100), KLINES: (0, 100)}


def test_healed_ids_are_events_and_no_second_gap() -> None:
    monitor = new_monitor()
    monitor.on_messages([trade(5), trade(10)], receipt_time=100)
    healed = monitor.on_healed_ids(TRADES, 6, 8, now_us=300)
    assert [(event.event, event.from_update_id, event.to_update_id) for event in healed.events] == [("healed", 6, 8)]
    assert monitor.on_messages([trade(11)], receipt_time=400).events == []


def test_a_break_concerns_the_streams_it_names() -> None:
    monitor = new_monitor()
    monitor.on_messages([trade(1), trade(1, "ETHUSDT")], receipt_time=100)
    monitor.on_break("disconnect", lambda key: key.symbol == "BTCUSDT")
    events = monitor.on_messages([trade(3), trade(3, "ETHUSDT")], receipt_time=200).events
    assert [(event.symbol, event.cause) for event in events] == [("BTCUSDT", "disconnect"), ("ETHUSDT", "sequence")]


def test_what_was_tracked_is_known_from_its_first_id_to_its_last() -> None:
    monitor = new_monitor()
    monitor.on_messages([trade(5), diff(1, 9)], receipt_time=100)
    assert monitor.spans() == {TRADES: (5, 5), DEPTH: (1, 9)}


def test_where_klines_never_close_the_next_one_asks_for_those_before() -> None:
    minute = 60_000_000
    monitor = StreamMonitor("kucoin", "main", {}, MonitorRules(frozenset({"trades"}), settle_seconds=30.0))
    key = StreamKey("klines", "A-B", "1m")

    def running(opened: int) -> list[object]:
        kline = Kline("A-B", "1m", opened, opened + minute - 1_000, "1", "1", "1", "1", "1", "1", 0, "0", "0", False)
        findings = monitor.on_messages([kline], opened)
        assert findings.events == []
        return list(findings.requests)

    assert running(10 * minute) == running(10 * minute) == []
    assert running(12 * minute) == [GapRequest(key, 10 * minute, 11 * minute, after_seconds=30.0)]
    assert monitor.on_healed_ids(key, 10 * minute, 10 * minute, 0).events == []
    (gap,) = monitor.on_absent_ids(key, 11 * minute, 11 * minute, 0).events
    assert (gap.event, gap.cause, gap.from_update_id) == ("gap", "venue_has_no_data", 11 * minute)
    assert monitor.last_ids()[key][0] == 11 * minute


def test_an_unreadable_row_is_an_event_with_its_ids_a_gap_behind_it_and_a_new_book() -> None:
    monitor = new_monitor()
    monitor.on_messages([diff(1, 5), diff(1, 5, "ETHUSDT"), trade(5)], receipt_time=100)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        monitor.on_snapshot(DepthSnapshot(symbol, 5, [], [], "start"), 1_000, 150)
    unreadable = [UnreadableRow("depth", "BTCUSDT", "", 8, 9, "odd"), UnreadableRow("trades", "BTCUSDT", "", 6, 6, "odd")]
    findings = monitor.on_messages([*unreadable, *unreadable], receipt_time=200)

    told = [(event.event, event.channel, event.from_update_id, event.to_update_id, event.cause) for event in findings.events]
    assert told == [
        ("gap", "depth", 6, 7, "sequence"),
        ("refused_row", "depth", 8, 9, "unreadable_number"),
        ("gap", "depth", 8, 9, "unreadable_number"),
        ("refused_row", "trades", 6, 6, "unreadable_number"),
        ("gap", "trades", 6, 6, "unreadable_number"),
    ]
    assert findings.requests == [SnapshotRequest("BTCUSDT", "unreadable_number"), GapRequest(TRADES, 6, 6)]
    assert monitor.books(synced=True) == ["ETHUSDT"]
    assert monitor.on_messages([diff(10, 10)], receipt_time=300) == Findings()
    assert [event.event for event in monitor.on_snapshot(DepthSnapshot("BTCUSDT", 9, [], [], ""), 5, 400).events] == ["synced"]


def test_a_symbol_that_cannot_be_judged_is_said_and_begins_anew_without_the_others() -> None:
    """A point alone is the one number that passes the look at a whole frame."""
    monitor = new_monitor()
    monitor.on_messages([diff(1, 5), diff(1, 5, "ETHUSDT")], receipt_time=100)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        monitor.on_snapshot(DepthSnapshot(symbol, 5, [], [], "start"), 1_000, 150)
    odd = DepthDiff("BTCUSDT", 6, 6, [[".", "1"]], [], 5)
    findings = monitor.on_messages([odd, diff(6, 6, "ETHUSDT")], receipt_time=200)
    (event,) = findings.events
    assert (event.event, event.symbol, event.channel, event.from_update_id) == ("not_judged", "BTCUSDT", "depth", 6)
    assert findings.requests == [SnapshotRequest("BTCUSDT", "not_judged")]
    assert monitor.books(synced=True) == ["ETHUSDT"]

"""The small pure rules of the live capture: batches, delays, budgets, room, names, lines of the log."""

import logging

import pytest

from extract_process.feed.link import LIVED_SECONDS, ReconnectDelay
from extract_process.feed.silence import SilentStreams
from extract_process.live.event_log import EventLog, SaidSeldom
from extract_process.live.metrics import ClockWatch, EventLag, connection_trouble
from extract_process.live.options import StreamOptions, give_up_order
from extract_process.live.requests import SnapshotPace
from extract_process.records import ALL_SYMBOLS, DepthDiff, Kline, StreamEvent, Ticker, Trade
from extract_process.spool.limits import DISK_RESERVE_BYTES, BatchLimits, MicroBatch, SpoolQuota
from extract_process.stream_ids import StreamKey, first_ids_of, ids_of, key_of
from extract_process.venues.api import Pong
from tickhouse_core.datasets import CHANNELS
from tickhouse_core.timestamps import HOUR_US, SECOND_US

NOON = 1_704_110_400_000_000
PLENTY = 10**12
TRADE = Trade("BTCUSDT", 7, "1", "1", True, 1, 1)
TICKER = Ticker("BTCUSDT", 1, "1", "1", "1", "1", "1", "1")


def kline(*, is_closed: bool) -> Kline:
    return Kline("BTCUSDT", "1m", 60, 119, "1", "1", "1", "1", "1", "1", 1, "1", "1", is_closed)


@pytest.mark.parametrize(
    ("rows", "size", "later", "is_due"),
    [
        (1, 1, 9_999_999, False),
        (1, 1, 10_000_000, True),
        (100, 1, 0, True),
        (1, 1_000, 0, True),
        (99, 999, 0, False),
    ],
    ids=["younger", "old", "rows", "bytes", "just below"],
)
def test_a_batch_is_closed_by_the_first_limit_it_reaches(rows: int, size: int, later: int, is_due: bool) -> None:
    batch = MicroBatch(BatchLimits(rows=100, frame_bytes=1_000, age_seconds=10))
    assert not batch.is_due(NOON, 5.0)
    batch.add(rows, size, NOON, 5.0)
    assert batch.is_due(NOON + later, 5.0 + later / SECOND_US) is is_due
    batch.clear()
    assert batch.is_empty
    assert not batch.is_due(NOON + HOUR_US, 3_605.0)


def test_a_batch_does_not_go_on_into_the_next_hour() -> None:
    batch = MicroBatch(BatchLimits(age_seconds=3_600))
    batch.add(1, 1, NOON + HOUR_US - SECOND_US, 0.0)
    assert not batch.is_due(NOON + HOUR_US - 1, 1.0)
    assert batch.is_due(NOON + HOUR_US, 1.0)


def test_a_channel_that_is_not_named_stops_before_those_that_are() -> None:
    assert StreamOptions(wanted={}).give_up_order[-3:] == ("klines", "trades", "depth")
    assert give_up_order(["depth", "klines"])[-2:] == ("depth", "klines")
    for last in ([], ["depth"], CHANNELS[::-1]):
        assert sorted(give_up_order(last)) == sorted(CHANNELS)
    assert give_up_order([]) == CHANNELS


def test_a_wall_clock_that_steps_back_delays_no_batch() -> None:
    batch = MicroBatch(BatchLimits(age_seconds=2))
    batch.add(1, 1, NOON + 30 * SECOND_US, 100.0)
    batch.add(1, 1, NOON - 10 * SECOND_US, 100.5)
    assert not batch.is_due(NOON + 29 * SECOND_US, 101.9)
    assert batch.is_due(NOON + 29 * SECOND_US, 102.0)


def test_a_step_of_the_wall_clock_is_told_once() -> None:
    watch = ClockWatch()
    looks = [(100.0, 5.0), (100.25, 5.25), (60.5, 5.5), (60.75, 5.75), (61.1, 6.0), (3_661.0, 6.25), (3_661.25, 6.5)]
    steps = [watch.on_look(round((NOON / 1e6 + wall) * 1e6), clock) for wall, clock in looks]
    assert [round(step, 1) for step in steps] == [0, 0, -40.0, 0, 0, 3_599.7, 0]


def test_snapshots_of_a_book_that_breaks_again_and_again_grow_apart() -> None:
    pace = SnapshotPace()
    pauses = [pace.pause_before("BTCUSDT", "unreadable_number", 0.0) for _ in range(12)]
    assert pauses == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pace.pause_before("BTCUSDT", "gap", 0.0) == 0, "what a venue's usual day has is not held up"
    assert pace.pause_before("ETHUSDT", "unreadable_number", 0.0) == 0, "each symbol for itself"
    assert pace.pause_before("BTCUSDT", "unreadable_number", 200.0) == 0, "after a calm while it is the first again"
    assert [pace.pause_before("BNBUSDT", "snapshot_too_old", 0.1) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_delays_grow_until_a_connection_has_lived() -> None:
    delay = ReconnectDelay(first_seconds=1, most_seconds=8)
    assert [delay.next_delay(0.0, 1.0) for _ in range(6)] == [1, 2, 4, 8, 8, 8]
    assert delay.next_delay(LIVED_SECONDS - 1, 1.0) == 8  # accepted and closed soon: no reason to hurry
    assert delay.next_delay(LIVED_SECONDS, 1.0) == 1
    assert delay.next_delay(0.0, 0.25) == 0.5


def test_channels_stop_in_order_and_come_back_in_the_opposite_one() -> None:
    room = SpoolQuota(1_000, ("ticker", "trades", "depth"))
    assert room.on_size(999, PLENTY) == ([], [])
    assert room.on_size(1_000, PLENTY) == (["ticker"], [])
    assert room.on_size(1_019, PLENTY) == ([], [])
    assert room.on_size(1_020, PLENTY) == (["trades"], [])
    assert room.stopped == {"ticker", "trades"}
    assert room.on_size(950, PLENTY) == ([], [])  # not yet: it would be full again at once
    assert room.on_size(899, PLENTY) == ([], ["trades", "ticker"])


def test_a_disk_that_others_fill_stops_channels_too() -> None:
    room = SpoolQuota(10**12, ("ticker", "depth"))
    assert room.on_size(1_000, DISK_RESERVE_BYTES - 1) == (["ticker"], [])
    assert room.on_disk_full() == ["depth"]
    assert room.on_disk_full() == []
    assert room.on_size(1_000, DISK_RESERVE_BYTES - 1) == ([], [])
    assert room.on_size(1_000, PLENTY) == ([], ["depth", "ticker"])


def test_a_full_spool_names_what_there_is_too_little_of() -> None:
    room = SpoolQuota(1_000_000, ("ticker", "depth"))
    small = room.why(284, 60_000_000)
    assert small.startswith("60,000,000 bytes are free on the disk of the spool, 268,435,456 must stay free: make room there")
    assert "SPOOL_DIR" in small
    large = room.why(1_000_000, PLENTY)
    assert large.startswith("the spool holds 1,000,000 of 1,000,000 bytes: it empties when the lake takes objects again")
    assert "--spool-mb" in large
    assert "\n" not in small + large


def test_only_channels_that_are_recorded_stop() -> None:
    options = StreamOptions(wanted={"BTCUSDT": ("depth", "trades"), "ETHUSDT": ("klines",)})
    assert options.stops_in_order == ["klines", "trades", "depth"]


def test_a_process_with_a_mute_connection_is_not_ready() -> None:
    figures = {"connections": 2, "connections_wanted": 2, "connections_mute": 0, "books_unsynced": 0}
    assert list(connection_trouble("kucoin", figures)) == []
    (words,) = connection_trouble("kucoin", {**figures, "connections_mute": 1})
    assert words == "1 connections to kucoin are open and deliver nothing"


def test_silent_streams_are_named_once() -> None:
    first = SilentStreams([StreamKey("trades", "btcusdt"), StreamKey("trades", "ethusdt"), StreamKey("ticker", ALL_SYMBOLS)])
    first.on_messages([TRADE, TICKER])
    assert first.take_silent() == [StreamKey("trades", "ethusdt")]
    assert first.take_silent() == []


def test_records_have_keys_and_those_with_continuity_have_ids() -> None:
    assert (key_of(TRADE), ids_of(TRADE)) == (StreamKey("trades", "BTCUSDT"), (7, 7))
    assert (key_of(TICKER), ids_of(TICKER)) == (StreamKey("ticker", "BTCUSDT"), (1, 1))
    assert ids_of(kline(is_closed=True)) == (60, 60)
    assert ids_of(kline(is_closed=False)) is None
    assert first_ids_of([kline(is_closed=False), TRADE, TRADE._replace(trade_id=9)]) == {StreamKey("trades", "BTCUSDT"): 7}


def test_what_happens_often_is_said_a_few_times_and_then_as_a_number() -> None:
    seldom = SaidSeldom(most=2, seconds=60)
    assert [seldom.may_say("gap", now) for now in (0, 1, 2, 3)] == [True, True, False, False]
    assert seldom.may_say("other", 3), "each kind for itself"
    assert seldom.take_left_out(59) == []
    assert seldom.take_left_out(61) == [("gap", 2, 61)]
    assert not seldom.may_say("gap", 62), "it goes on"
    assert seldom.take_left_out(170) == [], "the next number comes later"
    assert seldom.take_left_out(182) == [("gap", 1, 121)]
    assert seldom.take_left_out(182 + 240) == []
    assert seldom.may_say("gap", 500), "after a quiet while it is news again"
    assert [seldom.may_say("gap", 500) for _ in range(3)] == [True, False, False]
    assert seldom.take_left_out(501, at_once=True) == [("gap", 2, 1)]


def test_instants_in_the_line_of_a_gap_are_for_people(caplog: pytest.LogCaptureFixture) -> None:
    for channel in ("klines", "trades"):
        EventLog().write(StreamEvent("binance", "BTCUSDT", channel, "main", "gap", NOON, NOON, NOON, None, "restart", ""))
    said = [{name: record.__dict__[name] for name in ("from_update_id", "started_at")} for record in caplog.records]
    noon = "2024-01-01T12:00:00Z"
    assert said == [{"from_update_id": noon, "started_at": noon}, {"from_update_id": NOON, "started_at": noon}]
    assert caplog.records[0].levelno == logging.WARNING


def test_the_lag_is_that_of_the_oldest_message_since_the_last_look() -> None:
    lag, now = EventLag(), 1_764_417_600_000_000
    lag.on_messages([Trade("A", 1, "1", "1", True, now, now - 2_500_000), Trade("A", 2, "1", "1", True, now, now)], now)
    lag.on_messages([DepthDiff("A", 1, 2, [], [], now - 100_000)], now)
    lag.on_messages([Pong()], now)
    lag.on_messages([], now)
    assert lag.seconds == 0.0
    lag.look()
    assert lag.seconds == 2.5
    lag.look()
    assert lag.seconds == 0.0

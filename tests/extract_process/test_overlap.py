"""Overlap: who takes over, when, and who never does."""

import pytest

from extract_process.feed.overlap import (
    LONGEST_SECONDS,
    QUIET_SECONDS,
    Overlap,
    Verdict,
    goes_on,
    of_this_numbering,
    pause_before_retry,
)
from extract_process.records import DepthDiff, Kline, Trade, UnreadableRow
from extract_process.stream_ids import StreamKey

BTC = Trade("BTCUSDT", 1, "1", "1", False, 0, 0)
ETH = Trade("ETHUSDT", 1, "1", "1", False, 0, 0)
BTC_BOOK = DepthDiff("BTCUSDT", 1, 1, [], [], 0)


def between(*, is_mute: bool = False) -> Overlap:
    return Overlap(0.0, 5.0, is_mute=is_mute)


def verdict(overlap: Overlap, now: float, *, goes_on: bool = True, is_full: bool = False) -> Verdict:
    return overlap.verdict(now, goes_on=lambda: goes_on, is_full=is_full)


def test_who_delivers_what_the_first_delivers_takes_over_behind_the_overlap() -> None:
    overlap = between()
    overlap.on_first([BTC, BTC_BOOK], 2.0)
    assert verdict(overlap, 6.0) is Verdict.WAIT, "it delivered nothing"
    overlap.on_second([BTC], 6.0)
    assert verdict(overlap, 6.0) is Verdict.WAIT, "it delivered no diff"
    overlap.on_second([BTC_BOOK], 6.5)
    assert verdict(overlap, 6.6, goes_on=False) is Verdict.WAIT
    assert verdict(overlap, 6.6) is Verdict.TAKE_OVER

    overlap = between()
    overlap.on_first([BTC], 2.0)
    overlap.on_second([BTC], 2.1)
    assert verdict(overlap, 4.9) is Verdict.WAIT
    assert verdict(overlap, 5.0) is Verdict.TAKE_OVER


@pytest.mark.parametrize("second_at", [2.5, 3.5], ids=["before the first", "behind it"])
def test_one_message_of_a_rare_stream_is_no_debt_of_who_had_it_too(second_at: float) -> None:
    overlap = between()
    for at, on_it in sorted([(3.0, overlap.on_first), (second_at, overlap.on_second)], key=lambda pair: pair[0]):
        on_it([ETH], at)
    assert verdict(overlap, 30.0) is Verdict.TAKE_OVER


def test_what_came_while_the_second_was_being_subscribed_is_no_debt() -> None:
    overlap = between()
    overlap.on_first([ETH], 0.9)
    overlap.on_second([BTC], 3.0)
    assert verdict(overlap, 5.0) is Verdict.TAKE_OVER


def test_who_lacks_a_stream_is_given_up_after_a_minute() -> None:
    overlap = between()
    for second in range(1, 70):
        overlap.on_first([BTC, ETH], float(second))
        overlap.on_second([BTC], float(second))
        if verdict(overlap, float(second)) is not Verdict.WAIT:
            break
    assert verdict(overlap, float(second)) is Verdict.GIVE_UP
    assert second == LONGEST_SECONDS
    assert [key.symbol for key in overlap.missing(float(second))] == ["ETHUSDT"]


def test_who_stops_in_the_overlap_does_not_take_over() -> None:
    overlap = between()
    overlap.on_first([BTC], 2.0)
    overlap.on_second([BTC], 2.0)
    overlap.on_first([BTC], 4.0)
    assert verdict(overlap, 20.0) is Verdict.WAIT
    assert verdict(overlap, 64.0) is Verdict.GIVE_UP


def test_ids_that_never_go_on_are_a_hole_after_a_minute() -> None:
    overlap = between()
    overlap.on_second([BTC], 2.0)
    assert verdict(overlap, LONGEST_SECONDS - 1, goes_on=False) is Verdict.WAIT
    assert verdict(overlap, LONGEST_SECONDS, goes_on=False) is Verdict.TAKE_OVER


def test_a_full_backlog_is_decided_at_once() -> None:
    overlap = between()
    overlap.on_second([BTC], 2.0)
    assert verdict(overlap, 2.5, goes_on=False, is_full=True) is Verdict.TAKE_OVER
    overlap.on_first([ETH], 3.0)
    assert verdict(overlap, 4.5, is_full=True) is Verdict.GIVE_UP


def test_where_nobody_delivers_anything_the_change_waits_for_ten_minutes() -> None:
    overlap = between()
    assert verdict(overlap, QUIET_SECONDS - 1) is Verdict.WAIT
    assert verdict(overlap, QUIET_SECONDS) is Verdict.TAKE_OVER


def test_a_mute_connection_is_replaced_as_soon_as_another_delivers() -> None:
    overlap = between(is_mute=True)
    assert verdict(overlap, 30.0) is Verdict.WAIT
    overlap.on_second([BTC], 31.0)
    assert verdict(overlap, 31.5) is Verdict.WAIT, "the first may have the same a moment later"
    assert verdict(overlap, 32.0) is Verdict.TAKE_OVER

    overlap = between(is_mute=True)
    assert verdict(overlap, LONGEST_SECONDS) is Verdict.GIVE_UP, "nor does the second deliver"


def test_a_mute_connection_that_is_heard_again_is_compared_like_any_other() -> None:
    overlap = between(is_mute=True)
    overlap.on_first([BTC, ETH], 3.0)
    overlap.on_second([BTC], 3.0)
    assert verdict(overlap, 10.0) is Verdict.WAIT
    assert verdict(overlap, 64.0) is Verdict.GIVE_UP


def test_tries_grow_apart_up_to_a_bound() -> None:
    pauses = [pause_before_retry(failures, 5.0, is_urgent=False) for failures in (1, 2, 3, 10, 10_000)]
    assert pauses == [10, 20, 40, 600, 600]
    assert pause_before_retry(10_000, 5.0, is_urgent=True) == 60


TRADES, DEPTH = StreamKey("trades", "BTCUSDT"), StreamKey("depth", "BTCUSDT")


def test_streams_go_on_where_they_begin_without_a_hole() -> None:
    spans = {TRADES: (1, 5), DEPTH: (1, 9)}
    assert goes_on({TRADES: 6, DEPTH: 3, StreamKey("trades", "NEWUSDT"): 77}, spans)
    assert not goes_on({TRADES: 7}, spans)


def test_sparse_trades_go_on_only_from_one_that_is_here_already() -> None:
    assert goes_on({TRADES: 5}, {TRADES: (1, 5)}, {"trades"})
    assert not goes_on({TRADES: 6}, {TRADES: (1, 5)}, {"trades"})


def counted(spans: dict[StreamKey, tuple[int, int]], *ids: int) -> list[int]:
    backlog: list[tuple[object, int]] = [(Trade("BTCUSDT", number, "1", "1", False, 0, 0), 0) for number in ids]
    return [message.trade_id for message, _ in of_this_numbering(backlog, spans) if isinstance(message, Trade)]


def test_a_second_connection_that_saw_the_old_numbering_too_does_not_bring_it_back() -> None:
    assert counted({TRADES: (1, 3)}, 900, 901, 1, 2, 3, 4) == [1, 2, 3, 4]
    assert counted({TRADES: (7, 9)}, 5, 6, 7, 8, 9, 10) == [7, 8, 9, 10], "it heard of the new one before the first did"


def test_what_the_judge_has_not_met_is_news() -> None:
    assert counted({TRADES: (900, 901)}, 904, 1, 2, 3) == [904, 1, 2, 3]
    assert counted({}, 5, 6) == [5, 6]
    assert counted({TRADES: (1, 5)}, 3, 5, 7, 6, 8) == [3, 5, 7, 6, 8]


def test_records_without_ids_stay_and_unreadable_ones_have_theirs() -> None:
    running = Kline("BTCUSDT", "1m", 0, 60, "1", "1", "1", "1", "1", "1", 1, "1", "1", is_closed=False)
    old, new = (UnreadableRow("trades", "BTCUSDT", "", first, first, "why") for first in (900, 5))
    known = Trade("BTCUSDT", 3, "1", "1", False, 0, 0)
    backlog: list[tuple[object, int]] = [(message, 0) for message in (running, old, known, new)]
    assert [message for message, _ in of_this_numbering(backlog, {TRADES: (1, 3)})] == [running, known, new]

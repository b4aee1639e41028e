"""SendBuffer: order, bounds, and what becomes of messages while Pub/Sub is away."""

from hypothesis import given
from hypothesis import strategies as st

from extract_process.mirror.messages import Message
from extract_process.mirror.send_buffer import LONGEST_PAUSE_SECONDS, OVERHEAD_BYTES, SendBuffer, SendLimits, SharedQuota


def message(sequence: int, size: int = 100) -> Message:
    return Message(b"x" * size, "delta", sequence)


def backlog(*, keeps: bool, room: SharedQuota | None = None, **limits: float) -> SendBuffer:
    return SendBuffer(SendLimits(**limits), room or SharedQuota(10**9), keeps=keeps)  # type: ignore[arg-type]


def sequences(batch: list[Message]) -> list[int]:
    return [item.sequence for item in batch]


def test_a_batch_has_at_most_what_a_request_may_have_and_keeps_the_order() -> None:
    waiting = backlog(keeps=True, batch_messages=3)
    for number in range(7):
        waiting.put(message(number))
    batches = []
    while batch := waiting.take_batch():
        batches.append(sequences(batch))
        waiting.on_published()
    assert batches == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_batch_ends_with_the_message_that_fills_its_bytes() -> None:
    waiting = backlog(keeps=True, batch_bytes=2 * (100 + OVERHEAD_BYTES))
    for number in range(3):
        waiting.put(message(number))
    assert waiting.has_full_batch
    assert sequences(waiting.take_batch()) == [0, 1]


def test_the_request_that_failed_is_made_again_before_anything_else() -> None:
    waiting = backlog(keeps=False)
    waiting.put(message(1))
    first = sequences(waiting.take_batch())
    waiting.put(message(2))
    assert waiting.on_failed(now=0.0) is False
    assert not waiting.has_room
    assert sequences(waiting.take_batch()) == first == [1]
    waiting.on_published()
    assert waiting.has_room
    assert sequences(waiting.take_batch()) == [2]


def test_what_can_be_said_anew_is_given_up_after_a_while() -> None:
    waiting = backlog(keeps=False, give_up_seconds=5)
    waiting.put(message(1))
    waiting.take_batch()
    waiting.put(message(2))
    assert [waiting.on_failed(now=now) for now in (0.0, 4.9, 5.0)] == [False, False, True]
    assert (waiting.is_empty, waiting.lost, waiting.has_room) == (True, 2, False)
    waiting.on_nothing_to_send()
    assert waiting.has_room


def test_a_topic_that_is_gone_is_given_up_at_once() -> None:
    waiting = backlog(keeps=False)
    waiting.put(message(1))
    waiting.take_batch()
    assert waiting.on_failed(now=0.0, is_gone=True)


def test_facts_are_kept_through_an_outage_and_the_oldest_go_first() -> None:
    waiting = backlog(keeps=True, waiting_messages=3)
    waiting.put(message(0))
    waiting.take_batch()
    for number in range(1, 7):
        waiting.put(message(number))
        assert waiting.on_failed(now=number * 100.0, is_gone=True) is False
    assert sequences(waiting.take_batch()) == [0]  # under way is not touched
    waiting.on_published()
    assert sequences(waiting.take_batch()) == [4, 5, 6]
    assert waiting.lost == 3


def test_a_request_that_is_refused_for_good_goes_and_the_rest_stays() -> None:
    waiting = backlog(keeps=True)
    waiting.put(message(1))
    waiting.take_batch()
    waiting.put(message(2))
    assert waiting.on_refused() is False
    assert (sequences(waiting.take_batch()), waiting.lost) == ([2], 1)


def test_pauses_grow_up_to_a_limit() -> None:
    waiting = backlog(keeps=True)
    waiting.put(message(1))
    waiting.take_batch()
    pauses = []
    for _ in range(20):
        waiting.on_failed(now=0.0)
        pauses.append(waiting.pause_seconds(1.0))
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


_actions = st.lists(st.sampled_from(["put", "put", "put", "take", "published", "failed", "refused"]), max_size=60)


@given(first=_actions, second=_actions, keeps=st.booleans())
def test_room_is_what_waits_and_never_more_than_the_limits(first: list[str], second: list[str], *, keeps: bool) -> None:
    room = SharedQuota(5_000)
    backlogs = [backlog(keeps=kind, room=room, waiting_messages=8, batch_messages=3) for kind in (keeps, not keeps)]
    sequence = 0
    for place, action in [(0, action) for action in first] + [(1, action) for action in second]:
        chosen = backlogs[place]
        if action == "put" and (chosen.has_room or (place == 0) == keeps):
            sequence += 1
            chosen.put(message(sequence))
        elif action == "take":
            assert sequences(chosen.take_batch()) == sorted(sequences(chosen.take_batch()))
        elif action == "published":
            chosen.on_published()
        elif action == "failed" and chosen.take_batch():
            chosen.on_failed(now=sequence)
        elif action == "refused" and chosen.take_batch():
            chosen.on_refused()
        assert room.used_bytes == sum(chosen.count for chosen in backlogs) * (100 + OVERHEAD_BYTES)
        assert all(chosen.count <= 8 + 3 for chosen in backlogs)

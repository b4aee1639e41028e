import pytest

from simulated_exchange.server.socket_limits import SECOND_US, Heartbeat, SlidingCount, SocketLimits


def test_five_a_second_are_fine_and_a_sixth_is_not() -> None:
    count = SlidingCount(5, SECOND_US)
    assert [count.admits(at * 100_000) for at in range(7)] == [True] * 5 + [False] * 2
    assert count.admits(5 * SECOND_US)


def test_the_window_slides() -> None:
    count = SlidingCount(2, SECOND_US)
    assert [count.admits(at) for at in (0, 900_000, 1_000_000, 1_800_000, 2_900_000)] == [True, True, True, False, True]


def test_pings_come_regularly_and_want_their_payload_back() -> None:
    heart = Heartbeat(20 * SECOND_US, 60 * SECOND_US, 20 * SECOND_US)
    assert heart.ping(19_999_999) is None
    payload = heart.ping(20 * SECOND_US)
    assert payload == b"20000"
    assert heart.ping(39 * SECOND_US) is None
    assert not heart.is_dead(80 * SECOND_US)
    assert heart.is_dead(80 * SECOND_US + 1)
    heart.pong(b"unsolicited")
    assert heart.is_dead(80 * SECOND_US + 1)
    heart.pong(payload)
    assert not heart.is_dead(1000 * SECOND_US)


def test_a_later_pong_settles_the_earlier_ones() -> None:
    heart = Heartbeat(20 * SECOND_US, 60 * SECOND_US, 0)
    heart.ping(0)
    later = heart.ping(20 * SECOND_US)
    assert later
    heart.pong(later)
    assert not heart.is_dead(1000 * SECOND_US)


@pytest.mark.parametrize(
    "wrong",
    [{"ping_seconds": 0}, {"life_seconds": -1}, {"send_buffer_bytes": 0}, {"streams_per_connection": 0}],
)
def test_limits_that_cannot_work_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must|cannot"):
        SocketLimits(**wrong)

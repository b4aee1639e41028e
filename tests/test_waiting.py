"""A wait that fails says for what."""

import pytest
from tests.waiting import patience, until, wait_until


def test_a_deadline_is_never_shorter_than_on_an_idle_machine() -> None:
    assert 10 <= patience(10) <= 100


def test_a_wait_ends_with_its_event() -> None:
    looks = iter((False, False, True))
    wait_until(lambda: next(looks), "the third look")
    assert next(looks, None) is None


def test_a_wait_in_vain_says_for_what() -> None:
    with pytest.raises(AssertionError, match="for what never comes"):
        wait_until(lambda: False, "what never comes", 0.01)


async def test_a_wait_in_vain_beside_an_event_loop_says_for_what() -> None:
    with pytest.raises(AssertionError, match="for what never comes"):
        await until(lambda: False, "what never comes", 0.01)

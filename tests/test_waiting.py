"""A wait that fails says for what, and a command that fails shows what it said."""

import pytest
from tests.waiting import patience, run_python, until, wait_until


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


def test_a_command_that_ends_as_expected_is_handed_back() -> None:
    assert run_python("-c", "print('well')").stdout == "well\n"
    assert run_python("-c", "import sys; sys.exit('no')", code=1).stderr == "no\n"


def test_a_command_that_fails_shows_both_of_its_outputs() -> None:
    with pytest.raises(AssertionError, match=r"ended with 3, not 0\nstdout:\nhere\n\nstderr:\nthere"):
        run_python("-c", "import sys; print('here'); print('there', file=sys.stderr); sys.exit(3)")


def test_a_command_that_does_not_end_shows_what_it_said_so_far() -> None:
    program = "import sys, time; print('so far', file=sys.stderr, flush=True); time.sleep(600)"
    with pytest.raises(AssertionError, match=r"did not end within [0-9]+ s\nstdout:\n\nstderr:\nso far"):
        run_python("-c", program, seconds=1)

import logging

import pytest

from tickhouse_core.backoff import VENUE_ATTEMPTS, instant_retries, venue_requests
from tickhouse_core.errors import VenueRefused, VenueUnavailable


async def ask(answers: list[Exception | str], asked: list[int]) -> str:
    async for attempt in venue_requests():
        with attempt:
            asked.append(attempt.retry_state.attempt_number)
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
    raise AssertionError("unreachable")


async def test_what_is_unavailable_is_asked_again_until_it_answers() -> None:
    asked: list[int] = []
    assert await ask([VenueUnavailable("cut"), VenueUnavailable("500"), "done"], asked) == "done"
    assert asked == [1, 2, 3]


async def test_after_eight_tries_the_last_error_is_raised_as_it_was() -> None:
    asked: list[int] = []
    with pytest.raises(VenueUnavailable, match=r"^try 8$"):
        await ask([VenueUnavailable(f"try {number}") for number in range(1, 20)], asked)
    assert asked == [1, 2, 3, 4, 5, 6, 7, 8]
    assert VENUE_ATTEMPTS == 8


async def test_what_is_refused_is_not_asked_again() -> None:
    asked: list[int] = []
    with pytest.raises(VenueRefused):
        await ask([VenueRefused("bad symbol", -1121), "done"], asked)
    assert asked == [1]


async def test_what_is_waited_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="tickhouse_core.backoff"):
        await ask([VenueUnavailable("cut answer"), "done"], [])
    (record,) = caplog.records
    assert record.getMessage() == "asking again"
    assert {name: record.__dict__[name] for name in ("attempt", "wait_seconds", "why")} == {
        "attempt": 1,
        "wait_seconds": 0,
        "why": "cut answer",
    }


async def test_an_outage_that_concerns_every_question_is_said_a_few_times(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="tickhouse_core.backoff"):
        for number in range(20):
            await ask([VenueUnavailable(f"down {number}"), VenueUnavailable("down 2"), "done"], [])
        await ask([VenueUnavailable("no answer"), VenueUnavailable("no answer"), "done"], [])
    assert [vars(record)["why"] for record in caplog.records] == ["down 0", "down 2", "no answer"]


def test_instant_retries_end_with_their_context() -> None:
    inside_fixture = venue_requests().wait
    with instant_retries():
        assert venue_requests().wait is not inside_fixture
    assert venue_requests().wait is inside_fixture

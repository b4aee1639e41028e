import pytest

from simulated_exchange.binance.limits import LONGEST_BAN, RateLimiter
from simulated_exchange.market.intervals import DAY, MINUTE
from simulated_exchange.server.tally import Cause

MINUTE_START = 1_750_000_020_000
ME, YOU = "10.0.0.1", "10.0.0.2"


@pytest.mark.parametrize(
    ("weights", "statuses", "used"),
    [
        ([2, 2, 2], [200, 200, 200], [2, 4, 6]),
        ([10], [200], [10]),
        ([11], [429], [11]),
        ([8, 2, 1], [200, 200, 429], [8, 10, 11]),
        ([8, 5, 1], [200, 429, 429], [8, 13, 14]),
    ],
)
def test_weight_is_counted_until_the_limit_is_passed(weights: list[int], statuses: list[int], used: list[int]) -> None:
    limiter = RateLimiter(weight_limit=10)
    verdicts = [limiter.admit(ME, weight, MINUTE_START) for weight in weights]
    assert [verdict.status for verdict in verdicts] == statuses
    assert [verdict.used_weight for verdict in verdicts] == used


@pytest.mark.parametrize(("into_the_minute", "seconds"), [(0, 60), (1, 60), (1_000, 59), (59_001, 1), (59_999, 1)])
def test_retry_after_is_the_rest_of_the_clock_minute(into_the_minute: int, seconds: int) -> None:
    verdict = RateLimiter(weight_limit=1).admit(ME, 2, MINUTE_START + into_the_minute)
    assert (verdict.status, verdict.retry_after) == (429, seconds)


def test_the_counter_starts_again_with_the_clock_minute() -> None:
    limiter = RateLimiter(weight_limit=10)
    limiter.admit(ME, 10, MINUTE_START + MINUTE - 1)
    verdict = limiter.admit(ME, 4, MINUTE_START + MINUTE)
    assert (verdict.status, verdict.used_weight) == (200, 4)


def test_every_address_has_its_own_counter() -> None:
    limiter = RateLimiter(weight_limit=10)
    limiter.admit(ME, 10, MINUTE_START)
    assert limiter.admit(YOU, 10, MINUTE_START).status == 200


def test_who_ignores_429_is_banned_and_every_ban_is_twice_as_long() -> None:
    limiter = RateLimiter(weight_limit=1, ban_after=3)
    now, bans = MINUTE_START, []
    for _ in range(13):
        statuses = [limiter.admit(ME, 2, now).status for _ in range(3)]
        assert statuses == [429, 429, 429]
        verdict = limiter.admit(ME, 2, now)
        assert verdict.status == 418
        assert verdict.retry_after * 1000 == verdict.banned_until - now
        bans.append(verdict.banned_until - now)
        now = verdict.banned_until - verdict.banned_until % MINUTE + MINUTE
    assert bans[:4] == [2 * MINUTE, 4 * MINUTE, 8 * MINUTE, 16 * MINUTE]
    assert bans[-1] == LONGEST_BAN == 3 * DAY


def test_a_ban_holds_until_it_ends_and_counts_nothing() -> None:
    limiter = RateLimiter(weight_limit=1, ban_after=0)
    until = limiter.admit(ME, 2, MINUTE_START).banned_until
    waiting = limiter.admit(ME, 1, until - 1)
    assert (waiting.status, waiting.retry_after, waiting.used_weight) == (418, 1, 0)
    assert limiter.admit(ME, 1, until).status == 200


def test_refusals_of_other_minutes_are_forgiven() -> None:
    limiter = RateLimiter(weight_limit=1, ban_after=2)
    statuses = [limiter.admit(ME, 2, MINUTE_START + index * MINUTE // 2).status for index in range(12)]
    assert set(statuses) == {429}


def test_a_scripted_ban_is_told_apart_from_an_earned_one() -> None:
    limiter = RateLimiter()
    verdict = limiter.ban(ME, MINUTE_START + 5_000, MINUTE_START)
    assert (verdict.status, verdict.retry_after, verdict.cause) == (418, 5, Cause.INJECTED)
    assert limiter.admit(ME, 1, MINUTE_START + 4_999).cause is Cause.INJECTED
    assert limiter.admit(ME, 1, MINUTE_START + 5_000).status == 200


def test_clear_forgets_bans_and_weight() -> None:
    limiter = RateLimiter(weight_limit=1, ban_after=0)
    limiter.admit(ME, 2, MINUTE_START)
    limiter.clear()
    assert limiter.admit(ME, 1, MINUTE_START).used_weight == 1

"""The public pool's window begins with its first request, and the venue's tally wins."""

from extract_process.venues.kucoin.pool_budget import WINDOW_US, PoolBudget

START = 1_786_190_400_000_000


def test_the_window_begins_with_the_first_request() -> None:
    budget = PoolBudget(100)
    for number in range(9):
        assert budget.wait_before(10, START + number) == 0.0
        budget.on_sent(10, START + number)
        budget.on_answer(10, START + number, None)
    assert budget.wait_before(10, START + 9) == (WINDOW_US - 9) / 1e6
    assert budget.wait_before(10, START + WINDOW_US) == 0.0


def test_requests_under_way_count() -> None:
    budget = PoolBudget(100)
    for _ in range(9):
        budget.on_sent(10, START)
    assert budget.used_weight == 90
    assert budget.wait_before(10, START) > 0


def test_the_venues_tally_wins_and_says_when_its_window_ends() -> None:
    budget = PoolBudget(2_000)
    budget.on_sent(3, START)
    budget.on_answer(3, START, (1_000, 40, 25_000_000))
    assert (budget.limit, budget.used_weight) == (1_000, 960)
    assert budget.wait_before(3, START + 1) > 24.9
    assert budget.wait_before(3, START + WINDOW_US) == 0.0


def test_nothing_is_sent_while_blocked() -> None:
    budget = PoolBudget(2_000)
    budget.block_until(START + 5_000_000)
    assert budget.wait_before(1, START) == 5.0
    assert budget.wait_before(1, START + 5_000_000) == 0.0


def test_what_is_under_way_at_the_turn_counts_in_the_new_window() -> None:
    budget = PoolBudget(100)
    budget.on_sent(90, START)
    assert budget.wait_before(10, START + WINDOW_US) > 0
    budget.on_answer(90, START + WINDOW_US, None)
    assert budget.used_weight == 90

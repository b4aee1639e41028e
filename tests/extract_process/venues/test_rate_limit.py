import heapq
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.venues.rate_limit import EventLimit, RateLimit, Tally
from tickhouse_core.timestamps import MINUTE_US, SECOND_US

NOON = 28_000_000 * MINUTE_US
WINDOW_US = 30 * SECOND_US


def by_minutes(limit: int, share: float = 0.95) -> RateLimit:
    return RateLimit(limit, MINUTE_US, is_aligned=True, share=share)


def from_the_first_request(limit: int) -> RateLimit:
    return RateLimit(limit, WINDOW_US, is_aligned=False)


def spend(budget: RateLimit, weight: int, now_us: int, tally: int | None) -> None:
    """A request that is answered at once."""
    assert budget.wait_before(weight, now_us) == 0.0
    budget.on_sent(weight, now_us)
    budget.on_answer(weight, now_us, now_us, None if tally is None else Tally(tally))


def test_below_its_share_of_the_limit_nothing_waits() -> None:
    budget = by_minutes(100, share=0.95)
    for used in range(0, 94, 2):
        spend(budget, 2, NOON, used + 2)
    assert budget.used_weight == 94
    assert budget.wait_before(1, NOON) == 0.0
    assert budget.wait_before(2, NOON) == 60.0


def test_it_waits_until_the_servers_minute_turns_and_not_longer() -> None:
    budget = by_minutes(100)
    spend(budget, 95, NOON + 10 * SECOND_US, None)
    assert budget.wait_before(1, NOON + 10 * SECOND_US) == 50.0
    assert budget.wait_before(1, NOON + MINUTE_US - 1) == 0.000001
    assert budget.wait_before(1, NOON + MINUTE_US) == 0.0
    assert budget.used_weight == 0


def test_requests_without_an_answer_count_at_once_and_in_any_minute() -> None:
    budget = by_minutes(100)
    budget.on_sent(60, NOON)
    assert (budget.used_weight, budget.wait_before(40, NOON)) == (60, 60.0)
    assert budget.wait_before(40, NOON + MINUTE_US) == 60.0
    budget.on_answer(60, NOON, NOON + MINUTE_US + 1, Tally(60))
    assert budget.used_weight == 60  # it may have counted in this minute


def test_the_servers_tally_wins_over_our_own_count() -> None:
    budget = by_minutes(6_000)
    spend(budget, 2, NOON, 5_000)  # somebody else asks from this address too
    assert budget.used_weight == 5_000
    assert budget.wait_before(700, NOON) == 0.0
    assert budget.wait_before(701, NOON) == 60.0


def test_a_tally_that_was_overtaken_does_not_give_weight_back() -> None:
    budget = by_minutes(6_000)
    budget.on_sent(2, NOON)
    budget.on_sent(2, NOON)
    budget.on_answer(2, NOON, NOON + 5, Tally(4))
    budget.on_answer(2, NOON, NOON + 9, Tally(2))
    assert budget.used_weight == 4


def test_a_request_without_a_tally_counts_its_own_weight() -> None:
    budget = by_minutes(6_000)
    spend(budget, 2, NOON, None)
    spend(budget, 20, NOON, None)
    assert budget.used_weight == 22


def test_the_tally_of_the_minute_before_does_not_burden_the_new_one() -> None:
    budget = by_minutes(6_000)
    budget.on_sent(2, NOON - 1)
    budget.on_answer(2, NOON - 1, NOON + 1, Tally(5_700))
    assert budget.used_weight == 2


def test_a_request_heavier_than_the_share_is_sent_into_an_empty_minute_only() -> None:
    budget = by_minutes(10, share=0.5)
    assert budget.wait_before(8, NOON) == 0.0
    spend(budget, 1, NOON, 1)
    assert budget.wait_before(8, NOON) == 60.0


@pytest.mark.parametrize(("blocks", "seconds"), [([30], 30.0), ([30, 90], 90.0), ([90, 30], 90.0), ([0], 0.0)])
def test_a_block_lasts_as_long_as_the_longest(blocks: list[int], seconds: float) -> None:
    budget = by_minutes(6_000)
    for block in blocks:
        budget.block_until(NOON + block * SECOND_US)
    assert budget.wait_before(2, NOON) == seconds
    assert budget.wait_before(2, NOON + int(seconds) * SECOND_US) == 0.0


def test_a_limit_that_the_venue_changed_is_taken_over() -> None:
    budget = by_minutes(1_200)
    spend(budget, 1_000, NOON, 1_000)
    assert budget.wait_before(200, NOON) == 60.0
    budget.limit = 6_000
    assert budget.wait_before(200, NOON) == 0.0


def test_a_clock_that_was_set_back_starts_a_fresh_minute() -> None:
    budget = by_minutes(100)
    spend(budget, 95, NOON, 95)
    assert budget.wait_before(2, NOON - 5 * MINUTE_US) == 0.0


@dataclass
class Server:
    """The venue as it says it is: weight by fixed clock minutes, counted when a request arrives."""

    limit: int
    used: dict[int, int] = field(default_factory=dict)

    def on_request(self, weight: int, now_us: int) -> int:
        minute = now_us // MINUTE_US
        self.used[minute] = self.used.get(minute, 0) + weight
        return self.used[minute]


@dataclass
class Client:
    """`workers` tasks with one shared budget, in simulated time: every request takes two random trips."""

    budget: RateLimit
    server: Server
    dice: random.Random
    longest_trip_us: int
    lost: float
    finished_at: int = 0

    def run(self, weights: list[int], workers: int, now_us: int) -> None:
        events: list[tuple[int, int, str, tuple[int, int, int | None]]] = []
        order = 0

        def later(at_us: int, kind: str, request: tuple[int, int, int | None]) -> None:
            nonlocal order
            order += 1
            heapq.heappush(events, (at_us, order, kind, request))

        waiting = list(weights)
        for _ in range(workers):
            later(now_us, "ask", (0, 0, None))
        while events:
            now_us, _, kind, (weight, sent_us, tally) = heapq.heappop(events)
            self.finished_at = now_us
            if kind == "ask" and waiting:
                seconds = self.budget.wait_before(waiting[0], now_us)
                assert 0 <= seconds <= 60
                if seconds:
                    later(now_us + max(1, round(seconds * 1e6)), "ask", (0, 0, None))
                else:
                    weight = waiting.pop(0)
                    self.budget.on_sent(weight, now_us)
                    later(now_us + self.trip(), "arrive", (weight, now_us, None))
            elif kind == "arrive":
                counted = self.server.on_request(weight, now_us)
                later(now_us + self.trip(), "answer", (weight, sent_us, None if self.dice.random() < self.lost else counted))
            elif kind == "answer":
                self.budget.on_answer(weight, sent_us, now_us, None if tally is None else Tally(tally))
                later(now_us, "ask", (0, 0, None))
        assert not waiting

    def trip(self) -> int:
        return self.dice.randint(0, self.longest_trip_us)


@given(
    seed=st.integers(0, 2**32),
    limit=st.integers(200, 1_000),
    workers=st.integers(1, 5),
    longest_trip_us=st.sampled_from([0, 1_000, 300_000, 20 * SECOND_US, 70 * SECOND_US]),
    lost=st.sampled_from([0.0, 0.2]),
    start=st.integers(0, MINUTE_US),
)
def test_the_servers_count_never_exceeds_its_limit_and_nothing_is_stuck(
    seed: int, limit: int, workers: int, longest_trip_us: int, lost: float, start: int
) -> None:
    server, dice = Server(limit), random.Random(seed)
    weights = [2] * (limit * 2)  # at least four minutes' worth
    client = Client(by_minutes(limit), server, dice, longest_trip_us, lost)
    client.run(weights, workers, NOON + start)
    assert sum(server.used.values()) == sum(weights)
    assert max(server.used.values()) <= limit


@given(st.integers(0, 2**32), st.sampled_from([2, 16]))
def test_a_fast_venue_is_used_up_to_the_share_every_minute(seed: int, workers: int) -> None:
    server = Server(1_000)
    client = Client(by_minutes(1_000), server, random.Random(seed), 200_000, lost=0.0)
    client.run([2] * 1_900, workers, NOON)
    assert max(server.used.values()) <= 1_000
    assert client.finished_at < NOON + 5 * MINUTE_US  # 3,800 of 950 a minute: four minutes, whatever the order of answers


def test_the_window_begins_with_the_first_request() -> None:
    budget = from_the_first_request(100)
    for number in range(9):
        assert budget.wait_before(10, NOON + number) == 0.0
        budget.on_sent(10, NOON + number)
        budget.on_answer(10, NOON + number, NOON + number, None)
    assert budget.wait_before(10, NOON + 9) == (WINDOW_US - 9) / 1e6
    assert budget.wait_before(10, NOON + WINDOW_US) == 0.0


def test_requests_under_way_count() -> None:
    budget = from_the_first_request(100)
    for _ in range(9):
        budget.on_sent(10, NOON)
    assert budget.used_weight == 90
    assert budget.wait_before(10, NOON) > 0


def test_the_venues_tally_wins_and_says_when_its_window_ends() -> None:
    budget = from_the_first_request(2_000)
    budget.on_sent(3, NOON)
    budget.on_answer(3, NOON, NOON, Tally(960, 1_000, 25_000_000))
    assert (budget.limit, budget.used_weight) == (1_000, 960)
    assert budget.wait_before(3, NOON + 1) > 24.9
    assert budget.wait_before(3, NOON + WINDOW_US) == 0.0


def test_nothing_is_sent_while_blocked() -> None:
    budget = from_the_first_request(2_000)
    budget.block_until(NOON + 5_000_000)
    assert budget.wait_before(1, NOON) == 5.0
    assert budget.wait_before(1, NOON + 5_000_000) == 0.0


def test_what_is_under_way_at_the_turn_counts_in_the_new_window() -> None:
    budget = from_the_first_request(100)
    budget.on_sent(90, NOON)
    assert budget.wait_before(10, NOON + WINDOW_US) > 0
    budget.on_answer(90, NOON, NOON + WINDOW_US, None)
    assert budget.used_weight == 90


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.integers(1, 5))
def test_never_more_events_in_a_window_than_allowed(pauses: list[float], most: int) -> None:
    limit, now, times = EventLimit(most, 10.0), 0.0, []
    for pause in pauses:
        now += pause
        now += limit.wait_before(now) * 1.000001
        limit.on_event(now)
        times.append(now)
    for start in times:
        assert sum(1 for time in times if start <= time < start + 10.0) <= most

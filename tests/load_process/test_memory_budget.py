from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest
from tests.waiting import patience, wait_until

from load_process.limits import INSERT_COPIES, LoadLimits, MemoryBudget, NoRoom, Room

GIGA = 1024**3


def test_what_is_not_there_is_refused_until_it_is_given_back() -> None:
    budget = MemoryBudget(100)
    first, second = Room(budget), Room(budget)
    first.take(70)
    with pytest.raises(NoRoom) as refused:
        second.take(31)
    assert (refused.value.needed, second.is_refused) == (31, True)
    second.take(30)
    first.give(10)
    second.take(10)
    with first, pytest.raises(NoRoom):
        second.take(1)
    second.take(60)


def test_a_room_refuses_to_hold_more_than_its_share_for_several_but_not_for_one() -> None:
    room = Room(MemoryBudget(100), most=40)
    room.take(60)
    room.take(20, own=60)
    with pytest.raises(NoRoom):
        room.take(1)
    room.close()
    room.take(20)
    room.take(20)
    with pytest.raises(NoRoom):
        room.take(1, own=20)


def test_what_is_taken_always_is_missing_afterwards() -> None:
    budget = MemoryBudget(100)
    with Room(budget, always=True) as room:
        room.take(150)
        assert not budget.take(1)
    assert budget.take(100)


def test_whoever_waits_is_served_before_whoever_only_asks() -> None:
    budget, served = MemoryBudget(100), Event()
    holder, waiter, asker = Room(budget), Room(budget), Room(budget)
    holder.take(60)

    def wait() -> None:
        waiter.wait_for(80)
        served.set()

    thread = Thread(target=wait)
    thread.start()
    wait_until(lambda: bool(budget._waiting), "the waiter")
    with pytest.raises(NoRoom):
        asker.take(10)  # it is there, but somebody else waits for more
    assert not served.is_set()
    holder.close()
    assert served.wait(patience(10))
    thread.join()
    waiter.take(80)
    asker.take(20)


def test_more_than_there_is_at_all_is_waited_for_as_all_of_it() -> None:
    budget = MemoryBudget(100)
    with Room(budget) as room:
        room.wait_for(1_000)
        assert not budget.take(1)
    assert budget.take(100)


def test_many_threads_never_have_more_than_there_is_and_all_come_to_an_end() -> None:
    budget, most = MemoryBudget(100), []

    def work(seed: int) -> int:
        chance, done = random.Random(seed), 0
        while done < 50:
            with Room(budget, most=50) as room:
                try:
                    for _ in range(3):
                        room.take(chance.randint(1, 40))
                    done += 1
                except NoRoom as refused:
                    room.wait_for(refused.needed)
                    room.take(refused.needed)
                    done += 1
                most.append(budget._free)
        return done

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [50] * 8
    assert min(most) >= 0
    assert budget.take(100)


@pytest.mark.parametrize("memory", [256 * 1024**2, GIGA, 2 * GIGA, 64 * GIGA])
def test_limits_follow_from_the_memory_that_there_is(memory: int) -> None:
    limits = LoadLimits.within(memory)
    assert limits.reading_bytes + limits.inserting_bytes <= memory * 2 // 3
    assert 2 * INSERT_COPIES * limits.insert_bytes <= limits.inserting_bytes
    assert limits.object_bytes * 2 <= limits.reading_bytes  # it is there twice while it arrives
    assert limits.insert_bytes <= LoadLimits().insert_bytes

"""RequestQueue: the most urgent first, each name once, and no failed ask is forgotten."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.waiting import patience

from extract_process.live.request_queue import REFUSED_AGAIN_SECONDS, RequestQueue
from extract_process.live.requests import Priority
from tickhouse_core.errors import SpoolFull, VenueBanned, VenueError, VenueRefused, VenueUnavailable
from tickhouse_core.timestamps import now_us

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """One whose answer is `work`."""

    priority: Priority
    name: str
    work: Work
    pause: float = 0.0
    of_symbol: str = ""


async def answer(request: Request) -> None:
    await request.work()


@asynccontextmanager
async def working(queue: RequestQueue[Request]) -> AsyncIterator[asyncio.Task[None]]:
    """The queue at work until the context ends."""
    task = asyncio.create_task(queue.run(answer))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


class Asks:
    """Works that write down when they ran; one of them can be held up, and fail as often as it is told."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.ran_at: list[int] = []
        self.go_on = asyncio.Event()
        self._changed = asyncio.Condition()

    def of(self, name: str, *failures: Exception, is_held: bool = False) -> Work:
        """Fails with these one after the other, then succeeds."""
        left = list(failures)

        async def work() -> None:
            async with self._changed:
                self.ran.append(name)
                self.ran_at.append(now_us())
                self._changed.notify_all()
            if is_held:
                await self.go_on.wait()
            if left:
                raise left.pop(0)

        return work

    async def until(self, number: int) -> None:
        """So many works have begun."""
        async with asyncio.timeout(patience(20)), self._changed:
            await self._changed.wait_for(lambda: len(self.ran) >= number)


@pytest.fixture
def asks() -> Asks:
    return Asks()


async def test_the_most_urgent_goes_first_and_equals_in_the_order_of_asking(asks: Asks) -> None:
    queue = RequestQueue[Request](workers=1)
    for urgency in reversed(Priority):
        for number in (1, 2):
            queue.put(Request(urgency, f"{urgency.name} {number}", asks.of(f"{urgency.name} {number}")))
    async with working(queue):
        await asks.until(2 * len(Priority))
    assert asks.ran == [
        f"{name} {number}"
        for name in ("RECENT_TRADES", "BROKEN_BOOK", "NEW_BOOK", "HISTORY", "POLL", "PROOF")
        for number in (1, 2)
    ]  # fmt: skip


async def test_an_important_symbol_goes_first_among_equals_only(asks: Asks) -> None:
    queue = RequestQueue[Request](workers=1, ranks={"BTCUSDT": 1, "ETHUSDT": 2})
    for urgency, symbol in ((3, "BTCUSDT"), (2, "BNBUSDT"), (2, "ETHUSDT"), (2, "SOLUSDT"), (2, "BTCUSDT")):
        name = f"{urgency} {symbol}"
        queue.put(Request(Priority(urgency), name, asks.of(name), of_symbol=symbol))
    async with working(queue):
        await asks.until(5)
    assert asks.ran == ["2 BTCUSDT", "2 ETHUSDT", "2 BNBUSDT", "2 SOLUSDT", "3 BTCUSDT"]


async def test_a_late_urgent_ask_overtakes_all_that_wait(asks: Asks) -> None:
    queue = RequestQueue[Request](workers=1)
    async with working(queue):
        queue.put(Request(Priority.PROOF, "under way", asks.of("under way", is_held=True)))
        await asks.until(1)
        for number in range(500):
            queue.put(Request(Priority.NEW_BOOK, f"book {number}", asks.of(f"book {number}")))
        queue.put(Request(Priority.RECENT_TRADES, "trades", asks.of("trades")))
        asks.go_on.set()
        await asks.until(502)
    assert asks.ran == ["under way", "trades", *(f"book {number}" for number in range(500))]


async def test_an_ask_waits_once_by_its_name_however_often_it_is_put(asks: Asks) -> None:
    queue = RequestQueue[Request](workers=1)
    for _ in range(1_000):
        queue.put(Request(Priority.NEW_BOOK, "book", asks.of("book")))
    queue.put(Request(Priority.PROOF, "last", asks.of("last")))
    async with working(queue):
        await asks.until(2)
    assert asks.ran == ["book", "last"]
    assert queue.is_idle


async def test_a_request_waits_out_its_pause_while_others_go(asks: Asks) -> None:
    queue = RequestQueue[Request](lambda request: request.pause, workers=1)
    queue.put(Request(Priority.RECENT_TRADES, "paused", asks.of("paused"), pause=0.05))
    queue.put(Request(Priority.PROOF, "other", asks.of("other")))
    async with working(queue):
        await asks.until(2)
    assert asks.ran == ["other", "paused"]


async def test_an_answer_may_lead_to_the_same_question(asks: Asks) -> None:
    queue = RequestQueue[Request](workers=1)
    seen: list[int] = []

    async def page() -> None:
        seen.append(len(seen))
        if len(seen) < 5:
            queue.put(Request(Priority.HISTORY, "page", page))
        else:
            queue.put(Request(Priority.PROOF, "end", asks.of("end")))

    queue.put(Request(Priority.HISTORY, "page", page))
    async with working(queue):
        await asks.until(1)
    assert seen == [0, 1, 2, 3, 4]


async def test_no_more_than_its_workers_are_under_way_and_idle_means_that_nothing_waits(asks: Asks) -> None:
    queue = RequestQueue[Request](workers=3)
    assert queue.is_idle
    for number in range(4):
        queue.put(Request(Priority.NEW_BOOK, f"book {number}", asks.of(f"book {number}", is_held=True)))
    assert not queue.is_idle
    async with working(queue):
        await asks.until(3)
        assert len(asks.ran) == 3
        assert not queue.is_idle
        asks.go_on.set()
        await asks.until(4)
        assert queue.is_idle


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [VenueUnavailable("no answer"), SpoolFull("no room")], ids=["venue", "disk"])
async def test_a_failed_ask_is_put_again_and_holds_nobody_up(asks: Asks, trouble: Exception) -> None:
    queue = RequestQueue[Request](workers=1)
    queue.put(Request(Priority.RECENT_TRADES, "failing", asks.of("failing", trouble)))
    queue.put(Request(Priority.PROOF, "other", asks.of("other")))
    async with working(queue):
        await asks.until(2)
        queue.put(Request(Priority.RECENT_TRADES, "failing", asks.of("put while it waits for its next try")))
        await asks.until(3)
    assert asks.ran == ["failing", "other", "failing"]


async def test_what_was_asked_again_while_it_failed_waits_once(asks: Asks) -> None:
    queue = RequestQueue[Request](workers=1)
    async with working(queue):
        queue.put(Request(Priority.NEW_BOOK, "book", asks.of("first", VenueUnavailable("no answer"), is_held=True)))
        await asks.until(1)
        tasks = len(asyncio.all_tasks())
        queue.put(Request(Priority.BROKEN_BOOK, "book", asks.of("second")))
        asks.go_on.set()
        await asks.until(2)
        assert len(asyncio.all_tasks()) == tasks, "nothing waits for a third try"
        assert queue.is_idle
    assert asks.ran == ["first", "second"]


async def test_a_ban_is_waited_out(asks: Asks) -> None:
    queue = RequestQueue[Request]()
    until = now_us() + 400_000
    queue.put(Request(Priority.BROKEN_BOOK, "book", asks.of("book", VenueBanned("shut out", until))))
    async with working(queue):
        await asks.until(2)
    assert asks.ran_at[0] < until <= asks.ran_at[1]


@pytest.mark.parametrize(
    ("trouble", "soonest", "latest"),
    [
        (VenueRefused("halted", -1121), REFUSED_AGAIN_SECONDS, REFUSED_AGAIN_SECONDS),
        (VenueBanned("shut out", 2**62), 3600.0, 2.0**62),
        (VenueUnavailable("no answer"), 0.2, 2.2),
    ],
    ids=["refused", "banned", "unavailable"],
)
async def test_how_long_a_failed_ask_pauses_is_said(
    asks: Asks, trouble: VenueError, soonest: float, latest: float, caplog: pytest.LogCaptureFixture
) -> None:
    queue = RequestQueue[Request](workers=1)
    queue.put(Request(Priority.NEW_BOOK, "book of BTCUSDT", asks.of("book", trouble)))
    queue.put(Request(Priority.PROOF, "after it", asks.of("after it")))
    async with working(queue):
        await asks.until(2)
    (said,) = (vars(record) for record in caplog.records if record.message == "will ask again")
    assert (said["what"], said["why"]) == ("book of BTCUSDT", str(trouble))
    assert soonest <= said["seconds"] <= latest


async def test_a_ban_that_concerns_every_question_is_said_a_few_times(asks: Asks, caplog: pytest.LogCaptureFixture) -> None:
    queue = RequestQueue[Request]()
    for number in range(50):
        queue.put(Request(Priority.NEW_BOOK, f"book {number}", asks.of("book", VenueBanned("shut out", 2**62))))
    async with working(queue):
        await asks.until(50)
    assert [record.message for record in caplog.records] == ["will ask again"] * 2


async def test_an_error_that_nobody_foresaw_ends_the_queue(asks: Asks) -> None:
    queue = RequestQueue[Request]()
    queue.put(Request(Priority.NEW_BOOK, "book", asks.of("book", RuntimeError("a bug"))))
    async with working(queue) as task:
        await asyncio.wait([task], timeout=patience(20))
        error = task.exception()
    assert isinstance(error, ExceptionGroup)
    assert error.subgroup(RuntimeError)


@pytest.mark.slow
async def test_an_answer_that_nobody_can_make_anything_of_is_asked_for_again(
    asks: Asks, caplog: pytest.LogCaptureFixture
) -> None:
    """Data never ends the queue; what it did is said once, with where."""
    queue = RequestQueue[Request]()
    queue.put(Request(Priority.NEW_BOOK, "book", asks.of("book", ValueError("odd"), KeyError("odd"))))
    async with working(queue):
        await asks.until(3)
    assert sum(record.exc_info is not None for record in caplog.records) == 1


async def test_work_under_way_ends_with_the_queue(asks: Asks) -> None:
    queue = RequestQueue[Request](workers=2)
    queue.put(Request(Priority.NEW_BOOK, "book", asks.of("book", is_held=True)))
    async with working(queue) as task:
        await asks.until(1)
    assert task.cancelled()
    assert asks.ran == ["book"]

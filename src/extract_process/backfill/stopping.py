"""Work that ends when a stop is asked for, and what to say of several errors at once."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from tickhouse_core.errors import Interrupted, TickhouseError
from tickhouse_core.lifecycle import StopRequest

Found = TypeVar("Found")

_FAILURES_SAID = 3


async def unless_stopped(work: Coroutine[Any, Any, Found], stop: StopRequest, said: str) -> Found:
    """Its result. Where the stop comes first the work is cancelled, and Interrupted with these words is raised."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    with stop.calling(lambda: loop.call_soon_threadsafe(stopped.set)):
        task, waiting = asyncio.create_task(work), asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Interrupted(said)
        finally:
            for one in (task, waiting):
                one.cancel()
            await asyncio.gather(task, waiting, return_exceptions=True)


def most_telling(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of several errors at once the one a person must know: ours before others, the first of them."""
    flat = [error for error in group.exceptions if not isinstance(error, BaseExceptionGroup)]
    ours = [error for error in flat if isinstance(error, TickhouseError)]
    return (ours or flat or [group])[0]


def in_few_words(failures: Sequence[str], what: str) -> str:
    """The first of them, and how many more of `what`: a run over years may have hundreds."""
    more = f"; and {len(failures) - _FAILURES_SAID} more {what}" if len(failures) > _FAILURES_SAID else ""
    return "; ".join(failures[:_FAILURES_SAID]) + more

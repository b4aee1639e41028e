"""Lane: the messages of one topic and ordering key, and when the next batch of them is there."""

import asyncio
from collections.abc import Callable

from extract_process.mirror_messages import MessageForms, Outgoing
from extract_process.publish_backlog import Backlog


class Lane:
    """The messages of one topic and ordering key. `newest` says a book's or ticker's next message when it is wanted."""

    def __init__(
        self,
        topic: str,
        forms: MessageForms,
        backlog: Backlog,
        newest: Callable[[], Outgoing | None] | None,
        on_lost: Callable[[], None] | None,
    ) -> None:
        self.topic = topic
        self.forms = forms
        self.key = forms.ordering_key
        self.backlog = backlog
        self._newest = newest
        self._on_lost = on_lost
        self._filled = asyncio.Event()
        self._full = asyncio.Event()

    def put(self, message: Outgoing) -> None:
        self.backlog.put(message)
        self._filled.set()
        if self.backlog.has_full_batch:
            self._full.set()

    def say_newest(self) -> None:
        """Puts the next message if there is room; otherwise the newest follows as soon as there is."""
        if self.backlog.has_room:
            self._put_newest()
        else:
            self.backlog.owes_newest = True

    def say_lost(self) -> None:
        """What was given up is told again from the start."""
        if self._on_lost is not None:
            self._on_lost()

    def pay_newest(self) -> None:
        """After a request: what could not be said while it was under way."""
        if self.backlog.owes_newest and self.backlog.has_room:
            self._put_newest()

    def next_attempt(self) -> list[Outgoing]:
        """The batch to send now; after everything was given up, the newest."""
        if self.backlog.is_empty and self.backlog.failures:
            self._put_newest()
            if self.backlog.is_empty:
                self.backlog.on_nothing_to_say()
        batch = self.backlog.take_batch()
        if not self.backlog.has_full_batch:
            self._full.clear()
        return batch

    async def wait_for_batch(self, seconds: float) -> None:
        """Until something waits, and then until it is a full batch, at most so long."""
        if self.backlog.is_empty:
            self._filled.clear()
            await self._filled.wait()
        if seconds and not self.backlog.has_full_batch:
            self._full.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._full.wait()
            except TimeoutError:
                return

    def hurry(self) -> None:
        """Whatever waits goes now."""
        self._full.set()

    def _put_newest(self) -> None:
        self.backlog.owes_newest = False
        if self._newest is not None and (message := self._newest()) is not None:
            self.put(message)

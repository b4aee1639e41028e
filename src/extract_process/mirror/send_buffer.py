"""PURE. SendBuffer: what waits to be published under one ordering key, and what becomes of it when Pub/Sub is away.

Two kinds: one that can make its latest message at any time (a book, a ticker) gives up what failed and starts again from there;
one whose messages are facts of their own (trades) keeps them as long as there is room and loses the oldest first.
"""

from collections import deque
from dataclasses import dataclass

from extract_process.mirror.messages import Message
from tickhouse_core.backoff import Backoff

OVERHEAD_BYTES = 200
"""Of a waiting message beside its body, in Python's memory."""

BETWEEN_TRIES = Backoff(0.4, 2.0)


@dataclass(frozen=True, slots=True)
class SendLimits:
    """Pub/Sub takes at most 1,000 messages and 10 MB in a request."""

    batch_messages: int = 1_000
    batch_bytes: int = 4_000_000
    waiting_messages: int = 2_000
    waiting_bytes: int = 1_000_000
    give_up_seconds: float = 5.0


class SharedQuota:
    """Flow control over all backlogs of a process: bytes that wait or are under way."""

    def __init__(self, limit_bytes: int) -> None:
        self.used_bytes = 0
        self._limit_bytes = limit_bytes

    @property
    def is_full(self) -> bool:
        return self.used_bytes >= self._limit_bytes


class SendBuffer:
    """Messages in order; those under way are not touched until their request is answered."""

    def __init__(self, limits: SendLimits, room: SharedQuota, *, keeps: bool) -> None:
        """`keeps`: messages are facts of their own, see above."""
        self.failures = 0
        self.lost = 0
        self.latest_pending = False
        self._limits = limits
        self._room = room
        self._keeps = keeps
        self._waiting: deque[Message] = deque()
        self._waiting_bytes = 0
        self._under_way: list[Message] = []
        self._failing_since = 0.0

    @property
    def count(self) -> int:
        """Messages that wait or are under way."""
        return len(self._waiting) + len(self._under_way)

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._under_way

    @property
    def has_full_batch(self) -> bool:
        return len(self._waiting) >= self._limits.batch_messages or self._waiting_bytes >= self._limits.batch_bytes

    @property
    def has_room(self) -> bool:
        """Whether one more can wait. Without room the latest message is sent as soon as there is."""
        return not self.failures and not self._is_full()

    def put(self, message: Message) -> None:
        """Of messages that are kept, the oldest waiting ones go where there is no room."""
        while self._keeps and self._waiting and self._is_full():
            self._count(-_size(self._waiting.popleft()))
            self.lost += 1
        self._waiting.append(message)
        self._count(_size(message))

    def take_batch(self) -> list[Message]:
        """The next request: the one that failed again, or the oldest waiting ones. Empty where nothing waits."""
        if not self._under_way:
            size = 0
            while self._waiting and len(self._under_way) < self._limits.batch_messages and size < self._limits.batch_bytes:
                message = self._waiting.popleft()
                self._waiting_bytes -= _size(message)
                self._under_way.append(message)
                size += _size(message)
        return self._under_way

    def on_published(self) -> int:
        """The request was answered; how many messages it had."""
        self.failures = 0
        return self._drop_under_way()

    def on_failed(self, now: float, *, is_gone: bool = False) -> bool:
        """No answer, or trouble that may pass. True where all that waited was given up: the latest must be sent whole.

        `is_gone`: the topic is not there (any more), so those who listened have lost their place anyway.
        """
        if not self.failures:
            self._failing_since = now
        self.failures += 1
        is_over = is_gone or now - self._failing_since >= self._limits.give_up_seconds
        return not self._keeps and is_over and self._give_up()

    def on_refused(self) -> bool:
        """Pub/Sub will never take this very request. True where the latest must be sent whole."""
        self.failures += 1
        if self._keeps:
            self.lost += self._drop_under_way()
            return False
        return self._give_up()

    def on_nothing_to_send(self) -> None:
        """There was nothing to try again with: the next message is an attempt of its own."""
        self.failures = 0

    def pause_seconds(self, fraction: float) -> float:
        """Before the next attempt, with jitter; `fraction` is random in [0, 1)."""
        return BETWEEN_TRIES.pause(self.failures, 0.5 + fraction / 2)

    def _give_up(self) -> bool:
        self.lost += self._drop_under_way() + len(self._waiting)
        self._count(-self._waiting_bytes)
        self._waiting.clear()
        return True

    def _is_full(self) -> bool:
        limits = self._limits
        is_long = len(self._waiting) >= limits.waiting_messages or self._waiting_bytes >= limits.waiting_bytes
        return is_long or (self._room.is_full and bool(self._waiting))

    def _drop_under_way(self) -> int:
        count = len(self._under_way)
        self._room.used_bytes -= sum(map(_size, self._under_way))
        self._under_way = []
        return count

    def _count(self, size: int) -> None:
        self._waiting_bytes += size
        self._room.used_bytes += size


def _size(message: Message) -> int:
    return len(message.data) + OVERHEAD_BYTES

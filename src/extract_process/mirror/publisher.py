"""Publisher: brings messages to Pub/Sub in batches, in order under each ordering key, one request a key under way.

A request that fails is made again; nothing else goes out under its key before. What must wait, waits in a SendBuffer.
"""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from google.api_core.exceptions import GoogleAPIError, InvalidArgument, NotFound
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherAsyncClient, PublishRequest, PubsubMessage

from extract_process.mirror.messages import Message, MessageForms
from extract_process.mirror.pubsub import REFUSALS
from extract_process.mirror.send_buffer import SendBuffer, SendLimits, SharedQuota

log = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0
MOST_REQUESTS = 32
"""Under way at once, over all ordering keys: one HTTP/2 connection takes a hundred."""

_Request = PublishRequest.pb()
_Message = PubsubMessage.pb()


class OrderedQueue:
    """The messages of one topic and ordering key. `latest` makes a book's or ticker's next message."""

    def __init__(
        self,
        topic: str,
        forms: MessageForms,
        buffer: SendBuffer,
        latest: Callable[[], Message | None] | None,
        on_lost: Callable[[], None] | None,
    ) -> None:
        self.topic = topic
        self.forms = forms
        self.key = forms.ordering_key
        self.buffer = buffer
        self._latest = latest
        self._on_lost = on_lost
        self._filled = asyncio.Event()
        self._full = asyncio.Event()

    def put(self, message: Message) -> None:
        self.buffer.put(message)
        self._filled.set()
        if self.buffer.has_full_batch:
            self._full.set()

    def publish_latest(self) -> None:
        """Queues the next message if there is room; otherwise the latest follows as soon as there is."""
        if self.buffer.has_room:
            self._put_latest()
        else:
            self.buffer.latest_pending = True

    def report_lost(self) -> None:
        """Messages were given up: the owner starts again with a whole one."""
        if self._on_lost is not None:
            self._on_lost()

    def publish_pending(self) -> None:
        """After a request: what changed while it was under way."""
        if self.buffer.latest_pending and self.buffer.has_room:
            self._put_latest()

    def next_attempt(self) -> list[Message]:
        """The batch to send now; after everything was given up, the latest."""
        if self.buffer.is_empty and self.buffer.failures:
            self._put_latest()
            if self.buffer.is_empty:
                self.buffer.on_nothing_to_send()
        batch = self.buffer.take_batch()
        if not self.buffer.has_full_batch:
            self._full.clear()
        return batch

    async def wait_for_batch(self, seconds: float) -> None:
        """Until something waits, and then until it is a full batch, at most `seconds`."""
        if self.buffer.is_empty:
            self._filled.clear()
            await self._filled.wait()
        if seconds and not self.buffer.has_full_batch:
            self._full.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._full.wait()
            except TimeoutError:
                return

    def hurry(self) -> None:
        """Send what waits without waiting for a full batch."""
        self._full.set()

    def _put_latest(self) -> None:
        self.buffer.latest_pending = False
        if self._latest is not None and (message := self._latest()) is not None:
            self.put(message)


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """A batch goes when it is full or its first message has waited `batch_seconds`."""

    batch_seconds: float = 0.1
    limits: SendLimits = field(default_factory=SendLimits)
    room_bytes: int = 16 * 1024**2


@dataclass(slots=True)
class PublishCounts:
    """Since the start of the process; bytes as Pub/Sub bills them: bodies, attributes and ordering keys."""

    messages: int = 0
    message_bytes: int = 0
    requests: int = 0
    failed_requests: int = 0
    lost: int = 0


class _Gate:
    """One topic. While it is away, one queue at a time knocks: hundreds of failing requests would cost more than the outage."""

    def __init__(self) -> None:
        self.away_since: float | None = None
        self.knocking = asyncio.Lock()


class Publisher:
    """`run` sends until cancelled; `finish` sends what waits and ends it."""

    def __init__(self, client: PublisherAsyncClient, options: PublishOptions) -> None:
        self._counts = PublishCounts()
        self._left = 0
        self._client = client
        self._options = options
        self._room = SharedQuota(options.room_bytes)
        self._queues: list[OrderedQueue] = []
        self._requests = asyncio.Semaphore(MOST_REQUESTS)
        self._gates: defaultdict[str, _Gate] = defaultdict(_Gate)
        self._is_finishing = False
        self._drained = asyncio.Event()

    def open_queue(
        self,
        topic: str,
        forms: MessageForms,
        latest: Callable[[], Message | None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> OrderedQueue:
        """Before `run`. Without `latest` the messages are facts of their own and kept as long as there is room."""
        queue = OrderedQueue(topic, forms, SendBuffer(self._options.limits, self._room, keeps=latest is None), latest, on_lost)
        self._queues.append(queue)
        return queue

    @property
    def counts(self) -> PublishCounts:
        self._counts.lost = sum(queue.buffer.lost for queue in self._queues) + self._left
        return self._counts

    @property
    def waiting_bytes(self) -> int:
        """In memory for requests to come or under way."""
        return self._room.used_bytes

    @property
    def is_away(self) -> bool:
        """Whether requests to some topic fail."""
        return any(gate.away_since is not None for gate in self._gates.values())

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for queue in self._queues:
                group.create_task(self._run_queue(queue))

    async def finish(self, seconds: float) -> int:
        """Sends everything that waits, within `seconds`; returns the number of messages left. `run` must still be running."""
        self._is_finishing = True
        for queue in self._queues:
            queue.hurry()
        self._see_whether_drained()
        try:
            async with asyncio.timeout(seconds):
                await self._drained.wait()
        except TimeoutError:
            log.error("Pub/Sub did not take everything in time", extra={"seconds": seconds})
        left = sum(queue.buffer.count for queue in self._queues)
        self._left = left
        return left

    async def _run_queue(self, queue: OrderedQueue) -> None:
        while True:
            await queue.wait_for_batch(0.0 if self._is_finishing else self._options.batch_seconds)
            await self._deliver(queue)
            queue.publish_pending()
            self._see_whether_drained()

    async def _deliver(self, queue: OrderedQueue) -> None:
        """Until a batch is published, or nothing is left to send."""
        gate = self._gates[queue.topic]
        while True:
            if gate.away_since is not None:
                await self._wait_at(gate, queue)
            batch = queue.next_attempt()
            if not batch or await self._publish(queue, batch):
                return
            if gate.away_since is None:  # this very request was refused
                await asyncio.sleep(queue.buffer.pause_seconds(random.random()))

    async def _wait_at(self, gate: _Gate, queue: OrderedQueue) -> None:
        """Until the topic is back: tries it when it is this queue's turn; with nothing to send the turn ends at once."""
        self._hold(queue)
        async with gate.knocking:
            while gate.away_since is not None and (batch := queue.next_attempt()):
                if await self._publish(queue, batch):
                    return
                await asyncio.sleep(queue.buffer.pause_seconds(random.random()))
        if not queue.buffer.is_empty:
            self._hold(queue)

    def _see_whether_drained(self) -> None:
        if self._is_finishing and all(queue.buffer.is_empty for queue in self._queues):
            self._drained.set()

    async def _publish(self, queue: OrderedQueue, batch: list[Message]) -> bool:
        try:
            async with self._requests:
                await self._client.publish(request=_request(queue, batch), retry=None, timeout=REQUEST_SECONDS)
        except (GoogleAPIError, GoogleAuthError) as error:
            self._on_failure(queue, error)
            return False
        self._counts.requests += 1
        self._counts.messages += queue.buffer.on_published()
        self._counts.message_bytes += sum(_billed(queue, message) for message in batch)
        self._report_back(queue.topic)
        return True

    def _on_failure(self, queue: OrderedQueue, error: Exception) -> None:
        self._counts.failed_requests += 1
        if isinstance(error, InvalidArgument):
            log.error("messages refused", extra={"topic": queue.topic, "why": str(error)[:300]})
            if queue.buffer.on_refused():
                queue.report_lost()
            return
        self._report_away(queue.topic, error)
        self._hold(queue, is_gone=isinstance(error, (NotFound, *REFUSALS)))

    def _hold(self, queue: OrderedQueue, *, is_gone: bool = False) -> None:
        """The queue cannot go on for now; what it held for too long is given up."""
        if queue.buffer.on_failed(asyncio.get_running_loop().time(), is_gone=is_gone):
            queue.report_lost()

    def _report_away(self, topic: str, error: Exception) -> None:
        gate = self._gates[topic]
        if gate.away_since is None:
            gate.away_since = asyncio.get_running_loop().time()
            advice = "create it with `tickhouse provision --pubsub`" if isinstance(error, NotFound) else "trying again"
            log.error("cannot publish", extra={"topic": topic, "why": str(error)[:300], "now": advice})

    def _report_back(self, topic: str) -> None:
        gate = self._gates[topic]
        if gate.away_since is not None:
            seconds = round(asyncio.get_running_loop().time() - gate.away_since, 1)
            gate.away_since = None
            log.warning("publishing again", extra={"topic": topic, "away_seconds": seconds})


def _request(queue: OrderedQueue, batch: list[Message]) -> PublishRequest:
    """Made of plain protobuf messages: their proto-plus wrappers cost several times as much."""
    key, attributes_of = queue.key, queue.forms.attributes
    messages = [_Message(data=message.data, attributes=attributes_of(message), ordering_key=key) for message in batch]
    request: PublishRequest = PublishRequest.wrap(_Request(topic=queue.topic, messages=messages))
    return request


def _billed(queue: OrderedQueue, message: Message) -> int:
    attributes = sum(len(name) + len(value) for name, value in queue.forms.attributes(message).items())
    return len(message.data) + attributes + len(queue.key)

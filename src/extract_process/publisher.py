"""Publisher: brings messages to Pub/Sub in batches, in order under each ordering key, one request a key under way.

A request that fails is made again; nothing else goes out under its key before. What must wait, waits in a Backlog.
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

from extract_process.mirror_messages import MessageForms, Outgoing
from extract_process.publish_backlog import Backlog, BacklogLimits, SharedRoom
from extract_process.publish_lane import Lane
from extract_process.pubsub import REFUSALS

log = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0
MOST_REQUESTS = 32
"""Under way at once, over all ordering keys: one HTTP/2 connection takes a hundred."""

_Request = PublishRequest.pb()
_Message = PubsubMessage.pb()


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """A batch goes when it is full or its first message has waited `batch_seconds`."""

    batch_seconds: float = 0.1
    limits: BacklogLimits = field(default_factory=BacklogLimits)
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
    """One topic. While it is away, one lane at a time knocks: hundreds of failing requests would cost more than the outage."""

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
        self._room = SharedRoom(options.room_bytes)
        self._lanes: list[Lane] = []
        self._requests = asyncio.Semaphore(MOST_REQUESTS)
        self._gates: defaultdict[str, _Gate] = defaultdict(_Gate)
        self._is_finishing = False
        self._drained = asyncio.Event()

    def lane(
        self,
        topic: str,
        forms: MessageForms,
        newest: Callable[[], Outgoing | None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> Lane:
        """Before `run`. Without `newest` the messages are facts of their own and kept as long as there is room."""
        lane = Lane(topic, forms, Backlog(self._options.limits, self._room, keeps=newest is None), newest, on_lost)
        self._lanes.append(lane)
        return lane

    @property
    def counts(self) -> PublishCounts:
        self._counts.lost = sum(lane.backlog.lost for lane in self._lanes) + self._left
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
            for lane in self._lanes:
                group.create_task(self._run_lane(lane))

    async def finish(self, seconds: float) -> int:
        """Everything that waits goes at once, within so long; how many messages are left. `run` must still be running."""
        self._is_finishing = True
        for lane in self._lanes:
            lane.hurry()
        self._see_whether_drained()
        try:
            async with asyncio.timeout(seconds):
                await self._drained.wait()
        except TimeoutError:
            log.error("Pub/Sub did not take everything in time", extra={"seconds": seconds})
        left = sum(lane.backlog.count for lane in self._lanes)
        self._left = left
        return left

    async def _run_lane(self, lane: Lane) -> None:
        while True:
            await lane.wait_for_batch(0.0 if self._is_finishing else self._options.batch_seconds)
            await self._deliver(lane)
            lane.pay_newest()
            self._see_whether_drained()

    async def _deliver(self, lane: Lane) -> None:
        """Until a batch is published, or there is nothing to say any more."""
        gate = self._gates[lane.topic]
        while True:
            if gate.away_since is not None:
                await self._wait_at(gate, lane)
            batch = lane.next_attempt()
            if not batch or await self._publish(lane, batch):
                return
            if gate.away_since is None:  # this very request was refused
                await asyncio.sleep(lane.backlog.pause_seconds(random.random()))

    async def _wait_at(self, gate: _Gate, lane: Lane) -> None:
        """Until the topic is back, knocking when it is this lane's turn; without anything to say the turn is over at once."""
        self._hold(lane)
        async with gate.knocking:
            while gate.away_since is not None and (batch := lane.next_attempt()):
                if await self._publish(lane, batch):
                    return
                await asyncio.sleep(lane.backlog.pause_seconds(random.random()))
        if not lane.backlog.is_empty:
            self._hold(lane)

    def _see_whether_drained(self) -> None:
        if self._is_finishing and all(lane.backlog.is_empty for lane in self._lanes):
            self._drained.set()

    async def _publish(self, lane: Lane, batch: list[Outgoing]) -> bool:
        try:
            async with self._requests:
                await self._client.publish(request=_request(lane, batch), retry=None, timeout=REQUEST_SECONDS)
        except (GoogleAPIError, GoogleAuthError) as error:
            self._on_failure(lane, error)
            return False
        self._counts.requests += 1
        self._counts.messages += lane.backlog.on_published()
        self._counts.message_bytes += sum(_billed(lane, message) for message in batch)
        self._say_back(lane.topic)
        return True

    def _on_failure(self, lane: Lane, error: Exception) -> None:
        self._counts.failed_requests += 1
        if isinstance(error, InvalidArgument):
            log.error("messages refused", extra={"topic": lane.topic, "why": str(error)[:300]})
            if lane.backlog.on_refused():
                lane.say_lost()
            return
        self._say_away(lane.topic, error)
        self._hold(lane, is_gone=isinstance(error, (NotFound, *REFUSALS)))

    def _hold(self, lane: Lane, *, is_gone: bool = False) -> None:
        """The lane cannot go on for now; what it held for too long is given up."""
        if lane.backlog.on_failed(asyncio.get_running_loop().time(), is_gone=is_gone):
            lane.say_lost()

    def _say_away(self, topic: str, error: Exception) -> None:
        gate = self._gates[topic]
        if gate.away_since is None:
            gate.away_since = asyncio.get_running_loop().time()
            advice = "create it with `tickhouse provision --pubsub`" if isinstance(error, NotFound) else "trying again"
            log.error("cannot publish", extra={"topic": topic, "why": str(error)[:300], "now": advice})

    def _say_back(self, topic: str) -> None:
        gate = self._gates[topic]
        if gate.away_since is not None:
            seconds = round(asyncio.get_running_loop().time() - gate.away_since, 1)
            gate.away_since = None
            log.warning("publishing again", extra={"topic": topic, "away_seconds": seconds})


def _request(lane: Lane, batch: list[Outgoing]) -> PublishRequest:
    """Made of plain protobuf messages: their proto-plus wrappers cost several times as much."""
    key, attributes_of = lane.key, lane.forms.attributes
    messages = [_Message(data=message.data, attributes=attributes_of(message), ordering_key=key) for message in batch]
    request: PublishRequest = PublishRequest.wrap(_Request(topic=lane.topic, messages=messages))
    return request


def _billed(lane: Lane, message: Outgoing) -> int:
    attributes = sum(len(name) + len(value) for name, value in lane.forms.attributes(message).items())
    return len(message.data) + attributes + len(lane.key)

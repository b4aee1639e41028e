"""Subscription: reads the mirror's messages in order, and keeps reading when Pub/Sub was away."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc.aio
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import ExpirationPolicy, PubsubMessage, SubscriberAsyncClient
from google.pubsub_v1 import Subscription as SubscriptionRequest
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from extract_process.pubsub import credentials_needed, pubsub_errors, subscription_path, topic_path
from tickhouse_core.settings import PubSubSettings

log = logging.getLogger(__name__)

PULL_SECONDS = 10.0
MOST_MESSAGES = 1_000
_PAUSE_SECONDS = 1.0
_DAY = Duration(seconds=24 * 3600)
_TEN_MINUTES = Duration(seconds=600)


@asynccontextmanager
async def open_subscriber(settings: PubSubSettings) -> AsyncIterator[SubscriberAsyncClient]:
    """Google's generated client for an event loop. Raises UsageError without credentials."""
    if settings.emulator_host is None:
        with credentials_needed():
            transport = SubscriberGrpcAsyncIOTransport(always_use_jwt_access=True)
    else:
        channel = grpc.aio.insecure_channel(settings.emulator_host)
        transport = SubscriberGrpcAsyncIOTransport(channel=channel, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    try:
        yield SubscriberAsyncClient(transport=transport)
    finally:
        await transport.close()  # type: ignore[no-untyped-call]


class Subscription:
    """A subscription by name, or a passing one of the topic that is made now, made again if it is lost, and removed."""

    def __init__(self, client: SubscriberAsyncClient, project: str, topic: str, name: str | None) -> None:
        self._client = client
        self._topic = topic_path(project, topic)
        self._is_passing = name is None
        self._path = subscription_path(project, name or f"mirror-check-{uuid.uuid4().hex[:12]}")

    async def open(self) -> None:
        """Raises NotProvisioned without the topic or the named subscription."""
        if self._is_passing:
            with pubsub_errors(self._topic):
                await self._create()
        else:
            with pubsub_errors(self._path):
                await self._client.get_subscription(subscription=self._path, timeout=PULL_SECONDS)

    async def close(self) -> None:
        """Removes a passing subscription; one that cannot be removed expires within a day."""
        if not self._is_passing:
            return
        try:
            await self._client.delete_subscription(subscription=self._path, timeout=PULL_SECONDS)
        except GoogleAPIError as error:
            log.warning("subscription is left to expire", extra={"subscription": self._path, "why": str(error)[:200]})

    async def run(self, on_messages: Callable[[list[PubsubMessage]], Awaitable[None]]) -> None:
        """Reads until cancelled."""
        while True:
            try:
                await self._read(on_messages)
            except DeadlineExceeded:
                continue  # nothing was published for a while
            except GoogleAPIError as error:
                log.warning("cannot read, trying again", extra={"why": str(error)[:200]})
                await asyncio.sleep(_PAUSE_SECONDS)
                if isinstance(error, NotFound):
                    await self._create_again()

    async def _read(self, on_messages: Callable[[list[PubsubMessage]], Awaitable[None]]) -> None:
        answer = await self._client.pull(subscription=self._path, max_messages=MOST_MESSAGES, retry=None, timeout=PULL_SECONDS)
        received = list(answer.received_messages)
        if received:
            await on_messages([item.message for item in received])
            ids = [item.ack_id for item in received]
            await self._client.acknowledge(subscription=self._path, ack_ids=ids, retry=None, timeout=PULL_SECONDS)

    async def _create_again(self) -> None:
        if not self._is_passing:
            return
        try:
            await self._create()
        except GoogleAPIError as error:
            log.warning("cannot subscribe again yet", extra={"why": str(error)[:200]})

    async def _create(self) -> None:
        wanted = SubscriptionRequest(
            name=self._path,
            topic=self._topic,
            enable_message_ordering=True,
            ack_deadline_seconds=60,
            message_retention_duration=_TEN_MINUTES,
            expiration_policy=ExpirationPolicy(ttl=_DAY),
        )
        await self._client.create_subscription(request=wanted, timeout=PULL_SECONDS)

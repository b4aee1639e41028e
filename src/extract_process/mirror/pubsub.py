"""The way to Google Pub/Sub or its emulator: clients, names, and what its errors mean to us."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc.aio
from google.api_core import exceptions as google_errors
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import ExpirationPolicy, PublisherAsyncClient, PubsubMessage, SubscriberAsyncClient
from google.pubsub_v1 import Subscription as SubscriptionRequest
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from tickhouse_core.errors import NotProvisioned, PubSubRefused, PubSubUnavailable, UsageError
from tickhouse_core.settings import PubSubSettings

REFUSALS = (
    google_errors.InvalidArgument,
    google_errors.PermissionDenied,
    google_errors.Unauthenticated,
    google_errors.FailedPrecondition,
    google_errors.MethodNotImplemented,
)
"""What no retry changes. Anything else may pass."""

_CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # the default of two minutes would outlast an outage
    ("grpc.keepalive_time_ms", 30_000),  # a connection that died silently is found without a request
]

log = logging.getLogger(__name__)

PULL_SECONDS = 10.0
MOST_MESSAGES = 1_000
_PAUSE_SECONDS = 1.0
_DAY = Duration(seconds=24 * 3600)
_TEN_MINUTES = Duration(seconds=600)


def topic_path(project: str, topic: str) -> str:
    return f"projects/{project}/topics/{topic}"


def subscription_path(project: str, subscription: str) -> str:
    return f"projects/{project}/subscriptions/{subscription}"


@asynccontextmanager
async def open_publisher(settings: PubSubSettings) -> AsyncIterator[PublisherAsyncClient]:
    """Google's generated client for an event loop.

    Its `PublisherClient` with threads costs 35 µs a message and 480 µs where every message has another ordering key,
    against 4 and 150 (benchmarks/bench_mirror.py): a batch may hold one ordering key only, and it starts a thread for
    each. Raises UsageError without credentials.
    """
    if settings.emulator_host is None:
        with credentials_needed():
            transport = PublisherGrpcAsyncIOTransport(channel=_google_channel, always_use_jwt_access=True)
    else:
        channel = grpc.aio.insecure_channel(settings.emulator_host, options=_CHANNEL_OPTIONS)
        transport = PublisherGrpcAsyncIOTransport(channel=channel, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    client = PublisherAsyncClient(transport=transport)
    try:
        yield client
    finally:
        await client.transport.close()  # type: ignore[no-untyped-call]


@contextmanager
def credentials_needed() -> Iterator[None]:
    """One clear line where Google's client finds no credentials."""
    try:
        yield
    except DefaultCredentialsError:
        raise UsageError(
            "no Google credentials: run `gcloud auth application-default login`, set GOOGLE_APPLICATION_CREDENTIALS, or "
            "point PUBSUB_EMULATOR_HOST at an emulator"
        ) from None  # Google's text repeats what is in the variable, and some paste the key itself there


@contextmanager
def pubsub_errors(what: str) -> Iterator[None]:
    """Maps the client's errors: NotProvisioned, PubSubRefused, PubSubUnavailable, each naming `what`."""
    try:
        yield
    except google_errors.NotFound as error:
        raise NotProvisioned(f"{what} does not exist: run `tickhouse provision --pubsub`") from error
    except REFUSALS as error:
        raise PubSubRefused(f"{what}: Pub/Sub refused: {error.message}") from error
    except (google_errors.GoogleAPIError, GoogleAuthError) as error:
        raise PubSubUnavailable(f"{what}: Pub/Sub does not answer: {error}") from error


def _google_channel(host: str, **options: Any) -> grpc.aio.Channel:
    """The service's own channel, with our options."""
    return PublisherGrpcAsyncIOTransport.create_channel(host, **{**options, "options": _CHANNEL_OPTIONS})


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

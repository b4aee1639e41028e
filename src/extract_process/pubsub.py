"""The way to Google Pub/Sub or its emulator: clients, names, and what its errors mean to us."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc.aio
from google.api_core import exceptions as google_errors
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

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
    """Says what to do where Google's client finds nobody to act for."""
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

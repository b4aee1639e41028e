"""Creates the mirror's topics, the dead-letter topic and an example subscription; every step is safe to repeat."""

import logging
from collections.abc import Callable

from google.api_core.exceptions import AlreadyExists
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import (
    DeadLetterPolicy,
    ExpirationPolicy,
    PublisherClient,
    RetryPolicy,
    SubscriberClient,
    Subscription,
    Topic,
)

from extract_process.mirror.messages import CHANNELS, topic_name
from extract_process.mirror.pubsub import credentials_needed, pubsub_errors, subscription_path, topic_path
from extract_process.venues import venue_names
from tickhouse_core.errors import NotProvisioned
from tickhouse_core.settings import PubSubSettings

log = logging.getLogger(__name__)

DEAD_LETTERS = "crypto.dead-letters"
MAX_DELIVERY_ATTEMPTS = 5
_SECONDS = 30.0
_EXAMPLE_RETENTION = Duration(seconds=600)  # a book is about now
_DEAD_LETTER_RETENTION = Duration(seconds=7 * 24 * 3600)


def provision_pubsub(settings: PubSubSettings) -> None:
    """Topics `crypto.<venue>.l2`, `.trades`, `.ticker` and `crypto.dead-letters`, subscriptions that show how.

    Google's clients read PUBSUB_EMULATOR_HOST themselves. Raises UsageError without credentials, PubSubRefused,
    PubSubUnavailable.
    """
    with credentials_needed():
        publisher, subscriber = PublisherClient(), SubscriberClient()
    with publisher, subscriber:
        for name in (DEAD_LETTERS, *(topic_name(venue, channel) for venue in venue_names() for channel in CHANNELS)):
            topic = Topic(name=topic_path(settings.project, name))
            _create(f"topic {name}", lambda topic=topic: publisher.create_topic(request=topic, timeout=_SECONDS))  # type: ignore[misc]
        for subscription in (_dead_letters(settings.project), *(_example(settings.project, venue) for venue in venue_names())):
            _create(
                f"subscription {subscription.name}",
                lambda wanted=subscription: subscriber.create_subscription(request=wanted, timeout=_SECONDS),  # type: ignore[misc]
            )
    log.info("Pub/Sub provisioned", extra={"project": settings.project})


def has_forgotten(settings: PubSubSettings) -> bool:
    """Whether what `provision_pubsub` creates last is not there. Raises UsageError, PubSubRefused, PubSubUnavailable."""
    with credentials_needed():
        subscriber = SubscriberClient()
    name = _example(settings.project, venue_names()[-1]).name
    with subscriber:
        try:
            with pubsub_errors(f"subscription {name}"):
                subscriber.get_subscription(subscription=name, timeout=_SECONDS)
        except NotProvisioned:
            return True
    return False


def _create(what: str, create: Callable[[], object]) -> None:
    with pubsub_errors(what):
        try:
            create()
        except AlreadyExists:
            log.debug("already there", extra={"what": what})


def _example(project: str, venue: str) -> Subscription:
    """`crypto.<venue>.l2.example`: in order, and what fails five times goes aside instead of blocking its symbol."""
    topic = topic_name(venue, "depth")
    return Subscription(
        name=subscription_path(project, f"{topic}.example"),
        topic=topic_path(project, topic),
        enable_message_ordering=True,
        ack_deadline_seconds=30,
        message_retention_duration=_EXAMPLE_RETENTION,
        dead_letter_policy=DeadLetterPolicy(
            dead_letter_topic=topic_path(project, DEAD_LETTERS), max_delivery_attempts=MAX_DELIVERY_ATTEMPTS
        ),
        retry_policy=RetryPolicy(minimum_backoff=Duration(seconds=1), maximum_backoff=Duration(seconds=60)),
    )


def _dead_letters(project: str) -> Subscription:
    """Keeps dead letters: a topic without a subscription forgets. Never expires."""
    return Subscription(
        name=subscription_path(project, f"{DEAD_LETTERS}.all"),
        topic=topic_path(project, DEAD_LETTERS),
        ack_deadline_seconds=60,
        message_retention_duration=_DEAD_LETTER_RETENTION,
        expiration_policy=ExpirationPolicy(),
    )

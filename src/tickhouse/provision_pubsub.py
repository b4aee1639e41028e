"""Creates the mirror's topics, typed by schemas, the dead-letter topic and an example subscription; safe to repeat."""

import logging
from collections.abc import Callable

from google.api_core.exceptions import AlreadyExists
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.pubsub_v1 import (
    DeadLetterPolicy,
    Encoding,
    ExpirationPolicy,
    PublisherClient,
    RetryPolicy,
    Schema,
    SchemaServiceClient,
    SchemaSettings,
    SubscriberClient,
    Subscription,
    Topic,
)

from extract_process.mirror.messages import CHANNELS, TOPIC_ENDS, topic_name
from extract_process.mirror.pubsub import credentials_needed, pubsub_errors, subscription_path, topic_path
from extract_process.venues import venue_names
from tickhouse_core.errors import NotProvisioned, PubSubRefused
from tickhouse_core.resources import RESOURCES
from tickhouse_core.settings import PubSubSettings

log = logging.getLogger(__name__)

DEAD_LETTERS = "crypto.dead-letters"
MAX_DELIVERY_ATTEMPTS = 5
SCHEMA_FILES = {
    "depth": ("l2.avsc", Schema.Type.AVRO),
    "trades": ("trades.avsc", Schema.Type.AVRO),
    "ticker": ("ticker.proto", Schema.Type.PROTOCOL_BUFFER),
}
"""By channel, in resources/pubsub."""

_SECONDS = 30.0
_DELETED_SCHEMA = "_deleted-schema_"
_EXAMPLE_RETENTION = Duration(seconds=600)  # a book is about now
_DEAD_LETTER_RETENTION = Duration(seconds=7 * 24 * 3600)


def provision_pubsub(settings: PubSubSettings) -> None:
    """Topics `crypto.<venue>.l2`, `.trades`, `.ticker` and `crypto.dead-letters`, subscriptions that show how.

    Pub/Sub checks each message against its topic's schema. Where it refuses a schema, the topic has none, and a warning says why.
    Google's clients read PUBSUB_EMULATOR_HOST themselves. Raises UsageError without credentials, PubSubRefused,
    PubSubUnavailable.
    """
    with credentials_needed():
        publisher, subscriber, service = PublisherClient(), SubscriberClient(), SchemaServiceClient()
    with publisher, subscriber, service:
        _create_topic(publisher, topic_path(settings.project, DEAD_LETTERS), None)
        for channel in CHANNELS:
            schema = _schema(service, settings.project, channel)
            for venue in venue_names():
                _create_topic(publisher, topic_path(settings.project, topic_name(venue, channel)), schema)
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


def _create(what: str, create: Callable[[], object]) -> bool:
    """Whether it was not there yet."""
    with pubsub_errors(what):
        try:
            create()
        except AlreadyExists:
            log.debug("already there", extra={"what": what})
            return False
    return True


def _schema(service: SchemaServiceClient, project: str, channel: str) -> SchemaSettings | None:
    """The schema `crypto.l2`, `crypto.trades` or `crypto.ticker` with the definition of today; None where it is refused."""
    name = f"crypto.{TOPIC_ENDS[channel]}"
    file, kind = SCHEMA_FILES[channel]
    path = f"projects/{project}/schemas/{name}"
    wanted = Schema(name=path, type_=kind, definition=(RESOURCES / "pubsub" / file).read_text(encoding="utf-8"))

    def create() -> None:
        service.create_schema(parent=f"projects/{project}", schema=wanted, schema_id=name, timeout=_SECONDS)

    what = f"schema {name}"
    try:
        if not _create(what, create):
            with pubsub_errors(what):
                if service.get_schema(name=path, timeout=_SECONDS).definition != wanted.definition:
                    service.commit_schema(name=path, schema=wanted, timeout=_SECONDS)
    except PubSubRefused as error:
        log.warning("topics without a schema: their messages are not checked", extra={"schema": name, "why": str(error)})
        return None
    return SchemaSettings(schema=path, encoding=Encoding.JSON)


def _create_topic(publisher: PublisherClient, path: str, schema: SchemaSettings | None) -> None:
    """A topic that is there gets the schema if it has none; another one is its owner's."""
    topic = Topic(name=path, schema_settings=schema)
    if _create(f"topic {path}", lambda: publisher.create_topic(request=topic, timeout=_SECONDS)) or schema is None:
        return
    with pubsub_errors(f"topic {path}"):
        found = publisher.get_topic(topic=path, timeout=_SECONDS).schema_settings.schema
    if found == schema.schema:
        return
    if found not in ("", _DELETED_SCHEMA):
        log.warning("the topic keeps its own schema", extra={"topic": path, "schema": found})
        return
    try:
        with pubsub_errors(f"topic {path}"):
            publisher.update_topic(topic=topic, update_mask=FieldMask(paths=["schema_settings"]), timeout=_SECONDS)
    except PubSubRefused as error:
        log.warning("a topic without a schema: its messages are not checked", extra={"topic": path, "why": str(error)})


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

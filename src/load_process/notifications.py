"""PURE. What a message of S3's says, straight, through SNS or through EventBridge: which objects were created.

The sender chooses the body: every field is checked for its type and size before it is used.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, unquote_plus

import orjson

from load_process.objects import LoadRequest

MOST_KEY_BYTES = 1_024
"""Of a key in UTF-8 (AWS: "Creating object key names"); obstore's client panics at some 65,000."""

MOST_BODY_BYTES = 1024 * 1024
"""Of a message (AWS: "Amazon SQS message quotas"). What stands in for SQS may send more."""

_MOST_TEXT_BYTES = 255
"""Of a bucket's name (63 at most) and of an etag: what is longer is none."""


class NotificationRefused(ValueError):
    """The body, or a record of it, is no S3 event notification; no retry will make it one.

    `sound` is what the other records name.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.sound: list[LoadRequest] = []


def parse_notification(body: str) -> list[LoadRequest]:
    """The created objects a message body names: none for `s3:TestEvent` and for other events, or several.

    Three shapes: S3's own (`Records`, AWS: "Event message structure"), the same as the `Message` of an SNS notification, and
    EventBridge's (`detail-type` "Object Created", AWS: "EventBridge event message structure"), which may come through SNS too.
    Raises NotificationRefused for anything else; a record that is malformed costs its neighbours nothing.
    """
    if len(body) > MOST_BODY_BYTES:  # a character is a byte or more
        raise _refused(f"{len(body):,} characters, and {MOST_BODY_BYTES:,} bytes at most are possible", body)
    return [*_created_in(_loaded(body, body), body, through_sns=False)]


def _created_in(event: Any, body: str, *, through_sns: bool) -> Iterator[LoadRequest]:
    if not isinstance(event, dict):
        raise _refused("a JSON object is expected", body)
    match event.get("Type"):
        case "Notification" if "Records" not in event and not through_sns:
            inner = event.get("Message")
            if not isinstance(inner, str):
                raise _refused("the Message of an SNS notification is no text", body)
            yield from _created_in(_loaded(inner, body), body, through_sns=True)
            return
        case "SubscriptionConfirmation" | "UnsubscribeConfirmation" as asked:  # the body has a token, which is not repeated
            raise NotificationRefused(
                f"not an S3 event notification: an SNS topic's {asked}, and nothing comes from the topic before it is "
                "answered: subscribe the queue as its owner, or use `aws sns confirm-subscription`"
            )
    if "detail-type" in event:
        yield from _of_event_bridge(event, body)
    elif event.get("Event") != "s3:TestEvent":
        records = event.get("Records")
        if not isinstance(records, list):
            raise _refused("Records are no list", body)
        sound: list[LoadRequest] = []
        wrong: NotificationRefused | None = None
        for record in records:
            try:
                sound += _of_record(record, body)
            except NotificationRefused as error:
                wrong = wrong or error
        if wrong is not None:
            wrong.sound = sound
            raise wrong
        yield from sound


def _of_record(record: Any, body: str) -> Iterator[LoadRequest]:
    """Keys are URL-encoded with `+` for a space, each sender in its own way; `unquote_plus` reads them all."""
    name = _inside(record, body, "eventName")
    if not isinstance(name, str):
        raise _refused("an eventName is no text", body)
    if "ObjectCreated" in name:
        said = _inside(record, body, "s3", "object", "key")
        key = unquote_plus(said) if isinstance(said, str) else said
        others = (unquote(said), said) if isinstance(said, str) else ()
        yield _object_created(_inside(record, body, "s3"), key, others, body)


def _of_event_bridge(event: dict[str, Any], body: str) -> Iterator[LoadRequest]:
    """Keys come as they are, never encoded; other events of S3 (deleted, restored, ...) name nothing to load."""
    if event.get("source") != "aws.s3" or not isinstance(event["detail-type"], str):
        raise _refused("an event of something else than S3", body)
    if event["detail-type"] == "Object Created":
        detail = _inside(event, body, "detail")
        yield _object_created(detail, _inside(detail, body, "object", "key"), (), body)


def _object_created(named: Any, key: Any, others: tuple[str, ...], body: str) -> LoadRequest:
    bucket, stored = _inside(named, body, "bucket", "name"), _inside(named, body, "object")
    etag, size = stored.get("eTag", stored.get("etag", "")), stored.get("size", 0)
    return LoadRequest(
        _text(bucket, "bucket name", _MOST_TEXT_BYTES, body),
        _text(key, "key", MOST_KEY_BYTES, body),
        _text(etag, "eTag", _MOST_TEXT_BYTES, body).strip('"'),
        size if type(size) is int and size > 0 else 0,
        tuple(other for other in dict.fromkeys(others) if other != key),
    )


def _inside(value: Any, body: str, *path: str) -> Any:
    for name in path:
        if not isinstance(value, dict) or name not in value:
            raise _refused(f"no {name}", body)
        value = value[name]
    if path[-1] in ("s3", "object", "detail") and not isinstance(value, dict):
        raise _refused(f"{path[-1]} is no JSON object", body)
    return value


def _text(value: Any, name: str, most_bytes: int, body: str) -> str:
    if not isinstance(value, str):
        raise _refused(f"a {name} is no text", body)
    size = len(value.encode(errors="replace"))
    if size > most_bytes:
        raise _refused(f"a {name} has {size:,} bytes, {most_bytes:,} at most are possible", body)
    return value


def _loaded(text: str, body: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _refused(str(error), body) from error


def _refused(why: str, body: str) -> NotificationRefused:
    start = body[:200].encode(errors="replace").decode()  # it goes into a table, which takes UTF-8 only
    return NotificationRefused(f"not an S3 event notification ({why}): {start}")

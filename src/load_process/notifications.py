"""PURE. What an S3 event notification says: which objects were created."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import orjson


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """One record of a notification; `etag` is empty and `size` 0 where the sender left them out.

    The size in bytes is the sender's word: good for planning, never for trust.
    """

    bucket: str
    key: str
    etag: str
    size: int = 0


class NotificationRefused(ValueError):
    """The body is no S3 event notification; no retry will make it one."""


def parse_notification(body: str) -> list[ObjectCreated]:
    """The created objects a message body names: none for `s3:TestEvent` and for other events, or several.

    Keys are URL-encoded with `+` for a space, each sender in its own way; `unquote_plus` reads them all
    (AWS: "Event message structure", object key name). Raises NotificationRefused for anything else.
    """
    try:
        event = orjson.loads(body)
        if event.get("Event") == "s3:TestEvent":
            return []
        return [_object_created(record) for record in event["Records"] if "ObjectCreated" in record["eventName"]]
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise NotificationRefused(f"not an S3 event notification ({error!r}): {body[:200]}") from error


def _object_created(record: dict[str, Any]) -> ObjectCreated:
    bucket, stored = record["s3"]["bucket"], record["s3"]["object"]
    size = stored.get("size", 0)
    known_size = size if type(size) is int and size > 0 else 0
    return ObjectCreated(bucket["name"], unquote_plus(stored["key"]), stored.get("eTag", "").strip('"'), known_size)

"""Where objects go that can never be loaded: a copy under quarantine/ with the reason beside it."""

import orjson

from pipeline.object_store import ObjectStore
from pipeline.timestamps import format_instant, now_us


def quarantine(store: ObjectStore, key: str, etag: str, reason: str, detail: str) -> str:
    """Copies the object to `quarantine/<key>` and writes `quarantine/<key>.reason.json`; returns the copy's key.

    The original stays: nothing in the lake is ever deleted. Doing it twice leaves the same two objects.
    """
    refused_key = f"quarantine/{key}"
    store.copy(key, to=refused_key)
    explanation = {
        "bucket": store.bucket,
        "key": key,
        "etag": etag,
        "reason": reason,
        "detail": detail,
        "refused_at": format_instant(now_us()),
        "what_to_do": "write a repaired object under the same key: its notification loads it",
    }
    store.write(f"{refused_key}.reason.json", orjson.dumps(explanation, option=orjson.OPT_INDENT_2))
    return refused_key

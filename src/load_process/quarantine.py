"""Where objects go that can never be loaded: a copy under quarantine/ with the reason beside it."""

import orjson

from pipeline.object_store import ObjectStore, StoredObject
from pipeline.timestamps import format_instant, now_us


def quarantine(store: ObjectStore, stored: StoredObject, reason: str, detail: str) -> str:
    """Writes the refused bytes to `quarantine/<key>` and `quarantine/<key>.reason.json`; returns the copy's key.

    Not a copy of the key, which may hold another version by now, or none. The original stays: nothing in the lake is
    ever deleted. Doing it twice leaves the same two objects.
    """
    refused_key = f"quarantine/{stored.key}"
    store.write(refused_key, stored.body)
    explanation = {
        "bucket": store.bucket,
        "key": stored.key,
        "etag": stored.etag,
        "reason": reason,
        "detail": detail,
        "refused_at": format_instant(now_us()),
        "what_to_do": "write a repaired object under the same key: its notification loads it",
    }
    store.write(f"{refused_key}.reason.json", orjson.dumps(explanation, option=orjson.OPT_INDENT_2))
    return refused_key

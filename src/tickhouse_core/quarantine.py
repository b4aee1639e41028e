"""Quarantine of objects that can never be loaded: a copy under quarantine/ with the reason beside it."""

import shlex

import orjson

from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import format_instant, now_us


def quarantine(store: ObjectStore, key: str, etag: str, body: bytes | None, reason: str, detail: str) -> str:
    """Writes the refused bytes to `quarantine/<key>` and `quarantine/<key>.reason.json`; returns the copy's key.

    Not a copy of the key, which may hold another version by now, or none. Without a body (too large to be read) only the
    reason is written. The original stays: nothing in the lake is ever deleted. Doing it twice leaves the same objects.
    """
    refused_key = f"quarantine/{key}"
    if body is not None:
        store.write(refused_key, body)
    explanation = {
        "bucket": store.bucket,
        "key": key,
        "etag": etag,
        "reason": reason,
        "detail": detail,
        "refused_at": format_instant(now_us()),
        "what_to_do": "write a repaired object under the same key: its notification loads it",
        "redrive": f"python -m load_process.redrive --key {shlex.quote(key)}",
    }
    store.write(f"{refused_key}.reason.json", orjson.dumps(explanation, option=orjson.OPT_INDENT_2))
    return refused_key

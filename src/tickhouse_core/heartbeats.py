"""PURE. The `detail` of a capture's heartbeat: words for people, and its batch age, which says how long silence is normal."""

import re

DEFAULT_BATCH_SECONDS = 10.0
"""Default age at which a capture's batch becomes objects; assumed for captures that do not report it."""

LONGEST_BATCH_SECONDS = 3_600.0
"""A batch never goes on into the next hour."""

_BATCHES = re.compile(r"batches of ([0-9]{1,6}(?:\.[0-9]{1,6})?) s")


def heartbeat_detail(words: str, batch_seconds: float) -> str:
    """`0 books unsynced, …, batches of 60 s`."""
    return f"{words}, batches of {min(batch_seconds, LONGEST_BATCH_SECONDS):.6g} s"


def batch_seconds_of(detail: str) -> float:
    """Of a heartbeat's `detail`; the default where it does not say it (captures before this was published)."""
    found = _BATCHES.search(detail)
    return min(float(found.group(1)), LONGEST_BATCH_SECONDS) if found else DEFAULT_BATCH_SECONDS

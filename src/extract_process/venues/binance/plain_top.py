"""PURE. Compact best bids and asks, thousands a second, read by one pattern; all other frames as JSON (`ws`, `futures.ws`)."""

import re

from extract_process.records import BookTicker
from extract_process.venues.parsing import instant_of
from tickhouse_core.timestamps import unit_to_us

MOST_TOP_BYTES = 400
"""Of such a frame; a book's are longer, and are not looked at."""

_NUMBER = r'"([0-9]{1,20}+(?:\.[0-9]{1,18}+)?+)"'
_KIND = r'(?:"e":"bookTicker",)?+'
_TIMES = r'(?:,"T":(?:0|[1-9][0-9]*+),"E":([1-9][0-9]{0,18}+))?+'
_PLAIN_TOP = re.compile(
    r'(\{"stream":"[^"\\]*+","data":)?+\{' + _KIND + r'"u":(0|[1-9][0-9]{0,18}+),' + _KIND + r'"s":"([A-Z0-9_]{1,60}+)",'
    r'(?:"ps":"[^"\\]*+",)?+"b":%s,"B":%s,"a":%s,"A":%s' % ((_NUMBER,) * 4) + _TIMES + r"\}(\}?+)"
)
"""The whole frame, combined or raw: what stands before the message, its values, and the brace behind it.

As spot sends it, without a kind and a time, and as both futures markets do. No pattern goes back: one pass over the text.
"""


def plain_top(frame: bytes) -> BookTicker | None:
    """None for any other frame, valid or not. Raises FrameRefused for an implausible time."""
    found = _PLAIN_TOP.fullmatch(frame.decode("latin-1"))  # what it takes is ASCII
    if found is None:
        return None
    before, update_id, symbol, bid, bid_quantity, ask, ask_quantity, at, end = found.groups()
    if (before is None) is not (end == ""):
        return None
    event_time = None if at is None else instant_of(int(at), unit_to_us)
    return BookTicker(symbol, int(update_id), bid, bid_quantity, ask, ask_quantity, event_time)

"""Run with the sources that have the channel: the venue's example message, recorded twice, as objects in the lake argv[1]."""

import sys
from pathlib import Path

from extract_process.spool.row_buffer import RowBuffer
from extract_process.stream_ids import StreamKey
from extract_process.venues import venue_named
from tickhouse_core.folder_store import FolderStore

NOON = 1_783_080_000_000_000
FRAME = (
    b'{"stream":"btcusdt@avgPrice","data":{"e":"avgPrice","E":%d,"s":"BTCUSDT","i":"5m","w":"25776.86000000","T":1693907032213}}'
)
RECORDINGS = {"main": (1, 2, 3), "second": (2, 3, 4)}

venue = venue_named("binance")
assert venue.stream_names({"BTCUSDT": ("average_price",)}, {}) == ["btcusdt@avgPrice"]
assert venue.key_of_stream("btcusdt@avgPrice") == StreamKey("average_price", "btcusdt")
for instance, numbers in RECORDINGS.items():
    rows = RowBuffer(venue, instance, frozenset(["BTCUSDT"]))
    for number in numbers:
        rows.add_messages(venue.parse_frame(FRAME % (NOON + number), NOON), NOON + number)
    for key, body in rows.objects(1):
        FolderStore(Path(sys.argv[1])).write(key, body)

"""Run with the sources that have the channel: each venue's example messages, recorded twice, as objects in the lake argv[1]."""

import sys
from pathlib import Path

from extract_process.records import StreamKey
from extract_process.spool.row_buffer import RowBuffer
from extract_process.venues import venue_named
from tickhouse_core.folder_store import FolderStore

NOON = 1_783_080_000_000_000
FRAMES = {
    ("binance", "BTCUSDT"): (
        b'{"stream":"btcusdt@bookTicker","data":{"u":%d,"s":"BTCUSDT","b":"25.35","B":"31.2","a":"25.36","A":"4"}}'
    ),
    ("kucoin", "BTC-USDT"): (
        b'{"topic":"/spotMarket/level1:BTC-USDT","type":"message","subject":"level1",'
        b'"data":{"timestamp":%d,"bids":["25.35","31.2"],"asks":["25.36","4"]}}'
    ),
}
RECORDINGS = {"main": (1, 2, 3), "second": (2, 3, 4)}

for (name, symbol), frame in FRAMES.items():
    venue = venue_named(name)
    (stream,) = venue.stream_names({symbol: ("book_ticker",)}, {})
    assert venue.key_of_stream(stream) in (StreamKey("book_ticker", symbol), StreamKey("book_ticker", symbol.lower()))
    for instance, numbers in RECORDINGS.items():
        rows = RowBuffer(venue, instance, frozenset([symbol]))
        for number in numbers:
            rows.add_messages(venue.parse_frame(frame % number, NOON), NOON + number)
        for key, body in rows.objects(1):
            FolderStore(Path(sys.argv[1])).write(key, body)

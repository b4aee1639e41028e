"""cryptofeed's Binance handler with a Parquet-writing callback: the peer of bench_extract_hot_path, in an interpreter of its own.

Reads recorded frames (one a line) from a file, prints CPU seconds and bytes written, one line a round. Needs
an environment with requirements.txt beside this file (Python 3.13); it is no dependency of the project.
"""

import asyncio
import sys
import time
from itertools import accumulate, chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cryptofeed.defines import ASK, BID, L2_BOOK
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols
from cryptofeed.types import OrderBook

DECIMAL = pa.decimal128(38, 18)
ROWS_A_FILE = 10_000


class ParquetCallback:
    """The book's deltas as rows, one file of so many rows in memory at a time."""

    def __init__(self) -> None:
        self.bytes_written = 0
        self._rows: list[tuple[Any, ...]] = []

    async def __call__(self, book: OrderBook, receipt_timestamp: float) -> None:
        if book.delta is not None:
            self._rows.append((book.symbol, book.sequence_number, book.timestamp, receipt_timestamp, book.delta))
        if len(self._rows) >= ROWS_A_FILE:
            self.flush()

    def flush(self) -> None:
        symbols, ids, event_times, receipts, deltas = zip(*self._rows, strict=True)
        sides = {name: _levels([delta[side] for delta in deltas]) for name, side in (("bids", BID), ("asks", ASK))}
        times = {"event_time": pa.array(event_times), "receipt_time": pa.array(receipts)}
        table = pa.table({"symbol": symbols, "last_update_id": pa.array(ids), **sides, **times})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=["symbol"])
        self.bytes_written += sink.getvalue().size
        self._rows = []


def _levels(sides: list[Any]) -> pa.Array:
    flat = list(chain.from_iterable(chain.from_iterable(sides)))
    columns = [pa.array(flat[::2], DECIMAL), pa.array(flat[1::2], DECIMAL)]
    offsets = pa.array([0, *accumulate(map(len, sides))], pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(columns, ["price", "quantity"]))


async def _run(recordings: list[tuple[int, list[str]]]) -> int:
    callback = ParquetCallback()
    Symbols.set(Binance.id, {"BTC-USDT": "BTCUSDT"}, {"instrument_type": {}})
    feed = Binance(symbols=["BTC-USDT"], channels=[L2_BOOK], callbacks={L2_BOOK: callback}, log_message_on_error=False)
    for first_update_id, frames in recordings:
        feed._l2_book["BTC-USDT"] = OrderBook(feed.id, "BTC-USDT", max_depth=0, bids={}, asks={})
        feed.last_update_id["BTC-USDT"] = first_update_id - 1
        for number, frame in enumerate(frames):
            await feed.message_handler(frame, None, float(number))
    callback.flush()
    return callback.bytes_written


def main() -> None:
    recordings: list[tuple[int, list[str]]] = []
    with open(sys.argv[1]) as lines:  # noqa: PTH123  # a plain script
        for line in lines:
            if line.startswith("recording "):
                recordings.append((int(line.split()[1]), []))
            else:
                recordings[-1][1].append(line.strip())
    for _ in range(int(sys.argv[2])):
        began = time.process_time()
        written = asyncio.run(_run(recordings))
        print(time.process_time() - began, written, flush=True)


if __name__ == "__main__":
    main()

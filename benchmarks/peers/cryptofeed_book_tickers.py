"""cryptofeed's handler of Binance's bookTicker with a Parquet-writing callback: the peer of bench_book_tickers.

In an interpreter of its own. Reads recorded frames (one a line) from a file, prints CPU seconds and bytes written, one line a
round. Its record has the best prices alone: no quantities and no update id, so it writes half the columns. Needs the
environment of cryptofeed_hot_path.py.
"""

import asyncio
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from cryptofeed.defines import TICKER
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols
from cryptofeed.types import Ticker

DECIMAL = pa.decimal128(38, 18)
ROWS_A_FILE = 100_000


class ParquetCallback:
    """Best prices as rows, one file of so many rows in memory at a time."""

    def __init__(self) -> None:
        self.bytes_written = 0
        self._rows: list[tuple[object, ...]] = []

    async def __call__(self, ticker: Ticker, receipt_timestamp: float) -> None:
        self._rows.append((ticker.symbol, ticker.bid, ticker.ask, ticker.timestamp, receipt_timestamp))
        if len(self._rows) >= ROWS_A_FILE:
            self.flush()

    def flush(self) -> None:
        if not self._rows:
            return
        symbols, bids, asks, times, receipts = zip(*self._rows, strict=True)
        columns = {"symbol": symbols, "bid": pa.array(bids, DECIMAL), "ask": pa.array(asks, DECIMAL), "timestamp": times}
        sink = pa.BufferOutputStream()
        table = pa.table({**columns, "receipt_timestamp": receipts})
        pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=["symbol"])
        self.bytes_written += sink.getvalue().size
        self._rows = []


async def _run(frames: list[str]) -> int:
    callback = ParquetCallback()
    Symbols.set(Binance.id, {"BTC-USDT": "BTCUSDT"}, {"instrument_type": {}})
    feed = Binance(symbols=["BTC-USDT"], channels=[TICKER], callbacks={TICKER: callback}, log_message_on_error=False)
    for number, frame in enumerate(frames):
        await feed.message_handler(frame, None, float(number))
    callback.flush()
    return callback.bytes_written


def main() -> None:
    frames = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    for _ in range(int(sys.argv[2])):
        began = time.process_time()
        written = asyncio.run(_run(frames))
        print(time.process_time() - began, written, flush=True)


if __name__ == "__main__":
    main()

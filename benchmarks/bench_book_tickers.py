"""Best bids and asks on the extract hot path: against its floor, against cryptofeed, and what the check against the book costs.

    .venv/bin/python benchmarks/bench_book_tickers.py [--data ../shared/data] [--rounds 5] [--peer /path/to/python]

The recorded session of BTCUSDT, frames to Parquet bytes, in one run:

- floor: orjson, Arrow columns 256 messages at a time, a cast to Decimal128, Parquet with zstd, and nothing else;
- ours: parse_frame (every type checked), ids by the monitor, ArrowRows, Parquet; and trades the same way;
- peer: cryptofeed's own message handler with a Parquet-writing callback, in the interpreter `--peer` (CONTRIBUTING.md says how it
  is made); left out without it. Its record has no quantities.
- check: diffs and best prices as they came, through the monitor alone, with and without the comparison of both.

They take turns; CPU seconds of the process, medians; the ratios are what counts, the machine's speed is not.
"""

import gc
import gzip
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from extract_process.live.monitor import MonitorRules, StreamMonitor
from extract_process.parquet import parquet_bytes
from extract_process.records import DepthSnapshot
from extract_process.spool.row_buffer import ArrowRows
from extract_process.venues.binance.rest import parse_depth
from extract_process.venues.binance.ws import parse_frame
from report import Report, options
from tickhouse_core.columns import DECIMAL
from tickhouse_core.datasets import BOOK_TICKERS, TRADES, Dataset
from tickhouse_core.lifecycle import GARBAGE_THRESHOLD

RECORDING = "binance_session_BTCUSDT_20240808.jsonl.gz"
PEER = Path(__file__).parent / "peers" / "cryptofeed_book_tickers.py"
SPARSE = frozenset({"book_tickers"})


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=5)
    peer = os.environ.get("BENCH_PEER")
    parser.add_argument("--peer", type=Path, default=peer, help="a Python that has cryptofeed; default: BENCH_PEER")
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    if not (arguments.data / RECORDING).exists():
        report.left_out(f"everything: {arguments.data} has no {RECORDING}; name the folder of recorded data with --data")
        report.finish()
        return
    gc.set_threshold(GARBAGE_THRESHOLD, 10, 10)  # as the capture does; the peer runs as it comes
    recorded = _recorded(arguments.data / RECORDING)
    tops, trades = (
        [frame for frame in recorded if isinstance(frame, bytes) and mark in frame] for mark in (b"@bookTicker", b"@trade")
    )
    books = [one for one in recorded if isinstance(one, DepthSnapshot) or b"@trade" not in one]
    contestants: dict[str, Callable[[], float]] = {
        "floor": lambda: _timed(lambda: _floor(tops)),
        "ours": lambda: _timed(lambda: _ours(tops, BOOK_TICKERS)),
        "ours, trades": lambda: _timed(lambda: _ours(trades, TRADES)),
        "diffs and best prices": lambda: _checked(books, ""),
        "the same with the check": lambda: _checked(books, "book_tickers"),
    }
    with tempfile.TemporaryDirectory() as folder:
        if arguments.peer:
            path = Path(folder) / "frames"
            path.write_bytes(b"\n".join(tops))
            contestants["cryptofeed"] = lambda: _peer(arguments.peer, path)
        else:
            report.left_out("cryptofeed: name a Python that has it with --peer")
        results: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(arguments.rounds):
            for name, run in contestants.items():
                results[name].append(run())
    counts = dict.fromkeys(contestants, len(tops)) | {"ours, trades": len(trades)}
    counts["diffs"] = sum(isinstance(one, bytes) and b"@depth" in one for one in books)
    _tell(report, results, counts)
    report.finish()


def _tell(report: Report, results: dict[str, list[float]], counts: dict[str, int]) -> None:
    def ratio(name: str, other: str) -> float | None:
        """Messages per CPU second against those of the other in the same round."""
        if other not in results:
            return None
        pairs = zip(results[name], results[other], strict=True)
        return statistics.median(theirs / mine for mine, theirs in pairs) * counts[name] / counts[other]

    rows = []
    for name in ("floor", "ours", "ours, trades", "cryptofeed"):
        if name in results:
            each = statistics.median(results[name]) / counts[name] * 1e6
            rows.append((name, counts[name], each, ratio(name, "floor"), ratio(name, "cryptofeed")))
    report.table(
        "Recorded best bids and asks, frames to Parquet bytes",
        ("", "messages", "CPU microseconds each", "of the floor", "of cryptofeed"),
        rows,
        """Messages per CPU second, over those of the floor (orjson, Arrow, Parquet and no checks) and of cryptofeed, whose record
        has neither quantities nor the update id. "ours, trades": the trades of the same session, through the same path.""",
    )
    plain, checked = (statistics.median(results[name]) for name in ("diffs and best prices", "the same with the check"))
    both, diffs = counts["ours"], counts["diffs"]
    report.table(
        "The check of best prices against the running book, the monitor alone",
        ("", "CPU seconds", "CPU microseconds per best price", "per diff"),
        [
            ("diffs and best prices", plain, plain / both * 1e6, plain / diffs * 1e6),
            ("the same with the check", checked, checked / both * 1e6, checked / diffs * 1e6),
            ("the check", checked - plain, (checked - plain) / both * 1e6, (checked - plain) / diffs * 1e6),
        ],
        """Diffs and best prices of the session in the order in which they came, parsed before. With the check the best levels of
        the book are known after every diff.""",
    )


def _timed(run: Callable[[], int]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def _ours(frames: list[bytes], dataset: Dataset) -> int:
    """Frame bytes in, Parquet bytes out, as in the capture."""
    monitor, rows = StreamMonitor("binance", "bench", {}, MonitorRules(SPARSE)), ArrowRows(dataset, "binance")
    for number, frame in enumerate(frames):
        messages = parse_frame(frame)
        for message in messages:
            rows.append(message, number)
        monitor.on_messages(messages, number)
    return len(parquet_bytes(rows.table(), dataset))


def _checked(recorded: list[bytes | DepthSnapshot], top_channel: str) -> float:
    """The monitor's seconds; raises where it found a best price that differs, or compared none."""
    monitor = StreamMonitor("binance", "bench", {}, MonitorRules(SPARSE, None, 1_000, top_channel))
    parsed = [one if isinstance(one, DepthSnapshot) else parse_frame(one) for one in recorded]
    began = time.process_time()
    for number, one in enumerate(parsed):
        if isinstance(one, DepthSnapshot):
            monitor.on_snapshot(one, 1_000, number)
        else:
            monitor.on_messages(one, number)
    seconds = time.process_time() - began
    if top_channel and (monitor.tops.different or not monitor.tops.equal):
        raise AssertionError(f"the check found {monitor.tops}")
    return seconds


def _floor(frames: list[bytes]) -> int:
    chunks = []
    for start in range(0, len(frames), 256):
        messages = [orjson.loads(frame)["data"] for frame in frames[start : start + 256]]
        columns: dict[str, Any] = {"u": pa.array([message["u"] for message in messages])}
        columns |= {key: pa.array([message[key] for message in messages]).cast(DECIMAL) for key in "bBaA"}
        chunks.append(pa.table(columns))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(chunks), sink, compression="zstd", compression_level=1, use_dictionary=False)
    return int(sink.getvalue().size)


def _peer(python: Path, frames: Path) -> float:
    answer = subprocess.run([python, PEER, frames, "1"], check=True, stdout=subprocess.PIPE, text=True)
    return float(answer.stdout.split()[0])


def _recorded(path: Path) -> list[bytes | DepthSnapshot]:
    """Frames of diffs, best prices and trades, and the snapshot, in order of receipt."""
    found: list[bytes | DepthSnapshot] = []
    with gzip.open(path) as lines:
        for line in map(orjson.loads, lines):
            if line["src"] == "rest":
                found.append(parse_depth(orjson.dumps(line["raw"]), "BTCUSDT", "start"))
            elif line["src"] == "ws":
                found.append(orjson.dumps(line["raw"]))
    return found


if __name__ == "__main__":
    main()

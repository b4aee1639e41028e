"""The extract hot path against its floor and against cryptofeed, on the same recorded BTCUSDT diffs, in one run.

    .venv/bin/python benchmarks/bench_extract_hot_path.py [--data ../shared/data] [--rounds 5] [--peer /path/to/python]

- floor: orjson, nested Arrow columns 256 messages at a time, a cast to Decimal128, Parquet with zstd, and nothing else;
- ours: parse_frame (every type checked), continuity by the monitor, ArrowRows, Parquet; and the same with the running
  book and a proof of it;
- peer: cryptofeed's own message handler (it keeps a book) with a Parquet-writing callback, in the interpreter `--peer`
  (CONTRIBUTING.md says how it is made); left out without it.

They take turns; CPU seconds of the process, medians; the ratios are what counts, the machine's speed is not.
"""

import gc
import gzip
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from extract_process.live.monitor import StreamMonitor
from extract_process.parquet import parquet_bytes
from extract_process.records import DepthDiff, DepthSnapshot
from extract_process.spool.row_buffer import ArrowRows
from extract_process.venues.binance.ws import parse_frame
from report import Report, options
from tickhouse_core.columns import DECIMAL
from tickhouse_core.datasets import DEPTH_DIFFS
from tickhouse_core.lifecycle import GARBAGE_THRESHOLD

RECORDINGS = ("binance_session_BTCUSDT_20240808", "binance_depth_nosnapshot_BTCUSDT_20251207")
PEER = Path(__file__).parent / "peers" / "cryptofeed_hot_path.py"
Frames = list[list[bytes]]
GOALS = {"ours": ">= 4.5 of cryptofeed", "ours with book": ">= 3 of cryptofeed"}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gc-threshold", type=int, default=GARBAGE_THRESHOLD, help="Python's own is 700")
    peer = os.environ.get("BENCH_PEER")
    parser.add_argument("--peer", type=Path, default=peer, help="a Python that has cryptofeed; default: BENCH_PEER")
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    if missing := [name for name in RECORDINGS if not (arguments.data / f"{name}.jsonl.gz").exists()]:
        report.left_out(
            f"everything: {arguments.data} has no {missing[0]}.jsonl.gz; name the folder of recorded data with --data"
        )
        report.finish()
        return
    gc.set_threshold(arguments.gc_threshold, 10, 10)  # as the capture does; the peer runs as it comes
    recordings = [_frames(arguments.data / f"{name}.jsonl.gz") for name in RECORDINGS]
    messages = sum(map(len, recordings))
    levels = sum(len(diff.bids) + len(diff.asks) for frames in recordings for frame in frames for diff in _diffs(frame))

    contestants: dict[str, Callable[[], tuple[float, int]]] = {
        "floor": lambda: _timed(lambda: _floor(recordings)),
        "ours": lambda: _timed(lambda: _ours(recordings, with_book=False)),
        "ours with book": lambda: _timed(lambda: _ours(recordings, with_book=True)),
    }
    with tempfile.TemporaryDirectory() as folder:
        if arguments.peer:
            path = _write_for_peer(recordings, Path(folder))
            contestants["cryptofeed"] = lambda: _peer(arguments.peer, path)
        else:
            report.left_out("cryptofeed: name a Python that has it with --peer")
        results: dict[str, list[tuple[float, int]]] = {name: [] for name in contestants}
        for _ in range(arguments.rounds):
            for name, run in contestants.items():
                results[name].append(run())
    _tell(report, results, messages, levels)
    report.finish()


def _tell(report: Report, results: dict[str, list[tuple[float, int]]], messages: int, levels: int) -> None:
    def ratio(name: str, other: str) -> float | None:
        """Messages per CPU second against those of the other in the same round."""
        if other not in results:
            return None
        return statistics.median(theirs / mine for (mine, _), (theirs, _) in zip(results[name], results[other], strict=True))

    rows = []
    for name, rounds in results.items():
        seconds = statistics.median(seconds for seconds, _ in rounds)
        speed = (messages / seconds, levels / seconds / 1e6, rounds[0][1] / levels)
        rows.append((name, *speed, ratio(name, "floor"), ratio(name, "cryptofeed"), GOALS.get(name, "")))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    report.table(
        f"Recorded frames to Parquet bytes: {messages:,} diffs, {levels:,} levels; peak {memory:,} MB",
        ("", "messages/CPU s", "million levels/CPU s", "bytes/level", "of the floor", "of cryptofeed", "goal"),
        rows,
        """Messages per CPU second, over those of the floor (orjson, Arrow, Parquet and no checks) and of cryptofeed, which keeps
        a book and writes Parquet as floats. "with book" is the book that proofs need.""",
    )


def _timed(run: Callable[[], int]) -> tuple[float, int]:
    began = time.process_time()
    written = run()
    return time.process_time() - began, written


def _ours(recordings: Frames, *, with_book: bool) -> int:
    """Frame bytes in, Parquet bytes out, as in the capture."""
    written = 0
    for frames in recordings:
        monitor, rows = StreamMonitor("binance", "bench", {}), ArrowRows(DEPTH_DIFFS, "binance")
        if with_book:
            first = _diffs(frames[0])[0]
            monitor.on_snapshot(DepthSnapshot(first.symbol, first.first_update_id - 1, [], [], "start"), 1_000, 0)
        for number, frame in enumerate(frames):
            messages = parse_frame(frame)
            for message in messages:
                rows.append(message, number)
            monitor.on_messages(messages, number)
        if with_book:  # a proof every five minutes: it looks at all levels
            last = _diffs(frames[-1])[0]
            monitor.on_snapshot_asked(last.symbol, as_proof=True)
            monitor.on_snapshot(DepthSnapshot(last.symbol, last.last_update_id, [], [], "proof"), 1_000, len(frames))
        written += len(parquet_bytes(rows.table(), DEPTH_DIFFS))
    return written


def _floor(recordings: Frames) -> int:
    written = 0
    for frames in recordings:
        chunks = []
        for start in range(0, len(frames), 256):
            messages = [orjson.loads(frame) for frame in frames[start : start + 256]]
            chunks.append(_floor_table([message.get("data", message) for message in messages]))
        sink = pa.BufferOutputStream()
        pq.write_table(pa.concat_tables(chunks), sink, compression="zstd", compression_level=1, use_dictionary=False)
        written += sink.getvalue().size
    return written


def _floor_table(messages: list[dict[str, Any]]) -> pa.Table:
    columns = {key: pa.array([message[key] for message in messages]) for key in "UuE"}
    for side in "ba":
        flat = list(chain.from_iterable(chain.from_iterable(message[side] for message in messages)))
        pair = [pa.array(flat[place::2]).cast(DECIMAL) for place in (0, 1)]
        offsets = pa.array([0, *accumulate(len(message[side]) for message in messages)], pa.int32())
        columns[side] = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(pair, ["price", "quantity"]))
    return pa.table(columns)


def _peer(python: Path, frames: Path) -> tuple[float, int]:
    answer = subprocess.run([python, PEER, frames, "1"], check=True, stdout=subprocess.PIPE, text=True)
    seconds, written = answer.stdout.split()
    return float(seconds), int(written)


def _write_for_peer(recordings: Frames, folder: Path) -> Path:
    """Combined frames, as the peer subscribes; each recording with its first update id."""
    path = folder / "frames"
    with path.open("wb") as file:
        for frames in recordings:
            file.write(b"recording %d\n" % _diffs(frames[0])[0].first_update_id)
            file.writelines(frame + b"\n" for frame in frames)
    return path


def _frames(path: Path) -> list[bytes]:
    """The diffs of a recording as combined frames."""
    frames = []
    with gzip.open(path) as lines:
        for line in map(orjson.loads, lines):
            message = line["raw"].get("data", line["raw"]) if line["src"] == "ws" else {}
            if message.get("e") == "depthUpdate":
                frames.append(orjson.dumps({"stream": "btcusdt@depth@100ms", "data": message}))
    return frames


def _diffs(frame: bytes) -> list[DepthDiff]:
    return [message for message in parse_frame(frame) if isinstance(message, DepthDiff)]


if __name__ == "__main__":
    main()

"""What a recorder costs as the number of symbols grows, at the same message rate per symbol, and what gives out first.

    .venv/bin/python benchmarks/bench_scale.py [--symbols 10 --symbols 100 …] [--rate 2] [--seconds 10] [--full]

`extract_process.stream` with trades and depth, in a data folder; the exchange is a cheap one of benchmarks/peers in a process
of its own, without limits: its messages are three updates of 20 levels and a trade in turn. Measured from the moment when
all streams are subscribed, for `--seconds`. The last row is the largest number again, half of it in each of two processes.
--full: also 4,000 symbols, and ten messages a second for half a minute each.

Latency is receipt_time - event_time of every row: one clock, stamped when the message is made. So a sender that is late makes
no message late, and a row whose sender is late says less about the recorder than about this machine. Needs Linux (/proc).
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from processes import cpu_seconds, resident_mb
from report import Report, options
from tickhouse.embedded import environment_variables

EXCHANGE = Path(__file__).parent / "peers" / "scale_exchange.py"
SYMBOLS, MORE_SYMBOLS = (10, 100, 500, 2_000), 4_000
START_SECONDS = 120
SETTLING_SECONDS = 3.0
"""Until the books that started with the subscriptions are synced."""

COLUMNS = ("symbols", "messages/s", "% of a core", "CPU us per message", "MB", "p50 ms", "p99 ms", "gaps", "sender late ms")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--symbols", type=int, action="append", help="repeats")
    parser.add_argument("--rate", type=float, default=2.0, help="messages a second and symbol")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    rate, seconds = (10.0, 30.0) if arguments.full else (arguments.rate, arguments.seconds)
    counts = arguments.symbols or [*SYMBOLS, *([MORE_SYMBOLS] if arguments.full else [])]
    rows = [_row(count, rate, seconds, processes=1) for count in counts]
    rows.append(_row(max(counts), rate, seconds, processes=2))
    report.table(
        f"Recording at {rate:g} messages a second and symbol, {seconds:.0f} s each",
        COLUMNS,
        rows,
        """CPU and memory of the recorder, of both processes together where there are two. What gives out first is
        the core: memory grows with the rows of a batch, and p99 with the messages of one moment.""",
    )
    report.finish()


def _row(symbols: int, rate: float, seconds: float, processes: int) -> tuple[object, ...]:
    with ExitStack() as stack:
        url = stack.enter_context(_exchange(symbols, rate))
        folders = [stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(processes)]
        names = [item["symbol"] for item in httpx.get(f"{url}/api/v3/exchangeInfo").json()["symbols"]]
        captures = [stack.enter_context(_capture(folder, names[place::processes])) for place, folder in enumerate(folders)]
        _wait_for(f"{url}/tally", 2 * symbols, captures)
        time.sleep(SETTLING_SECONDS)
        since, spent, began = time.time(), [cpu_seconds(one.pid) for one in captures], time.monotonic()
        sent, most_late = httpx.get(f"{url}/tally").json()["sent"], 0
        while time.monotonic() - began < seconds:
            time.sleep(1)
            most_late = max(most_late, httpx.get(f"{url}/tally").json()["late_ms"])
        took, until = time.monotonic() - began, time.time()
        sent = httpx.get(f"{url}/tally").json()["sent"] - sent
        cpu = sum(cpu_seconds(one.pid) - before for one, before in zip(captures, spent, strict=True))
        memory = sum(resident_mb(one.pid, most=True) for one in captures)
        for one in captures:
            one.send_signal(signal.SIGTERM)
        for one in captures:
            one.wait()
        late = np.concatenate([_lateness(Path(folder), since, until) for folder in folders])
        gaps = sum(_gaps(Path(folder)) for folder in folders)
    name = f"{symbols:,}" if processes == 1 else f"{symbols:,} in {processes} processes"
    latency = (float(np.percentile(late, 50)), float(np.percentile(late, 99)))
    return name, sent / took, 100 * cpu / took, 1e6 * cpu / max(sent, 1), memory, *latency, gaps, most_late


def _wait_for(tally: str, streams: int, captures: list["subprocess.Popen[bytes]"]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while httpx.get(tally).json()["streams"] < streams:
        assert all(one.poll() is None for one in captures), "a recorder ended by itself"
        assert time.monotonic() < deadline, f"not all streams are subscribed after {START_SECONDS} s"
        time.sleep(0.2)


def _rows(folder: Path, dataset: str, columns: list[str]) -> pa.Table:
    path = folder / "lake" / "data_sources" / dataset
    return ds.dataset(path, format="parquet").to_table(columns) if path.exists() else pa.table({name: [] for name in columns})


def _lateness(folder: Path, since: float, until: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Milliseconds from event to receipt of what was sent between the two instants."""
    found = []
    for dataset in ("trades", "depth_diffs"):
        rows = _rows(folder, dataset, ["event_time", "receipt_time"])
        event, receipt = (rows[name].cast("int64").to_numpy() for name in ("event_time", "receipt_time"))
        found.append((receipt - event)[(event >= since * 1e6) & (event < until * 1e6)] / 1_000)
    return np.concatenate(found)


def _gaps(folder: Path) -> int:
    events: list[str] = _rows(folder, "stream_events", ["event"])["event"].to_pylist()
    return events.count("gap")


@contextmanager
def _exchange(symbols: int, rate: float) -> Iterator[str]:
    with subprocess.Popen([sys.executable, EXCHANGE, str(symbols), str(rate)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with environment_variables({"BINANCE_REST_URL": url, "BINANCE_WS_URL": url.replace("http", "ws")}):
                yield url
        finally:
            process.terminate()


@contextmanager
def _capture(folder: str, symbols: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    words = [word for symbol in symbols for word in ("--symbol", symbol)]
    command = [sys.executable, "-m", "extract_process.stream", "--data", folder, "--batch-seconds", "3", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()

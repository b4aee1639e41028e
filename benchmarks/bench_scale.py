"""What a recorder costs as the number of symbols grows, at the same message rate per symbol, and what gives out first.

    .venv/bin/python benchmarks/bench_scale.py [--symbols 10 --symbols 100 …] [--rate 2] [--seconds 10] [--shards 4] [--full]
    .venv/bin/python benchmarks/bench_scale.py --symbols 2000 --only-shards --seconds 600      # acceptance of shards
    .venv/bin/python benchmarks/bench_scale.py --only-tops --busy 3 --seconds 60               # acceptance of best prices

`extract_process.stream` with trades and depth, in a data folder; the exchange is a cheap one of benchmarks/peers in a process
of its own. Its messages are three updates of 20 levels and a trade in turn. Measured from the moment when all streams are
subscribed, for `--seconds`. --full: also 4,000 symbols, and ten messages a second for half a minute each.

The second table has the largest number of symbols again, shared by `--shards` processes in one data folder, under Binance's limit
of 6,000 weight a minute for all of them together. In the first table the exchange has no limit.

The last table has the best bids and asks of 100 USD-M futures, of which `--busy` have 2,000 a second and the rest `--rate`.

Latency is receipt_time - event_time of every row: one clock, stamped when the message is made. So a sender that is late makes
no message late, and a row whose sender is late says less about the recorder than about this machine. Needs Linux (/proc).
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from extract_process.shards import Shard
from processes import cpu_seconds, resident_mb
from report import Report, options
from tickhouse.embedded import environment_variables

EXCHANGE = Path(__file__).parent / "peers" / "scale_exchange.py"
SYMBOLS, MORE_SYMBOLS = (10, 100, 500, 2_000), 4_000
START_SECONDS = 120
SETTLING_SECONDS = 3.0
"""Until the books that started with the subscriptions are synced."""

NO_LIMIT, BINANCES_LIMIT = 6_000_000, 6_000

TOPS, BUSY_RATE = 100, 2_000.0
"""Futures whose best prices are recorded, and how many a second the busy ones have."""

COLUMNS = ("symbols", "messages/s", "% of a core", "CPU us per message", "MB", "p50 ms", "p99 ms", "gaps", "sender late ms")
TOPS_COLUMNS = (
    *("sent", "rows", "messages/s", "% of a core", "CPU us per message", "MB", "p50 ms", "p99 ms", "gaps"),
    "sender late ms",
)
SHARD_COLUMNS = ("shard", "symbols", "messages", "% of a core", "MB", "p50 ms", "p99 ms", "gaps")


@dataclass(frozen=True, slots=True)
class Load:
    """What the exchange sends, and for how long it is measured."""

    symbols: int
    rate: float
    seconds: float
    weight_limit: int = NO_LIMIT
    busy: int = 0
    """Symbols with BUSY_RATE. If there are any, all messages are best prices of futures."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one recorder while it was measured; latency in ms, one value a row."""

    cpu_seconds: float
    most_mb: int
    latency: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    symbols: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Sent:
    """By the exchange, meanwhile. `most_weight` of a minute and requests `refused` since its start."""

    seconds: float
    messages: int
    late_ms: int
    most_weight: int
    refused: int


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--symbols", type=int, action="append", help="repeats")
    parser.add_argument("--rate", type=float, default=2.0, help="messages a second and symbol")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--shards", type=int, default=4, help="processes of the second table")
    parser.add_argument("--only-shards", action="store_true", help="only the second table")
    parser.add_argument("--busy", type=int, default=2, help="futures with 2,000 best prices a second")
    parser.add_argument("--only-tops", action="store_true", help="only the last table")
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    rate, seconds = (10.0, 30.0) if arguments.full else (arguments.rate, arguments.seconds)
    counts = arguments.symbols or [*SYMBOLS, *([MORE_SYMBOLS] if arguments.full else [])]
    if not (arguments.only_shards or arguments.only_tops):
        report.table(
            f"Recording at {rate:g} messages a second and symbol, {seconds:.0f} s each",
            COLUMNS,
            [_row(Load(count, rate, seconds)) for count in counts],
            """CPU and memory of the recorder. What gives out first is the core: memory grows with the rows of a batch, and
            p99 with the messages of one moment.""",
        )
    if not arguments.only_tops:
        _shards_table(report, Load(max(counts), rate, seconds, BINANCES_LIMIT), arguments.shards)
    if not arguments.only_shards:
        _tops_table(report, Load(TOPS, rate, seconds, busy=arguments.busy))
    report.finish()


def _row(load: Load) -> tuple[object, ...]:
    (cost,), sent = _measured(load, 1)
    cpu = cost.cpu_seconds
    speed = (sent.messages / sent.seconds, 100 * cpu / sent.seconds, 1e6 * cpu / max(sent.messages, 1), cost.most_mb)
    return f"{load.symbols:,}", *speed, *_percentiles(cost), cost.gaps, sent.late_ms


def _shards_table(report: Report, load: Load, shards: int) -> None:
    costs, sent = _measured(load, shards)
    rows = [
        (
            f"{number}/{shards}",
            cost.symbols,
            len(cost.latency),
            100 * cost.cpu_seconds / sent.seconds,
            cost.most_mb,
            *_percentiles(cost),
            cost.gaps,
        )
        for number, cost in enumerate(costs, start=1)
    ]
    report.table(
        f"{load.symbols:,} symbols over {shards} shards at {load.rate:g} messages a second and symbol, {load.seconds:.0f} s",
        SHARD_COLUMNS,
        rows,
        "Latency has the rows of messages that were sent while it was measured.",
    )
    cores = 100 * sum(cost.cpu_seconds for cost in costs) / sent.seconds
    gaps, memory = sum(cost.gaps for cost in costs), sum(cost.most_mb for cost in costs)
    together = (sent.messages / sent.seconds, cores, memory, gaps, sent.most_weight, sent.refused, sent.late_ms)
    report.table(
        "All shards together",
        ("messages/s", "% of a core", "MB", "gaps", "most weight a minute", "requests refused", "sender late ms"),
        [together],
        f"The exchange allows {load.weight_limit:,} weight a minute.",
    )


def _tops_table(report: Report, load: Load) -> None:
    (cost,), sent = _measured(load, 1)
    speed = (sent.messages / sent.seconds, 100 * cost.cpu_seconds / sent.seconds, 1e6 * cost.cpu_seconds / max(sent.messages, 1))
    report.table(
        f"Best prices of {load.symbols} futures: {load.busy} at {BUSY_RATE:,.0f} messages a second, the rest at {load.rate:g}",
        TOPS_COLUMNS,
        [(sent.messages, len(cost.latency), *speed, cost.most_mb, *_percentiles(cost), cost.gaps, sent.late_ms)],
        f"{sent.seconds:.0f} s. Rows are those whose events are of that time; event times are whole milliseconds.",
    )


def _percentiles(cost: Cost) -> tuple[float, float]:
    return (float(np.percentile(cost.latency, 50)), float(np.percentile(cost.latency, 99)))


def _measured(load: Load, shards: int) -> tuple[list[Cost], Sent]:
    with ExitStack() as stack:
        url = stack.enter_context(_exchange(load))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        names = [item["symbol"] for item in httpx.get(f"{url}/api/v3/exchangeInfo").json()["symbols"]]
        what = ("--venue", "binance-usdm", "--channel", "book_tickers") if load.busy else ()
        captures = [stack.enter_context(_capture(folder, names, f"{number}/{shards}", what)) for number in range(1, shards + 1)]
        _wait_for(f"{url}/tally", load.symbols * (1 if load.busy else 2), captures)
        time.sleep(SETTLING_SECONDS)
        since, spent, began = time.time(), [cpu_seconds(one.pid) for one in captures], time.monotonic()
        before, most_late = httpx.get(f"{url}/tally").json()["sent"], 0
        while time.monotonic() - began < load.seconds:
            time.sleep(1)
            most_late = max(most_late, httpx.get(f"{url}/tally").json()["late_ms"])
        took, until = time.monotonic() - began, time.time()
        tally = httpx.get(f"{url}/tally").json()
        cpu = [cpu_seconds(one.pid) - start for one, start in zip(captures, spent, strict=True)]
        memory = [resident_mb(one.pid, most=True) for one in captures]
        for one in captures:
            one.send_signal(signal.SIGTERM)
        for one in captures:
            one.wait()
        instances = [Shard(number, shards).instance("main") for number in range(1, shards + 1)]
        costs = [
            Cost(spent_here, mb, *_received(Path(folder), instance, since, until), _gaps(Path(folder), instance))
            for spent_here, mb, instance in zip(cpu, memory, instances, strict=True)
        ]
    return costs, Sent(took, tally["sent"] - before, most_late, tally["most_weight"], tally["refused"])


def _wait_for(tally: str, streams: int, captures: list["subprocess.Popen[bytes]"]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while httpx.get(tally).json()["streams"] < streams:
        assert all(one.poll() is None for one in captures), "a recorder ended by itself"
        assert time.monotonic() < deadline, f"not all streams are subscribed after {START_SECONDS} s"
        time.sleep(0.2)


def _rows(folder: Path, dataset: str, instance: str, columns: list[str]) -> pa.Table:
    """Those of one recorder."""
    files = [str(path) for path in (folder / "lake" / "data_sources" / dataset).rglob(f"*-{instance}-*.parquet")]
    return ds.dataset(files, format="parquet").to_table(columns) if files else pa.table({name: [] for name in columns})


def _received(
    folder: Path, instance: str, since: float, until: float
) -> "tuple[np.ndarray[tuple[int], np.dtype[np.float64]], int]":
    """Milliseconds from event to receipt of what was sent between the two instants, and of how many symbols it was."""
    found, symbols = [], set()
    for dataset in ("trades", "depth_diffs", "book_tickers"):
        rows = _rows(folder, dataset, instance, ["symbol", "event_time", "receipt_time"])
        event, receipt = (rows[name].cast("int64").to_numpy() for name in ("event_time", "receipt_time"))
        found.append((receipt - event)[(event >= since * 1e6) & (event < until * 1e6)] / 1_000)
        symbols |= set(rows["symbol"].cast("string").unique().to_pylist())
    return np.concatenate(found), len(symbols)


def _gaps(folder: Path, instance: str) -> int:
    events: list[str] = _rows(folder, "stream_events", instance, ["event"])["event"].to_pylist()
    return events.count("gap")


@contextmanager
def _exchange(load: Load) -> Iterator[str]:
    busy = [str(load.busy), str(BUSY_RATE)] if load.busy else []
    command = [sys.executable, str(EXCHANGE), str(load.symbols), str(load.rate), str(load.weight_limit), *busy]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            socket = url.replace("http", "ws")
            spot = {"BINANCE_REST_URL": url, "BINANCE_WS_URL": socket}
            futures = {"REST_URL": url, "PUBLIC_WS_URL": socket, "MARKET_WS_URL": socket}
            with environment_variables(spot | {f"BINANCE_USDM_{name}": value for name, value in futures.items()}):
                yield url
        finally:
            process.terminate()


@contextmanager
def _capture(folder: str, symbols: list[str], shard: str, what: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """`what`: venue and channels; spot's trades and books without."""
    command = [sys.executable, "-m", "extract_process.stream", "--data", folder, "--batch-seconds", "3", "--shard", shard, *what]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=dict(os.environ, LOG_LEVEL="ERROR", ACTIVE_SYMBOLS=",".join(symbols))
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()

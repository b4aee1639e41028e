"""How old a trade is when it can be queried, and when gold has it: simulated exchange, spool, lake, loader, transformer.

    .venv/bin/python benchmarks/bench_freshness.py [--batch-seconds 1] [--batch-seconds 10] [--seconds 10] [--only embedded|http]

- embedded: `tickhouse local`, everything in one process and folder;
- http: capture, loader and transformer are processes of their own, with the S3 and SQS of AWS_ENDPOINT_URL (else moto, in
  one more process) and the ClickHouse server of CLICKHOUSE_HOST; left out without it.

Both are asked five times a second, over HTTP, for the newest trade and for the trades that gold counts; a trade's age is the
time of the answer that has it first, less its event_time. One clock: the exchange stamps what it makes. Measured once all
books are synced and the first batches are through.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from processes import exchange, moto_server, symbols_of
from report import Report, options
from tickhouse.embedded import environment_variables
from tickhouse.provision import provision_aws
from tickhouse_core.errors import TickhouseError
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.timestamps import now_us
from tickhouse_core.warehouse import Warehouse, connect_reader

SYMBOLS, PACE = 3, 10
ASKED_EVERY = 0.2
START_SECONDS = 120
GOALS = {1.0: "<= 2 s", 10.0: "<= 12 s"}
SEEN = "select symbol, max(trade_id), count() from trades group by symbol"
IN_GOLD = "select symbol, sum(trade_count) from gold_ohlcv_1m group by symbol"
TIMES = "select symbol, trade_id, toUnixTimestamp64Micro(event_time) from trades order by symbol, trade_id"


@dataclass(slots=True)
class Watch:
    """When an answer had how many trades of a symbol, in microseconds: each time the number is larger than before."""

    seen: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def note(self, symbol: str, count: int, at: int) -> None:
        found = self.seen.setdefault(symbol, [])
        if not found or count > found[-1][0]:
            found.append((count, at))

    def ages(self, events: dict[str, list[int]], since: int, until: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """Seconds, of every trade with an event time between the two instants."""
        found: list[float] = []
        for symbol, steps in self.seen.items():
            for (before, _), (count, at) in zip([(0, 0), *steps], steps, strict=False):
                found += [(at - event) / 1e6 for event in events.get(symbol, [])[before:count] if since <= event < until]
        return np.array(found)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--batch-seconds", type=float, action="append", help="repeats; default 1 and 10")
    parser.add_argument("--seconds", type=float, default=10, help="of events that are measured, each time")
    parser.add_argument("--only", choices=("embedded", "http"))
    arguments = parser.parse_args()
    report, rows = Report(__file__, arguments), []
    ways = {"embedded": _embedded, "http": _http}
    if "CLICKHOUSE_HOST" not in os.environ and arguments.only != "embedded":
        report.left_out("http: name a ClickHouse server with CLICKHOUSE_HOST and CLICKHOUSE_PORT")
        del ways["http"]
    with exchange("--symbols", str(SYMBOLS), "--pace", str(PACE)) as url:
        symbols = [word for symbol in symbols_of(url) for word in ("--symbol", symbol)]
        for name, way in ways.items():
            if arguments.only in (None, name):
                for batch_seconds in arguments.batch_seconds or [1.0, 10.0]:
                    with way(symbols, batch_seconds) as warehouse:
                        rows += _measure(name, warehouse, batch_seconds, arguments)
    report.table(
        f"Freshness of {SYMBOLS} symbols with about {PACE} trades a second each",
        ("way, and --batch-seconds", "trades", "p50 s", "p99 s", "max s", "goal of p99"),
        rows,
        """Seconds from the event to the first answer that has it. A batch waits for its --batch-seconds first: half of them is in
        the median, all of them in the p99. Gold is asked for in the same run.""",
    )
    report.finish()


def _measure(name: str, warehouse: Warehouse, batch_seconds: float, arguments: Namespace) -> list[tuple[object, ...]]:
    """Rows for queryable and gold. Events of the measured time are waited for until both have them."""
    _wait_for_first(warehouse)
    queryable, gold = Watch(), Watch()
    since = now_us() + round(batch_seconds * 1e6)
    until = since + round(arguments.seconds * 1e6)
    deadline = until / 1e6 + START_SECONDS
    while time.time() < deadline:
        began = time.monotonic()
        counts = {str(symbol): int(count) for symbol, _, count in warehouse.query(SEEN)}
        at = now_us()
        built = {str(symbol): int(count) for symbol, count in warehouse.query(IN_GOLD)}
        at_gold = now_us()
        for symbol, count in counts.items():
            queryable.note(symbol, count, at)
            gold.note(symbol, min(built.get(symbol, 0), count), at_gold)
        if at > until and _is_past(warehouse, gold, until):
            break
        time.sleep(max(0.0, ASKED_EVERY - (time.monotonic() - began)))
    events: dict[str, list[int]] = {}
    for symbol, _, event in warehouse.query(TIMES):
        events.setdefault(str(symbol), []).append(int(event))
    rows: list[tuple[object, ...]] = []
    for what, watch in (("queryable", queryable), ("in gold", gold)):
        ages = watch.ages(events, since, until)
        if not len(ages):
            raise SystemExit(f"{name}: not one trade was {what} in time: is this machine busy with something else?")
        goal = GOALS.get(batch_seconds, "") if what == "queryable" else "3 s later"
        marks = (float(np.percentile(ages, 50)), float(np.percentile(ages, 99)), float(ages.max()))
        rows.append((f"{name}, {batch_seconds:g} s: {what}", len(ages), *marks, goal))
    return rows


def _is_past(warehouse: Warehouse, gold: Watch, until: int) -> bool:
    """Whether gold counts every trade before that instant."""
    asked = "select symbol, countIf(toUnixTimestamp64Micro(event_time) < {until:Int64}) from trades group by symbol"
    needed = {str(symbol): int(count) for symbol, count in warehouse.query(asked, {"until": until})}
    youngest = "select min(at) from (select toUnixTimestamp64Micro(max(event_time)) as at from trades group by symbol)"
    is_loaded = int(warehouse.query(youngest)[0][0]) >= until
    return is_loaded and all(gold.seen[symbol][-1][0] >= count for symbol, count in needed.items())


def _wait_for_first(warehouse: Warehouse) -> None:
    """Until gold has trades of every symbol."""
    deadline = time.monotonic() + START_SECONDS
    while len([count for _, count in warehouse.query(IN_GOLD) if count]) < SYMBOLS:
        assert time.monotonic() < deadline, f"no trades in gold after {START_SECONDS} s"
        time.sleep(0.2)


@contextmanager
def _embedded(symbols: list[str], batch_seconds: float) -> Iterator[Warehouse]:
    with ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        stack.enter_context(environment_variables({"TICKHOUSE_DATA": data}))
        words = ["local", "--data", data, "--port", "0", "--sql-port", "0", "--batch-seconds", str(batch_seconds), *symbols]
        yield stack.enter_context(closing(_connected(stack.enter_context(_process("tickhouse", *words)))))


@contextmanager
def _http(symbols: list[str], batch_seconds: float) -> Iterator[Warehouse]:
    name = f"bench_{uuid.uuid4().hex[:12]}"
    with ExitStack() as stack:
        if "AWS_ENDPOINT_URL" not in os.environ:
            stack.enter_context(moto_server())
        account = f"{uuid.uuid4().int % 10**12:012d}"  # queues of its own, as LocalStack reads a key of 12 digits
        keys = {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
        spool = stack.enter_context(tempfile.TemporaryDirectory())
        places = {"S3_BUCKET": name.replace("_", "-"), "CLICKHOUSE_DATABASE": name, "SPOOL_DIR": spool}
        stack.enter_context(environment_variables(keys | places))
        provision_aws(places["S3_BUCKET"])
        subprocess.run([sys.executable, "-m", "tickhouse", "provision", "--warehouse"], check=True, stdout=subprocess.DEVNULL)
        transformer = stack.enter_context(_process("transform_process", "--every-seconds", "0.5", "--lag-seconds", "0.5"))
        stack.enter_context(_process("load_process"))
        stack.enter_context(_process("extract_process.stream", "--batch-seconds", str(batch_seconds), *symbols))
        yield stack.enter_context(closing(_connected(transformer)))


def _connected(process: "subprocess.Popen[bytes]") -> Warehouse:
    """To the warehouse that the environment names, once it answers and has its tables."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            warehouse = connect_reader(read(WarehouseSettings))
            warehouse.query(IN_GOLD)
        except TickhouseError:
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline, f"no warehouse answers after {START_SECONDS} s"
            time.sleep(0.2)
        else:
            return warehouse


@contextmanager
def _process(module: str, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", module, *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path.cwd())
    try:
        yield process
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()

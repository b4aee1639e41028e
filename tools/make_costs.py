"""The tables of costs in docs/scaling.md, from resources/aws/costs.yaml: `make costs`. US dollars a month of 30 days."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tickhouse_core.datasets import DATASETS, KLINES

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "scaling.md"
BEGIN, END = "<!-- costs -->", "<!-- end of costs -->"
SYMBOLS = (10, 100, 1_000)
MONTHS = (1, 12)
DAY_SECONDS = 24 * 3600
SECONDS = 30 * DAY_SECONDS
GB = 1e9

LIVE_DATASETS = 2
"""Trades and depth_diffs have an object a batch, whatever the number of symbols; the others are rare."""

BEAT_SECONDS = 120
"""Between two objects of heartbeats (BUSY_BEAT_SECONDS of tickhouse_core/metrics.py)."""

TASKS_VCPU, TASKS_GB = 1.5, 5
"""stream, klines, load_process and transform_process of docs/deploy-aws.md; the stream is priced as a task of its size."""

BY_DAY = len([dataset for dataset in DATASETS if dataset is not KLINES])
"""Datasets with folders of hours, which `tickhouse compact` looks at."""

LISTS_OF_A_DATASET = 3
"""In every pass: its venues, what is recorded of compactions, and which days have recorded objects."""

LISTS_OF_A_DAY = 6
"""Beside those of objects and of symbols: what is recorded of its compactions, again and again while others may work too."""

RECORDS_OF_A_DAY = 4
"""Plan, commit, fate, and that nothing is left to do. Every pass reads the first two while a day waits."""

VISITS = 3
"""Of a day that is over: it is merged, its sources are deleted, and nothing is left to do. Between them it waits."""

KEYS_A_LIST = 1_000
BYTES_OF_A_PART = 128 * 1024**2
"""PART_BYTES of compact/runs.py: rows in memory that become one object."""


class Requests(NamedTuple):
    """Of compactions. HEAD is counted as GET, which it costs; DELETE is free."""

    lists: float
    puts: float
    gets: float


class Compacted(NamedTuple):
    """A dataset of one venue: objects that are recorded a day, symbols that have objects of their own, and objects that are
    written a day."""

    objects: float
    symbols: int
    outputs: float


def monthly(known: Mapping[str, Any], symbols: int, month: int, *, with_klines: bool = False) -> dict[str, float]:
    """Costs of that month by kind: what was recorded since the first month is still kept."""
    price = {name: entry["usd"] for name, entry in known["prices"].items()}
    measured, settings = known["measured"], known["settings"]
    levels, trades = measured["levels_per_second"] * SECONDS, measured["trades_per_second"] * SECONDS
    lake_gb = symbols * (levels * measured["level_parquet_bytes"] + trades * measured["trade_parquet_bytes"]) / GB
    warehouse_gb = symbols * 2 * levels * measured["level_clickhouse_bytes"] / GB
    batches = SECONDS / settings["batch_seconds"]
    objects = batches * (LIVE_DATASETS + (symbols if with_klines else 0)) + SECONDS / BEAT_SECONDS
    return {
        "S3 storage": month * lake_gb * price["s3_gb_month"],
        "PUT": objects * price["s3_put_or_list"],
        "LIST by the sweep": _lists(settings, symbols) * price["s3_put_or_list"],
        "GET": objects * price["s3_get"],
        "compaction": _compaction(known, symbols, batches),
        "SQS": 5 * objects * price["sqs_request"],
        "ClickHouse disk": month * warehouse_gb * price["gp3_gb_month"],
        "servers and tasks": SECONDS / 3600 * (
            2 * price["m7g_large_hour"] + TASKS_VCPU * price["fargate_vcpu_hour"] + TASKS_GB * price["fargate_gb_hour"]
        ),
    }  # fmt: skip


def _lists(settings: Mapping[str, float], symbols: int) -> float:
    """Of one loader: a sweep lists each folder that it looks into (ObjectStore.list_folders)."""
    by_hour = BY_DAY * (1 + 1 + 2 + settings["sweep_hours"] + 1)  # dataset, venue, two dates, their hours
    klines = 1 + 1 + 2 * symbols  # dataset, venue, and each symbol with its interval
    return SECONDS / settings["sweep_seconds"] * (by_hour + klines)


def compactions(passes: float, days: float, every: Sequence[Compacted], others: int) -> Requests:
    """Of so many passes over a venue, in which so many days are merged, each with its share of the passes.

    `others`: datasets of which nothing is recorded in most days. The simulated month of benchmarks/bench_month.py takes these
    requests (tests/test_costs.py).
    """
    lists = passes * (len(every) + others) * LISTS_OF_A_DATASET
    puts = gets = 0.0
    for one in every:
        pages = max(math.ceil(one.objects / KEYS_A_LIST), 1)
        goes_on, waits = max(pages / 2, 1) + 1, pages + 2
        visit = 2 * pages + one.symbols + LISTS_OF_A_DAY
        lists += passes * (goes_on + waits) + days * VISITS * visit
        puts += days * (one.outputs + RECORDS_OF_A_DAY)
        gets += days * (2 * one.objects + one.outputs) + 2 * passes  # read, looked at again; read back; records
    return Requests(lists, puts, gets)


def _compaction(known: Mapping[str, Any], symbols: int, batches: float) -> float:
    """Each object is read, looked at again and deleted; each part is written and read back."""
    price: dict[str, float] = {name: entry["usd"] for name, entry in known["prices"].items()}
    measured: dict[str, float] = known["measured"]
    settings: dict[str, float] = known["settings"]
    days, passes = SECONDS / DAY_SECONDS, SECONDS / settings["compact_seconds"]
    rows = {"level": measured["levels_per_second"], "trade": measured["trades_per_second"]}
    parts = [math.ceil(rate * DAY_SECONDS * measured[f"{name}_memory_bytes"] / BYTES_OF_A_PART) for name, rate in rows.items()]
    every = [Compacted(batches / days, symbols, symbols * number) for number in parts]
    every.append(Compacted(DAY_SECONDS / BEAT_SECONDS, 0, 1))
    found = compactions(passes, days, every, BY_DAY - len(every))
    return (found.lists + found.puts) * price["s3_put_or_list"] + found.gets * price["s3_get"]


def tables(known: Mapping[str, Any]) -> str:
    """Markdown."""
    columns = [(symbols, month) for symbols in SYMBOLS for month in MONTHS]
    found = [monthly(known, *column) for column in columns]
    lines = [
        "| US dollars a month | " + " | ".join(f"{symbols:,} symbols, month {month}" for symbols, month in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    lines += [f"| {kind} | " + " | ".join(_usd(column[kind]) for column in found) + " |" for kind in found[0]]
    lines.append("| **all** | " + " | ".join(_usd(sum(column.values())) for column in found) + " |")
    more = [monthly(known, symbols, 1, with_klines=True)["PUT"] - monthly(known, symbols, 1)["PUT"] for symbols in SYMBOLS]
    lines += ["", "`--channel klines` adds PUT requests of " + ", ".join(
        f"{_usd(usd)} ({symbols:,} symbols)" for symbols, usd in zip(SYMBOLS, more, strict=True)
    ) + ": an object per symbol and batch."]  # fmt: skip
    seen = min(entry["seen"] for entry in known["prices"].values())
    lines += ["", f"The price list names the public source of each price, read on {seen} or later."]
    return "\n".join(lines)


def _usd(value: float) -> str:
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def page_with(text: str, made: str) -> str:
    """The page with the tables between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def read_costs() -> dict[str, Any]:
    """The figures that everything is computed from."""
    known: dict[str, Any] = yaml.safe_load((ROOT / "resources" / "aws" / "costs.yaml").read_text(encoding="utf-8"))
    return known


if __name__ == "__main__":
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), tables(read_costs())), encoding="utf-8")

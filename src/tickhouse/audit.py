"""`tickhouse audit`: is everything that landed in the warehouse, once, with every value; exit 1 if anything is not."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Annotated

import typer

from load_process.objects import ObjectVersion
from tickhouse.audit_footers import READERS, FooterAudit
from tickhouse.audit_queries import AuditQueries
from tickhouse_core.command_line import one_of, print_table, with_data_folder
from tickhouse_core.datasets import DATASETS, Dataset, dataset_named
from tickhouse_core.errors import TickhouseError, UsageError
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import run_command
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.settings import RetentionSettings, WarehouseSettings, read
from tickhouse_core.warehouse import connect

_GROUPS = ("symbol", "day")
_SUMMARY = ("dataset", "objects", "footer rows", "bronze rows", "rows", "bytes on disk", "first", "last")
_FINDINGS = ("dataset", "verdict", "key", "footer rows", "bronze rows", "loaded at")
_FOOTERS = ("dataset", "objects in the lake", "footer rows", "ledger rows", "bronze rows", "quarantined", "findings")


def run_audit(datasets: Sequence[Dataset], *, symbol: str | None, by: Sequence[str], footers: bool, samples: int) -> None:
    """Prints the tables; raises TickhouseError if anything differs."""
    kept_days = read(RetentionSettings).bronze_days
    with closing(connect(read(WarehouseSettings))) as warehouse:
        queries = AuditQueries(warehouse, symbol, kept_days)
        print_totals(queries, datasets)
        if by:
            print_groups(queries, datasets, by)
        wrong = print_verdicts(queries, datasets, samples)
        wrong += print_quarantined(queries, datasets, samples)
        if footers:
            wrong += print_footers(FooterAudit(open_lake(), warehouse), datasets, samples, kept_days)
    if wrong:
        raise TickhouseError(
            f"{wrong} findings: `tickhouse redrive --key KEY --again` loads an object anew; one in quarantine loads when a "
            "repaired object is written under its key"
        )


def print_totals(queries: AuditQueries, datasets: Sequence[Dataset]) -> None:
    rows = []
    for dataset in datasets:
        found = queries.totals(dataset)
        size = "" if found.disk_bytes is None else found.disk_bytes
        rows.append(
            (dataset.name, found.objects, found.footer_rows, found.bronze_rows, found.rows, size, found.first, found.last)
        )
    print_table(_SUMMARY, rows, title="totals")


def print_groups(queries: AuditQueries, datasets: Sequence[Dataset], by: Sequence[str]) -> None:
    rows = [(dataset.name, *row) for dataset in datasets for row in queries.grouped(dataset, by)]
    print()
    print_table(("dataset", *by, "bronze rows", "rows", "first", "last"), rows, title=f"by {' and '.join(by)}")


def print_verdicts(queries: AuditQueries, datasets: Sequence[Dataset], samples: int) -> int:
    """Number of objects with a difference."""
    verdicts = [
        (dataset.name, verdict)
        for dataset in datasets
        for verdict in [*queries.verdicts(dataset, samples), *queries.strays(dataset, samples)]
    ]
    print()
    print_table(
        ("dataset", "verdict", "objects"), [(name, found.word, found.objects) for name, found in verdicts], title="verdicts"
    )
    findings = [(name, found.word, *sample) for name, found in verdicts for sample in found.samples]
    if findings:
        print()
        print_table(_FINDINGS, findings, title="not as it should be")
    return sum(found.objects for _, found in verdicts if not found.is_fine)


def print_quarantined(queries: AuditQueries, datasets: Sequence[Dataset], samples: int) -> int:
    """Number of the lake's objects that are permanently refused in their current version; repaired or deleted ones do not
    count.
    """
    refused = [(dataset.name, *found) for dataset in datasets for found in queries.quarantined(dataset)]
    if not refused:
        return 0
    lake = open_lake()
    with ThreadPoolExecutor(READERS, thread_name_prefix="audit") as threads:
        are_current = list(threads.map(lambda item: _is_current(lake, item[1]), refused))
    current = [item for item, is_current in zip(refused, are_current, strict=True) if is_current]
    if current and samples:
        print()
        lines = [(name, version.key, reason, detail[:200]) for name, version, reason, detail in current[:samples]]
        print_table(("dataset", "key", "reason", "detail"), lines, title="in quarantine")
    return len(current)


def _is_current(lake: ObjectStore, version: ObjectVersion) -> bool:
    found = next(lake.list_keys(version.key), None)  # the shortest key with a prefix is listed first
    return found is not None and ObjectVersion(lake.bucket, found.key, found.etag) == version


def print_footers(footers: FooterAudit, datasets: Sequence[Dataset], samples: int, kept_days: int | None) -> int:
    """Number of differences."""
    rows, findings, wrong = [], [], 0
    for dataset in datasets:
        found = footers.compare(dataset, kept_days)
        figures = (found.objects, found.rows, found.ledger_rows, found.bronze_rows, found.quarantined, len(found.findings))
        rows.append((dataset.name, *figures))
        findings += [(dataset.name, *finding) for finding in found.findings[:samples]]
        wrong += len(found.findings)
    print()
    print_table(_FOOTERS, rows, title="footers in the lake")
    if findings:
        print()
        print_table(("dataset", "key", "finding"), findings, title="footers that differ")
    return wrong


@with_data_folder(reads=True)
def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Only this dataset; repeats.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only this market, and the objects that hold it.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="symbol or day, or both: repeats.")] = None,
    footers: Annotated[bool, typer.Option("--footers", help="Read every Parquet footer in the lake as well.")] = False,
    samples: Annotated[int, typer.Option(min=0, help="Objects shown of every verdict that is not ok.")] = 10,
) -> None:
    """Account for every object: ledger, bronze, what people see, and with --footers the lake; exit 1 if anything differs."""

    def work() -> None:
        groups = [name for name in _GROUPS if name in (by or ())]
        for name in by or ():
            one_of("--by", name, _GROUPS)
        chosen = [dataset_named(name) for name in dict.fromkeys(dataset)] if dataset else list(DATASETS)
        if symbol is not None or "symbol" in groups:
            chosen = [known for known in chosen if "symbol" in known.schema.names]
        if not chosen:
            raise UsageError("rows of heartbeats are of no symbol")
        run_audit(chosen, symbol=symbol, by=groups, footers=footers, samples=samples)

    run_command(work)

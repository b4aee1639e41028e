"""`tickhouse audit`: is everything that landed in the warehouse, once, with every value; exit 1 if anything is not."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from load_process.ledger import COVERED, LOADED, QUARANTINED, SUPERSEDED
from load_process.objects import ObjectVersion
from tickhouse.audit_queries import AuditQueries
from tickhouse_core.command_line import one_of, print_table, with_data_folder
from tickhouse_core.datasets import DATASETS, Dataset, dataset_named
from tickhouse_core.errors import ObjectChanged, ObjectMissing, TickhouseError, UsageError
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import run_command
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.settings import RetentionSettings, WarehouseSettings, read
from tickhouse_core.sql_door.serving import sharing_sql
from tickhouse_core.timestamps import SECOND_US, from_datetime, now_us
from tickhouse_core.warehouse import Warehouse, connect

_GROUPS = ("symbol", "day")
_SUMMARY = ("dataset", "objects", "footer rows", "bronze rows", "rows", "bytes on disk", "first", "last")
_FINDINGS = ("dataset", "verdict", "key", "footer rows", "bronze rows", "loaded at")
_FOOTERS = ("dataset", "objects in the lake", "footer rows", "ledger rows", "bronze rows", "quarantined", "findings")

READERS = 16
_AT_ONCE = 500


@dataclass(slots=True)
class FooterCounts:
    """Of one dataset. `rows` is by the footers of the objects that are loaded; findings are key and what is wrong."""

    objects: int = 0
    rows: int = 0
    ledger_rows: int = 0
    bronze_rows: int = 0
    quarantined: int = 0
    findings: list[tuple[str, str]] = field(default_factory=list)


class FooterAudit:
    """The look into the lake itself: the row count in every Parquet footer against ledger and bronze.

    Errors: LakeUnavailable, and the warehouse's. Objects younger than `min_age_seconds` may have yet to be loaded.
    """

    def __init__(self, store: ObjectStore, warehouse: Warehouse, min_age_seconds: int = 300) -> None:
        self._store = store
        self._warehouse = warehouse
        self._min_age_us = min_age_seconds * SECOND_US

    def compare(self, dataset: Dataset, kept_days: int | None) -> FooterCounts:
        """Every Parquet object of the dataset that is in the lake; a footer costs one or two small requests."""
        counts = FooterCounts()
        objects = (item for item in self._store.list_keys(dataset.prefix) if item.key.endswith(".parquet"))
        with ThreadPoolExecutor(READERS, thread_name_prefix="footers") as threads:
            while some := list(islice(objects, _AT_ONCE)):
                self._compare_some(dataset, some, list(threads.map(self._footer_rows, some)), counts, kept_days)
        return counts

    def _compare_some(
        self,
        dataset: Dataset,
        objects: Sequence[ObjectSummary],
        footers: Sequence[int | str | None],
        counts: FooterCounts,
        kept_days: int | None,
    ) -> None:
        ledger = self._ledger([item.key for item in objects])
        bronze = self._warehouse.count_of_objects(dataset.bronze_table, [item.key for item in objects])
        for item, footer in zip(objects, footers, strict=True):
            if footer is None:
                continue  # replaced or taken away while we read: the next audit sees what is there then
            counts.objects += 1
            of_key = ledger.get(item.key, {})
            status, rows = of_key.get(ObjectVersion(self._store.bucket, item.key, item.etag), ("", 0))
            if status == QUARANTINED:
                counts.quarantined += 1
            elif isinstance(footer, str):
                counts.findings.append((item.key, footer))
            elif status == COVERED:
                if footer != rows:
                    counts.findings.append((item.key, f"{footer} rows by the footer, {rows} in the ledger"))
            elif status != LOADED:
                if now_us() - from_datetime(item.last_modified) > self._min_age_us:
                    counts.findings.append((item.key, f"{footer} rows by the footer, not loaded"))
            else:
                counts.rows += footer
                counts.ledger_rows += rows
                counts.bronze_rows += bronze.get(item.key, 0)
                loaded_rows = sum(rows for status, rows in of_key.values() if status in (LOADED, SUPERSEDED))
                counts.findings += _differences(item.key, footer, rows, bronze.get(item.key, 0), loaded_rows, kept_days)

    def _ledger(self, keys: Sequence[str]) -> dict[str, dict[ObjectVersion, tuple[str, int]]]:
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, status, rows from ops_loaded_objects final where key in %(keys)s", keys
        )
        found: dict[str, dict[ObjectVersion, tuple[str, int]]] = {}
        for bucket, key, etag, status, count in rows:
            found.setdefault(key, {})[ObjectVersion(bucket, key, etag)] = (status, int(count))
        return found

    def _footer_rows(self, item: ObjectSummary) -> int | str | None:
        """The count, or what is wrong with the file; None if it is another file by now."""
        try:
            with pq.ParquetFile(self._store.open(item)) as file:
                return int(file.metadata.num_rows)
        except (ObjectChanged, ObjectMissing):
            return None
        except (pa.ArrowException, OSError) as error:
            return f"no readable footer: {str(error).splitlines()[0]}"


def _differences(
    key: str, footer: int, ledger: int, bronze: int, loaded_rows: int, kept_days: int | None
) -> Iterator[tuple[str, str]]:
    """`loaded_rows` is of all versions of the key that bronze keeps; of older ones bronze may have let go."""
    if footer != ledger:
        yield key, f"{footer} rows by the footer, {ledger} in the ledger"
    if bronze != loaded_rows and (kept_days is None or bronze > loaded_rows):
        yield key, f"{loaded_rows} rows in the ledger, {bronze} in bronze"


def run_audit(datasets: Sequence[Dataset], *, symbol: str | None, by: Sequence[str], footers: bool, samples: int) -> None:
    """Prints the tables; raises TickhouseError if anything differs."""
    kept_days = read(RetentionSettings).bronze_days
    with sharing_sql(read(WarehouseSettings)) as where, closing(connect(where)) as warehouse:
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
            f"{wrong} findings: `tickhouse redrive --key KEY --again` loads an object again; one in quarantine loads when a "
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
    samples: Annotated[int, typer.Option(min=0, help="Objects shown per verdict that is not ok.")] = 10,
) -> None:
    """Check every object in ledger, bronze and views, with --footers in the lake too; exit 1 if anything differs."""

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

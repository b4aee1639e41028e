"""The audit's look into the lake itself: the row count in every Parquet footer against ledger and bronze."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from load_process.ledger import LOADED, QUARANTINED, SUPERSEDED
from load_process.versions import Version
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import ObjectChanged, ObjectMissing
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.timestamps import SECOND_US, from_datetime, now_us
from tickhouse_core.warehouse import Warehouse

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
    """Errors: LakeUnavailable, and the warehouse's. Objects younger than `min_age_seconds` may have yet to be loaded."""

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
            status, rows = of_key.get(Version(self._store.bucket, item.key, item.etag), ("", 0))
            if status == QUARANTINED:
                counts.quarantined += 1
            elif isinstance(footer, str):
                counts.findings.append((item.key, footer))
            elif status != LOADED:
                if now_us() - from_datetime(item.last_modified) > self._min_age_us:
                    counts.findings.append((item.key, f"{footer} rows by the footer, not loaded"))
            else:
                counts.rows += footer
                counts.ledger_rows += rows
                counts.bronze_rows += bronze.get(item.key, 0)
                loaded_rows = sum(rows for status, rows in of_key.values() if status in (LOADED, SUPERSEDED))
                counts.findings += _differences(item.key, footer, rows, bronze.get(item.key, 0), loaded_rows, kept_days)

    def _ledger(self, keys: Sequence[str]) -> dict[str, dict[Version, tuple[str, int]]]:
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, status, rows from ops_loaded_objects final where key in %(keys)s", keys
        )
        found: dict[str, dict[Version, tuple[str, int]]] = {}
        for bucket, key, etag, status, count in rows:
            found.setdefault(key, {})[Version(bucket, key, etag)] = (status, int(count))
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

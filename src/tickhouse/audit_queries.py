"""The audit's questions to the warehouse: totals, verdicts of the accounting views, and rows by symbol and day."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from load_process.objects import ObjectVersion
from tickhouse_core.datasets import KLINES, Dataset
from tickhouse_core.lake_keys import object_key
from tickhouse_core.warehouse import Warehouse

FINE = ("ok", "expired", "under way")
"""Verdicts that need no action: correct, expired by the retention, or being loaded."""

_UNDER_WAY_MINUTES = 5


@dataclass(frozen=True, slots=True)
class Totals:
    """One line of the audit. `disk_bytes` is bronze and silver together, None for one symbol of many."""

    objects: int
    footer_rows: int
    bronze_rows: int
    rows: int
    disk_bytes: int | None
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many objects have it, and some of them: key, rows by the footer, rows in bronze, load_time."""

    word: str
    objects: int
    samples: Sequence[tuple[str, int, int, str]]

    @property
    def is_fine(self) -> bool:
        return self.word in FINE


class AuditQueries:
    """Errors are the warehouse's. With a `symbol` everything is about the objects and rows of that market.

    `kept_days` is the retention of bronze: what is missing of an older object is not lost.
    """

    def __init__(self, warehouse: Warehouse, symbol: str | None, kept_days: int | None) -> None:
        self._warehouse = warehouse
        self._symbol = symbol
        folder = object_key(KLINES, {"symbol": symbol or ""}, "").removeprefix(KLINES.prefix)
        self._parameters = {"symbol": symbol or "", "folder": folder, "kept_days": kept_days or 0}

    def totals(self, dataset: Dataset) -> Totals:
        time = dataset.time_column
        ((bronze_rows,),) = self._ask(f"select count() from {dataset.bronze_table}{self._of_symbol()}")  # noqa: S608
        ((rows, first, last),) = self._ask(
            f"select count(), toString(min({time})), toString(max({time})) from {dataset.name}{self._of_symbol()}"  # noqa: S608
        )
        ((objects, footer_rows),) = self._ask(
            "select uniqExact(key), sum(rows) from ops_loaded_objects final "  # noqa: S608
            f"where dataset = '{dataset.name}' and status in ('loaded', 'superseded'){self._of_objects('key', dataset)}"
        )
        return Totals(
            int(objects),
            int(footer_rows),
            int(bronze_rows),
            int(rows),
            self._disk_bytes(dataset) if self._symbol is None else None,
            first if rows else "",
            last if rows else "",
        )

    def verdicts(self, dataset: Dataset, samples: int) -> list[Verdict]:
        """Each that some object has, with up to that many samples where it is not fine."""
        fine = ", ".join(f"'{word}'" for word in FINE)
        rows = self._ask(
            f"select word, count(), groupArrayIf({max(samples, 1):d})("  # noqa: S608
            f"(key, footer_rows, bronze_rows, load), word not in ({fine})) "
            "from (select key, toInt64(footer_rows) as footer_rows, toInt64(bronze_rows) as bronze_rows, "
            "toString(load_time) as load, multiIf("
            f"verdict = 'not in ledger' and load_time > now64(6) - interval {_UNDER_WAY_MINUTES} minute, 'under way', "
            "verdict in ('gone from bronze', 'missing rows') and {kept_days:UInt32} > 0 "
            "and load_time < now64(6) - toIntervalDay({kept_days:UInt32}), 'expired', verdict) as word "
            f"from ops_accounting_{dataset.name} where 1{self._of_objects('key', dataset)} order by key) "
            "group by word order by word = 'ok' desc, word"
        )
        return [Verdict(word, int(count), [tuple(sample) for sample in some][:samples]) for word, count, some in rows]

    def strays(self, dataset: Dataset, samples: int) -> list[Verdict]:
        """Where silver differs from the current versions: objects with visible rows of older versions, and objects with
        hidden rows of the current one.

        Each is checked twice, because loading continues meanwhile.
        """
        verdicts = []
        for word, sql in self._stray_queries(dataset).items():
            if self._ask(sql) and (found := self._ask(sql)):
                verdicts.append(Verdict(word, len(found), [(key, 0, int(rows), load) for key, rows, load in found[:samples]]))
        return verdicts

    def _stray_queries(self, dataset: Dataset) -> dict[str, str]:
        """The samples count rows in silver, or in bronze."""
        silver, of_symbol = f"silver_{dataset.name}", self._of_symbol() or " where 1"
        ((key,),) = self._warehouse.query(
            "select sorting_key from system.tables where database = currentDatabase() and name = {name:String}", {"name": silver}
        )
        head, tail = "select object_key, count(), toString(max(load_time)) from", "group by object_key order by object_key"
        versions = f"select key, etag from ops_loaded_objects final where dataset = '{dataset.name}' and"  # noqa: S608
        return {
            "older version seen": f"{head} {silver} final{of_symbol} "  # noqa: S608
            f"and (object_key, object_etag) not in ({versions} status = 'loaded') "
            f"and (load_time < now64(6) - interval {_UNDER_WAY_MINUTES} minute "
            f"and object_key in (select key from ({versions} status = 'loaded')) "  # else it is `not in ledger`
            f"or (object_key, object_etag) in ({versions} status != 'loaded')) {tail} "
            "settings do_not_merge_across_partitions_select_final = 1, use_skip_indexes_if_final = 0",
            "not seen": f"{head} {dataset.bronze_table}{of_symbol} "  # noqa: S608
            f"and (object_key, object_etag) in ({versions} status = 'loaded') "
            f"and ({key}) not in (select {key} from {silver}{of_symbol}) {tail} settings transform_null_in = 1",
        }

    def quarantined(self, dataset: Dataset) -> list[tuple[ObjectVersion, str, str]]:
        """Every permanently refused version by key, with the latest reason and detail."""
        rows = self._ask(
            "select bucket, key, etag, said.reason, said.detail from ops_loaded_objects as done final "  # noqa: S608
            "left join (select bucket, key, etag, argMax(reason, time) as reason, argMax(detail, time) as detail "
            "from ops_load_errors where fate = 'quarantined' group by bucket, key, etag) as said using (bucket, key, etag) "
            f"where done.dataset = '{dataset.name}' and status = 'quarantined'{self._of_objects('key', dataset)} "
            "order by key, etag"
        )
        return [(ObjectVersion(bucket, key, etag), reason, detail) for bucket, key, etag, reason, detail in rows]

    def grouped(self, dataset: Dataset, by: Sequence[str]) -> list[Sequence[Any]]:
        """By `symbol`, `day` or both: rows in bronze, rows that people see, first and last."""
        time = dataset.time_column
        parts = {"symbol": "toString(symbol) as symbol", "day": f"toString(toDate({time})) as day"}
        names = ", ".join(by)
        chosen = ", ".join(parts[name] for name in by)

        def part(table: str, counts: str) -> str:
            times = f"min({time}) as first, max({time}) as last"
            return f"select {chosen}, {counts}, {times} from {table}{self._of_symbol()} group by {names}"  # noqa: S608

        return self._ask(
            f"select {names}, sum(landed), sum(seen), toString(min(first)), toString(max(last)) from ("  # noqa: S608
            f"{part(dataset.bronze_table, 'count() as landed, 0 as seen')} union all "
            f"{part(dataset.name, '0 as landed, count() as seen')}) group by {names} order by {names}"
        )

    def _disk_bytes(self, dataset: Dataset) -> int:
        ((size,),) = self._warehouse.query(
            "select sum(bytes_on_disk) from system.parts "
            "where active and database = currentDatabase() and table in {tables:Array(String)}",
            {"tables": [dataset.bronze_table, f"silver_{dataset.name}"]},
        )
        return int(size)

    def _ask(self, sql: str) -> list[Sequence[Any]]:
        used = {name: value for name, value in self._parameters.items() if f"{{{name}:" in sql}
        return self._warehouse.query(sql, used)

    def _of_symbol(self) -> str:
        return "" if self._symbol is None else " where symbol = {symbol:String}"

    def _of_objects(self, column: str, dataset: Dataset) -> str:
        if self._symbol is None:
            return ""
        keys = f"select distinct object_key from {dataset.bronze_table}{self._of_symbol()}"  # noqa: S608
        return f" and ({column} in ({keys}) or position({column}, {{folder:String}}) > 0)"

"""Removes rows from silver that only older versions of an object have; bronze keeps every version.

Silver is a function of the current versions of all objects: after every insert this is restored before the ledger calls the new
version loaded. Interrupted work is repeated together with the insert, and every step may be repeated.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence

from load_process.ledger import LOADED, Claims, Ledger
from load_process.objects import ObjectVersion
from tickhouse_core.datasets import BOOK_TICKERS, DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, TRADES, Dataset
from tickhouse_core.warehouse import Warehouse

MADE_INTO_GOLD = (KLINES, TRADES, DEPTH_DIFFS, DEPTH_SNAPSHOTS, BOOK_TICKERS)
"""Gold counts their minutes by the dataset's time_column."""

log = logging.getLogger(__name__)

PAIRS_AT_ONCE = 200
"""Versions that one statement names: a key and an etag are up to 300 bytes, and a statement repeats them (256 KiB at most)."""

AS_PEOPLE_SEE = "do_not_merge_across_partitions_select_final = 1, use_skip_indexes_if_final = 0, transform_null_in = 1"
"""As the views read silver; a skip index must not hide the row that wins, and a key may hold nulls (stream_events)."""


class Supersession:
    """Errors that travel: WarehouseUnavailable, LakeUnavailable. Safe to repeat, and beside other loaders.

    Two loaders may have two versions of one object. Each looks for the other's after its own rows are in, in the claims
    (written before any row) and in the ledger, so that at least one of them sees both; the lake says which is current.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        etag_in_lake: Callable[[str], str | None],
        patience_seconds: float,
    ) -> None:
        """`etag_in_lake` says which version the lake has of a key now, None if it has none. A claim that is younger than
        `patience_seconds` belongs to a loader that may be alive, which takes out its own rows."""
        self._warehouse = warehouse
        self._ledger = Ledger(warehouse)
        self._claims = Claims(warehouse)
        self._etag_in_lake = etag_in_lake
        self._patience_seconds = patience_seconds

    def settle(self, dataset: Dataset, inserted: Collection[ObjectVersion]) -> set[ObjectVersion]:
        """After the rows of these versions are in bronze and silver. Returns those that are themselves superseded."""
        keys = [version.key for version in inserted]
        statuses = self._ledger.statuses(keys)
        loaded = {version for version, status in statuses.items() if status == LOADED}
        claimed = {version: age for version, age in self._claims.ages(keys).items() if version not in statuses}
        gone: set[ObjectVersion] = set()
        stale: set[ObjectVersion] = set()
        for version in inserted:
            others = {
                other
                for other in {*loaded, *claimed}
                if (other.bucket, other.key) == (version.bucket, version.key) and other != version
            }
            if not others:
                continue
            etag = self._etag_in_lake(version.key)
            if any(other.etag == etag for other in others):
                others = {other for other in others if other.etag != etag} | {version}
                stale.add(version)
            gone |= others
        if gone:
            self.retract(dataset, gone)
            dead = [version for version in gone - stale if claimed.get(version, -1.0) >= self._patience_seconds]
            self._forget(dataset, dead)
            self._ledger.supersede(gone & loaded)
            log.info("older versions superseded", extra={"dataset": dataset.name, "versions": len(gone)})
        return stale

    def withdraw(self, dataset: Dataset, versions: Sequence[ObjectVersion]) -> None:
        """As if these versions, which no ledger has, had never been inserted."""
        self.retract(dataset, versions)
        self._forget(dataset, versions)

    def retract(self, dataset: Dataset, gone: Collection[ObjectVersion]) -> None:
        """Makes silver what it would be without these versions; needs their rows in bronze."""
        for pairs in _parts([(version.key, version.etag) for version in gone]):
            keys = self._keys_that_win(dataset, pairs)
            began_us = self._warehouse.now_us()
            self._tell_gold(dataset, pairs)  # first: a loader that is killed after the deletion may not come back to it
            if keys:
                self._delete(dataset, keys, [*pairs, *self._superseded(keys)])
                self._tell_gold_again(dataset, began_us)
                log.info(
                    "rows that an object no longer has are taken out",
                    extra={"dataset": dataset.name, "objects": len(keys), "key": keys[0]},
                )
            self._fill(dataset, pairs)

    def _keys_that_win(self, dataset: Dataset, pairs: list[tuple[str, str]]) -> list[str]:
        """The objects whose visible rows are of these versions."""
        silver, key = f"silver_{dataset.name}", ", ".join(dataset.natural_key)
        rows = self._warehouse.query(
            f"select distinct object_key from {silver} final where ({key}) in ("  # noqa: S608  # our own names
            f"select {key} from {silver} where object_key in %(keys)s and (object_key, object_etag) in %(pairs)s) "
            f"and (object_key, object_etag) in %(pairs)s settings {AS_PEOPLE_SEE}",
            {"keys": [pair[0] for pair in pairs], "pairs": pairs},
        )
        return [str(row[0]) for row in rows]

    def _superseded(self, keys: list[str]) -> list[tuple[str, str]]:
        """Hidden rows of even older versions must go too, or they would become visible."""
        rows = self._warehouse.query_by_keys(
            "select key, etag from ops_loaded_objects final where key in %(keys)s and status = 'superseded'", keys
        )
        return [(str(key), str(etag)) for key, etag in rows]

    def _delete(self, dataset: Dataset, keys: list[str], pairs: list[tuple[str, str]]) -> None:
        chosen = [pair for pair in pairs if pair[0] in set(keys)]
        for some in _parts(chosen):
            self._warehouse.command(
                f"delete from silver_{dataset.name} where object_key in %(keys)s "  # noqa: S608  # our own name
                "and (object_key, object_etag) in %(pairs)s",
                {"keys": [pair[0] for pair in some], "pairs": some},
            )

    def _fill(self, dataset: Dataset, pairs: list[tuple[str, str]]) -> None:
        """What the versions said and silver lacks comes from the other objects that say it too: silver forgets the row that
        was beaten when it merges. By their load_time these rows are new, so that the transforms look at them."""
        bronze, silver, key = dataset.bronze_table, f"silver_{dataset.name}", ", ".join(dataset.natural_key)
        columns = ", ".join([*dataset.schema.names, "object_key", "object_etag"])
        said = (
            f"select {key} from {bronze} where object_key in %(keys)s "  # noqa: S608  # our own names
            "and (object_key, object_etag) in %(pairs)s"
        )
        self._warehouse.command(
            f"insert into {silver} ({columns}, load_time) select {columns}, now64(6) from {bronze} "  # noqa: S608
            f"where ({key}) in ({said}) and ({key}) not in (select {key} from {silver} where ({key}) in ({said})) "
            "and (object_key, object_etag) not in %(pairs)s and (object_key, object_etag) not in "
            f"(select key, etag from ops_loaded_objects final where dataset = '{dataset.name}' and status = 'superseded') "
            "settings transform_null_in = 1, insert_deduplicate = 0",
            {"keys": [pair[0] for pair in pairs], "pairs": pairs},
        )

    def _tell_gold(self, dataset: Dataset, pairs: list[tuple[str, str]]) -> None:
        """The minutes of what the versions said and no other says in silver, at that time at least; and of the trades right
        before and after, whose minutes were complete with it. A minute too many is only built once more."""
        if dataset not in MADE_INTO_GOLD:
            return
        silver, natural, at = f"silver_{dataset.name}", ", ".join(dataset.natural_key), dataset.time_column
        theirs = "object_key in %(keys)s and (object_key, object_etag) in %(pairs)s"
        said = " union all ".join(  # bronze may have let them go by its age, silver has not all that a newer version has too
            f"select {natural}, {at} as lost_at from {table} where {theirs}"  # noqa: S608  # our own names
            for table in (dataset.bronze_table, silver)
        )
        seen = (
            f"select {natural}, {at} from {silver} final where ({natural}) in (select {natural} from ({said})) "  # noqa: S608
            "and (object_key, object_etag) not in %(pairs)s"
        )
        lost = f"from ({said}) where ({natural}, lost_at) not in ({seen})"
        minutes = f"select venue, symbol, toStartOfMinute(lost_at) as minute {lost}"
        if dataset is TRADES:
            ids = f"select venue, symbol, arrayJoin([toUInt64(trade_id - 1), toUInt64(trade_id + 1)]) {lost}"
            minutes += (
                f" union distinct select venue, symbol, toStartOfMinute({at}) from {silver} "  # noqa: S608
                f"where (venue, symbol, trade_id) in ({ids})"
            )
        self._warehouse.command(
            f"insert into ops_lost_minutes (dataset, venue, symbol, minute) select distinct '{dataset.name}', venue, symbol, "  # noqa: S608
            f"minute from ({minutes}) settings {AS_PEOPLE_SEE}",
            {"keys": [pair[0] for pair in pairs], "pairs": pairs},
        )

    def _tell_gold_again(self, dataset: Dataset, since_us: int) -> None:
        """A pass of the transforms may have looked before the rows were gone."""
        self._warehouse.command(
            "insert into ops_lost_minutes (dataset, venue, symbol, minute) select distinct dataset, venue, symbol, minute "
            "from ops_lost_minutes where dataset = {dataset:String} and load_time >= fromUnixTimestamp64Micro({since_us:Int64})",
            {"dataset": dataset.name, "since_us": since_us},
        )

    def _forget(self, dataset: Dataset, versions: Collection[ObjectVersion]) -> None:
        for version in versions:
            self._warehouse.delete_object(dataset.bronze_table, version.key, etag=version.etag)
        self._claims.release_everywhere(versions)


def _parts(pairs: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        yield list(pairs[start : start + PAIRS_AT_ONCE])

"""The warehouse over a lake that is compacted: nothing is loaded twice, and compacted objects alone can fill it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import clickhouse_connect
import pyarrow as pa
import pytest
from tests.load_process.operating import drain, purge, redrive
from tests.tickhouse.compact.lakes import (
    DAY,
    DAY_US,
    HOUR,
    LONG_AFTER,
    Death,
    Killed,
    objects,
    options,
    record_all,
    replaced,
    run,
    with_doubles,
)
from tests.tickhouse.test_read_api import write
from tests.transform_process.warehouse_rows import trades

from extract_process.parquet import parquet_bytes
from load_process.ledger import BatchManifest, Claims
from load_process.limits import LoadLimits
from load_process.objects import ObjectVersion
from load_process.on_demand import Outcome, on_demand_load, requests_for
from load_process.reconcile import SweepCounts, run_reconcile
from load_process.redrive import Selection
from load_process.selection import parse_gap
from tickhouse.audit import run_audit
from tickhouse.clear import clear_tables, tables_of
from tickhouse.compact.passes import BY_DAY
from tickhouse_core.compaction import Fate
from tickhouse_core.compaction_records import Compactions
from tickhouse_core.datasets import DATASETS, DEPTH_DIFFS, STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.lake_keys import compacted_name
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

pytestmark = pytest.mark.slow

USED = (TRADES, DEPTH_DIFFS, STREAM_EVENTS)
RETIRED = LONG_AFTER + 2 * DAY_US


@pytest.fixture
def _recorded(moto_lake: Lake) -> None:
    record_all(moto_lake.store, with_doubles())


def load_all(lake: Lake) -> None:
    for queue in dict.fromkeys(dataset.queue for dataset in USED):
        drain(lake, queue)


def lose_messages() -> None:
    for queue in dict.fromkeys(dataset.queue for dataset in USED):
        purge(queue)


def stored(warehouse: Warehouse) -> dict[str, object]:
    """Every bit of silver, by dataset."""
    return {
        dataset.name: warehouse.query(f"select * from silver_{dataset.name} final order by {', '.join(dataset.natural_key)}")
        for dataset in USED
    }


def seen(warehouse: Warehouse) -> dict[str, object]:
    """As people see it."""
    return {
        dataset.name: warehouse.query(f"select * from {dataset.name} order by {', '.join(dataset.natural_key)}")
        for dataset in USED
    }


def statuses(warehouse: Warehouse, dataset: Dataset = TRADES) -> Counter[tuple[bool, str]]:
    """Of compacted and other objects."""
    rows = warehouse.query(f"select key, status from ops_loaded_objects final where dataset = '{dataset.name}'")
    return Counter((compacted_name(str(key)) is not None, str(status)) for key, status in rows)


def audit() -> None:
    run_audit(DATASETS, symbol=None, by=(), footers=True, samples=10)


def reconcile() -> dict[str, SweepCounts]:
    return run_reconcile(list(USED), StopRequest(), min_age_seconds=0)


def lacks_nothing(found: dict[str, SweepCounts]) -> None:
    assert [(one.missing, one.orphans) for one in found.values()] == [(0, 0)] * len(found)


@pytest.mark.usefixtures("_recorded")
def test_compacted_objects_are_known_as_the_same_rows_and_silver_stays_bit_for_bit(moto_lake: Lake, warehouse: Warehouse) -> None:
    load_all(moto_lake)
    before = stored(warehouse)
    run(moto_lake.store)
    load_all(moto_lake)
    assert statuses(warehouse) == {(False, "loaded"): 12, (True, "covered"): 2}
    audit()
    lacks_nothing(reconcile())
    run(moto_lake.store, options(at=RETIRED))
    assert all(compacted_name(one.key) for dataset in BY_DAY for one in objects(moto_lake.store, dataset))
    load_all(moto_lake)
    audit()
    lacks_nothing(reconcile())
    assert redrive(Selection(prefix="data_sources/")) == {Outcome.ALREADY: 5}
    assert stored(warehouse) == before


@pytest.mark.usefixtures("_recorded")
def test_an_emptied_warehouse_is_filled_from_compacted_objects_alone(moto_lake: Lake, warehouse: Warehouse) -> None:
    """`tickhouse clear`, then the redrive that it names; a late object was merged too."""
    load_all(moto_lake)
    run(moto_lake.store)
    run(moto_lake.store, options(at=RETIRED))
    write(moto_lake.store, TRADES, trades([100], times_us=[DAY + 2 * HOUR]), "late", DAY + 2 * HOUR)
    run(moto_lake.store, options(at=RETIRED + DAY_US))
    load_all(moto_lake)
    run(moto_lake.store, options(at=RETIRED + 3 * DAY_US))
    before = seen(warehouse)
    clear_tables(warehouse, [table for table, _ in tables_of(warehouse, ["bronze", "silver"], None)], None)
    assert redrive(Selection(prefix="data_sources/"), again=True) == {Outcome.LOADED: 5}
    assert seen(warehouse) == before
    assert warehouse.query("select count() from bronze_trades") == [(125,)]
    assert statuses(warehouse) == {(False, "replaced"): 13, (True, "covered"): 2, (True, "loaded"): 2}
    audit()
    lacks_nothing(reconcile())


@pytest.mark.usefixtures("_recorded")
def test_sources_leave_bronze_only_when_every_symbol_is_there_in_their_place(moto_lake: Lake, warehouse: Warehouse) -> None:
    load_all(moto_lake)
    run(moto_lake.store, options(), TRADES)
    run(moto_lake.store, options(at=RETIRED), TRADES)
    load_all(moto_lake)
    before = seen(warehouse)
    bitcoin, ether = objects(moto_lake.store)
    assert redrive(Selection(keys=[bitcoin.key]), again=True) == {Outcome.LOADED: 1}
    assert warehouse.query("select count() from bronze_trades") == [(288 + 62,)]
    audit()
    assert redrive(Selection(keys=[ether.key]), again=True) == {Outcome.LOADED: 1}
    assert warehouse.query("select count() from bronze_trades") == [(124,)]
    audit()
    assert seen(warehouse) == before


@pytest.mark.usefixtures("_recorded")
@pytest.mark.parametrize("is_mixed", [True, False])
def test_a_new_warehouse_is_filled_from_a_mixed_and_from_a_compacted_lake(
    is_mixed: bool, moto_lake: Lake, warehouse: Warehouse
) -> None:
    load_all(moto_lake)
    before = seen(warehouse)
    run(moto_lake.store)
    if not is_mixed:
        run(moto_lake.store, options(at=RETIRED))
    lose_messages()
    tables = [table for table, _ in tables_of(warehouse, ["bronze", "silver"], None)]
    clear_tables(warehouse, [*tables, "ops_loaded_objects", "ops_load_claims"], None)
    reconcile()
    assert seen(warehouse) == before
    audit()
    lacks_nothing(reconcile())
    assert statuses(warehouse)[True, "covered" if is_mixed else "loaded"] == 2


@pytest.mark.usefixtures("_recorded")
def test_compacted_objects_that_are_loaded_before_their_sources_double_nothing(moto_lake: Lake, warehouse: Warehouse) -> None:
    run(moto_lake.store)
    lose_messages()
    compacted = [one.key for dataset in USED for one in objects(moto_lake.store, dataset, compacted=True)]
    assert redrive(Selection(keys=compacted)) == {Outcome.LOADED: 5}
    before = seen(warehouse)
    reconcile()
    assert seen(warehouse) == before
    audit()
    run(moto_lake.store, options(at=RETIRED))
    lacks_nothing(reconcile())


@pytest.mark.usefixtures("_recorded")
def test_an_insert_of_a_compacted_object_that_was_begun_is_finished(moto_lake: Lake, warehouse: Warehouse) -> None:
    """Its sources came into the ledger after the loader was killed: bronze may have a part of the object."""
    run(moto_lake.store, options(), TRADES)
    first = objects(moto_lake.store, compacted=True)[0]
    version = ObjectVersion(moto_lake.store.bucket, first.key, first.etag)
    Claims(warehouse).claim(BatchManifest("dead", (version,)))
    assert redrive(Selection(prefix=f"{TRADES.prefix}venue=binance/date")) == {Outcome.LOADED: 12}
    assert redrive(Selection(prefix=f"{TRADES.prefix}venue=binance/symbol")) == {Outcome.LOADED: 2}
    assert statuses(warehouse) == {(False, "loaded"): 12, (True, "loaded"): 1, (True, "covered"): 1}
    audit()


@pytest.mark.usefixtures("_recorded")
def test_the_objects_of_a_gap_are_found_among_compacted_ones(moto_lake: Lake, warehouse: Warehouse) -> None:
    load_all(moto_lake)
    run(moto_lake.store)
    run(moto_lake.store, options(at=RETIRED))
    load_all(moto_lake)
    assert redrive(Selection(gap=parse_gap("BTCUSDT:trades:20-22"))) == {Outcome.ALREADY: 1}
    span = (DAY + HOUR, DAY + 2 * HOUR)
    assert redrive(Selection(dataset=TRADES, span=span)) == {Outcome.ALREADY: 2}
    audit()


@pytest.mark.usefixtures("_recorded")
@pytest.mark.parametrize("is_notified", [True, False])
@pytest.mark.parametrize("is_loaded", [True, False])
def test_rows_of_a_replaced_source_leave_silver_also_where_the_compacted_object_was_loaded(
    is_notified: bool, is_loaded: bool, moto_lake: Lake, warehouse: Warehouse
) -> None:
    """It was, after a redrive of everything with --again."""
    load_all(moto_lake)
    sources = [one.key for one in objects(moto_lake.store)]
    run(moto_lake.store, options(), TRADES)
    load_all(moto_lake)
    if is_loaded:
        redrive(Selection(prefix="data_sources/"), again=True)
        assert statuses(warehouse)[True, "loaded"] == 2
    for key in sources[:2]:
        replaced(moto_lake.store, key, 3)
    load_all(moto_lake)
    run(moto_lake.store, options(at=LONG_AFTER + HOUR), TRADES)
    if not is_notified:
        lose_messages()
    load_all(moto_lake)
    reconcile()
    assert warehouse.query("select count(), countIf(trade_id = 3) from trades") == [(122, 0)]
    assert warehouse.query("select count() from bronze_trades where object_key like '%compacted%'") == [(0,)]
    audit()
    lacks_nothing(reconcile())
    run(moto_lake.store, options(at=RETIRED + DAY_US), TRADES)
    load_all(moto_lake)
    audit()
    lacks_nothing(reconcile())
    assert warehouse.query("select count(), countIf(trade_id = 3) from trades") == [(122, 0)]


@pytest.mark.usefixtures("_recorded")
def test_a_symbol_that_a_new_version_lacks_leaves_silver_with_the_others(moto_lake: Lake, warehouse: Warehouse) -> None:
    """No object of it comes that could say so, and nothing is reconciled."""
    at = DAY + 2 * HOUR
    both = pa.concat_tables([trades([900], times_us=[at]), trades([900], times_us=[at], symbol="ADAUSDT")])
    key = write(moto_lake.store, TRADES, both, "c", at)
    load_all(moto_lake)
    run(moto_lake.store, options(), TRADES)
    load_all(moto_lake)
    redrive(Selection(prefix="data_sources/"), again=True)
    assert statuses(warehouse)[True, "loaded"] == 3
    moto_lake.store.write(key, parquet_bytes(trades([900], times_us=[at]), TRADES))
    load_all(moto_lake)
    run(moto_lake.store, options(at=LONG_AFTER + HOUR), TRADES)
    load_all(moto_lake)
    assert warehouse.query("select count() from trades where symbol = 'ADAUSDT'") == [(0,)]
    assert warehouse.query("select count() from trades") == [(125,)]
    audit()
    lacks_nothing(reconcile())


@pytest.mark.usefixtures("_recorded")
def test_an_undone_object_that_is_not_deleted_yet_is_not_loaded(moto_lake: Lake, warehouse: Warehouse) -> None:
    """Its compactor was killed; the warehouse has none of its sources."""
    run(moto_lake.store, options(), TRADES)
    lose_messages()
    compacted = [one.key for one in objects(moto_lake.store, compacted=True)]
    found = Compactions(moto_lake.store).behind(compacted[0])
    assert found is not None
    assert Compactions(moto_lake.store).decide(found.plan, Fate.UNDONE) is Fate.UNDONE
    redrive(Selection(keys=compacted))
    assert warehouse.query("select count() from bronze_trades") == [(0,)]
    reconcile()
    assert warehouse.query("select count() from trades") == [(124,)]
    audit()


class MortalWarehouse(Warehouse):
    """Dies before or after its nth effect: an insert, or a command."""

    death: Death

    def insert_rows(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        with self.death.at():
            super().insert_rows(table, rows)

    def insert_arrow(self, table: str, rows: pa.Table, *, token: str, push_again: bool = False) -> None:
        with self.death.at():
            super().insert_arrow(table, rows, token=token, push_again=push_again)

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None, **settings: Any) -> None:
        with self.death.at():
            super().command(sql, parameters, **settings)


@pytest.mark.usefixtures("_recorded")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 8))])
def test_a_redrive_again_that_is_killed_between_any_two_effects_is_finished_by_the_next(
    seed: int, moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    """Of compacted objects whose sources are gone: five deaths of a seed, then one that lives."""
    chance = random.Random(seed)
    load_all(moto_lake)
    run(moto_lake.store, options(), TRADES)
    run(moto_lake.store, options(at=RETIRED), TRADES)
    load_all(moto_lake)
    before = seen(warehouse)
    requests = requests_for(moto_lake.store.bucket, objects(moto_lake.store))
    deaths = 0
    while deaths < 5:
        with closing(mortal_warehouse(warehouse_settings, chance)) as mortal:
            try:
                with on_demand_load(moto_lake.store, mortal, LoadLimits(), StopRequest(), patience_seconds=0) as load:
                    load.load(requests, again=True)
            except Killed:
                deaths += 1
        assert seen(warehouse)["depth_diffs"] == before["depth_diffs"]
        assert warehouse.query("select count() from trades") == [(124,)], "nobody sees fewer or more meanwhile"
    redrive(Selection(prefix="data_sources/"), again=True)
    assert seen(warehouse) == before
    assert warehouse.query("select count() from bronze_trades") == [(124,)]
    audit()
    lacks_nothing(reconcile())


def mortal_warehouse(settings: WarehouseSettings, chance: random.Random) -> MortalWarehouse:
    assert settings.path is not None
    client = clickhouse_connect.get_client(interface="chdb", path=str(settings.path), database=settings.database)
    found = MortalWarehouse(client)
    found.death = Death(chance.randint(1, 12), is_before=chance.random() < 0.5)
    return found

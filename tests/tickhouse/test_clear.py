from __future__ import annotations

from typing import TYPE_CHECKING

from tests.load_process.operating import counts, key_of, land, purge, rows_number, statuses, verdicts
from tests.load_process.test_every_dataset import body_of, seen

from load_process.on_demand import Outcome
from load_process.redrive import Selection, run_redrive
from tickhouse.clear import clear_tables, tables_of
from tickhouse_core.datasets import HEARTBEATS, TRADES
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

ALL = ("bronze", "silver", "gold")


def load_two_markets(lake: Lake) -> None:
    land(lake, 1, dataset=HEARTBEATS)
    land(lake, 1)
    both = rows_number(2) + [row | {"symbol": "ETHUSDT"} for row in rows_number(2)]
    lake.store.write(key_of(2), body_of(both, TRADES))
    run_redrive(Selection(prefix="data_sources/"), StopRequest())
    purge()


def clear(warehouse: Warehouse, *layers: str, symbol: str | None = None) -> list[tuple[str, int]]:
    tables = tables_of(warehouse, layers, symbol)
    clear_tables(warehouse, [table for table, _ in tables], symbol)
    return tables


def load_again() -> dict[Outcome, int]:
    return dict(run_redrive(Selection(prefix="data_sources/"), StopRequest(), again=True))


def test_layers_are_emptied_the_ledger_is_kept_and_everything_can_be_loaded_again(moto_lake: Lake, warehouse: Warehouse) -> None:
    load_two_markets(moto_lake)
    before = seen(warehouse, TRADES)
    assert clear(warehouse, *ALL) == [
        ("bronze_heartbeats", 2),
        ("bronze_trades", 6),
        ("silver_heartbeats", 2),
        ("silver_trades", 6),
    ]
    assert counts(warehouse) == (0, 0)
    assert len(statuses(warehouse)) == 3
    assert load_again() == {Outcome.LOADED: 3}
    assert (counts(warehouse), seen(warehouse, TRADES), verdicts(warehouse)) == ((6, 6), before, ["ok", "ok"])


def test_one_layer_leaves_the_other(moto_lake: Lake, warehouse: Warehouse) -> None:
    load_two_markets(moto_lake)
    clear(warehouse, "silver")
    assert counts(warehouse) == (6, 0)
    assert load_again() == {Outcome.LOADED: 3}
    clear(warehouse, "bronze")
    assert counts(warehouse) == (0, 6)


def test_one_symbol_leaves_the_others_and_what_has_no_symbol(moto_lake: Lake, warehouse: Warehouse) -> None:
    load_two_markets(moto_lake)
    before = seen(warehouse, TRADES)
    assert clear(warehouse, *ALL, symbol="ETHUSDT") == [("bronze_trades", 2), ("silver_trades", 2)]
    assert (counts(warehouse), counts(warehouse, HEARTBEATS)) == ((4, 4), (2, 2))
    assert verdicts(warehouse) == ["ok", "missing rows"]
    assert load_again() == {Outcome.LOADED: 3}
    assert (seen(warehouse, TRADES), verdicts(warehouse)) == (before, ["ok", "ok"])


def test_nothing_is_nothing_to_clear(warehouse: Warehouse) -> None:
    assert tables_of(warehouse, ALL, None) == []
    assert tables_of(warehouse, ALL, "BTCUSDT") == []

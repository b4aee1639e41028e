"""The statements that make one more replica of a warehouse, from a replica that exists: `tickhouse migrate --print-for-replica`.

Not from the files of sql/clickhouse. ClickHouse refuses a replica with other columns (code 122) or another TTL (342) than Keeper
has of the table now, and later files, RETENTION_BRONZE_DAYS and people change tables. And ClickHouse's usual path in Keeper
contains the table's UUID: created anew, with or without `on cluster`, a table gets another one and replicates with nobody.
"""

import re
from collections.abc import Sequence
from contextlib import closing

from tickhouse_core.errors import UsageError
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect

_OBJECTS = (
    "select name, engine, create_table_query from system.tables where database = currentDatabase() and not is_temporary "
    "order by engine like '%View', metadata_modification_time, name "
    "settings show_table_uuid_in_table_create_query_if_not_nil = 1"
)
_CREATE = re.compile(r"^CREATE (TABLE|VIEW|MATERIALIZED VIEW|DICTIONARY) ")


def print_replica(settings: WarehouseSettings, order: Sequence[str]) -> None:
    """All statements, for clickhouse-client --multiquery on the new server. `order`: views that read others come later."""
    with closing(connect(settings)) as warehouse:
        for statement in statements_for_replica(warehouse, order):
            print(f"{statement};\n")


def statements_for_replica(warehouse: Warehouse, order: Sequence[str]) -> list[str]:
    """The database, its tables, then views in that order, and people's own by their age; each is safe to repeat.

    Raises UsageError where no table replicates.
    """
    ((database,),) = warehouse.query("select currentDatabase()")
    objects = [(str(name), str(engine), str(statement)) for name, engine, statement in warehouse.query(_OBJECTS)]
    if not any(engine.startswith("Replicated") for _, engine, _ in objects):
        raise UsageError(f"--print-for-replica: the tables of {database} do not replicate: set CLICKHOUSE_HOST to a replica")
    places = {name: place for place, name in enumerate(order)}
    objects.sort(key=lambda one: (one[1].endswith("View"), places.get(one[0], len(places))))  # stable
    created = [_CREATE.sub(r"CREATE \1 IF NOT EXISTS ", statement, count=1) for _, _, statement in objects]
    return [f"CREATE DATABASE IF NOT EXISTS {database}", *created]

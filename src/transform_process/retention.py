"""How long bronze keeps its rows: the TTL of every bronze table follows RETENTION_BRONZE_DAYS."""

import logging
import re

from tickhouse_core.datasets import DATASETS
from tickhouse_core.warehouse import Warehouse

log = logging.getLogger(__name__)

_TTL = re.compile(r"\bTTL (.+?)(?: SETTINGS |$)")
_OURS = re.compile(r"toDateTime\(load_time\) \+ toIntervalDay\((\d+)\)")


def apply_retention(warehouse: Warehouse, bronze_days: int | None) -> int:
    """Returns how many tables changed: a table whose TTL is right is not touched, for a change rewrites its parts."""
    return sum(_apply(warehouse, dataset.bronze_table, bronze_days) for dataset in DATASETS)


def _apply(warehouse: Warehouse, table: str, days: int | None) -> bool:
    ((engine,),) = warehouse.query(
        "select engine_full from system.tables where database = currentDatabase() and name = {table:String}", {"table": table}
    )
    present = _TTL.search(str(engine))
    ours = _OURS.fullmatch(present.group(1)) if present else None
    if (int(ours.group(1)) if ours else None) == days and (present is None) == (days is None):
        return False
    if days is None:
        warehouse.command(f"alter table {table} remove ttl")
    else:
        warehouse.command(f"alter table {table} modify ttl toDateTime(load_time) + toIntervalDay({days:d})")
    log.info("retention set", extra={"table": table, "days": days if days is not None else "for ever"})
    return True

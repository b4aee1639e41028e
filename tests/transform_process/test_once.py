"""`transform --once` takes what is loaded: on a server it waits until the youngest load is old enough to be visible."""

from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.timestamps import SECOND_US
from tickhouse_core.warehouse import Warehouse
from transform_process.__main__ import wait_for_youngest

LAG_SECONDS = 0.2


def test_it_waits_for_the_youngest_load_and_not_for_older_ones(warehouse: Warehouse) -> None:
    wait_for_youngest(warehouse, StopRequest(), 3_600)  # nothing is loaded: it returns at once
    warehouse.insert_rows("ops_loaded_objects", [{"key": "a", "dataset": "klines", "status": "loaded", "rows": 1}])
    [[young_us]] = warehouse.query("select toUnixTimestamp64Micro(max(load_time)) from ops_loaded_objects")
    wait_for_youngest(warehouse, StopRequest(), LAG_SECONDS)
    assert warehouse.now_us() - int(young_us) >= LAG_SECONDS * SECOND_US
    stopped = StopRequest()
    stopped.set()
    wait_for_youngest(warehouse, stopped, 3_600)  # a stop ends the wait

"""`tickhouse klines`: the backfill, and with a data folder the load and the transform behind it: queryable when it ends."""

import functools
import inspect
import sys

from extract_process import klines
from load_process.__main__ import run_loader
from load_process.limits import limits_here
from load_process.loader import LoaderOptions
from tickhouse.embedded import bring_gold_up
from tickhouse_core.command_line import with_data_folder
from tickhouse_core.datasets import QUEUES
from tickhouse_core.errors import Interrupted
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.settings import DataSettings, WarehouseSettings, read
from transform_process.migrate import migrate

_BAD_USAGE = 2


@with_data_folder()
@functools.wraps(inspect.unwrap(klines.main))
def main(*arguments: object, **named: object) -> None:
    code: object = 0
    try:
        klines.main(*arguments, **named)
    except SystemExit as ended:  # where rows are missing, what has arrived is loaded all the same
        if isinstance(ended.__context__, Interrupted):
            raise
        code = ended.code
    if code != _BAD_USAGE and read(DataSettings).folder is not None:
        run_command(_load)
    sys.exit(code)  # type: ignore[arg-type]  # as SystemExit has it


def _load() -> None:
    with stop_on_signals() as stop:
        migrate(read(WarehouseSettings))
        run_loader(QUEUES, stop, LoaderOptions(drain=True, limits=limits_here()))
        if not stop.is_set():
            bring_gold_up()

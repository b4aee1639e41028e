"""How a process that is nothing but one of our commands starts and ends: without pandas, and without waiting for the engine.

chDB's package requires pandas, so it is there on every laptop. PyArrow and ClickHouse's client import it on their first use,
only to ask whether a plain list is a DataFrame: a fifth of a second of the processor and 32 MB of memory in each process.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType

import typer

_ENGINE = "chdb"


def start(command: Callable[..., None]) -> None:
    """Runs the command with the process's arguments; ends the process."""
    leave_out_pandas()
    run_to_the_end(partial(typer.run, command))


def run_to_the_end(command: Callable[[], None]) -> None:
    """Runs what ends by SystemExit, then ends the process.

    The embedded engine is closed by then and has all its data on disk, but its library ends its threads one by one: seconds on
    a busy machine, minutes where a reader's statement cannot be cancelled. Nothing is left that is worth them.
    """
    try:
        command()
    except SystemExit as ended:
        is_alone = all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate())
        if _ENGINE in sys.modules and is_alone and (ended.code is None or isinstance(ended.code, int)):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code or 0)
        raise


def leave_out_pandas() -> None:
    """From here on `import pandas` fails as where it is not installed; both libraries do without then."""
    sys.meta_path.insert(0, _NoPandas())


class _NoPandas:
    """A finder, asked before all others. An entry None in sys.modules is not enough: compiled modules take it for pandas."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("commands of tickhouse start without pandas", name=name)

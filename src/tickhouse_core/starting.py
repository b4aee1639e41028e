"""How a process that is nothing but one of our commands starts: without pandas, which none of them uses.

chDB's package requires pandas, so it is there on every laptop. PyArrow and ClickHouse's client import it on their first use,
only to ask whether a plain list is a DataFrame: a fifth of a second of the processor and 32 MB of memory in each process.
"""

import sys
from collections.abc import Callable, Sequence
from types import ModuleType

import typer


def start(command: Callable[..., None]) -> None:
    """Runs the command with the process's arguments; ends the process."""
    leave_out_pandas()
    typer.run(command)


def leave_out_pandas() -> None:
    """From here on `import pandas` fails as where it is not installed; both libraries do without then."""
    sys.meta_path.insert(0, _NoPandas())


class _NoPandas:
    """A finder, asked before all others. An entry None in sys.modules is not enough: compiled modules take it for pandas."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("commands of tickhouse start without pandas", name=name)

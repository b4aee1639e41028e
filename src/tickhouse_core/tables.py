"""Tables for people and for programs: drawn on a terminal, tab-separated elsewhere; and the figures at the end of a command."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_table(names: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """On stdout. For people numbers have their thousands apart and there is a title; a program gets header and lines."""
    if not sys.stdout.isatty():
        print(*("\t".join(map(str, line)) for line in [names, *rows]), sep="\n", flush=True)
        return
    table = Table(*names, title=title or None)
    for row in rows:
        table.add_row(*map(_readable, row))
    Console().print(table)


def print_figures(figures: Mapping[str, int], seconds: float, width: int) -> None:
    """What a command did, one figure a line, and the seconds it took; names are right-aligned in `width` characters."""
    lines = [f"{name:>{width}}  {figure:,}" for name, figure in figures.items()]
    print(*lines, f"{'seconds':>{width}}  {seconds:,.1f}", sep="\n", flush=True)


def _readable(value: Any) -> str:
    return f"{value:,}" if type(value) is int else escape(str(value))

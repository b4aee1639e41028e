"""Tables for people and for programs: drawn on a terminal, tab-separated elsewhere; and the figures at the end of a command."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_table(names: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """On stdout. For people numbers have their thousands apart and there is a title; a program gets header and lines.

    What is too wide for the terminal is one block a row, a name and its value a line.
    """
    if not sys.stdout.isatty():
        print(*("\t".join(map(str, line)) for line in [names, *rows]), sep="\n", flush=True)
        return
    console = Console()
    table = Table(*map(escape, names), title=title or None)
    for row in rows:
        table.add_row(*map(_readable, row))
    if console.measure(table, options=console.options.update(width=_ANY_WIDTH)).minimum <= console.width:
        console.print(table)
    else:
        _print_blocks(console, names, rows, title)


def print_figures(figures: Mapping[str, int], seconds: float, width: int) -> None:
    """What a command did, one figure a line, and the seconds it took; names are right-aligned in `width` characters."""
    lines = [f"{name:>{width}}  {figure:,}" for name, figure in figures.items()]
    print(*lines, f"{'seconds':>{width}}  {seconds:,.1f}", sep="\n", flush=True)


_ANY_WIDTH = 1_000_000


def _print_blocks(console: Console, names: Sequence[str], rows: Sequence[Sequence[Any]], title: str) -> None:
    for number, row in enumerate(rows, 1):
        block = Table.grid(padding=(0, 2))
        block.add_column(style="bold", overflow="fold")
        block.add_column(overflow="fold", ratio=1)
        for name, value in zip(names, row, strict=True):
            block.add_row(escape(name), _readable(value))
        console.rule(f"{title + ' ' if title else ''}row {number:,} of {len(rows):,}", align="left", style="dim")
        console.print(block)
    if not rows:
        console.print(f"no rows; columns: {escape(', '.join(names))}", highlight=False)


def _readable(value: Any) -> str:
    return f"{value:,}" if type(value) is int else escape(str(value))

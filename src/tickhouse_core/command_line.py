"""What commands have in common: options whose wrong value is one line that names them, tables and figures as output."""

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tickhouse_core.errors import UsageError
from tickhouse_core.lifecycle import run_command
from tickhouse_core.settings import DataSettings, read
from tickhouse_core.timestamps import DAY_US, HOUR_US, MINUTE_US, SECOND_US, parse_instant

_DATA = "TICKHOUSE_DATA"
_HELP = "Work in this folder, without S3, SQS and a ClickHouse server. Default: TICKHOUSE_DATA."

_ANY_WIDTH = 1_000_000
_DURATION = re.compile("([0-9]{1,6})([smhd])")
_UNITS_US = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US}

DataOption = Annotated[Path | None, typer.Option("--data", help=_HELP)]


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


def one_of(option: str, value: str, known: Collection[str]) -> str:
    """The value itself. Raises UsageError if it is not among the `known`."""
    if value not in known:
        raise UsageError(f"{option} {value!r}: choose from {', '.join(known)}")
    return value


def instant(option: str, text: str) -> int:
    """Microseconds since 1970-01-01 UTC. Raises UsageError for text that is not in ISO 8601, or a date out of range."""
    try:
        found = parse_instant(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r} is no instant: write 2024-01-01 or 2024-01-01T12:30") from None
    if found < 0:
        raise UsageError(f"{option} {text!r} is before 1970: write an instant since then")
    return found


def duration(option: str, text: str) -> int:
    """`30s`, `10m`, `2h`, `7d` in microseconds. Raises UsageError for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(f"{option} {text!r} is no length of time: write a number and s, m, h or d, such as 2h")
    return int(found[1]) * _UNITS_US[found[2]]


def pause_seconds(option: str, text: str) -> float | None:
    """Between two passes of work; None for `off`. Raises UsageError for anything else than a length of time above zero."""
    if text == "off":
        return None
    seconds = duration(option, text) / SECOND_US
    if not seconds:
        raise UsageError(f"{option} {text!r} is no pause: write 1h, for example")
    return seconds


def with_data_folder(*, reads: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The same command with `--data DIR`: TICKHOUSE_DATA for as long as it runs.

    A command that `reads` what is in the folder makes none: one that is not there is a wrong option or variable.
    """

    def decorate(main: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(main)
        def command(*arguments: object, data: Path | None = None, **named: object) -> None:
            before = os.environ.get(_DATA)
            if data is not None:
                os.environ[_DATA] = str(data)
            try:
                run_command(partial(_check_folder, reads=reads))
                main(*arguments, **named)
            finally:
                os.environ.pop(_DATA, None)
                if before is not None:
                    os.environ[_DATA] = before

        signature = inspect.signature(main)
        added = inspect.Parameter("data", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=DataOption)
        command.__annotations__ = {**main.__annotations__, "data": DataOption}
        parameters = [*signature.parameters.values(), added]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect reads it
        return command

    return decorate


def _check_folder(*, reads: bool) -> None:
    folder = read(DataSettings).folder
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--data {folder} is a file: name a folder; a new one is created")
    if reads and not folder.is_dir():
        raise UsageError(f"--data {folder}: there is no such folder; `tickhouse local` and `tickhouse klines` make one")

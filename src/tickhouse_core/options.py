"""Values of command-line options that several commands share: a wrong one is one line that names the option."""

import functools
import inspect
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated

import typer

from tickhouse_core.errors import UsageError
from tickhouse_core.lifecycle import run_command
from tickhouse_core.settings import DataSettings, read
from tickhouse_core.timestamps import parse_instant

_DATA = "TICKHOUSE_DATA"
_HELP = "A folder that holds lake, warehouse and spool: no S3, no SQS, no server. Default: TICKHOUSE_DATA."

DataOption = Annotated[Path | None, typer.Option("--data", help=_HELP)]


def one_of(option: str, value: str, known: Collection[str]) -> str:
    """The value itself. Raises UsageError if it is not among the `known`."""
    if value not in known:
        raise UsageError(f"{option} {value!r}: choose from {', '.join(known)}")
    return value


def instant(option: str, text: str) -> int:
    """Microseconds since 1970-01-01 UTC. Raises UsageError for text that is not in ISO 8601, or a date out of range."""
    try:
        return parse_instant(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r} is no instant: write 2024-01-01 or 2024-01-01T12:30") from None


def with_data_folder(*, reads: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The same command with `--data DIR`: TICKHOUSE_DATA for as long as it runs.

    A command that `reads` makes no folder: one that is not there is a wrong option or variable.
    """

    def decorate(main: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(main)
        def command(*arguments: object, data: Path | None = None, **named: object) -> None:
            before = os.environ.get(_DATA)
            if data is not None:
                os.environ[_DATA] = str(data)
            try:
                if reads:
                    run_command(_check_folder)
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


def _check_folder() -> None:
    folder = read(DataSettings).folder
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--data {folder}: there is no such folder; `tickhouse local` and `tickhouse klines` make one")

"""`tickhouse doctor`: is everything here that the pipeline needs; what is not is named with the fix in one line."""

import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from extract_process.venues import DEFAULT_VENUE, venue_named, venue_names
from tickhouse.doctor import folder, machine, services
from tickhouse.doctor import venue as venue_checks
from tickhouse.doctor.findings import Finding, run_check
from tickhouse.embedded import data_folder
from tickhouse_core.command_line import one_of, with_data_folder
from tickhouse_core.errors import UsageError
from tickhouse_core.lifecycle import run_command
from tickhouse_core.logs import errors_only
from tickhouse_core.settings import DataSettings, read

CHECKS: tuple[tuple[str, Callable[[], Iterable[Finding]]], ...] = (
    ("python", machine.check_python),
    ("settings", machine.check_settings),
    ("disk", machine.check_disk),
    ("ports", machine.check_ports),
    ("markets", machine.check_markets),
    ("S3", services.check_s3),
    ("SQS", services.check_sqs),
    ("notifications", services.check_notifications),
    ("ClickHouse", services.check_warehouse),
    ("Pub/Sub", services.check_pubsub),
)
"""Of what is the same whatever the venue, in the order in which a person would mend them."""

VENUE_CHECKS: tuple[tuple[str, Callable[[str], Iterable[Finding]]], ...] = (
    ("exchange", venue_checks.check_rest),
    ("clock", venue_checks.check_clock),
    ("websocket", venue_checks.check_websocket),
)

FOLDER_CHECKS: tuple[tuple[str, Callable[[], Iterable[Finding]]], ...] = (
    ("python", machine.check_python),
    ("settings", machine.check_settings),
    ("extras", folder.check_extras),
    ("folder", folder.check_folder),
    ("disk", machine.check_disk),
    ("ports", machine.check_ports),
    ("ClickHouse", folder.check_engine),
)
"""Of a data folder: it stands for S3, SQS and a ClickHouse server."""

DEFAULT_FOLDER = "data"
"""Of `tickhouse local`."""

_MARKS = {"ok": "[green]ok[/]   ", "warning": "[yellow]warn[/] ", "bad": "[red]BAD[/]  ", "skipped": "[dim]–[/]    "}


@with_data_folder()
def main(
    json: Annotated[bool, typer.Option("--json", help="A JSON list, for scripts.")] = False,
    local: Annotated[
        bool, typer.Option("--local", help="What `tickhouse local` needs: as --data, which is `data` by default.")
    ] = False,
    check: Annotated[list[str] | None, typer.Option(help="Only this one; repeats.")] = None,
    venue: Annotated[str, typer.Option(help=f"The venue to check: {', '.join(venue_names())}.")] = DEFAULT_VENUE,
) -> None:
    """Check this machine, S3, SQS, ClickHouse, Pub/Sub and the exchange. Every fault is printed with its fix; exit 1 if any.

    With --data DIR or --local the folder is checked in place of the services.
    """

    def work() -> None:
        data = read(DataSettings).folder or (Path(DEFAULT_FOLDER) if local else None)
        if data is not None and data.exists() and not data.is_dir():
            raise UsageError(f"--data {data} is a file: name a folder; a new one is created")
        with nullcontext() if data is None else data_folder(data):
            looks = checks_of(venue, in_folder=data is not None)
            known = [name for name, _ in looks]
            for name in check or ():
                one_of("--check", name, known)
            with errors_only("tickhouse_core.backoff"):  # the finding says what failed
                findings = [finding for name, look in looks if name in (check or known) for finding in run_check(name, look)]
        _show(findings, as_json=json)
        if any(finding.verdict == "bad" for finding in findings):
            sys.exit(1)

    run_command(work)


def checks_of(venue: str, *, in_folder: bool = False) -> list[tuple[str, Callable[[], Iterable[Finding]]]]:
    """All of them, in the order in which a person would mend what they find. Raises UsageError for an unknown venue.

    `in_folder`: those of a data folder, which TICKHOUSE_DATA names.
    """
    name = venue_named(venue).name
    return [*(FOLDER_CHECKS if in_folder else CHECKS), *((check, partial(look, name)) for check, look in VENUE_CHECKS)]


def _show(findings: Iterable[Finding], *, as_json: bool) -> None:
    if as_json:
        rows = [{"check": one.check, "verdict": one.verdict, "what": one.what, "fix": one.fix} for one in findings]
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode(), flush=True)
        return
    out = Console(soft_wrap=True, highlight=False)
    told: dict[str, str] = {}
    for one in findings:
        what = f"see {told[one.what]}" if one.what in told else one.what
        out.print(f"{_MARKS[one.verdict]} {one.check}: {escape(what)}")
        if one.fix and one.what not in told:
            out.print(f"      fix: {escape(f'as for {told[one.fix]}' if one.fix in told else one.fix)}")
        if one.fix:
            told |= {words: told.get(words, one.check) for words in (one.what, one.fix)}

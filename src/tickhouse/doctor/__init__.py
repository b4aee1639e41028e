"""`tickhouse doctor`: is everything here that the pipeline needs; what is not is named with the fix in one line."""

import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from extract_process.venues import DEFAULT_VENUE, venue_named, venue_names
from tickhouse.doctor import machine, services
from tickhouse.doctor import venue as venue_checks
from tickhouse.doctor.findings import Finding, run_check
from tickhouse_core.command_line import one_of, with_data_folder
from tickhouse_core.lifecycle import run_command

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

LOCAL = ("python", "settings", "disk", "ports", "exchange", "clock", "websocket")
"""What `tickhouse local` needs: it brings everything else."""

_MARKS = {"ok": "[green]ok[/]   ", "warning": "[yellow]warn[/] ", "bad": "[red]BAD[/]  ", "skipped": "[dim]–[/]    "}


@with_data_folder()
def main(
    json: Annotated[bool, typer.Option("--json", help="A JSON list, for scripts.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Only what `tickhouse local` needs.")] = False,
    check: Annotated[list[str] | None, typer.Option(help="Only this one; repeats.")] = None,
    venue: Annotated[str, typer.Option(help=f"The venue to check: {', '.join(venue_names())}.")] = DEFAULT_VENUE,
) -> None:
    """Check this machine, S3, SQS, ClickHouse, Pub/Sub and the exchange. Every fault is printed with its fix; exit 1 if any."""

    def work() -> None:
        looks = checks_of(venue)
        known = [name for name, _ in looks]
        for name in check or ():
            one_of("--check", name, known)
        wanted = check or (LOCAL if local else known)
        findings = [finding for name, look in looks if name in wanted for finding in run_check(name, look)]
        _show(findings, as_json=json)
        if any(finding.verdict == "bad" for finding in findings):
            sys.exit(1)

    run_command(work)


def checks_of(venue: str) -> list[tuple[str, Callable[[], Iterable[Finding]]]]:
    """All of them, in the order in which a person would mend what they find. Raises UsageError for an unknown venue."""
    name = venue_named(venue).name
    return [*CHECKS, *((check, partial(look, name)) for check, look in VENUE_CHECKS)]


def _show(findings: Iterable[Finding], *, as_json: bool) -> None:
    if as_json:
        rows = [{"check": one.check, "verdict": one.verdict, "what": one.what, "fix": one.fix} for one in findings]
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode(), flush=True)
        return
    out = Console(soft_wrap=True, highlight=False)
    for one in findings:
        out.print(f"{_MARKS[one.verdict]} {one.check}: {escape(one.what)}")
        if one.fix:
            out.print(f"      fix: {escape(one.fix)}")

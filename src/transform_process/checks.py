"""Data quality: runs sql/clickhouse/checks, stores the verdicts in ops_check_results, prints them, exits 1 on a failure.

resources/checks.yaml says which checks there are, how severe a finding is, and their limits.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import yaml
from rich.console import Console
from rich.table import Table

from tickhouse_core.command_line import instant, with_data_folder
from tickhouse_core.errors import TickhouseError, UsageError
from tickhouse_core.lifecycle import run_command
from tickhouse_core.resources import RESOURCES, SQL_ROOT
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.sql_door.serving import sharing_sql
from tickhouse_core.starting import start
from tickhouse_core.timestamps import HOUR_US, format_instant, from_datetime, now_us, to_datetime
from tickhouse_core.warehouse import Warehouse, connect

MOST_KEPT = 1_000
"""Findings stored per check; the count covers all."""

MOST_SHOWN = 5
WIDTH = 200
"""Line width without a terminal."""

CHECKS_FILE = RESOURCES / "checks.yaml"
_SEVERITIES = ("error", "warning")


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the warehouse; `limits` are the parameters of its file."""

    name: str
    sql_file: str
    severity: str
    limits: Mapping[str, str | float] = field(default_factory=dict)


def read_checks(path: Path = CHECKS_FILE, only: Sequence[str] = ()) -> list[Check]:
    """The checks in the order of the file; `only` selects by name. Raises UsageError for an unknown name."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}") from error
    if not isinstance(entries, dict):
        raise UsageError(f"{path}: expected check names with their settings")
    checks = [_check(path, name, entry) for name, entry in entries.items()]
    known = [check.name for check in checks]
    for name in only:
        if name not in known:
            raise UsageError(f"unknown check {name!r}: choose from {', '.join(known)}")
    return [check for check in checks if not only or check.name in only]


def _check(path: Path, name: str, entry: Any) -> Check:
    settings = entry if isinstance(entry, dict) else {}
    unknown = settings.keys() - {"sql", "severity", "limits"}
    if unknown:
        raise UsageError(f"{path}: {name}: unknown setting {', '.join(sorted(unknown))}")
    if settings.get("severity") not in _SEVERITIES:
        raise UsageError(f"{path}: {name}: severity must be one of {', '.join(_SEVERITIES)}, got {settings.get('severity')!r}")
    check = Check(name, f"{settings.get('sql', name)}.sql", settings["severity"], settings.get("limits") or {})
    if not (SQL_ROOT / "checks" / check.sql_file).exists():
        raise UsageError(f"{path}: {name}: there is no sql/clickhouse/checks/{check.sql_file}")
    return check


class Finding(NamedTuple):
    """One offending row, as every check returns it; `value`'s unit is in the check's file."""

    venue: str
    symbol: str
    at: datetime
    value: float
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one check."""

    check: Check
    findings: Sequence[Finding]

    @property
    def name(self) -> str:
        return "failed" if self.findings else "passed"


def run_checks(
    warehouse: Warehouse, checks: Sequence[Check], since_us: int, until_us: int, *, stores: bool = True
) -> list[Verdict]:
    """Asks all checks about data from `since_us` up to, not including, `until_us`, and stores the verdicts."""
    run_time = now_us()
    verdicts = [Verdict(check, _findings(warehouse, check, since_us, until_us)) for check in checks]
    for verdict in verdicts if stores else ():
        warehouse.insert_rows("ops_check_results", _rows(verdict, run_time, since_us, until_us))
    return verdicts


def has_failed(verdicts: Sequence[Verdict]) -> bool:
    """Whether a check with the severity `error` has findings."""
    return any(verdict.findings and verdict.check.severity == "error" for verdict in verdicts)


def verdicts_table(verdicts: Sequence[Verdict]) -> Table:
    """One line a check, and the first findings below it."""
    table = Table("check", "severity", "verdict", "findings", "first of them", title="data quality")
    for verdict in verdicts:
        colour = {"passed": "green", "failed": "red"}[verdict.name] if verdict.check.severity == "error" else "yellow"
        shown = [_line(finding) for finding in verdict.findings[:MOST_SHOWN]]
        mark = f"[{'green' if verdict.name == 'passed' else colour}]{verdict.name}[/]"
        table.add_row(verdict.check.name, verdict.check.severity, mark, f"{len(verdict.findings):,}", "\n".join(shown))
    return table


def _findings(warehouse: Warehouse, check: Check, since_us: int, until_us: int) -> list[Finding]:
    sql = (SQL_ROOT / "checks" / check.sql_file).read_text(encoding="utf-8").strip()
    bounds = {"since": _parameter(since_us), "until": _parameter(until_us)}
    rows = warehouse.query(sql, {**check.limits, **bounds})
    findings = [Finding(*row[: len(Finding._fields)]) for row in rows]
    return sorted(findings, key=lambda finding: (finding.venue, finding.symbol, finding.at))


def _rows(verdict: Verdict, run_time: int, since_us: int, until_us: int) -> list[dict[str, Any]]:
    head = {
        "run_time": to_datetime(run_time),
        "check_name": verdict.check.name,
        "severity": verdict.check.severity,
        "verdict": verdict.name,
        "findings": len(verdict.findings),
        "since": to_datetime(since_us),
        "until": to_datetime(until_us),
    }
    nothing = Finding("", "", to_datetime(since_us), 0.0, "")
    return [head | finding._asdict() for finding in verdict.findings[:MOST_KEPT] or [nothing]]


def _line(finding: Finding) -> str:
    place = " ".join(word for word in (finding.venue, finding.symbol, format_instant(from_datetime(finding.at))) if word)
    return f"{place}: {finding.detail}"


def _parameter(instant_us: int) -> str:
    return to_datetime(instant_us).strftime("%Y-%m-%d %H:%M:%S.%f")


@with_data_folder(reads=True)
def main(
    since: Annotated[str | None, typer.Option(help="Check data from this instant on (ISO 8601, UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Up to, not including, this instant; default now.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, help="Without --since: this long before the end.")] = 24.0,
    check: Annotated[list[str] | None, typer.Option(help="Only this check; repeats.")] = None,
) -> None:
    """Check the data in the warehouse; exit 1 if a check of severity `error` (resources/checks.yaml) has findings."""

    def work() -> None:
        checks = read_checks(only=check or ())
        until_us = now_us() if until is None else instant("--until", until)
        since_us = until_us - round(hours * HOUR_US) if since is None else instant("--since", since)
        if since_us >= until_us:
            raise UsageError("--since is not before --until")
        settings = read(WarehouseSettings)
        with sharing_sql(settings) as where, closing(connect(where)) as warehouse:
            stores = where == settings  # not through another process, which only lets read
            verdicts = run_checks(warehouse, checks, since_us, until_us, stores=stores)
        Console(width=None if sys.stdout.isatty() else WIDTH).print(verdicts_table(verdicts))
        if has_failed(verdicts):
            failed = [verdict.check.name for verdict in verdicts if verdict.findings and verdict.check.severity == "error"]
            kept = "all findings are in ops_check_results" if stores else "another process holds the folder: nothing was stored"
            raise TickhouseError(f"data quality: {', '.join(failed)} failed; {kept}")

    run_command(work)


if __name__ == "__main__":
    start(main)

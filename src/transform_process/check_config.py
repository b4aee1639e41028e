"""Reads resources/checks.yaml: which checks there are, how severe a finding is, and their limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tickhouse_core.errors import UsageError
from tickhouse_core.resources import RESOURCES, SQL_ROOT

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
    """The checks in the order of the file; `only` picks some by name. Raises UsageError for what cannot be meant."""
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

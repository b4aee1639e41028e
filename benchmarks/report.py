"""What every benchmark says about itself: options, tables of figures, the machine and the versions; printed, and as JSON."""

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tickhouse_core import logs
from tickhouse_core.settings import LogSettings

PACKAGES = ("chdb", "clickhouse-connect", "pyarrow", "polars", "orjson")
ROOT = Path(__file__).parents[1]


def options(description: str | None) -> argparse.ArgumentParser:
    """With `--json`; a benchmark adds its own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=_absolute, metavar="FILE", help="write the figures there too")
    return parser


def _absolute(path: str) -> Path:
    """As the caller meant it, wherever the benchmark goes."""
    return Path(path).absolute()


class Report:
    """The tables of one run. Only errors are logged from here on, by this process and those that it starts."""

    def __init__(self, script: str, arguments: argparse.Namespace) -> None:
        """`script` is the benchmark's `__file__`."""
        os.environ.setdefault("LOG_LEVEL", "ERROR")
        logs.configure(LogSettings(level="ERROR"))
        self.versions = _versions()
        self._name = Path(script).stem
        self._arguments = arguments
        self._began, self._load = time.monotonic(), os.getloadavg()[0]
        self._tables: list[dict[str, Any]] = []
        self._left_out: list[str] = []

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], means: str = "") -> None:
        """Prints it now. `means` says in a sentence or two what a ratio of it compares, and what it leaves out.

        Cells are numbers or text: a number is shown with three digits at least, None as nothing.
        """
        self._tables.append(
            {"title": title, "means": " ".join(means.split()), "columns": list(columns), "rows": [list(row) for row in rows]}
        )
        cells = [list(columns), *([shown(cell) for cell in row] for row in rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
        print(f"\n{title}")
        for row in cells:
            first, *others = (
                cell.ljust(width) if place == 0 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            print("  ".join(["", first, *others]).rstrip(), flush=True)

    def left_out(self, what: str) -> None:
        """A part that this machine cannot measure, and why."""
        self._left_out.append(what)
        print(f"left out: {what}", flush=True)

    def finish(self) -> None:
        """Prints where and with what it was measured, and writes the JSON."""
        answer = {
            "benchmark": self._name,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._began, 1),
            "machine": _machine() | {"load_before": round(self._load, 1), "load_after": round(os.getloadavg()[0], 1)},
            "versions": self.versions,
            "options": {name: _plain(value) for name, value in vars(self._arguments).items() if name != "json"},
            "tables": self._tables,
            "left_out": self._left_out,
        }
        print(f"\n{where(answer)}", flush=True)
        if self._arguments.json:
            self._arguments.json.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


def where(answer: dict[str, Any]) -> str:
    """The line about date, machine, load and versions, from what a benchmark wrote."""
    machine, versions = answer["machine"], ", ".join(f"{name} {value}" for name, value in answer["versions"].items())
    return (
        f"{answer['time'][:16].replace('T', ' ')} UTC, {answer['seconds']:.0f} s; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gb']} GB, load {machine['load_before']} to {machine['load_after']}; "
        f"{versions}"
    )


def shown(cell: object) -> str:
    """A figure as people read it."""
    if cell is None:
        return ""
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"
    return str(cell)


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | str | list | None) else str(value)


def _machine() -> dict[str, Any]:
    processor = platform.processor() or platform.machine()
    if (cpus := Path("/proc/cpuinfo")).exists():
        names = [line.partition(":")[2].strip() for line in cpus.read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9),
        "system": f"{platform.system()} {platform.release()}",
    }


def _versions() -> dict[str, str]:
    found = {"tickhouse": f"{version('tickhouse')}{_commit()}", "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
        return f" ({subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()})"
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, or no git
        return ""

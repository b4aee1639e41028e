"""The systemd units: systemd takes them, and they run our own commands with options that exist."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from tests.commands import run_here

UNITS = sorted((ROOT / "resources" / "systemd").glob("*.service"))
PROGRAM = "/opt/tickhouse/.venv/bin/tickhouse"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze: the units are not verified")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_takes_the_unit(unit: Path, tmp_path: Path) -> None:
    """With a program that exists: it is what a unit is verified for too."""
    started = tmp_path / unit.name.replace("@", "@1")
    text = unit.read_text(encoding="utf-8")
    assert text.count(PROGRAM) == 1
    started.write_text(text.replace(PROGRAM, "/bin/true"), encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(started)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if unit.name.partition("@")[0] in line or str(tmp_path) in line]
    assert not ours, done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_runs_a_command_of_ours_with_options_that_exist(unit: Path) -> None:
    (line,) = [line for line in unit.read_text(encoding="utf-8").splitlines() if line.startswith("ExecStart=")]
    command, *words = line.partition("=")[2].removeprefix(PROGRAM).split()
    shown = run_here("tickhouse.cli", command, "--help")
    assert shown.returncode == 0
    assert all(word in shown.stdout for word in words if word.startswith("--"))

"""The wheel in an environment of its own, away from the checkout: everything that a command needs is in it."""

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, free_port
from tests.waiting import patience
from tools.set_up import Installer

pytestmark = pytest.mark.stack

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def done(*command: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """One command without anything of this checkout in its environment."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        command, cwd=cwd, env=clean | environment, capture_output=True, text=True, check=False, timeout=patience(180)
    )


def succeeded(*command: str | Path, cwd: Path) -> None:
    result = done(*command, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that comes out of the unpacked sdist: nothing of the checkout can leak into it."""
    folder = tmp_path_factory.mktemp("dist")
    build = "import sys; from hatchling import build; {}(sys.argv[1])"
    succeeded(sys.executable, "-c", build.format("build.build_sdist"), str(folder), cwd=ROOT)
    [sdist] = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    succeeded(
        sys.executable, "-c", build.format("build.build_wheel"), str(folder), cwd=folder / sdist.name.removesuffix(".tar.gz")
    )
    [wheel] = folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with the wheel and the locked requirements."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    succeeded(sys.executable, "-m", "venv", environment, cwd=environment.parent)
    install = Installer(environment, "uv")
    install.requirements(ROOT / "requirements-demo.txt")
    install.wheel(built[1])
    install.check()
    return environment / "bin"


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """A program of that environment in an empty folder."""

    def in_an_empty_folder(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        variables = {"CLICKHOUSE_PATH": "warehouse", "STATUS_PORT": str(free_port())}
        return done(installed / program, *arguments, cwd=tmp_path, **variables)

    return in_an_empty_folder


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


@pytest.mark.parametrize("kind", [0, 1], ids=["sdist", "wheel"])
@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("tickhouse_core/data/sql/", ROOT / "sql" / "clickhouse"),
        ("tickhouse_core/data/resources/", ROOT / "resources"),
        ("status_page/assets/", ROOT / "src" / "status_page" / "assets"),
    ],
)
def test_the_files_of_the_tree_are_in_it(kind: int, inside: str, outside: Path, built: tuple[Path, Path]) -> None:
    if kind == 0:
        with tarfile.open(built[0]) as archive:
            names = {member.name.partition("/src/")[2] for member in archive.getmembers() if member.isfile()}
    else:
        names = set(zipfile.ZipFile(built[1]).namelist())
    assert {name.removeprefix(inside) for name in names if name.startswith(inside)} == tree(outside) != set()


def test_the_version(run: Run) -> None:
    assert run("python", "-m", "tickhouse", "--version").stdout == run("tickhouse", "--version").stdout == "tickhouse 0.1.0\n"


def test_no_module_of_the_checkout_is_imported(run: Run, installed: Path) -> None:
    found = run("python", "-c", "import tickhouse_core.resources as r; print(r.__file__, r.SQL_ROOT, sep='\\n')").stdout.split()
    assert len(found) == 2
    assert all(path.startswith(str(installed.parent)) for path in found)


def test_the_demo(run: Run) -> None:
    result = run("tickhouse", "demo", "--duration", "10")
    assert result.returncode == 0, result.stdout + result.stderr
    claims = [line for line in result.stdout.splitlines() if line.startswith(("ok", "FAIL"))]
    assert len(claims) == 15
    assert all(claim.startswith("ok") for claim in claims), result.stdout
    assert "ok   prices and volumes are equal to the last decimal" in claims
    assert "│ rows in silver  │ 518,240   │ 518,240    │" in result.stdout


def test_the_schema_into_the_embedded_engine_and_a_query(run: Run) -> None:
    count = len(list((ROOT / "sql" / "clickhouse" / "schema").glob("*.sql"))) + 1  # and the views
    migrated = run("python", "-m", "transform_process.migrate")
    assert migrated.stdout == f"{count} schema files applied\n", migrated.stderr
    assert run("tickhouse", "query", "select count() from klines").stdout == "count()\n0\n"
    checked = run("tickhouse", "checks")
    assert "Traceback" not in checked.stderr
    assert "coverage" in checked.stdout


def test_help_and_the_doctor(run: Run) -> None:
    assert "--symbol" in run("tickhouse", "local", "--help").stdout
    run("tickhouse", "migrate")
    looks = [word for name in ("python", "settings", "disk", "ports", "markets", "ClickHouse") for word in ("--check", name)]
    doctor = run("tickhouse", "doctor", *looks)  # what needs no network
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "2 symbols of binance are enabled by" in " ".join(doctor.stdout.split())

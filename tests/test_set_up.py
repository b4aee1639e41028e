"""Set-up: nothing is resolved, uv goes by pip's configuration, and an environment is made again only when it must be."""

import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT
from tools.set_up import STAMP, pip_options, variables_of_uv

EXPORTS = sorted(ROOT.glob("requirements*.txt"))


@cache
def lock() -> dict[tuple[str, str], set[str]]:
    """The hashes of each version in poetry.lock."""
    packages = tomllib.loads((ROOT / "poetry.lock").read_text(encoding="utf-8"))["package"]
    return {
        (re.sub(r"[-_.]+", "-", package["name"]).lower(), package["version"]): {file["hash"] for file in package["files"]}
        for package in packages
    }


@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.name)
def test_every_requirement_is_one_version_of_the_lock_with_its_hashes(path: Path) -> None:
    requirements = path.read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    assert requirements
    for line in requirements:
        found = re.match(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+) ", line)
        assert found, line
        assert set(re.findall(r"--hash=(\S+)", line)) == lock()[found[1], found[2]] != set()


def test_what_the_demo_needs_is_a_part_of_everything() -> None:
    demo, everything = ((ROOT / f"requirements-{name}.txt").read_text(encoding="utf-8") for name in ("demo", "dev"))
    names = {line.split(" ")[0] for line in demo.splitlines() if "==" in line}
    assert names < {line.split(" ")[0] for line in everything.splitlines() if "==" in line}
    assert not any(re.match(r"mypy|playwright|cfn-lint|ta-lib|pytest|ruff", name) for name in names)


def test_nothing_else_in_the_project_installs_by_resolving() -> None:
    found = subprocess.run(
        ["git", "grep", "-nIE", r"(pip|pipx|uv|poetry) (--\S+ \S+ )?(install|add|sync|inject|wheel|download)\b"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    commands = [line for line in found if not line.startswith(("CHANGELOG.md:", "tests/test_set_up.py:"))]
    assert len(commands) > 5
    for line in commands:
        assert "--no-deps" in line or re.search(r"pip install 'tickhouse\[(embedded|catalog)\]'", line), line


def test_of_pip_the_more_special_setting_counts() -> None:
    listed = "global.index-url='https://global/index'\ninstall.index-url='https://install/index'\nfreeze.timeout='1'\nnonsense\n"
    assert pip_options(listed) == {"index-url": "https://install/index"}
    assert pip_options(listed + ":env:.index-url='https://env/index'\n") == {"index-url": "https://env/index"}


def test_uv_goes_to_the_index_of_pip(tmp_path: Path) -> None:
    options = {
        "index-url": "https://user:word@mirror.test/index",
        "extra-index-url": "file:///nowhere/index https://more.test/index",
        "find-links": f"/nowhere/wheels {tmp_path}",
        "trusted-host": "mirror.test more.test",
        "cert": "/etc/company.pem",
        "proxy": "http://proxy.test:3128",
    }
    assert variables_of_uv(options, {}) == {
        "UV_DEFAULT_INDEX": "https://user:word@mirror.test/index",
        "UV_INDEX": "https://more.test/index",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": str(tmp_path),
        "UV_INSECURE_HOST": "mirror.test more.test",
        "SSL_CERT_FILE": "/etc/company.pem",
        "HTTP_PROXY": "http://proxy.test:3128",
        "HTTPS_PROXY": "http://proxy.test:3128",
        "UV_NO_PROGRESS": "1",
    }


def test_a_variable_of_the_user_stays() -> None:
    options = {"index-url": "https://mirror.test/index", "cert": "/etc/company.pem"}
    mine = {"UV_INDEX_URL": "https://mine.test/index", "SSL_CERT_FILE": "/mine.pem", "UV_NO_PROGRESS": "1"}
    assert variables_of_uv(options, mine) == {}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose tools need no package: set-up has everything to do but downloads."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "set_up.py", tmp_path / "tools")
    (tmp_path / "requirements-tools.txt").write_text("# none\n")
    return tmp_path


def set_up(project: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(project / "tools" / "set_up.py"), "tools", "--installer", "pip"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow  # three virtual environments
def test_a_second_set_up_does_nothing_and_a_changed_or_moved_one_is_made_again(project: Path) -> None:
    first = set_up(project)
    assert first.returncode == 0, first.stdout + first.stderr
    assert re.search(r"^  \.venv-tools: a new environment, Python 3\S+ … \d+\.\d s$", first.stdout, re.M)
    assert re.search(r"^\.venv-tools is ready after \d+\.\d s$", first.stdout, re.M)
    assert set_up(project).stdout == ""
    (project / "requirements-tools.txt").write_text("# other ones\n")
    assert ".venv-tools is made again: requirements-tools.txt has changed" in set_up(project).stdout
    moved = project.rename(project.with_name("moved"))
    assert f".venv-tools is made again: it was made in {project}/.venv-tools" in set_up(moved).stdout


@pytest.mark.slow
def test_a_requirement_without_a_hash_is_refused_in_one_line(project: Path) -> None:
    (project / "requirements-tools.txt").write_text("idna==3.20\n")
    done = set_up(project)
    assert done.returncode == 2
    assert "error: pip cannot install 1 locked packages of requirements-tools.txt" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / ".venv-tools" / STAMP).exists()

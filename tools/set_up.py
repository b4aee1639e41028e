"""Makes an environment from the locked, hashed requirements and never resolves anything: `make setup`, `make demo`.

Runs on a bare Python 3.11 or newer. uv installs, which takes seconds; where its wheel cannot be had, or it fails, pip does.
"""

import argparse
import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP = ".set-up.json"
PYTHONS = ((3, 11), (3, 15))
"""From the first, below the second: `requires-python` of pyproject.toml."""

_HASHED = ("--no-deps", "--require-hashes", "--only-binary", ":all:")
_NOT_RESOLVED = ("--no-deps", "--no-build-isolation")
_BUILT = (*_NOT_RESOLVED, "--require-hashes", "--no-binary", ":all:")


_Command = Sequence[str | Path]


class SetUpFailed(Exception):
    """What the user reads: what went wrong and what to do."""


@dataclass(frozen=True)
class Target:
    """What is installed where; `includes` are requirements that a subset of this one fulfils, `built` those without wheels: they
    are built by what is installed before."""

    folder: str
    requirements: str
    includes: tuple[str, ...] = ()
    built: tuple[str, ...] = ()
    project: bool = True


TARGETS = {
    "demo": Target(".venv", "requirements-demo.txt"),
    "dev": Target(".venv", "requirements-dev.txt", includes=("requirements-demo.txt",)),
    "tools": Target(".venv-tools", "requirements-tools.txt", project=False),
    "docs": Target(".venv-docs", "requirements-docs.txt", project=False),
    "peers": Target(".venv-peers", "integration_tests/peers/requirements.txt", project=False),
    "spark": Target(
        ".venv-spark",
        "integration_tests/peers/requirements-spark.txt",
        built=("integration_tests/peers/requirements-spark-built.txt",),
        project=False,
    ),
}


@dataclass
class Stamp:
    """What an environment was made of: where it is, its Python, and the digest of each file."""

    folder: str
    python: str
    digests: dict[str, str] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Exits with 2 and one line when the environment cannot be made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--this-python", action="store_true", help="Make the environment again if it has another Python.")
    parser.add_argument("--installer", choices=("uv", "pip"), default="uv", help="pip: the fallback, slower.")
    options = parser.parse_args(arguments)
    try:
        set_up(TARGETS[options.target], options.this_python, options.installer)
    except SetUpFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        raise SystemExit(2) from failure


def set_up(target: Target, this_python: bool, installer: str) -> None:
    """Brings the environment of `target` up to date; does nothing, quickly, if it is. Raises SetUpFailed."""
    if not PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
        raise SetUpFailed(
            f"{sys.executable} is Python {_version()}: tickhouse needs 3.11 to 3.14, make setup PYTHON=/path/to/python"
        )
    folder = ROOT / target.folder
    wanted = {name: _digest(ROOT / name) for name in (target.requirements, *target.includes, *target.built)}
    if target.project:
        wanted["pyproject.toml"] = _digest(ROOT / "pyproject.toml")
    stamp = _read_stamp(folder)
    if stamp is not None and (reason := _stale(stamp, folder, this_python)):
        print(f"{target.folder} is made again: {reason}")
        stamp = None
        shutil.rmtree(folder)
    if stamp is not None and wanted.items() <= stamp.digests.items():
        return
    began = time.monotonic()
    stamp = stamp or Stamp(str(folder), _make_environment(folder, this_python))
    install = Installer(folder, installer)
    if stamp.digests.get(target.requirements) != wanted[target.requirements]:
        install.requirements(ROOT / target.requirements)
    for name in target.built:
        if stamp.digests.get(name) != wanted[name]:
            install.requirements(ROOT / name, _BUILT)
    if target.project:
        install.project()
    install.check()
    stamp.digests |= wanted
    _write_stamp(folder, stamp)
    print(f"{target.folder} is ready after {time.monotonic() - began:.1f} s", flush=True)


def _stale(stamp: Stamp, folder: Path, this_python: bool) -> str | None:
    """Why an environment cannot be built upon, if it cannot."""
    if stamp.folder != str(folder):
        return f"it was made in {stamp.folder}"
    if not _python_of(folder).exists():
        return f"its Python {stamp.python} is gone"
    if this_python and stamp.python != _version():
        return f"it has Python {stamp.python}, asked for is {_version()}"
    for name, digest in stamp.digests.items():
        path = ROOT / name
        if name != "pyproject.toml" and (not path.exists() or _digest(path) != digest):
            return f"{name} has changed"
    return None


def _make_environment(folder: Path, this_python: bool) -> str:
    """A virtual environment with pip; one that somebody made by hand, pip and all, is taken. Returns its Python's version."""
    if (version := _usable(folder)) and (not this_python or version == _version()):
        print(f"  {folder.name}: the environment that is there, Python {version}")
        return version
    done = _step(f"{folder.name}: a new environment, Python {_version()}", [sys.executable, "-m", "venv", "--clear", str(folder)])
    if done.returncode:
        raise SetUpFailed(
            f"{sys.executable} cannot make a virtual environment (Debian: apt-get install python3-venv):\n{_said(done)}"
        )
    return _version()


def _usable(folder: Path) -> str | None:
    """The version of the environment's Python, if it is one for us and has pip."""
    python = _python_of(folder)
    if not python.exists():
        return None
    asked = "import sys, pip; print(*sys.version_info[:3], sep='.'); sys.exit(sys.prefix == sys.base_prefix)"
    done = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
    version = done.stdout.strip()
    if done.returncode or not PYTHONS[0] <= tuple(map(int, version.split(".")[:2])) < PYTHONS[1]:
        return None
    return version


class Installer:
    """uv in the environment; pip as soon as uv cannot be had or fails."""

    def __init__(self, folder: Path, installer: str) -> None:
        self._python = _python_of(folder)
        self._uv = folder / "bin" / "uv"
        self._uses_uv = installer == "uv" and self._bootstrap()
        self._environment = os.environ | (self._as_pip_is_configured() if self._uses_uv else {})

    def requirements(self, path: Path, how: tuple[str, ...] = _HASHED) -> None:
        count = sum("==" in line for line in path.read_text(encoding="utf-8").splitlines())
        self._install(f"{count} locked packages of {path.name}", [*how, "--requirement", str(path)])

    def project(self) -> None:
        self._install("tickhouse itself", [*_NOT_RESOLVED, "--editable", str(ROOT)])

    def wheel(self, path: Path) -> None:
        self._install(path.name, [*_NOT_RESOLVED, "--no-index", str(path)])

    def check(self) -> None:
        """The lock is complete: no package lacks another one."""
        command: _Command = [self._uv, "pip", "check", "--python", self._python] if self._uses_uv else self._pip("check")
        done = _step("nothing is missing", command, self._environment)
        if done.returncode:
            raise SetUpFailed(f"the requirements are incomplete, make lock:\n{_said(done)}")

    def _install(self, what: str, arguments: list[str]) -> None:
        if self._uses_uv:
            command: _Command = [self._uv, "pip", "install", "--quiet", "--python", self._python, *arguments]
            done = _step(f"{what}, by uv", command, self._environment)
            if done.returncode and "certificate" in done.stderr and "UV_SYSTEM_CERTS" not in self._environment:
                self._environment |= {"UV_SYSTEM_CERTS": "1"}  # a proxy with an authority that only the system knows
                done = _step(f"{what}, by uv with the system's certificates", command, self._environment)
            if not done.returncode:
                return
            self._uses_uv = False
            print(f"uv failed, pip goes on and takes longer:\n{_said(done)}")
        # As with uv, bytecode is made when a module is first imported: compiling everything takes pip longer than the rest.
        done = _step(f"{what}, by pip", self._pip("install", "--quiet", "--no-input", "--no-compile", *arguments))
        if done.returncode:
            raise SetUpFailed(f"pip cannot install {what}:\n{_said(done)}")

    def _bootstrap(self) -> bool:
        """The pinned uv, by the environment's own pip."""
        arguments = ("install", "--quiet", "--no-input", *_HASHED, "--requirement", str(ROOT / "requirements-uv.txt"))
        done = _step("uv", self._pip(*arguments))
        if done.returncode:
            print(f"uv cannot be had here, pip installs instead and takes longer: {_said(done).splitlines()[-1]}")
        return not done.returncode

    def _as_pip_is_configured(self) -> dict[str, str]:
        done = subprocess.run([*self._pip("config"), "list"], capture_output=True, text=True, check=False)
        return variables_of_uv(pip_options(done.stdout), os.environ)

    def _pip(self, command: str, *arguments: str) -> list[str | Path]:
        return [self._python, "-m", "pip", "--disable-pip-version-check", command, *arguments]


def pip_options(listed: str) -> dict[str, str]:
    """The settings pip installs with, from what `pip config list` prints: variables above `install` above `global`."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        name, separator, value = line.partition("=")
        section, dot, option = name.partition(".")
        if separator and dot and section in found:
            found[section][option] = ast.literal_eval(value)
    return found["global"] | found["install"] | found[":env:"]


def variables_of_uv(options: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """uv reads neither pip.conf nor PIP_*: the same indexes, certificates and proxy as variables that it reads.

    A variable that is set already stays. `file://` indexes and folders that do not exist are left to pip.
    """
    indexes = [url for url in options.get("extra-index-url", "").split() if url.startswith(("http://", "https://"))]
    links = [place for place in options.get("find-links", "").split() if place.startswith("http") or Path(place).is_dir()]
    proxy = options.get("proxy", "")
    wanted = {
        "UV_DEFAULT_INDEX": options.get("index-url", ""),
        "UV_INDEX": " ".join(indexes),
        # As pip does: any index may have the locked version. The hashes say that it is the right one.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if indexes else "",
        "UV_FIND_LINKS": ",".join(links),
        "UV_INSECURE_HOST": " ".join(options.get("trusted-host", "").split()),
        "SSL_CERT_FILE": options.get("cert", ""),
        "SSL_CLIENT_CERT": options.get("client-cert", ""),
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "UV_NO_PROGRESS": "1",
    }
    if "UV_INDEX_URL" in environment:
        del wanted["UV_DEFAULT_INDEX"]
    return {name: value for name, value in wanted.items() if value and name not in environment}


def _step(what: str, command: _Command, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs one command and says what, and how long it took."""
    print(f"  {what} … ", end="", flush=True)
    began = time.monotonic()
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    print(f"{time.monotonic() - began:.1f} s" + (", failed" if done.returncode else ""), flush=True)
    return done


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout + done.stderr).strip() or f"exit {done.returncode} without a word"


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def _version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_stamp(folder: Path) -> Stamp | None:
    try:
        return Stamp(**json.loads((folder / STAMP).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none yet, or half of one
        return None


def _write_stamp(folder: Path, stamp: Stamp) -> None:
    new = folder / f"{STAMP}.new"
    new.write_text(json.dumps(asdict(stamp)), encoding="utf-8")
    new.replace(folder / STAMP)


if __name__ == "__main__":
    main()

"""Running our commands in tests: as a process of its own, or in this one where it ends before it starts anything."""

import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import AnyStr

import typer
from tests.waiting import patience
from typer.testing import CliRunner

SOURCES = Path(__file__).resolve().parents[1] / "src"
_TAIL = 4_000


class ChildProcess(subprocess.Popen[AnyStr]):
    """A process for `with`: where the test fails inside, it is killed. Popen alone waits for it, as long as it runs."""

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, value, where)


def run_python(
    *arguments: str, code: int | None = 0, seconds: float = 60, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """A Python process with this checkout's sources; any other exit code than `code` fails the test, None allows all.

    `environment` is added to the test's own. The failure shows the end of what the process said.
    """
    command = [sys.executable, *arguments]
    variables = {**os.environ, "PYTHONPATH": str(SOURCES), **(environment or {})}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=variables,
            timeout=patience(seconds),
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        said = _said(expired.stdout, expired.stderr)
        raise AssertionError(f"{command} did not end within {expired.timeout:.0f} s{said}") from None
    said = _said(done.stdout, done.stderr)
    assert code in (None, done.returncode), f"{command} ended with {done.returncode}, not {code}{said}"
    return done


def run_here(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """What `python -m module arguments` says and how it ends, without the 1.5 s that a process takes to import it all.

    For bad usage and wrong settings. What a process of its own would end with a traceback raises here.
    """
    command = importlib.import_module(module)
    if hasattr(command, "__path__"):  # a package: `python -m` runs its __main__
        command = importlib.import_module(f"{module}.__main__")
    app = getattr(command, "app", None)
    if not isinstance(app, typer.Typer):
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(command.main)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # a command sends all logs to stderr; pytest's own handlers come back
    try:
        result = CliRunner().invoke(app, arguments, env=dict(environment or {}), catch_exceptions=False)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return subprocess.CompletedProcess([module, *arguments], result.exit_code, result.stdout, result.stderr)


def _said(out: str | bytes | None, err: str | bytes | None) -> str:
    texts = [text.decode(errors="replace") if isinstance(text, bytes) else text or "" for text in (out, err)]
    return "".join(f"\n{name}:\n{text[-_TAIL:]}" for name, text in zip(("stdout", "stderr"), texts, strict=True))

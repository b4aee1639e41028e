"""A command that fails shows what it said, and one that is run here ends as its process would."""

import inspect
import logging
import os
from importlib import import_module
from pathlib import Path

import pytest
from conftest import ROOT
from tests.commands import run_here, run_python

from tickhouse.cli import _MODULES, _help_of, app


def test_a_command_that_ends_as_expected_is_handed_back() -> None:
    assert run_python("-c", "print('well')").stdout == "well\n"
    assert run_python("-c", "import sys; sys.exit('no')", code=1).stderr == "no\n"


def test_a_command_that_fails_shows_both_of_its_outputs() -> None:
    with pytest.raises(AssertionError, match=r"ended with 3, not 0\nstdout:\nhere\n\nstderr:\nthere"):
        run_python("-c", "import sys; print('here'); print('there', file=sys.stderr); sys.exit(3)")


@pytest.mark.slow
def test_a_command_that_does_not_end_shows_what_it_said_so_far() -> None:
    program = "import sys, time; print('so far', file=sys.stderr, flush=True); time.sleep(600)"
    with pytest.raises(AssertionError, match=r"did not end within [0-9]+ s\nstdout:\n\nstderr:\nso far"):
        run_python("-c", program, seconds=1)


def test_a_command_run_here_ends_as_its_process_does() -> None:
    arguments = ("extract_process.klines", "--symbol", "BTCUSDT", "--interval", "7m")
    here, process = run_here(*arguments), run_python("-m", *arguments, code=2)
    assert (here.returncode, here.stdout, here.stderr) == (process.returncode, process.stdout, process.stderr)
    assert here.stderr.startswith("error: --interval '7m': choose from")


def test_a_command_run_here_leaves_the_tests_logging_alone() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    run_here("tickhouse.cli", "redrive", environment={"LOG_LEVEL": "DEBUG"})
    assert (root.handlers, root.level) == before


@pytest.mark.slow  # two more pytest sessions
def test_a_skip_where_every_test_must_run_fails_the_session_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n stack\n xdist_group\n", encoding="utf-8")
    test = "import pytest\ndef test_one():\n    pytest.skip('no moon tonight')\ndef test_two():\n    pass\n"
    (tmp_path / "test_sky.py").write_text(test, encoding="utf-8")
    arguments = ("-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "--numprocesses", "1", "test_sky.py")
    strict = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "REQUIRE_ALL_TESTS": "1"}
    failed = run_python(*arguments, code=1, environment=strict)
    assert "error: 1 tests were skipped where every test must run" in failed.stdout
    assert "test_sky.py::test_one: Skipped: no moon tonight" in failed.stdout
    run_python(*arguments, environment=strict | {"REQUIRE_ALL_TESTS": ""})


@pytest.mark.slow  # one more pytest session
def test_the_tests_of_a_whole_program_share_one_worker(tmp_path: Path) -> None:
    """Otherwise each worker starts a LocalStack of its own."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n stack\n xdist_group\n", encoding="utf-8")
    test = """
import os, pathlib, pytest
@pytest.fixture
def localstack_lake(): pass
@pytest.mark.parametrize("number", range(8))
def test_it(number, localstack_lake): pathlib.Path(__file__).with_name(os.environ["PYTEST_XDIST_WORKER"]).touch()
"""
    (tmp_path / "test_lake.py").write_text(test, encoding="utf-8")
    shared = ("-p", "no:cacheprovider", "--numprocesses", "3", "--dist", "loadgroup")
    run_python(
        "-m", "pytest", "-p", "conftest", *shared, "test_lake.py", environment={"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    )
    assert len(list(tmp_path.glob("gw*"))) == 1


@pytest.mark.slow  # three processes
@pytest.mark.parametrize("command", ["extract_process.klines", "transform_process", "tickhouse"])
def test_help_imports_nothing_that_only_work_needs(command: str) -> None:
    program = "import atexit, runpy, sys; atexit.register(lambda: print(*sys.modules)); sys.argv[1:] = ['--help']; "
    program += f"runpy.run_module({command!r}, run_name='__main__', alter_sys=True)"
    imported = set(run_python("-c", program).stdout.split())
    assert {"typer", "tickhouse_core.settings"} <= imported
    assert not imported & {"pyarrow", "numpy", "botocore", "boto3", "chdb", "httpx", "websockets", "pandas", "polars"}


def test_the_list_of_commands_says_of_each_what_its_own_help_says(capsys: pytest.CaptureFixture[str]) -> None:
    """It is read from the modules' text, and no module is imported for it."""
    listed = [_help_of(module) for module, _ in _MODULES.values()]
    assert all(listed)
    assert listed == [inspect.getdoc(import_module(module).main) for module, _ in _MODULES.values()]
    with pytest.raises(SystemExit):
        app(["--help"])
    told = capsys.readouterr().out
    assert all(f" {name} " in told for name in _MODULES)

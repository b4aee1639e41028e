"""A command that fails shows what it said, and one that is run here ends as its process would."""

import logging

import pytest
from tests.commands import run_here, run_python


def test_a_command_that_ends_as_expected_is_handed_back() -> None:
    assert run_python("-c", "print('well')").stdout == "well\n"
    assert run_python("-c", "import sys; sys.exit('no')", code=1).stderr == "no\n"


def test_a_command_that_fails_shows_both_of_its_outputs() -> None:
    with pytest.raises(AssertionError, match=r"ended with 3, not 0\nstdout:\nhere\n\nstderr:\nthere"):
        run_python("-c", "import sys; print('here'); print('there', file=sys.stderr); sys.exit(3)")


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

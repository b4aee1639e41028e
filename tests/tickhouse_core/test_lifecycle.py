import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.commands import ChildProcess
from tests.waiting import patience

from tickhouse_core.lifecycle import StopRequest, stop_on_signals

SOURCE = Path(__file__).resolve().parents[2] / "src"
COMMAND = "from tickhouse_core.lifecycle import run_command\nfrom tickhouse_core.errors import *\n"
WAITING = """
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.errors import Interrupted
def work():
    with stop_on_signals() as stop:
        print('ready', flush=True)
        while not stop.is_set():
            pass
        print('stopping', flush=True)
        AFTERWARDS
run_command(work)
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE)}


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=patience(30))


def start(afterwards: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WAITING.replace("AFTERWARDS", afterwards)]
    return ChildProcess(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        ("lambda: None", 0, ""),
        ("lambda: exec('raise LakeUnavailable(\"S3 is away\")')", 1, "error: S3 is away\n"),
        ("lambda: exec('raise Interrupted(\"stopped\")')", 1, "error: stopped\n"),
        ("lambda: exec('raise UsageError(\"unknown symbol X\")')", 2, "error: unknown symbol X\n"),
    ],
)
def test_a_command_ends_with_0_done_1_failed_2_bad_usage_and_one_line(work: str, code: int, said: str) -> None:
    done = run(f"{COMMAND}run_command({work})")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ('exec(\'raise OSError(30, "Read-only file system", "/spool/lock")\')', "/spool/lock: Read-only file system; "),
        ("open('/dev/null/x')", "/dev/null/x: Not a directory; "),
        ("exec('raise OSError(28, \"No space left on device\")')", "No space left on device; make room"),
    ],
)
def test_trouble_with_a_folder_is_one_line_that_says_where(work: str, said: str) -> None:
    done = run(f"{COMMAND}run_command(lambda: {work})")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"error: {said}")


def test_a_command_takes_as_many_open_files_as_it_may_have() -> None:
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))\n"
    done = run(f"{few}{COMMAND}run_command(lambda: print(resource.getrlimit(resource.RLIMIT_NOFILE)))")
    assert done.stdout == "(512, 512)\n", done.stderr


def test_a_bad_log_setting_is_bad_usage_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "xml")
    done = run(f"{COMMAND}run_command(lambda: None)")
    assert done.returncode == 2
    assert done.stderr.startswith("error: environment variable LOG_FORMAT: ")
    assert done.stderr.count("\n") == 1


def test_an_error_that_nobody_foresaw_keeps_its_traceback() -> None:
    done = run(f"{COMMAND}run_command(lambda: 1 / 0)")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_work_ends_as_it_likes(number: signal.Signals) -> None:
    with start("raise Interrupted('run again to go on')") as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=patience(30))
    assert (process.returncode, out) == (1, "stopping\n")
    assert f"signal={number.name}" in err
    assert err.endswith("error: run again to go on\n")


def test_the_second_signal_ends_the_process_at_once() -> None:
    with start("import threading; threading.Event().wait(30)") as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=patience(10)) == 1


def test_a_process_that_does_not_end_is_ended_after_its_grace_and_says_what_it_waits_for() -> None:
    hung = (
        "import threading; threading.Thread(target=threading.Event().wait, name='get-trades').start(); threading.Event().wait()"
    )
    program = WAITING.replace("stop_on_signals()", "stop_on_signals(grace_seconds=0.2)").replace("AFTERWARDS", hung)
    with ChildProcess(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=patience(30))
    assert (process.returncode, out) == (1, "stopping\n")
    assert "not ended in time" in err
    assert "get-trades" in err
    assert "Traceback" not in err


def test_a_signal_sets_the_stop_and_the_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_on_signals() as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert stop.wait(30)  # answered in a thread of its own
        assert stop.is_set()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_stop_that_nobody_asked_for_is_waited_for_in_vain() -> None:
    assert not StopRequest().wait(0)


def test_a_listener_is_called_while_its_context_lasts() -> None:
    stop, called = StopRequest(), []
    with stop.calling(lambda: called.append("first")):
        pass
    with stop.calling(lambda: called.append("second")):
        assert called == []
        stop.set()
        assert called == ["second"]
    assert called == ["second"]


def test_a_listener_that_comes_after_the_stop_is_called_at_once() -> None:
    stop, called = StopRequest(), []
    stop.set()
    with stop.calling(lambda: called.append("late")):
        assert called == ["late"]

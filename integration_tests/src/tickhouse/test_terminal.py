"""`tickhouse local` on a real terminal (a pseudo-terminal): one status in place, warnings above it, Ctrl-C with a summary."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import free_port
from tests.waiting import patience, wait_until

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig

pytestmark = pytest.mark.stack

SOURCES = str(Path(__file__).resolve().parents[3] / "src")
END_SECONDS = 10.0
_COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
_ERASED = "\x1b[2K"
_CONTROL = re.compile(r"\x1b\[[?0-9;]*[a-zA-Z]")


class Screen:
    """A terminal of some columns with a command on it, and all that it wrote there."""

    def __init__(self, columns: int) -> None:
        self._ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self._written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def raw(self) -> str:
        return self._written.decode(errors="replace")

    def text(self) -> str:
        """Without colours and moves of the cursor; each state of the status begins a line."""
        return _CONTROL.sub("", self.raw().replace(_ERASED, "\n")).replace("\r", "")

    def press_ctrl_c(self) -> None:
        os.write(self._ours, b"\x03")

    def close(self) -> None:
        """Once no process is on it any more: everything that it wrote is here then."""
        self._reader.join(patience(10))
        os.close(self._ours)

    def _read(self) -> None:
        with suppress(OSError):  # the last process has left the terminal
            while chunk := os.read(self._ours, 65_536):
                self._written += chunk


@contextmanager
def on_screen(columns: int, *arguments: str, **variables: str) -> Iterator[tuple["subprocess.Popen[bytes]", Screen]]:
    with running_exchange(ExchangeConfig()) as exchange:
        urls = {"BINANCE_REST_URL": exchange.url, "BINANCE_WS_URL": exchange.ws_url, "STATUS_PORT": str(free_port())}
        plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES", "TERM")}
        environment = {**plain, **urls, "PYTHONPATH": SOURCES, "TERM": "xterm", **variables}
        screen = Screen(columns)
        command = [sys.executable, "-m", "tickhouse", *arguments]
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=screen.theirs,
            stdout=screen.theirs,
            stderr=screen.theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C comes from the terminal
        )
        os.close(screen.theirs)
        try:
            yield process, screen
        finally:
            process.kill()
            process.wait()
            screen.close()


def shows_rows(screen: Screen) -> bool:
    return re.search(r"loaded +trades \d", screen.text()) is not None


@pytest.mark.parametrize(("columns", "variables"), [(100, {}), (40, {"NO_COLOR": "1"})], ids=["100", "40 without colours"])
def test_one_status_no_line_per_object_and_ctrl_c_with_a_summary(columns: int, variables: dict[str, str]) -> None:
    with on_screen(columns, "local", "--symbol", "BTCUSDT", **variables) as (process, screen):
        wait_until(lambda: shows_rows(screen) or process.poll() is not None, "rows on the status", seconds=60)
        assert process.poll() is None, screen.text()
        screen.press_ctrl_c()
        began = time.monotonic()
        assert process.wait(patience(60)) == 0, screen.text()
        seconds = time.monotonic() - began
    text = screen.text()
    assert seconds < patience(END_SECONDS), text
    for name in ("tickhouse  recording", "records", "rows", "loaded", "gaps", "lag", "disk", "page", "next"):
        assert re.search(rf"^{name}\b", text, re.MULTILINE), name
    lines = [line for line in text.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    routine = [line.split(" ", 2)[2] for line in lines if " INFO " in line]
    assert [re.sub(r"\d+", "N", line) for line in routine] == ["schema applied files=N database=crypto"]
    assert "loaded dataset" not in text
    assert "window done" not in text
    before, _, after = screen.raw().rpartition("recorded  for ")
    assert _ERASED in before, "the status is updated in place, and taken away"
    summary = after.splitlines()
    assert any(re.match(r"rows      trades [\d,]+", line) for line in summary), summary
    assert {"rows", "gaps", "data", "next"} <= {line.split(" ")[0] for line in summary}
    assert "tickhouse query --data" in after
    assert bool(_COLOUR.search(screen.raw())) is ("NO_COLOR" not in variables)
    frames = before.replace("^C", "").replace(_ERASED, "\n")  # the terminal itself echoes Ctrl-C
    drawn = [line for line in _CONTROL.sub("", frames).splitlines() if line not in lines]
    assert max(map(len, drawn)) <= columns


def test_history_shows_how_far_each_part_is_and_an_answer_fits(tmp_path: Path) -> None:
    arguments = ("klines", "--data", str(tmp_path / "d"), "--symbol", "BTCUSDT", "--start", "2026-03-01", "--end", "2026-03-02")
    with on_screen(100, *arguments) as (process, screen):
        assert process.wait(patience(120)) == 0, screen.text()
    text = screen.text()
    assert re.search(r"^klines +━+ +[\d,]+/1440 +[\d,]+ rows/s +weight \d+/\d+", text, re.MULTILINE), text
    assert re.search(r"^load +━+ +1/1 objects", text, re.MULTILINE), text
    assert re.search(r"^gold +━+ +\d:\d\d:\d\d", text, re.MULTILINE), text
    assert "month landed" not in text
    assert "loaded dataset" not in text

    columns = ", ".join(f"toDecimal128('{number}.5', 18) as a_price_with_a_long_name_{number}" for number in range(4))
    sql = f"select {columns}, [toDecimal128('7.250', 18)] as list, open from klines order by open_time limit 1"
    with on_screen(60, "query", "--data", str(tmp_path / "d"), sql) as (process, screen):
        assert process.wait(patience(60)) == 0, screen.text()
    lines = screen.text().splitlines()
    assert max(map(len, lines)) <= 60, "it fits"
    shown = {words[0]: words[1] for line in lines if len(words := line.split()) == 2}
    assert shown["list"] == "[7.25]"
    assert {shown[f"a_price_with_a_long_name_{number}"] for number in range(4)} == {"0.5", "1.5", "2.5", "3.5"}
    assert re.fullmatch(r"\d+(\.\d{1,8})?", shown["open"]), "no needless zeros"

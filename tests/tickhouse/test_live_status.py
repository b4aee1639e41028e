"""The live status of `tickhouse local`: what it says, on a wide terminal, on one of 40 columns, and without colours."""

import io
import logging
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from extract_process.backfill.plan import BackfillReport
from tickhouse.live_status import LiveStatus, duration_words, folder_bytes, shown, size_words, terminal
from tickhouse_core import logs
from tickhouse_core.metrics import Component, Sample, observed
from tickhouse_core.settings import LogSettings
from tickhouse_core.timestamps import SECOND_US, now_us

VENUE = {"venue": "binance", "instance": "main"}


@pytest.fixture
def status(tmp_path: Path) -> Iterator[LiveStatus]:
    newest = now_us() / SECOND_US - 3.2
    samples = [
        Sample("tickhouse_stream_rows_total", 12_345, "", VENUE),
        Sample("tickhouse_stream_rows_total", 55, "", {"venue": "kucoin", "instance": "main"}),
        Sample("tickhouse_stream_gaps_total", 2, "", VENUE),
        Sample("tickhouse_stream_spool_bytes", 4_200, "", VENUE),
        Sample("tickhouse_loader_rows_total", 12_000, "", {"queue": "trades-notifications"}),
        Sample("tickhouse_loader_rows_total", 300, "", {"queue": "ops-notifications"}),
        Sample("tickhouse_status_newest_timestamp_seconds", newest, "", {"stage": "warehouse"}),
    ]
    made = LiveStatus("BTCUSDT, BTC-USDT", tmp_path / "data")
    with ExitStack() as parts:
        parts.enter_context(observed(Component("stream", lambda: samples, lambda: ["0 of 1 connections to the venue are open"])))
        made.compacted = "1,200 objects into 8, 0 deleted"
        made.phase, made.url, made.is_recording = "recording", "http://localhost:8080", True
        made.history["binance"] = BackfillReport(rows_missing=44_640, rows_received=1_000)
        yield made


def drawn(status: LiveStatus, width: int) -> str:
    out = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    out.print(status.drawn())
    assert isinstance(out.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.file.getvalue())


def test_it_says_what_is_recorded_loaded_missing_late_and_what_to_do(status: LiveStatus) -> None:
    status.measure_disk()
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in drawn(status, 200).splitlines()}
    assert re.fullmatch(r"recording · 0:00:\d\d · degraded", lines["tickhouse"])
    assert lines["records"] == "BTCUSDT, BTC-USDT"
    assert lines["rows"].startswith("12,400 received · ")
    assert lines["loaded"] == "trades 12,000"
    assert lines["gaps"] == "2"
    assert re.fullmatch(r"\d s from the exchange to SQL", lines["lag"])
    assert lines["history"] == "binance: 1,000 of 44,640 klines"
    assert lines["compacted"] == "1,200 objects into 8, 0 deleted"
    assert re.fullmatch(r"0 B in \S+/data · .* free · spool 4\.2 kB", lines["disk"])
    assert lines["trouble"] == "stream: 0 of 1 connections to the venue are open"
    assert lines["page"] == "http://localhost:8080"
    assert re.fullmatch(
        r'Ctrl-C stops and keeps everything · from another terminal: tickhouse query --data \S+/data "show tables"', lines["next"]
    )


def test_it_fits_40_columns_and_loses_nothing(status: LiveStatus) -> None:
    lines = drawn(status, 40).splitlines()
    assert max(map(len, lines)) <= 40
    assert "http://localhost:8080" in "".join(lines)
    assert "connections" in "".join(lines)


def test_a_rate_is_that_of_the_last_seconds(status: LiveStatus) -> None:
    assert status.rate(100, at=0) == 0
    assert status.rate(150, at=5) == 10
    assert status.rate(150, at=9) == pytest.approx(50 / 9)
    assert status.rate(151, at=18) == pytest.approx(1 / 9)


def test_sizes_and_durations_are_read_at_a_glance() -> None:
    assert [size_words(size) for size in (0, 999, 1_500, 2_500_000, 7.1e9, 3e12)] == [
        "0 B", "999 B", "1.5 kB", "2.5 MB", "7.1 GB", "3.0 TB",
    ]  # fmt: skip
    assert [duration_words(seconds) for seconds in (7, 3_723, 100_000)] == ["0:00:07", "1:02:03", "27:46:40"]


def test_where_nothing_is_a_terminal_nothing_is_drawn(status: LiveStatus, capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal() is None
    with shown(status):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("level", "shows_all"), [("INFO", False), ("DEBUG", True)])
def test_routine_lines_are_left_to_the_status_and_warnings_stay(level: str, shows_all: bool) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None)
    logs.configure(LogSettings.model_validate({"level": level}), screen)
    try:
        with logs.status_shown():
            logging.getLogger("load_process.batch_insert").info("loaded")
            logging.getLogger("load_process.batch_insert").warning("not loaded")
            logging.getLogger("tickhouse.local").info("history is complete")
        logging.getLogger("load_process.batch_insert").info("loaded later")
    finally:
        logs.configure(LogSettings())
    assert isinstance(screen.file, io.StringIO)
    said = screen.file.getvalue().splitlines()
    assert [line.split(" ", 2)[2] for line in said] == [
        *(["loaded"] if shows_all else []), "not loaded", "history is complete", "loaded later",
    ]  # fmt: skip
    assert all(re.match(r"\d\d:\d\d:\d\d (INFO|WARNING) ", line) for line in said), "the clock on the wall, no logger"


def test_a_folder_that_goes_away_under_the_look_costs_nothing(tmp_path: Path) -> None:
    """As the engine's parts do, thousands of times an hour."""
    (tmp_path / "stays").mkdir()
    (tmp_path / "stays" / "file").write_bytes(b"x" * 100)
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            for number in range(20):
                (tmp_path / f"part{number}" / "inner").mkdir(parents=True)
                (tmp_path / f"part{number}" / "inner" / "file").write_bytes(b"")
            for number in range(20):
                shutil.rmtree(tmp_path / f"part{number}")

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        assert {folder_bytes(tmp_path) for _ in range(300)} == {100}
    finally:
        done.set()
        churning.join()

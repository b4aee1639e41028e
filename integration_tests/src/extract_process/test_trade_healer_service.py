"""`python -m extract_process.trades --every`: a process that heals by itself, through trouble, until a signal or a kill."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from integration_tests.src.extract_process.archived_market import Recording, archived_market
from integration_tests.src.extract_process.conftest import SOURCES
from tests.commands import ChildProcess
from tests.waiting import patience, wait_until

from simulated_exchange.server.faults import Fault, FaultKind

if TYPE_CHECKING:
    from conftest import Lake
    from integration_tests.src.extract_process.conftest import OpenVenue

DAYS_AGO = 3


@pytest.fixture
def recording(open_venue: "OpenVenue", moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch) -> Recording:
    """A gap over a midnight of some days ago, of which all venues know the files by now."""
    midnight = (datetime.now(UTC) - timedelta(days=DAYS_AGO)).date().isoformat()
    made = archived_market("binance", open_venue, moto_lake.store, midnight)
    made.record((0, 20), (len(made.rows) - 20, len(made.rows)))
    for name in ("BINANCE_USDM_ARCHIVE_URL", "BINANCE_COINM_ARCHIVE_URL"):
        monkeypatch.setenv(name, made.venue.exchange.url)
    monkeypatch.setenv("PYTHONPATH", str(SOURCES))
    monkeypatch.setenv("LOG_FORMAT", "json")
    monkeypatch.setenv("METRICS_PORT", "0")
    return made


def file_of(recording: Recording) -> str:
    """The path of the first day's file, as of its CHECKSUM's beginning."""
    day = datetime.fromtimestamp(recording.rows[0][4] / 1e6, UTC).date().isoformat()
    return f"/data/spot/daily/trades/{recording.symbol}/{recording.symbol}-trades-{day}.zip"


class Healer:
    """The process, and what it has said."""

    def __init__(self, folder: Path, every: str) -> None:
        self._said = folder / "healer.log"
        self._log = self._said.open("w")
        words = [sys.executable, "-m", "extract_process.trades", "--every", every]
        self.process = ChildProcess(words, text=True, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Of the log, with this message."""
        complete = self._said.read_text().rpartition("\n")[0].splitlines()
        return [line for line in map(json.loads, complete) if line["message"] == message]

    def wait_for(self, message: str, is_so: Callable[[], bool] = lambda: True) -> dict[str, Any]:
        wait_until(lambda: self.process.poll() is not None or (bool(self.lines(message)) and is_so()), message, 60)
        assert self.process.poll() is None, self._said.read_text()
        return self.lines(message)[-1]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(patience(30))
        self._log.close()
        return code


def figures(address: str) -> dict[str, float]:
    page = httpx.get(address, trust_env=False).raise_for_status().text
    found = (line.rpartition(" ") for line in page.splitlines() if line.startswith("tickhouse_healer"))
    return {name: float(value) for name, _, value in found}


@pytest.mark.heart
def test_it_heals_by_itself_after_a_pass_that_failed_and_ends_cleanly_in_a_pause(recording: Recording, tmp_path: Path) -> None:
    """The first pass finds a file that matches no CHECKSUM. Venues that the lake knows nothing of are not asked."""
    recording.venue.exchange.set_faults([Fault(FaultKind.ARCHIVE_BAD_CHECKSUM, path=file_of(recording))])
    healer = Healer(tmp_path, "1s")
    with healer.process:
        address = healer.wait_for("metrics served")["address"]
        assert "do not match their CHECKSUM" in healer.wait_for("gaps of trades are left open")["why"]
        assert len(recording.in_lake()) < len(recording.rows)
        assert figures(address)["tickhouse_healer_venues_left"] == 1
        recording.venue.exchange.set_faults([])
        healer.wait_for("all gaps of trades were looked at", lambda: figures(address)["tickhouse_healer_venues_left"] == 0)
        assert recording.in_lake() == recording.rows
        healed = figures(address)['tickhouse_healer_trades_total{result="healed"}']
        assert healed == len(recording.rows) - 40
        for path in ("/healthz", "/readyz"):
            assert httpx.get(address.replace("/metrics", path), trust_env=False).status_code == 200
        assert healer.end(signal.SIGTERM) == 0
    assert len(healer.lines("gaps of trades are left open")) == 1, "one line for as long as it lasts"
    tally = recording.venue.exchange.tally()
    assert [name for name in ("usdm", "coinm") if tally[name]["requests"]] == []


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_end_in_the_middle_of_a_download_loses_and_doubles_nothing(
    recording: Recording, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    path = file_of(recording)
    recording.venue.exchange.set_faults([Fault(FaultKind.LATENCY, count=1, value=600_000, path=path, after=1)])
    healer = Healer(tmp_path, "24h")
    with healer.process:
        wait_until(lambda: f"{path.rpartition('/')[2]}.CHECKSUM" in recording.downloads(), "the CHECKSUM is there", 60)
        assert healer.end(how) == code
    assert len(recording.in_lake()) == 40

    recording.venue.exchange.set_faults([])
    again = Healer(tmp_path, "24h")
    with again.process:
        again.wait_for("all gaps of trades were looked at")
        assert again.end(signal.SIGTERM) == 0
    assert recording.in_lake() == recording.rows


def test_off_is_a_process_that_waits_for_its_signal(recording: Recording, tmp_path: Path) -> None:
    healer = Healer(tmp_path, "off")
    with healer.process:
        healer.wait_for("off: nothing is done until this process is stopped")
        assert healer.end(signal.SIGTERM) == 0
    assert recording.downloads() == {}
    assert len(recording.in_lake()) == 40

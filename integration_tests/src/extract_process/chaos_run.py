"""One chaotic run: real recorders, one a venue, beside venues whose faults a seed chooses; and what was wrong. Not a test."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.waiting import patience, wait_until

from extract_process.live.requests import LONGEST_SECONDS
from tickhouse_core.object_store import ObjectStore

from .chaos_faults import begin, schedule
from .chaos_judge import wrongs_of, wrongs_without_ids
from .chaos_venue import ChaosBinance, ChaosCoinm, ChaosKucoin, ChaosUsdm, ChaosVenue
from .live import SOURCES, events_of, rows_of

FIRST_FAULT_SECONDS = 3.0
MOST_LINES = 10
"""From a fault to the next, or to the end."""

MOST_GROWTH_MB = 40
"""Of a recorder's memory, from the first quarter of the faults to the end."""

OPTIONS = (
    *("--batch-seconds", "1", "--prove-every", "2", "--streams-per-connection", "2"),
    *("--mute-seconds", "2", "--overlap-seconds", "1"),
)
_LINE = re.compile(r"^(\d{4}-\d\d-\d\dT[\d:.]+Z) (\w+)")


@dataclass
class Recorder:
    """A recording process and what was seen of it."""

    process: "subprocess.Popen[bytes]"
    log: Path
    summary: Path
    resident_mb: list[tuple[float, float]] = field(default_factory=list)

    def look(self) -> None:
        status = Path(f"/proc/{self.process.pid}/status")
        if status.exists() and "VmRSS" in (text := status.read_text()):
            self.resident_mb.append((time.time(), int(text.partition("VmRSS:")[2].split()[0]) / 1024))


def chaos_venues(seed: int) -> list[ChaosVenue]:
    """Every venue with two markets; not started yet."""
    return [
        ChaosBinance(("BTCUSDT", "ETHUSDT"), seed),
        ChaosKucoin(("BTC-USDT", "ETH-USDT"), seed),
        ChaosUsdm(("BTCUSDT", "ETHUSDT"), seed),
        ChaosCoinm(("BTCUSD_PERP", "ETHUSD_PERP"), seed),
    ]


class Chaos:
    """Venues and recorders of one seed."""

    def __init__(self, seed: int, seconds: float, folder: Path, environment: Mapping[str, str]) -> None:
        """`seconds` is what the recorders are told as `--duration`; the last of them are calm."""
        self.seed, self.seconds, self.folder = seed, seconds, folder
        self.calm_seconds = min(LONGEST_SECONDS + 20.0, seconds / 3)  # after so many faults snapshots are asked for that seldom
        self.stop_seconds = max(30.0, seconds / 2, patience(10))
        self._environment = environment
        self.venues = chaos_venues(seed)
        self.said: dict[str, list[tuple[float, str, str]]] = {venue.kind: [] for venue in self.venues}
        """By venue: when which fault happened to which symbol."""

        self.recorders: dict[str, Recorder] = {}

    def run(self) -> None:
        with ExitStack() as stack:
            for venue in self.venues:
                venue.start()
                stack.callback(venue.stop)
                self.recorders[venue.kind] = self._start(venue)
                stack.callback(self.recorders[venue.kind].process.kill)
            wait_until(lambda: all(venue.is_watched for venue in self.venues), "recorders that read all markets", 60)
            for venue in self.venues:
                plan = schedule(venue, self.seed, FIRST_FAULT_SECONDS, self.seconds - self.calm_seconds)
                said = self.said[venue.kind]
                begin(venue, plan, self.seed, lambda name, symbol, said=said: said.append((time.time(), name, symbol)))  # type: ignore[misc]
            deadline = time.monotonic() + self.seconds + self.stop_seconds + patience(60)
            while any(one.process.poll() is None for one in self.recorders.values()) and time.monotonic() < deadline:
                for one in self.recorders.values():
                    one.look()
                time.sleep(0.5)  # how often memory is looked at

    def wrongs(self, store: ObjectStore) -> list[str]:
        trades, diffs = (rows_of(store, dataset) for dataset in ("trades", "depth_diffs"))
        events = rows_of(store, "stream_events")
        found: list[str] = []
        for venue in self.venues:
            ours = [[row for row in rows if row["venue"] == venue.kind] for rows in (trades, diffs, events)]
            found += wrongs_of(venue, *ours)
            for channel in venue.channels[2:]:
                rows = [row for row in rows_of(store, channel) if row["venue"] == venue.kind]
                found += wrongs_without_ids(venue, channel, rows, ours[-1])
            found += self._wrongs_of_process(venue)
            found += self._wrongs_of_the_end(venue, store)
        return found

    def _start(self, venue: ChaosVenue) -> Recorder:
        log, summary = self.folder / f"{venue.kind}.log", self.folder / f"{venue.kind}.out"
        symbols = [word for symbol in venue.markets for word in ("--symbol", symbol)]
        command = [sys.executable, "-m", "extract_process.stream", "--venue", venue.kind, "--duration", f"{self.seconds}"]
        command += [word for channel in venue.channels for word in ("--channel", channel)]
        command += ["--stop-seconds", f"{self.stop_seconds:.0f}"]  # what would stay in the spool of a busy machine is not judged
        environment = {**os.environ, "PYTHONPATH": str(SOURCES), **self._environment, **venue.environment}
        with log.open("wb") as errors, summary.open("wb") as out:
            process = subprocess.Popen([*command, *symbols, *OPTIONS], env=environment, stdout=out, stderr=errors)
        return Recorder(process, log, summary)

    def _wrongs_of_process(self, venue: ChaosVenue) -> Iterator[str]:
        recorder, said = self.recorders[venue.kind], self.said[venue.kind]
        log = recorder.log.read_text(errors="replace")
        if recorder.process.poll() != 0:
            yield f"{venue.kind}: exit code {recorder.process.poll()}: {log[-500:]}"
            return
        lasted = float(recorder.summary.read_text().split()[-1].replace(",", ""))
        if not self.seconds <= lasted <= self.seconds + self.stop_seconds + patience(10):
            yield f"{venue.kind}: {self.seconds} s were {lasted} s"
        if "Traceback" in log:
            yield f"{venue.kind}: a traceback: {log[log.index('Traceback') :][:800]}"
        lines = [datetime.fromisoformat(match[1]).timestamp() for line in log.splitlines() if (match := _LINE.match(line))]
        ends = [at for at, _, _ in said[1:]] + [float("inf")]
        for (at, name, symbol), end in zip(said, ends, strict=True):
            if (count := sum(at <= line < end for line in lines)) > MOST_LINES:
                yield f"{venue.kind}: {count} lines of {name} of {symbol}"
        if len(said) < len(schedule(venue, self.seed, FIRST_FAULT_SECONDS, self.seconds - self.calm_seconds)):
            yield f"{venue.kind}: only {len(said)} faults happened"
        middle = said[len(said) // 4][0]
        before = [mb for at, mb in recorder.resident_mb if at <= middle]
        if before and (grown := recorder.resident_mb[-1][1] - max(before)) > MOST_GROWTH_MB:
            yield f"{venue.kind}: memory grew by {grown:.0f} MB from {max(before):.0f} MB"

    def _wrongs_of_the_end(self, venue: ChaosVenue, store: ObjectStore) -> Iterator[str]:
        """Behind the last fault every book is proven right."""
        last = self.said[venue.kind][-1][0]
        for symbol in venue.markets:
            proofs = [row for row in events_of(store, "proven") if row["symbol"] == symbol]
            if not any(row["started_at"].timestamp() > last for row in proofs):
                yield f"{venue.kind} {symbol}: no proof of the book behind the last fault"

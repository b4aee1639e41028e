"""Healing of trades on a schedule: the open gaps of several venues, one after the other, pass after pass until the stop."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from extract_process.backfill.trade_healer import HealReport
from tickhouse_core.backoff import Backoff, Outage
from tickhouse_core.datasets import TRADES
from tickhouse_core.errors import AccessRefused, Interrupted, LakeUnavailable, NotProvisioned, TickhouseError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.metrics import Component, Sample, observed
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.objects import venues_of
from tickhouse_core.schedule import Retries, Schedule, WorkLeft

log = logging.getLogger(__name__)

PASSED = "all gaps of trades were looked at"
"""The line of the log after each pass, with what was done since the start of the process."""

WAITING = Backoff(5.0, 300.0)
"""While the lake is unavailable, or the disk is full."""

AGAIN = Backoff(600.0, 6 * 3_600.0)
"""While a venue's gaps are left open: a file that cannot be used is downloaded again by each pass."""

_OF_ALL_VENUES = (Interrupted, LakeUnavailable, AccessRefused, NotProvisioned, OSError)

Tell = Callable[[HealReport], object]
Heal = Callable[[str, Tell], object]
"""Heals the gaps of one venue, and tells what it did however it ends. Raises TickhouseError."""


def heal_all(venues: Sequence[str], heal: Heal, tell: Tell = lambda report: None) -> None:
    """One pass, one venue after the other; a line for each that has open gaps.

    Raises WorkLeft for venues that were in trouble, after all others; the lake's errors, and Interrupted, at once.
    """
    left: list[str] = []
    for venue in venues:
        try:
            heal(venue, partial(_say_and_tell, venue, tell))
        except _OF_ALL_VENUES:
            raise
        except TickhouseError as error:
            left.append(f"{venue}: {error}")
        except Exception as error:
            # A fault of ours that one venue's data revealed: it costs this venue, and the next pass tries it again.
            log.exception("a venue's gaps revealed a fault", extra={"venue": venue})
            left.append(f"{venue}: {type(error).__name__}: {error}")
    if left:
        raise WorkLeft(left, "venues")


def _say_and_tell(venue: str, tell: Tell, report: HealReport) -> None:
    if report.gaps:
        counts = {"gaps": report.gaps, "healed": report.healed, "without_a_file_yet": report.unfetched}
        log.info("gaps of trades were compared with the archive's files", extra={"venue": venue, **counts})
    tell(report)


def pause_after(every_seconds: float, passes: int) -> float:
    """Seconds after so many passes in a row that left gaps open: never longer than after one that left none."""
    return min(every_seconds, AGAIN.pause(passes))


@dataclass(slots=True)
class HealerCounts:
    """Trades since the start of the process: healed ones, ids that are no trades, and those that published files lack."""

    healed: int = 0
    no_trades: int = 0
    lacking: int = 0

    def add(self, report: HealReport) -> None:
        self.healed += report.healed
        self.no_trades += report.no_trades
        self.lacking += report.lacking


class ScheduledHealing:
    """`run` returns on the stop; see Schedule. A venue without trades in the lake costs nothing."""

    def __init__(
        self, store: ObjectStore, venues: Sequence[str], heal: Heal, every_seconds: float | None, stop: StopRequest
    ) -> None:
        outage = Outage(log, WAITING, begins="gaps of trades are not healed: trying again", ends="healing gaps of trades again")
        retries = Retries(outage, "gaps of trades are left open", partial(pause_after, every_seconds or math.inf))
        self.schedule = Schedule("healer", every_seconds, stop, retries)
        self.counts = HealerCounts()
        self._store = store
        self._venues = venues
        self._heal = heal

    def run(self) -> None:
        with observed(Component(self.schedule.name, self.samples, self.schedule.not_ready)):
            self.schedule.run(self._pass, self._say)

    def samples(self) -> Iterator[Sample]:
        name, counts = "tickhouse_healer_trades_total", self.counts
        for result, count in (("healed", counts.healed), ("no_trade", counts.no_trades), ("lacking", counts.lacking)):
            yield Sample(name, count, "trades that were missing in gaps, by what the venue's files say", {"result": result})
        yield from self.schedule.samples()
        name = "tickhouse_healer_venues_left"
        yield Sample(name, len(self.schedule.left), "venues whose gaps the last pass could not heal; the log says why")

    def _pass(self) -> bool:
        recorded = venues_of(self._store, TRADES)
        heal_all([venue for venue in self._venues if venue in recorded], self._heal, self.counts.add)
        return True

    def _say(self, seconds: float) -> None:
        said = {"healed": self.counts.healed, "no_trades": self.counts.no_trades, "lacking": self.counts.lacking}
        log.info(PASSED, extra={**said, "seconds": round(seconds, 1)})

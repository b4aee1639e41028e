"""What is said of whole days of trades that have no file: there is no such market, trading began later, or they are gaps.

A gap is requested again by the next run, and is none where the rows are in the lake.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable

from extract_process.backfill.day_writer import EventWriter, HistoryReport, Market
from extract_process.backfill.recorded_trades import ToldDays
from extract_process.backfill.stopping import unless_stopped
from extract_process.backfill.trade_gaps import MOST_LEFT_OUT, common, without
from extract_process.backfill.trade_listing import Listing
from extract_process.ranges import EVERY_ID, Range
from tickhouse_core.datasets import DATASETS
from tickhouse_core.errors import UsageError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.events import LACKING, NO_DATA
from tickhouse_core.reading.known import Known
from tickhouse_core.reading.objects import venues_of
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US, format_instant, now_us

log = logging.getLogger(__name__)

_NO_FILE = "no file is published"
_NOT_YET = f"{_NO_FILE} yet: it comes in the course of the next day, and the next run requests it again"
STOPPED = "stopped by a signal; whole days are kept, run again to go on"


class DaysWithoutFile:
    """Of one symbol. `why`: what is wrong with files that there are, by day."""

    def __init__(
        self,
        store: ObjectStore,
        market: Market,
        told: ToldDays,
        no_trades: list[Range],
        tell: EventWriter,
        listing: Listing,
        report: HistoryReport,
    ) -> None:
        """`no_trades`: ids that events say are none."""
        self.why: dict[int, str] = {}
        self._store, self._market, self._told, self._no_trades = store, market, told, no_trades
        self._tell, self._listing, self._report = tell, listing, report
        self._first_day: int | None = None

    async def tell(self, days: list[int], done: Collection[int], stop: StopRequest) -> None:
        """`done`: days that are complete, of which the file was to be looked at again."""
        early = await self.early(days, stop)
        await asyncio.to_thread(self._tell_early, early)
        days = [day for day in days if day not in early]
        if days and (doubt := await self._doubt(stop)):
            self._report.failures.append(f"{self._market.symbol}: {_NO_FILE} of {named(days[0], days[-1])}: {doubt}")
            self._report.lacking += len(days)
        else:
            await asyncio.to_thread(self._tell_lacking, days, done)

    async def early(self, days: list[int], stop: StopRequest) -> list[int]:
        """Days without a file from before the venue's first candle: no file will come. The venue is asked once.

        It is not asked where rows of older days are there, nor of days whose file is to come.
        """
        now = now_us()
        known = min(self._market.spans, default=now // DAY_US)
        old = [day for day in days if day < known and day not in self.why and _why_no_file(day, now) == _NO_FILE]
        if old and self._first_day is None:
            first_day = self._listing.first_day(self._market.symbol, old[0])
            self._first_day = await unless_stopped(first_day, stop, STOPPED)
        return [day for day in old if day < (self._first_day or 0)]

    def _tell_early(self, days: list[int]) -> None:
        """A gap that is not open: there is nothing to have."""
        self._report.early += len(days)
        spans = EVERY_ID.ranges_of([day for day in days if day not in self._told.early])
        self._report.gaps += len(spans)
        said = f"trading began later: the venue's first candle is of {date_of(self._first_day or 0)}"
        self._tell.tell([self._tell.of_days("gap", span, NO_DATA, said) for span in spans])
        for span in spans:
            log.info(said, extra={"symbol": self._market.symbol, "days_without_trades": named(span.first, span.last)})

    def heal(self, days: Iterable[int], said: str) -> None:
        """Those that are gaps."""
        healed = sorted(self._market.lacking_days & set(days))
        self._tell.tell([self._tell.of_days("healed", Range(day, day), "archive", said) for day in healed])

    def _tell_lacking(self, days: list[int], done: Collection[int]) -> None:
        """Days without a file are gaps, and requested again by the next run, unless their rows are there."""
        report, market = self._report, self._market
        unread = [day for day in days if day not in done and day not in self._told.half_written]
        apart = MOST_LEFT_OUT if market.venue.leaves_out_no_trades else 0
        missing = without(market.missing, self._heal_no_trades())
        whole = market.recorded(self._store).whole_days(unread, market.spans, apart, missing)
        self.heal(whole, "no id is missing")
        report.complete += len(whole)
        now = now_us()
        reasons = [(day, self.why.get(day) or _why_no_file(day, now)) for day in days if day not in whole]
        fresh = [(day, why) for day, why in reasons if day not in market.lacking_days and day not in done]
        report.lacking += len(reasons)
        report.gaps += len(fresh)
        self._tell.tell([self._tell.of_days("gap", Range(day, day), LACKING, why) for day, why in fresh])
        report.failures += [
            f"{self._market.symbol}: {named(first, last)}: {why}" for first, last, why in stretches_of_days(reasons)
        ]

    def _heal_no_trades(self) -> list[Range]:
        """Ids of gaps of one recorder that another one was told are no trades."""
        found, now = common(self._market.missing, self._no_trades), now_us()
        self._tell.tell([self._tell.of_ids("healed", ids, now, None, "", "recorded as no trades") for ids in found])
        self._report.no_trades += sum(map(EVERY_ID.count, found))
        return found

    async def _doubt(self, stop: StopRequest) -> str:
        """Empty for a symbol that has files or is in the lake. A gap of one that is spelled wrongly would stay open forever."""
        has_files = bool(self._market.spans or self.why)
        if has_files or await asyncio.to_thread(self._is_known):
            return ""
        return await unless_stopped(self._listing.doubt(self._market.symbol), stop, STOPPED)

    def _is_known(self) -> bool:
        """Whether the lake has anything else of this symbol."""
        store, venue = self._store, self._market.venue.name
        try:
            Known(store).check(Request(venue, (self._market.symbol,), 0, 0))
        except UsageError:
            return False
        return any(venues_of(store, dataset) for dataset in DATASETS)


def _why_no_file(day: int, now: int) -> str:
    """`day` since 1970, `now` in us."""
    return _NOT_YET if now < (day + 2) * DAY_US else _NO_FILE


def date_of(day: int) -> str:
    return format_instant(day * DAY_US)[:10]


def named(first: int, last: int) -> str:
    return date_of(first) if first == last else f"{date_of(first)} to {date_of(last)}"


def stretches_of_days(reasons: Iterable[tuple[int, str]]) -> list[tuple[int, int, str]]:
    """Neighbouring days with one reason together."""
    found: list[tuple[int, int, str]] = []
    for day, why in reasons:
        if found and found[-1][1] == day - 1 and found[-1][2] == why:
            found[-1] = found[-1][0], day, why
        else:
            found.append((day, day, why))
    return found

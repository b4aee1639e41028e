"""Healing of several symbols: an archive's file that never comes costs its symbol, an archive that is away ends the run."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from tests.extract_process.test_trade_days import DAY, START, Files

from extract_process.backfill.trade_healer import Shuffle, TradeHealer
from extract_process.parquet import write_events
from extract_process.records import StreamEvent
from extract_process.venues import venue_named
from extract_process.venues.binance.archive_trades import BinanceTradeFile
from tickhouse_core.datasets import TRADES, Dataset
from tickhouse_core.errors import VenueUnavailable
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US, MINUTE_US, format_instant

SYMBOLS = ("AUSDT", "BUSDT", "CUSDT", "DUSDT")


@dataclass
class Cut(Files):
    """Files of some symbols, or of some days, are cut in every answer."""

    symbols: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    async def fetch_trades(self, symbol: str, date: str, sink: IO[bytes], dataset: Dataset = TRADES) -> BinanceTradeFile | None:
        self.asked.append(symbol)
        if symbol in self.symbols or date in self.dates:
            raise VenueUnavailable(f"{symbol}-trades-{date}.zip: cut")
        return await super().fetch_trades(symbol, date, sink, dataset)


def cut(*symbols: str) -> Cut:
    return Cut(symbols=symbols)  # type: ignore[abstract]  # it has no klines


def healer(folder: Path, archive: Cut, shuffle: Shuffle = list.sort) -> TradeHealer:
    """Of a lake in which every symbol lacks five trades of one day."""
    store = FolderStore(folder / "lake")
    archive.put(DAY, range(1, 21))
    for number, symbol in enumerate(SYMBOLS, 1):
        at = START + 5 * MINUTE_US
        gap = StreamEvent("binance", symbol, "trades", "a", "gap", 6, 10, at, at + 5 * MINUTE_US, "restart", "")
        write_events(store, [gap], at, number)
    return TradeHealer(venue_named("binance"), archive, store, folder / "spool", shuffle)


def heal(made: TradeHealer) -> None:
    asyncio.run(made.run(Request("binance", (), START, START + DAY_US), StopRequest()))


def test_a_file_that_never_comes_costs_its_symbol_alone(tmp_path: Path) -> None:
    made = healer(tmp_path, cut("AUSDT", "CUSDT"))
    heal(made)
    assert made.report.healed == 2 * 5
    assert made.report.failures == [f"{symbol}-trades-{DAY}.zip: cut" for symbol in ("AUSDT", "CUSDT")]


def test_an_archive_that_is_away_is_not_asked_for_every_symbol(tmp_path: Path) -> None:
    archive = cut(*SYMBOLS)
    made = healer(tmp_path, archive)
    with pytest.raises(VenueUnavailable, match="BUSDT"):
        heal(made)
    assert archive.asked == ["AUSDT", "BUSDT"]


def test_two_files_that_never_come_do_not_end_every_run_before_the_same_symbols(tmp_path: Path) -> None:
    archive = cut("AUSDT", "BUSDT")
    healed = set()
    for seed in range(20):
        made = healer(tmp_path / str(seed), archive, random.Random(seed).shuffle)
        with suppress(VenueUnavailable):
            heal(made)
        healed.add(made.report.healed)
    assert max(healed) == 2 * 5, "in some run both others came first, or between"


def test_a_file_that_never_comes_keeps_no_other_day_of_its_symbol_from_being_healed(tmp_path: Path) -> None:
    days = [format_instant(START + number * DAY_US)[:10] for number in range(5)]
    archive = Cut(dates=tuple(days[:2]))  # type: ignore[abstract]  # it has no klines
    store = FolderStore(tmp_path / "lake")
    for number, day in enumerate(days):
        first = 100 * number
        archive.put(day, range(first + 1, first + 21))
        at = START + number * DAY_US + 5 * MINUTE_US
        gap = StreamEvent("binance", "AUSDT", "trades", "a", "gap", first + 6, first + 10, at, at + 5 * MINUTE_US, "restart", "")
        write_events(store, [gap], at, number)
    made = TradeHealer(venue_named("binance"), archive, store, tmp_path / "spool")
    asyncio.run(made.run(Request("binance", (), START, START + 5 * DAY_US), StopRequest()))
    assert made.report.healed == 3 * 5
    assert len(made.report.failures) == 2

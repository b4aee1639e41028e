"""Healing of several symbols: an archive's file that never comes costs its symbol, an archive that is away ends the run."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from tests.extract_process.test_trade_days import DAY, START, Files

from extract_process.backfill.trade_healer import TradeHealer
from extract_process.parquet import write_events
from extract_process.records import StreamEvent
from extract_process.venues import venue_named
from extract_process.venues.binance.archive_trades import BinanceTradeFile
from tickhouse_core.datasets import TRADES, Dataset
from tickhouse_core.errors import VenueUnavailable
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US, MINUTE_US

SYMBOLS = ("AUSDT", "BUSDT", "CUSDT", "DUSDT")


@dataclass
class Cut(Files):
    """Files of some symbols are cut in every answer."""

    symbols: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    async def fetch_trades(self, symbol: str, date: str, sink: IO[bytes], dataset: Dataset = TRADES) -> BinanceTradeFile | None:
        self.asked.append(symbol)
        if symbol in self.symbols:
            raise VenueUnavailable(f"{symbol}-trades-{date}.zip: cut")
        return await super().fetch_trades(symbol, date, sink, dataset)


def cut(*symbols: str) -> Cut:
    return Cut(symbols=symbols)  # type: ignore[abstract]  # it has no klines


def healer(folder: Path, archive: Cut) -> TradeHealer:
    """Of a lake in which every symbol lacks five trades of one day."""
    store = FolderStore(folder / "lake")
    archive.put(DAY, range(1, 21))
    for number, symbol in enumerate(SYMBOLS, 1):
        at = START + 5 * MINUTE_US
        gap = StreamEvent("binance", symbol, "trades", "a", "gap", 6, 10, at, at + 5 * MINUTE_US, "restart", "")
        write_events(store, [gap], at, number)
    return TradeHealer(venue_named("binance"), archive, store, folder / "spool")


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

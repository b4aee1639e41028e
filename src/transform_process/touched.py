"""What a window touches: in which grain its times are told, and which kinds of rows the statements can meet at all."""

from dataclasses import dataclass
from typing import Any

from tickhouse_core.timestamps import to_datetime
from tickhouse_core.warehouse import Warehouse
from transform_process.catalog import NO_TRADE, WHOLE_DAY, Window
from transform_process.sql_files import read_sql

LARGE_WINDOW = 50_000
"""Rows of silver, from which on it is asked whether whole days are touched."""


@dataclass(frozen=True, slots=True)
class Touched:
    """`grain` in seconds: minutes, or whole days where the window has at least half of the minutes of its days.

    Sets of millions of minutes cost more than the rows built anew; a row that is built without need stays the same.
    `has_lost`: silver lost rows in the window. `kline_intervals`, `has_trades`, `has_no_trades` (events of ids that are no
    trades) and `has_whole_days` (of days from files): of all that was ever loaded.
    """

    grain: int
    kline_intervals: frozenset[str]
    has_trades: bool
    has_no_trades: bool
    has_whole_days: bool
    has_lost: bool

    def parts_at_work(self, interval: str) -> set[str]:
        """Names of the parts of a statement (sql_files) that may find something; `interval`: of the klines it reads."""
        there = {"lost": self.has_lost, "klines": interval in self.kline_intervals, "trades": self.has_trades}
        there |= {"no_trades": self.has_no_trades, "whole_days": self.has_whole_days}
        there["events"] = self.has_no_trades or self.has_whole_days
        return {part for part, is_there in there.items() if is_there}


class SeenInSilver:
    """What this process has seen loaded; asked once a window, instead of once a step."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._words: set[str] = set()
        """Intervals of klines, and kinds of events."""

        self._has_trades = False
        self._seen_to_us = 0

    def touched(self, window: Window, has_lost: bool) -> Touched:
        """Of a window that no later one comes before."""
        rows = self._warehouse.query(read_sql("transform/kline_intervals.sql"), bounds(self._seen_to_us, window.end_us))
        self._words.update(str(word) for (word,) in rows)
        self._has_trades = self._has_trades or bool(self._warehouse.query(read_sql("transform/any_trade.sql")))
        self._seen_to_us = max(self._seen_to_us, window.end_us)
        kinds = {NO_TRADE, WHOLE_DAY} & self._words
        return Touched(
            self._grain(window), frozenset(self._words - kinds), self._has_trades, NO_TRADE in kinds, WHOLE_DAY in kinds, has_lost
        )

    def _grain(self, window: Window) -> int:
        if window.rows < LARGE_WINDOW:
            return 60
        asked = bounds(window.start_us, window.end_us)
        [[minutes, days]] = self._warehouse.query(read_sql("transform/loaded_days.sql"), asked)
        return 86_400 if minutes >= 720 * days > 0 else 60


def bounds(start_us: int, end_us: int) -> dict[str, Any]:
    """As server-side parameters of the type DateTime64(6, 'UTC')."""
    return {"window_start": _instant(start_us), "window_end": _instant(end_us)}


def _instant(instant_us: int) -> str:
    return to_datetime(instant_us).strftime("%Y-%m-%d %H:%M:%S.%f")

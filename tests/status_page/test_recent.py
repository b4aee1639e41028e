"""What many viewers ask for is read once: calendars, books without a new update, and the history of health."""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_until

from status_page.history import History
from status_page.lake_lag import LakeLag
from status_page.market import Markets
from status_page.poller import Poller
from status_page.processes import Processes
from status_page.queries import Queries, Recent
from status_page.vitals import QueueDepths, Vitals
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.timestamps import now_us


class Counted(Queries):
    """A warehouse with one book, whose newest update is `update_id`; it counts what it is asked."""

    def __init__(self) -> None:
        self.update_id, self.newest_us = 7, now_us()
        self.asked: Counter[str] = Counter()

    def ask(self, name: str, parameters: Mapping[str, Any] | None = None) -> list[Sequence[Any]]:
        self.asked[name] += 1
        rows: dict[str, list[Sequence[Any]]] = {
            "newest_diff": [(self.newest_us, self.update_id)],
            "book": [("bid", "99", "1", self.update_id, True), ("ask", "101", "1", self.update_id, True)],
            "book_proof": [(0, 0)],
            "candles_beside": [(0, 0)],
        }
        return rows.get(name, [])

    def close(self) -> None:
        """Nothing is open."""


def test_a_calendar_that_is_asked_again_and_again_is_read_once_per_market_and_unit() -> None:
    queries = Counted()
    past = History(queries)
    for _ in range(5):
        past.calendar("binance", "BTCUSDT", "hour")
    assert queries.asked["coverage_calendar"] == 1
    past.calendar("binance", "BTCUSDT", "day")
    past.calendar("binance", "ETHUSDT", "hour")
    assert queries.asked["coverage_calendar"] == 3


def test_what_is_kept_is_read_again_when_it_is_old() -> None:
    queries = Counted()
    recent = Recent(queries, fresh_seconds=0)
    for _ in range(2):
        recent.get(("one",), lambda: queries.ask("one"))
    assert queries.asked["one"] == 2


@pytest.mark.slow
def test_a_book_without_a_new_update_is_not_computed_again() -> None:
    queries = Counted()
    markets = Markets(queries, queries, queries)

    def book_of(looks: int) -> Any:
        wait_until(lambda: bool(markets.live("binance", "BTCUSDT", "1m")) and queries.asked["newest_diff"] >= looks, "a look", 10)
        return markets.live("binance", "BTCUSDT", "1m")["book"]["last_update_id"]

    assert (book_of(2), queries.asked["book"]) == (7, 1)
    queries.update_id = 8
    assert (book_of(4), queries.asked["book"]) == (8, 2)


def test_the_history_of_health_is_read_ahead_while_somebody_watches(tmp_path: Path) -> None:
    queries = Counted()
    poller = Poller(queries, queries, LakeLag(FolderStore(tmp_path), queries), Processes({}))
    vitals = Vitals(queries, QueueDepths())
    poller.keep_fresh("health", vitals.renew)
    poller._poll_slowly()
    assert queries.asked["health_lag"] == 0
    poller.state()
    poller._poll_slowly()
    assert queries.asked["health_lag"] == 1
    vitals.day()
    assert queries.asked["health_lag"] == 1
    poller.close()


def test_who_waited_for_a_slow_answer_takes_it() -> None:
    """Reading takes longer than an answer is fresh: five viewers at once are one question, not five one after the other."""
    recent, began, go_on, asked = Recent(Counted(), fresh_seconds=0.2), threading.Event(), threading.Event(), Counter[str]()

    def read() -> str:
        asked["calendar"] += 1
        began.set()
        assert go_on.wait(30)
        return "answer"

    with ThreadPoolExecutor(5) as viewers:
        answers = [viewers.submit(recent.get, ("calendar",), read) for _ in range(5)]
        assert began.wait(30)
        time.sleep(0.3)  # longer than it is fresh
        go_on.set()
        assert [answer.result(30) for answer in answers] == ["answer"] * 5
    assert asked["calendar"] == 1

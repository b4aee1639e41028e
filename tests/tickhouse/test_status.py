"""`tickhouse status` on a terminal: the page's words, and times as this machine's clock shows them."""

import io
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from status_page.health import DEGRADED, DOWN, IDLE, OK
from tickhouse.status import drawn, plain


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def test_it_has_the_words_of_the_page_and_local_times(tokyo: None) -> None:
    verdicts = (OK, DEGRADED, DOWN, IDLE)
    stages = [{"name": f"stage{i}", "verdict": verdict, "age_seconds": None, "words": ""} for i, verdict in enumerate(verdicts)]
    event = (3_600 * 1_000_000, "binance", "BTCUSDT", "trades", "main", "gap", "restart", "", None, None)
    queue = {"name": "trades-notifications", "waiting": 1, "in_flight": 2, "dead": 0}
    parts = {"stages": stages, "queues": [queue], "events": [event], "weights": [], "spools": [], "processes": []}
    out = Console(file=io.StringIO(), width=120)
    out.print(drawn({"verdict": DEGRADED, "words": "gold is late", **parts}))
    assert isinstance(out.file, io.StringIO)
    text = out.file.getvalue()
    assert "tickhouse: degraded gold is late" in " ".join(text.split())
    for number, verdict in enumerate(verdicts):
        assert f"│ stage{number} │ {verdict:<8} │" in text
    assert "in flight" in text
    assert "10:00:00" in text


def test_a_trouble_of_several_stages_is_said_once() -> None:
    troubles = {"venue": (IDLE, "nothing is being recorded"), "warehouse": (DOWN, "no server"), "gold": (DOWN, "no server")}
    stages = [{"name": name, "verdict": one, "age_seconds": None, "words": words} for name, (one, words) in troubles.items()]
    said = plain({"verdict": DOWN, "words": "warehouse: no server; gold: no server", "stages": stages, "queues": []})
    assert said.splitlines() == [
        "overall\tdown\t\tsee warehouse, gold",
        "venue\tidle\t\tnothing is being recorded",
        "warehouse\tdown\t\tno server",
        "gold\tdown\t\tsee warehouse",
    ]

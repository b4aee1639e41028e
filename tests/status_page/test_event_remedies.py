"""Every kind of event and every cause of a gap has something to do beside it, or the reason why nothing can be done."""

import re
from pathlib import Path
from typing import Any

import pytest

from status_page.app import ASSETS
from status_page.event_remedies import CAUSES, KINDS, NOTHING_WRONG, for_gap, with_remedies
from status_page.history import KINDS as CHOICES
from status_page.remedies import Running, Stretch
from tickhouse_core.datasets import CHANNELS
from tickhouse_core.event_kinds import EVENT_KINDS, GAP_CAUSES, EventKind, GapCause

DOCS = Path(__file__).parents[2] / "docs" / "data-model.md"
AT = 1_700_000_000_000_000
QUOTED = re.compile(r"`(\w+)`")


def documented() -> dict[str, str]:
    """What the table of events says of each kind."""
    table = DOCS.read_text(encoding="utf-8").partition("## Events: stream_events")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", table, re.MULTILINE)
    return {kind: words for kinds, words in rows for kind in QUOTED.findall(kinds)}


def row(kind: str, cause: str = "", channel: str = "trades", instance: str = "main", detail: str = "") -> list[Any]:
    """As events*.sql returns it."""
    return [AT, "binance", "BTCUSDT", channel, instance, kind, cause, detail, AT, AT + 60_000_000, AT + 1_000_000]


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_every_kind_of_event_is_fine_or_has_a_remedy_is_documented_and_can_be_chosen(kind: EventKind) -> None:
    assert [kind == "gap", kind in NOTHING_WRONG, kind in KINDS].count(True) == 1
    assert kind in documented()
    assert len([name for name, kinds in CHOICES.items() if kind in kinds]) == 1
    ((*_, words, command),) = with_remedies(Running(), [row(kind)])
    if kind in NOTHING_WRONG:
        assert (words, command) == ("", "")
    elif words.endswith(":"):
        assert command.startswith("tickhouse ")
    else:
        assert (words.endswith("."), command) == (True, "")


@pytest.mark.parametrize("cause", GAP_CAUSES)
@pytest.mark.parametrize("channel", CHANNELS)
def test_every_gap_has_a_command_or_the_reason_why_not(channel: str, cause: GapCause) -> None:
    words, command = for_gap(Running(), cause, Stretch("binance", "BTCUSDT", channel, AT, AT))
    assert words.startswith(CAUSES[cause])
    assert words.endswith(":") if command else "No venue publishes" in words
    assert bool(command) == (channel in ("klines", "trades", "depth"))


def test_the_lists_of_kinds_and_causes_have_no_other() -> None:
    assert set(documented()) == set(EVENT_KINDS)
    causes = documented()["gap"].partition("`cause`:")[2]
    assert set(QUOTED.findall(causes)) == set(GAP_CAUSES) == set(CAUSES)
    chart = re.search(r"const CAUSES = \{(.*?)\};", (ASSETS / "spans.js").read_text(encoding="utf-8"), re.DOTALL)
    assert chart is not None
    assert set(re.findall(r"(\w+): \"", chart[1])) == set(GAP_CAUSES)
    colours = re.search(r"const VERDICTS = \{(.*?)\};", (ASSETS / "events.js").read_text(encoding="utf-8"))
    assert colours is not None
    coloured = dict(re.findall(r"(\w+): \"(\w+)\"", colours[1]))
    assert {kind for kind, verdict in coloured.items() if verdict != "ok"} <= {"gap", *KINDS}
    assert len(coloured) > 5


def test_candles_of_a_gap_are_fetched_in_their_own_interval_and_those_the_venue_lacked_again() -> None:
    rows = [
        row("gap", "venue_has_no_data", "klines", "backfill-BTC-USDT-1h", "2 klines"),
        row("gap", "restart", "klines", detail="5m the recorder stopped"),
        row("gap", "restart"),
    ]
    hour, five, trades = (command for *_, command in with_remedies(Running(), rows))
    assert "--interval 1h --start 2023-11-14T22:13:00Z --end 2023-11-14T22:15:00Z --recheck" in hour
    assert "--interval 5m" in five
    assert "--recheck" not in five
    assert "--interval 1m --start 2023-11-14T22:13:00Z --end 2023-11-14T22:14:00Z" in trades


def test_a_gap_of_a_book_leads_to_what_followed_it() -> None:
    ((*_, words, command),) = with_remedies(Running(folder="data"), [row("gap", "restart", "depth")])
    assert words.startswith("No recorder was running. No venue publishes past updates of a book.")
    assert command == (
        "tickhouse query \"select started_at, event, cause, detail from stream_events where venue = 'binance' and "
        "symbol = 'BTCUSDT' and channel = 'depth' and started_at >= '2023-11-14 22:12:20' order by started_at limit 20\" "
        "--data data"
    )


def test_a_gap_of_a_book_that_is_in_sync_again_does_not_promise_a_snapshot() -> None:
    of = Stretch("binance", "BTCUSDT", "depth", AT, AT)
    assert "The next snapshot repairs it" in for_gap(Running(), "restart", of).words
    words, command = for_gap(Running(), "restart", of, is_resynced=True)
    assert words.endswith("A snapshot has repaired it since; what happened:")
    assert command


def test_what_only_a_newer_recorder_knows_is_shown_without_a_remedy() -> None:
    ((*_, words, command),) = with_remedies(Running(), [row("teleported")])
    assert (words, command) == ("", "")

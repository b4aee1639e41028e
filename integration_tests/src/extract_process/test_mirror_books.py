"""Acceptance a and e: through sockets, Pub/Sub and faults the rebuilt books are the venue's; a late joiner's too."""

import gzip
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.waiting import wait_until

from extract_process.mirror.subscriber_book import Applied
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.faults import SocketFault, SocketFaultKind
from tickhouse.provision_pubsub import provision_pubsub
from tickhouse_core.settings import PubSubSettings, read

from .live import happened
from .mirroring import VenueComparison, mirroring, subscribing
from .odd_venue import diff as diff_of
from .odd_venue import odd_venue, until_subscribed

if TYPE_CHECKING:
    from conftest import PubSubEmulator

    from .conftest import OpenVenue

RECORDING = "binance_session_BTCUSDT_20240808.jsonl.gz"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "币安人生USDT", "NOVAUSDT")


@pytest.fixture(autouse=True)
def _topics(pubsub_emulator: "PubSubEmulator") -> None:
    provision_pubsub(read(PubSubSettings))


@pytest.mark.parametrize(("speed", "conflate"), [(60.0, 0.0), (120.0, 0.005)], ids=["every change", "conflated"])
def test_the_recording_through_pubsub_gives_the_true_top_30_after_every_message(
    speed: float, conflate: float, open_venue: "OpenVenue", shared_data: Path
) -> None:
    exchange = open_venue(ExchangeConfig(replay=(shared_data / RECORDING,), replay_speed=speed)).exchange
    states: list[tuple[int, Any, Any]] = []
    with subscribing(on_state=lambda _, book: states.append((book.last_update_id, book.bids, book.asks))) as subscriber:
        with mirroring("BTCUSDT", channels=("depth",), conflate_seconds=conflate):
            wait_until(lambda: exchange.tally()["sockets"]["replay"]["state"] == "finished", "the end of the replay", 120)
            last_id = _last_update_id(shared_data / RECORDING)
            subscriber.pull_until(lambda: bool(states) and states[-1][0] >= last_id - 3_000, "the last states")
        subscriber.pull_all()
    assert set(subscriber.applied) <= {Applied.SNAPSHOT, Applied.DELTA, Applied.REPEATED}
    truths = _truths(shared_data / RECORDING, {last_update_id for last_update_id, _, _ in states})
    compared = [(bids, asks) == truths[last_update_id] for last_update_id, bids, asks in states if last_update_id in truths]
    print(len(states), len(compared), dict(subscriber.applied))
    assert all(compared)
    assert len(compared) >= len(states) - 20  # snapshots may be in the middle of a diff
    assert len(compared) > (100 if conflate else 5_000)  # a busy machine conflates more


def test_books_are_right_through_every_fault(open_venue: "OpenVenue") -> None:
    exchange = open_venue(ExchangeConfig(seed=3, time_scale=2)).exchange
    quiet = 20
    plan = [
        SocketFault(SocketFaultKind.DROP, stream="*@depth*", count=30, probability=0.05, after=quiet),
        SocketFault(SocketFaultKind.DUPLICATE, count=20, probability=0.03, after=quiet),
        SocketFault(SocketFaultKind.REORDER, count=20, probability=0.03, after=quiet),
        SocketFault(SocketFaultKind.GARBAGE, count=5, probability=0.01, after=quiet),
        SocketFault(SocketFaultKind.SEQUENCE_JUMP, stream="*@depth*", count=5, probability=0.01, after=quiet),
        SocketFault(SocketFaultKind.DISCONNECT, count=2, probability=0.003, after=quiet),
    ]
    exchange.set_faults(plan)
    compare = VenueComparison(exchange)
    with subscribing(on_state=compare) as subscriber:
        with mirroring(*SYMBOLS, snapshot_levels=500) as run:
            subscriber.pull_until(lambda: happened(exchange, plan), "all faults", 120)
            exchange.set_faults([])
            before = dict(compare.equal)
            subscriber.pull_until(
                lambda: all(compare.equal[symbol] > before.get(symbol, 0) + 50 for symbol in SYMBOLS), "all books to go on"
            )
        subscriber.pull_all()
    assert run.report is not None
    print(compare.equal, compare.forgotten, dict(subscriber.applied), run.report)
    assert compare.wrong == []
    assert run.report.counts.gaps >= 30
    assert subscriber.applied[Applied.JUMP] == 0, "a resync is a snapshot, not a hole"


def test_a_late_joiner_is_right_within_one_snapshot_period(open_venue: "OpenVenue") -> None:
    exchange = open_venue(ExchangeConfig(seed=5)).exchange
    compare = VenueComparison(exchange)
    with mirroring(*SYMBOLS, channels=("depth",), snapshot_seconds=3.0), subscribing() as first:
        first.pull_until(lambda: set(first.books) == set(SYMBOLS), "the mirror to run")
        with subscribing(on_state=compare) as late:
            late.pull_until(lambda: all(compare.equal[symbol] for symbol in SYMBOLS), "the late joiner's books", 3.0 + 1.5)
            late.pull_until(lambda: all(compare.equal[symbol] > 30 for symbol in SYMBOLS), "them to go on")
    assert compare.wrong == []
    assert late.applied[Applied.JUMP] == 0


def test_a_restarted_mirror_goes_on_above_its_former_sequence(open_venue: "OpenVenue") -> None:
    exchange = open_venue(ExchangeConfig(seed=6)).exchange
    compare = VenueComparison(exchange)
    with subscribing(on_state=compare) as subscriber:
        for runs in (1, 2):
            with mirroring("BTCUSDT", channels=("depth",)):
                subscriber.pull_until(lambda runs=runs: compare.equal["BTCUSDT"] >= 10 * runs, "messages")  # type: ignore[misc]
            subscriber.pull_all()
    assert compare.wrong == []
    assert subscriber.applied[Applied.REPEATED] == 0
    assert subscriber.applied[Applied.SNAPSHOT] >= 2


def _last_update_id(path: Path) -> int:
    return int(_diffs(path)[-1]["u"])


def _diffs(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path) as lines:
        parsed = [line for line in map(orjson.loads, lines) if line["src"] == "ws"]
    return [line["raw"]["data"] for line in parsed if line["raw"]["stream"].endswith("@depth@100ms")]


def _truths(path: Path, wanted: set[int]) -> dict[int, tuple[list[tuple[str, str]], list[tuple[str, str]]]]:
    """The top 30 of a naive book of the recording, sorted whole, after those diffs."""
    with gzip.open(path) as lines:
        snapshot = next(line["raw"] for line in map(orjson.loads, lines) if line["src"] == "rest")
    sides: list[dict[Decimal, tuple[str, str]]] = [
        {Decimal(price): (price, quantity) for price, quantity in snapshot[side]} for side in ("bids", "asks")
    ]
    truths = {}
    for diff in _diffs(path):
        if diff["u"] <= snapshot["lastUpdateId"]:
            continue
        for side, levels in zip(sides, (diff["b"], diff["a"]), strict=True):
            for price, quantity in levels:
                side[Decimal(price)] = (price, quantity)
                if not Decimal(quantity):
                    del side[Decimal(price)]
        if diff["u"] in wanted:
            bids, asks = sides
            top = [bids[price] for price in sorted(bids, reverse=True)[:30]], [asks[price] for price in sorted(asks)[:30]]
            truths[diff["u"]] = top
    return truths


def test_a_book_whose_connection_is_lost_is_not_published_again_as_if_it_were_fresh(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A snapshot is due every 50 ms; what was published before the loss may still be on its way."""
    with (
        odd_venue(monkeypatch, "BTCUSDT") as venue,
        subscribing() as subscriber,
        mirroring("BTCUSDT", snapshot_seconds=0.05),
    ):
        until_subscribed(venue)
        venue.say(diff_of("BTCUSDT", 101))
        subscriber.pull_until(lambda: subscriber.applied[Applied.SNAPSHOT] > 5, "snapshots")
        venue.refuse_sockets()

        def failures() -> int:
            return sum(record.getMessage() == "connect_failed" for record in list(caplog.records))

        wait_until(lambda: failures() >= 1, "an attempt to connect")
        subscriber.pull_all()
        before = len(subscriber.messages)
        wait_until(lambda: failures() >= 3, "two more")
        subscriber.pull_all()
        assert len(subscriber.messages) == before
        venue.is_refusing = False
        until_subscribed(venue)
        venue.say(diff_of("BTCUSDT", 102))
        subscriber.pull_until(lambda: len(subscriber.messages) > before, "snapshots again")
    assert subscriber.applied[Applied.JUMP] == 0

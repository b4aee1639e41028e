"""Acceptance b: what was not delivered is written down, exactly that and nothing else; the rest goes on undisturbed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from simulated_exchange.app import RunningExchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.faults import SocketFault, SocketFaultKind

from .live import capturing, events_of, happened, ids_in_events, missing_of, rows_of, wait_until

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import OpenVenue

SYMBOLS = ("BTCUSDT", "ETHUSDT", "币安人生USDT", "NOVAUSDT")
QUIET = 30


@pytest.mark.parametrize(
    "times",
    [pytest.param(1, id="in small"), pytest.param(20, id="1,000 of each and 50 disconnects", marks=pytest.mark.long)],
)
def test_gaps_are_exactly_what_was_dropped_and_every_book_is_synced_again(
    times: int, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    exchange = open_venue(ExchangeConfig(seed=3, time_scale=4)).exchange
    plan = [
        SocketFault(SocketFaultKind.DROP, count=60 * times, probability=0.05, after=QUIET),
        SocketFault(SocketFaultKind.DUPLICATE, count=60 * times, probability=0.05, after=QUIET),
        SocketFault(SocketFaultKind.REORDER, count=60 * times, probability=0.05, after=QUIET),
        SocketFault(SocketFaultKind.GARBAGE, count=10, probability=0.01, after=QUIET),
        SocketFault(SocketFaultKind.WRONG_JSON, count=10, probability=0.01, after=QUIET),
        SocketFault(SocketFaultKind.SEQUENCE_JUMP, stream="*@depth*", count=5, probability=0.01, after=QUIET),
    ]
    exchange.set_faults(plan)
    with capturing(*SYMBOLS, prove_seconds=5, snapshot_levels=100) as run:  # of weight 5: there are many gaps
        for _ in range(3 * times):  # 60 at full size
            before = exchange.tally()["sockets"]["messages"]
            wait_until(lambda before=before: exchange.tally()["sockets"]["messages"] > before + 300, "messages", 60)  # type: ignore[misc]
            exchange.disconnect()
        wait_until(lambda: happened(exchange, plan), "all faults", 90 * times)
        exchange.set_faults([])
        wait_until(lambda: _are_synced(moto_lake, SYMBOLS), "all books to be synced", 90)
    assert run.report is not None
    assert run.report.counts.refused_frames == 20 == len(events_of(moto_lake.store, "refused_frame"))

    reordered = [fault for fault in exchange.tally()["sockets"]["faults"] if fault["kind"] == "reorder"]
    for symbol in SYMBOLS:
        for channel, stream in (("depth", f"{symbol.lower()}@depth@100ms"), ("trades", f"{symbol.lower()}@trade")):
            missing = missing_of(exchange, stream)
            late = {
                number
                for fault in reordered
                if fault["stream"] == stream
                for number in range(fault["first_id"], fault["last_id"] + 1)
            }
            gaps = ids_in_events(moto_lake.store, "gap", channel, symbol)
            healed = ids_in_events(moto_lake.store, "healed", channel, symbol)
            assert missing <= gaps <= missing | late
            assert healed <= gaps
            if channel == "depth":
                assert gaps - healed == missing
    _assert_nothing_was_kept_from_the_lake(exchange, moto_lake)


def test_trades_that_were_missed_are_healed_over_rest(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=4, time_scale=4)).exchange
    exchange.set_faults([SocketFault(SocketFaultKind.DROP, stream="*@trade", count=40, probability=0.2, after=5)])
    with capturing("BTCUSDT", channels=("trades",)):
        wait_until(lambda: len(exchange.tally()["sockets"]["faults"]) == 40, "all faults", 60)
        wait_until(
            lambda: ids_in_events(moto_lake.store, "healed", "trades", "BTCUSDT") >= missing_of(exchange, "btcusdt@trade"),
            "all gaps to be healed",
        )

    missing = missing_of(exchange, "btcusdt@trade")
    ids = [row["trade_id"] for row in rows_of(moto_lake.store, "trades")]
    assert len(ids) == len(set(ids)) == max(ids) - min(ids) + 1
    assert ids_in_events(moto_lake.store, "gap", "trades", "BTCUSDT") == missing


def test_a_gap_of_one_symbol_leaves_the_others_alone(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=5, time_scale=4)).exchange
    with capturing(*SYMBOLS, channels=("depth",)):
        wait_until(lambda: _are_synced(moto_lake, SYMBOLS), "all books to be synced")
        for number in (1, 2, 3):  # one after the other: two gaps before the snapshot came are mended by that one snapshot
            exchange.set_faults([SocketFault(SocketFaultKind.DROP, stream="ethusdt@depth@100ms", count=1)])
            wait_until(lambda number=number: len(events_of(moto_lake.store, "gap")) == number, "the gap")  # type: ignore[misc]
            wait_until(
                lambda number=number: _are_synced(moto_lake, ["ETHUSDT"], times=number + 1),  # type: ignore[misc]
                "the book to be synced again",
            )
    assert {row["symbol"] for row in events_of(moto_lake.store, "gap")} == {"ETHUSDT"}
    synced = [row["symbol"] for row in events_of(moto_lake.store, "synced")]
    assert {symbol: synced.count(symbol) for symbol in SYMBOLS} == {"BTCUSDT": 1, "ETHUSDT": 4, SYMBOLS[2]: 1, SYMBOLS[3]: 1}


def test_a_level_that_was_silently_wrong_is_found_by_the_proof(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=6, time_scale=4)).exchange
    with capturing("BTCUSDT", channels=("depth",), prove_seconds=1):
        wait_until(lambda: len(events_of(moto_lake.store, "proven")) >= 1, "a proof")
        exchange.set_faults([SocketFault(SocketFaultKind.FLIPPED_LEVEL)])
        wait_until(lambda: len(events_of(moto_lake.store, "mismatch")) >= 1, "the mismatch", 60)
        exchange.set_faults([])
        proofs = len(events_of(moto_lake.store, "proven"))
        wait_until(lambda: len(events_of(moto_lake.store, "proven")) > proofs + 1, "the new book to be proven", 60)
    assert events_of(moto_lake.store, "gap") == []
    assert any(row["reason"] == "mismatch" for row in rows_of(moto_lake.store, "depth_snapshots"))


def test_a_half_open_connection_is_left_and_the_hole_is_written_down(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=7)).exchange
    exchange.set_faults([SocketFault(SocketFaultKind.HALF_OPEN, stream="btcusdt@trade", numbers=(20,))])
    with capturing("BTCUSDT", silence_seconds=1.0):
        wait_until(lambda: len(events_of(moto_lake.store, "connected")) == 2, "the second connection", 60)
        wait_until(lambda: ids_in_events(moto_lake.store, "gap", "depth", "BTCUSDT") != set(), "the gap")
    (lost,) = events_of(moto_lake.store, "disconnected")
    assert "silent for" in lost["detail"]
    assert ids_in_events(moto_lake.store, "gap", "depth", "BTCUSDT") == missing_of(exchange, "btcusdt@depth@100ms")
    assert {row["cause"] for row in events_of(moto_lake.store, "gap")} == {"disconnect"}


def _are_synced(lake: "Lake", symbols: Iterable[str], times: int = 1) -> bool:
    """The last word about each symbol's book is that it is synced (or proven)."""
    told = [row for row in rows_of(lake.store, "stream_events") if row["channel"] == "depth"]
    return all(_is_synced([row for row in told if row["symbol"] == symbol], times) for symbol in symbols)


def _is_synced(told: list[dict[str, Any]], times: int) -> bool:
    words = [(row["started_at"], row["event"]) for row in told if row["event"] in ("gap", "synced", "proven", "mismatch")]
    return [event for _, event in words].count("synced") >= times and max(words)[1] in ("synced", "proven")


def _assert_nothing_was_kept_from_the_lake(exchange: RunningExchange, lake: "Lake") -> None:
    """Every message that was sent before the last one that came is a row, however late it came."""
    told = exchange.tally()["sockets"]["streams"]
    for symbol in SYMBOLS:
        stream = f"{symbol.lower()}@trade"
        trades = {row["trade_id"] for row in rows_of(lake.store, "trades") if row["symbol"] == symbol}
        came = set(range(told[stream]["first_id"], max(trades) + 1)) - missing_of(exchange, stream)
        assert came <= trades
        assert any(row["symbol"] == symbol for row in rows_of(lake.store, "depth_diffs"))

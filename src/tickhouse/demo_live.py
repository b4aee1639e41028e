"""The live part of `tickhouse demo`: both venues recorded side by side, loaded, and compared in gold."""

import threading
from dataclasses import dataclass
from typing import Any

from extract_process.live_capture import run_capture
from extract_process.micro_batch import BatchLimits
from extract_process.stream_options import StreamOptions
from load_process.__main__ import run_loader
from load_process.loader import LoaderOptions
from pipeline.datasets import QUEUES
from pipeline.lifecycle import StopRequest
from pipeline.warehouse import Warehouse
from transform_process.transformer import Transformer, TransformOptions

SECONDS = 25.0
MARKETS = {"binance": ("BTCUSDT", "ETHUSDT"), "kucoin": ("BTC-USDT", "ETH-USDT")}
"""The same two markets, as each venue spells them."""

CROSS_VENUE = (
    "select market, basis, common_seconds, average_spread_bps, lead_seconds, lead_correlation from gold_cross_venue_1m "
    "order by common_seconds desc, market, basis limit 1 by market, basis"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One claim about the figures, and whether it holds."""

    claim: str
    holds: bool


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """What one venue sent and what became of it."""

    venue: str
    trades_sent: int
    trades: int
    diffs_sent: int
    diffs: int
    gaps: int
    proofs: int
    mismatches: int


def record_live(stop: StopRequest) -> None:
    """Both venues for a while, one capture each as two processes would; a failure of one is raised."""
    failures: list[BaseException] = []
    threads = [threading.Thread(target=_record, args=(venue, stop, failures), name=venue) for venue in MARKETS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    run_loader(QUEUES, stop, LoaderOptions(drain=True))


def build_gold(warehouse: Warehouse, stop: StopRequest) -> list[tuple[Any, ...]]:
    """One pass of the transforms over everything loaded; the fullest minute of every market across venues."""
    Transformer(warehouse, stop, TransformOptions(lag_seconds=0)).run_pass()
    return [tuple(row) for row in warehouse.query(CROSS_VENUE)]


def count_live(warehouse: Warehouse, tally: dict[str, Any]) -> list[LiveFigures]:
    """By venue: the exchange's own count of what it sent against the views of the warehouse."""
    return [_count(warehouse, venue, tally.get(venue, tally)) for venue in MARKETS]


def check_live(figures: list[LiveFigures], cross: list[tuple[Any, ...]]) -> list[Check]:
    markets = {row[0] for row in cross}
    return [
        Check("every live trade of both venues is in the warehouse once", all(it.trades == it.trades_sent > 0 for it in figures)),
        Check("every diff of the books too, without a gap", all(it.diffs == it.diffs_sent > 0 and not it.gaps for it in figures)),
        Check("fresh snapshots equal the running books", all(it.proofs and not it.mismatches for it in figures)),
        Check("BTC-USDT is BTCUSDT: both markets are compared across venues", markets == set(MARKETS["binance"])),
    ]


def _record(venue: str, stop: StopRequest, failures: list[BaseException]) -> None:
    options = StreamOptions(
        wanted=dict.fromkeys(MARKETS[venue], ("trades", "depth")),
        venue=venue,
        duration_seconds=SECONDS,
        limits=BatchLimits(age_seconds=5.0),
        prove_seconds=8.0,
    )
    try:
        run_capture(options, stop)
    except BaseException as failure:  # noqa: BLE001  # raised by record_live
        failures.append(failure)


def _count(warehouse: Warehouse, venue: str, tally: dict[str, Any]) -> LiveFigures:
    sent = {"trade": 0, "depth": 0}
    for stream in tally["sockets"]["streams"].values():
        sent[stream["channel"]] += stream["messages"]
    counts = (
        "select (select count() from trades where venue = {venue:String}),"
        " (select count() from depth_diffs where venue = {venue:String}),"
        " countIf(event = 'gap'), countIf(event = 'proven'), countIf(event = 'mismatch')"
        " from stream_events where venue = {venue:String} and channel in ('trades', 'depth')"
    )
    [(trades, diffs, gaps, proofs, mismatches)] = warehouse.query(counts, {"venue": venue})
    return LiveFigures(venue, sent["trade"], trades, sent["depth"], diffs, gaps, proofs, mismatches)

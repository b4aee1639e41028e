"""The live part of `tickhouse demo`: two spot venues and a perpetual recorded side by side, loaded, and compared in gold."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from extract_process.live.options import StreamOptions
from extract_process.spool.limits import BatchLimits
from tickhouse.embedded import bring_gold_up, live_pipeline
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.warehouse import Warehouse

MARKETS = {"binance": ("BTCUSDT", "ETHUSDT"), "kucoin": ("BTC-USDT", "ETH-USDT")}
"""The same two markets, as each venue spells them."""

PERPETUAL = ("binance-usdm", "BTCUSDT")
"""Venue and symbol; recorded live only, with its funding."""

CROSS_VENUE = (
    "select market, basis, common_seconds, average_spread_bps, lead_seconds, lead_correlation from gold_cross_venue_1m "
    "where kind_a = 'spot' and kind_b = 'spot' "
    "order by common_seconds desc, market, basis limit 1 by market, basis"
)


_OF_PERPETUAL = "venue = '{}', symbol = '{}', since = '2020-01-01', until = '2100-01-01'".format(*PERPETUAL)
BASIS = f"""
select
    count(),
    avg(basis_bps),
    (
        select count()
        from (
            select open_time
            from gold_book_top_1s
            where venue in ('binance', '{PERPETUAL[0]}') and symbol = '{PERPETUAL[1]}'
            group by open_time
            having count() = 2
        )
    ),
    (select annualised_funding from gold_carry_1m({_OF_PERPETUAL}) order by open_time desc limit 1)
from gold_basis_1s({_OF_PERPETUAL})
where spot_venue = 'binance'
"""  # noqa: S608  # our own names


@dataclass(frozen=True, slots=True)
class BasisFigures:
    """The perpetual against spot of Binance: seconds with a basis, their average, seconds with both books; funding in a year."""

    seconds: int
    average_bps: float
    verified_seconds: int
    annualised_funding: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """One claim about the figures, and whether it is true."""

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


def record_live(stop: StopRequest, seconds: float) -> None:
    """Records all venues for `seconds`, one capture each; ends when everything is loaded and in gold."""
    wanted: dict[str, dict[str, tuple[str, ...]]] = {
        venue: dict.fromkeys(symbols, ("trades", "depth")) for venue, symbols in MARKETS.items()
    }
    wanted[PERPETUAL[0]] = {PERPETUAL[1]: ("trades", "depth", "mark_prices")}
    captures = [
        StreamOptions(wanted=channels, venue=venue, limits=BatchLimits(age_seconds=2.0), prove_seconds=4.0)
        for venue, channels in wanted.items()
    ]
    with live_pipeline(captures, on_end=stop.set):
        stop.wait(seconds)
    bring_gold_up()


def compare_venues(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """The fullest minute of every market across venues."""
    return [tuple(row) for row in warehouse.query(CROSS_VENUE)]


def count_live(warehouse: Warehouse, tally: dict[str, Any]) -> list[LiveFigures]:
    """By venue: the exchange's own count of what it sent against the views of the warehouse."""
    return [_count(warehouse, venue, tally.get(venue.removeprefix("binance-"), tally)) for venue in (*MARKETS, PERPETUAL[0])]


def measure_basis(warehouse: Warehouse) -> BasisFigures:
    [(seconds, average, verified, funding)] = warehouse.query(BASIS)
    return BasisFigures(int(seconds), float(average), int(verified), None if funding is None else float(funding))


def check_live(figures: list[LiveFigures], cross: list[tuple[Any, ...]], basis: BasisFigures) -> list[Check]:
    markets = {row[0] for row in cross}
    return [
        Check("every live trade of every venue is in the warehouse once", all(it.trades == it.trades_sent > 0 for it in figures)),
        Check("every diff of the books too, without a gap", all(it.diffs == it.diffs_sent > 0 and not it.gaps for it in figures)),
        Check("fresh snapshots equal the running books", all(it.proofs and not it.mismatches for it in figures)),
        Check("BTC-USDT is BTCUSDT: both markets are compared across venues", markets == set(MARKETS["binance"])),
        Check(
            "every second with both books verified has the basis of the perpetual", basis.seconds == basis.verified_seconds > 0
        ),
        Check("the funding of the perpetual is recorded", basis.annualised_funding is not None),
    ]


def _count(warehouse: Warehouse, venue: str, tally: dict[str, Any]) -> LiveFigures:
    sent: Counter[str] = Counter()
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

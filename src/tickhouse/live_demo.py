"""The live half of the demo: record a running market for a while, then hold the warehouse against what the exchange sent."""

from collections.abc import Sequence
from typing import Any

from pipeline.lifecycle import StopRequest
from pipeline.warehouse import Warehouse
from tickhouse.live_pipeline import bring_gold_up, live_pipeline

BATCH_SECONDS = 2.0


def run_live(symbols: Sequence[str], stop: StopRequest, seconds: float) -> None:
    """Records trades and books for so long, and ends with everything loaded and in gold."""
    with live_pipeline(dict.fromkeys(symbols, ("trades", "depth")), BATCH_SECONDS, on_end=stop.set):
        stop.wait(seconds)
    bring_gold_up()


def live_claims(warehouse: Warehouse, streams: dict[str, Any]) -> list[tuple[str, bool]]:
    """What should be true afterwards. `streams` is the exchange's own account of the ids it sent."""
    sent = [stream for name, stream in streams.items() if name.endswith("@trade")]
    messages = sum(stream["messages"] for stream in sent)
    [[trades, twice, holes]] = warehouse.query(
        "select count(), count() - uniqExact(symbol, trade_id), sum(hole) from (select symbol, trade_id, "
        "toInt64(trade_id) - lagInFrame(toInt64(trade_id), 1, toInt64(trade_id) - 1) "
        "over (partition by symbol order by trade_id) - 1 as hole from trades)"
    )
    [[missed]] = warehouse.query(
        "select sum(to_update_id - from_update_id + 1) from stream_events where event = 'gap' and channel in ('trades', 'depth')"
    )
    [[proven, recorded]] = warehouse.query("select sum(proven_seconds), sum(recorded_seconds) from gold_book_coverage")
    [[minutes]] = warehouse.query("select count() from gold_ohlcv_1m where source = 'trades'")
    return [
        (f"live: {trades:,} trades, of {messages:,} the exchange sent, once each", trades == messages and not twice),
        ("live: trade ids without a hole, no gap in trades or books", not holes and not missed),
        (f"live: order books proven right in {proven:,.0f} of {recorded:,.0f} s", 0 < recorded <= proven + 10),
        (f"live: gold has {minutes:,} minutes made of these trades", minutes > 0),
    ]

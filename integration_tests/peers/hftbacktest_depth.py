"""Runs in the peers' environment: hftbacktest's engine over an export, its depth against a recorded session after every update.

python hftbacktest_depth.py EXPORT SESSION.jsonl.gz
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest
from hftbacktest.data import validate_event_order
from numba import njit

TICK, LOT = 0.01, 0.00001


Numbers = np.ndarray[Any, Any]


def compared(
    hbt: Any,
    times: Numbers,
    offsets: Numbers,
    is_bid: Numbers,
    places: Numbers,
    quantities: Numbers,
    bid_ticks: Numbers,
    ask_ticks: Numbers,
) -> tuple[int, int, int]:
    """Moments that were looked at, those at which every level of both sides is equal, and those of a crossed book."""
    bids, asks = np.zeros(len(bid_ticks)), np.zeros(len(ask_ticks))
    looked = equal = crossed = 0
    hbt.elapse(0)  # its clock stands at the first event then
    for number in range(len(times)):
        for place in range(offsets[number], offsets[number + 1]):
            if is_bid[place]:
                bids[places[place]] = quantities[place]
            else:
                asks[places[place]] = quantities[place]
        if number + 1 < len(times) and times[number + 1] == times[number]:
            continue
        if hbt.elapse(times[number] - hbt.current_timestamp) != 0:
            break
        depth = hbt.depth(0)
        same = True
        for place in range(len(bid_ticks)):
            if abs(depth.bid_qty_at_tick(bid_ticks[place]) - bids[place]) > 1e-9:
                same = False
        for place in range(len(ask_ticks)):
            if abs(depth.ask_qty_at_tick(ask_ticks[place]) - asks[place]) > 1e-9:
                same = False
        crossed += depth.best_bid_tick >= depth.best_ask_tick
        looked += 1
        equal += same
    return looked, equal, crossed


def session(path: Path) -> list[tuple[int, list[Any], list[Any]]]:
    """Received microseconds and levels: the snapshot, and the updates after it as Binance's documentation has it."""
    found = []
    with gzip.open(path) as lines:
        messages = [json.loads(line) for line in lines]
    snapshot = next(one["raw"] for one in messages if one["src"] == "rest")
    for one in messages:
        if one["src"] != "ws" or "@depth" not in one["raw"]["stream"]:
            continue
        update = one["raw"]["data"]
        if update["u"] > snapshot["lastUpdateId"]:
            found.append((one["recv_ns"] // 1_000, update["b"], update["a"]))
    received, bids, asks = found[0]
    return [(received, snapshot["bids"] + bids, snapshot["asks"] + asks), *found[1:]]


def main() -> None:
    updates, engine = session(Path(sys.argv[1])), njit(compared)
    print(json.dumps([judged(Path(export), updates, engine) for export in sys.argv[2:]]))


def judged(export: Path, updates: list[tuple[int, list[Any], list[Any]]], engine: Any) -> dict[str, int]:
    """What the engine says of one export."""
    certificate = json.loads((export / "certificate.json").read_text())
    files = [str(export / file["name"]) for file in certificate["files"]]
    for file in files:
        validate_event_order(np.load(file)["data"])
    correction = certificate["symbols"]["BTCUSDT"]["clock_correction_us"]
    times = np.maximum.accumulate(np.array([(received + correction) * 1_000 for received, _, _ in updates]))
    rows = [
        (number, side == 1, round(float(price) / TICK), float(quantity))
        for number, update in enumerate(updates)
        for side in (1, 2)
        for price, quantity in (update[1] if side == 1 else update[2])
    ]
    numbers, is_bid, ticks, quantities = (np.array(column) for column in zip(*rows, strict=True))
    bid_ticks, ask_ticks = np.unique(ticks[is_bid]), np.unique(ticks[~is_bid])
    places = np.where(is_bid, np.searchsorted(bid_ticks, ticks), np.searchsorted(ask_ticks, ticks))
    offsets = np.searchsorted(numbers, np.arange(len(updates) + 1))
    asset = (
        BacktestAsset()
        .data(files)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(TICK)
        .lot_size(LOT)
    )
    hbt = HashMapMarketDepthBacktest([asset])
    looked, equal, crossed = engine(hbt, times, offsets, is_bid, places, quantities, bid_ticks, ask_ticks)
    return {"looked": int(looked), "equal": int(equal), "crossed": int(crossed)}


if __name__ == "__main__":
    main()

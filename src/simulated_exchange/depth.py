"""PURE. A plausible order book around a price: the same at the same instant, unconnected to any trade."""

from hashlib import shake_128
from typing import Any

from simulated_exchange.instruments import Instrument
from simulated_exchange.kline_rows import decimal_text

PULSE = 100  # the book is another one every 100 ms
UPDATES_PER_PULSE = 40


def depth_body(instrument: Instrument, price: int, now: int, limit: int) -> dict[str, Any]:
    """`price` in ticks, `now` in milliseconds; up to `limit` levels a side, best first, fewer where zero is reached."""
    pulse = now // PULSE
    best_bid = price - 1 if price > 1 else price
    return {
        "lastUpdateId": (pulse - instrument.listed // PULSE) * UPDATES_PER_PULSE,
        "bids": _side(instrument, best_bid, -1, limit, f"{instrument.symbol}/bids/{pulse}"),
        "asks": _side(instrument, best_bid + 1, 1, limit, f"{instrument.symbol}/asks/{pulse}"),
    }


def _side(instrument: Instrument, best: int, direction: int, limit: int, key: str) -> list[list[str]]:
    """Gaps and quantities both grow with the distance from the best price."""
    chances = shake_128(key.encode()).digest(2 * limit)
    lot = max(1, round(instrument.usual_quantity * 10**instrument.step_decimals / 2_000))
    levels = []
    price = best
    for rank, (gap, size) in enumerate(zip(chances[::2], chances[1::2], strict=True)):
        if price < 1:
            break
        quantity = lot * (1 + size + rank // 8)
        levels.append([decimal_text(price * instrument.price_scale), decimal_text(quantity * instrument.quantity_scale)])
        price += direction * (1 + gap % (2 + rank // 16))
    return levels

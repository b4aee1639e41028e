"""PURE. The body of GET /api/v3/exchangeInfo: the fields that clients read, the limits that are really in force."""

from collections.abc import Iterable
from typing import Any

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.klines import decimal_text

LARGEST = "9000000000.00000000"
TRADING = "TRADING"
BREAK = "BREAK"


def exchange_info(
    symbols: Iterable[dict[str, Any]], server_time: int, weight_limit: int, raw_request_limit: int
) -> dict[str, Any]:
    """The whole answer; `server_time` in the unit the client asked for."""
    return {
        "timezone": "UTC",
        "serverTime": server_time,
        "rateLimits": [
            _limit("REQUEST_WEIGHT", "MINUTE", 1, weight_limit),
            _limit("ORDERS", "SECOND", 10, 100),
            _limit("ORDERS", "DAY", 1, 200_000),
            _limit("RAW_REQUESTS", "MINUTE", 5, raw_request_limit),
        ],
        "exchangeFilters": [],
        "symbols": list(symbols),
    }


def symbol_info(instrument: Instrument, status: str, *, with_permission_sets: bool) -> dict[str, Any]:
    """One symbol; `permissions` is empty nowadays, `permissionSets` says where it trades."""
    return {
        "symbol": instrument.symbol,
        "status": status,
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(instrument),
        "permissions": [],
        "permissionSets": [["SPOT"]] if with_permission_sets else [],
    }


def _filters(instrument: Instrument) -> list[dict[str, Any]]:
    tick, step = decimal_text(instrument.price_scale), decimal_text(instrument.quantity_scale)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": LARGEST, "stepSize": step},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True,
         "maxNotional": LARGEST, "applyMaxToMarket": False, "avgPriceMins": 5},
    ]  # fmt: skip


def _limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}

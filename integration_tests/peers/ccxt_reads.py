"""Reads markets, candles, book, trades and tickers through ccxt, then follows book and trades by its websockets; prints JSON.

ccxt_reads.py URL SYMBOL UPDATES, in the environment of `make peers`.
"""

import asyncio
import json
import sys
from typing import Any

import ccxt.pro

URL, SYMBOL, UPDATES = sys.argv[1], sys.argv[2], int(sys.argv[3])


async def main() -> dict[str, Any]:
    exchange = ccxt.pro.binance({"options": {"fetchMarkets": {"types": ["spot"]}}, "enableRateLimit": False})
    exchange.has["fetchCurrencies"] = False  # needs a key
    for name, address in exchange.urls["api"].items():
        if isinstance(address, str):
            exchange.urls["api"][name] = address.replace("https://api.binance.com", URL)
    exchange.urls["api"]["ws"]["spot"] = URL.replace("http", "ws") + "/ws"
    try:
        found: dict[str, Any] = {"markets": list(await exchange.load_markets())}
        found |= {"books": await books(exchange)}
        found["candles"] = await exchange.fetch_ohlcv(SYMBOL, "1m", limit=3)
        found["aggregates"] = [[trade["id"], trade["amount"]] for trade in await exchange.fetch_trades(SYMBOL)]
        raw = await exchange.publicGetTrades({"symbol": exchange.market_id(SYMBOL)})  # fetch_trades asks for aggTrades
        found["trades"] = [trade["id"] for trade in exchange.parse_trades(raw, exchange.market(SYMBOL))]
        book = await exchange.fetch_order_book(SYMBOL, 5)
        found["book"] = [book["nonce"], book["bids"], book["asks"]]
        ticker = await exchange.fetch_ticker(SYMBOL)
        found["ticker"] = [ticker[name] for name in ("last", "bid", "ask")]
        found["tickers"] = list(await exchange.fetch_tickers())
        found["tops"] = {name: [top["bid"], top["ask"]] for name, top in (await exchange.fetch_bids_asks()).items()}
        return found
    finally:
        await exchange.close()


async def books(exchange: Any) -> dict[str, Any]:
    """A number of updates of the book, and the trades meanwhile."""
    heard: list[str] = []

    async def listen() -> None:
        while True:
            heard.extend(trade["id"] for trade in await exchange.watch_trades(SYMBOL))

    listening = asyncio.create_task(listen())
    tops = []
    for _ in range(UPDATES):
        book = await exchange.watch_order_book(SYMBOL)
        tops.append([book["nonce"], book["bids"][0], book["asks"][0]])
    listening.cancel()
    return {"tops": tops, "trades": sorted(set(heard), key=int)}


print(json.dumps(asyncio.run(main())))

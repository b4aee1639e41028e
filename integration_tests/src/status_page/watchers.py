"""Fifty readers of the page's event stream, as a process of their own: `watchers.py URL COUNT SECONDS`.

Prints a JSON list: of each reader the `at` of every state, when it came (seconds since 1970), and its market events.
"""

import asyncio
import json
import sys
import time
from typing import Any

import httpx

OF_ONE_ADDRESS = 20
MARKET = {"venue": "binance", "symbol": "BTCUSDT", "interval": "1m"}


async def watch(client: httpx.AsyncClient, url: str, until: float) -> dict[str, Any]:
    seen: dict[str, Any] = {"at": [], "came": [], "markets": 0}
    name = ""
    async with client.stream("GET", f"{url}/api/events", params=MARKET) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: ") and name == "state":
                if at := json.loads(line.removeprefix("data: ")).get("at"):
                    seen["at"].append(at)
                    seen["came"].append(time.time())
            elif line.startswith("data: "):
                seen["markets"] += 1
            if time.time() > until:
                return seen
    return seen


async def main(url: str, count: int, seconds: float) -> list[dict[str, Any]]:
    until = time.time() + seconds
    addresses = [f"127.0.0.{1 + number // OF_ONE_ADDRESS}" for number in range(count)]
    clients = {
        address: httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(local_address=address, limits=httpx.Limits(max_connections=OF_ONE_ADDRESS)),
            timeout=60,
        )
        for address in set(addresses)
    }
    try:
        return await asyncio.gather(*(watch(clients[address], url, until) for address in addresses))
    finally:
        for client in clients.values():
            await client.aclose()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))))

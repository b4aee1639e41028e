"""What a contract costs beside its coin at the spot market: one price path, in candles of any age and in books that run."""

from typing import Any

import httpx
import pytest

from simulated_exchange.server.clock import StandingClock

MOST_BPS = 20.0
SPOT = "/api/v3"
MARKETS = [
    ("/fapi/v1", "BTCUSDT", "BTCUSDT"),
    ("/fapi/v1", "ETHUSDT", "ETHUSDT"),
    ("/dapi/v1", "BTCUSD_PERP", "BTCUSDT"),
    ("/dapi/v1", "ETHUSD_PERP", "ETHUSDT"),
]
OLD = {"interval": "1h", "startTime": 1_710_806_400_000, "endTime": 1_710_979_199_999}  # two days of March 2024
each_contract = pytest.mark.parametrize(("api", "contract", "spot"), MARKETS)


@each_contract
@pytest.mark.parametrize("asked", [OLD, {"interval": "1m"}], ids=["old", "latest"])
def test_candles_of_a_contract_are_at_the_prices_of_its_coin(
    asked: dict[str, Any], api: str, contract: str, spot: str, client: httpx.Client
) -> None:
    """The latest minutes too, the open one among them."""
    ours, theirs = prices(client, api, contract, asked), prices(client, SPOT, spot, asked)
    assert len(ours) == 48
    assert list(ours) == list(theirs)
    found = [basis_bps(*both) for at in ours for both in zip(ours[at], theirs[at], strict=True)]
    assert max(map(abs, found)) < MOST_BPS


@each_contract
def test_running_books_keep_a_small_basis_that_changes(
    api: str, contract: str, spot: str, client: httpx.Client, clock: StandingClock
) -> None:
    """For two minutes."""
    found = []
    for _ in range(25):
        found.append(basis_bps(middle(client, api, contract), middle(client, SPOT, spot)))
        clock.now += 5_000
    assert max(map(abs, found)) < MOST_BPS
    assert min(found) < 0 < max(found)


def prices(client: httpx.Client, api: str, symbol: str, asked: dict[str, Any]) -> dict[int, list[float]]:
    """Open, high, low and close by open time."""
    answer = client.get(f"{api}/klines", params={"symbol": symbol, "limit": 48, **asked}).raise_for_status()
    return {row[0]: [float(cell) for cell in row[1:5]] for row in answer.json()}


def middle(client: httpx.Client, api: str, symbol: str) -> float:
    book = client.get(f"{api}/depth", params={"symbol": symbol, "limit": 5}).raise_for_status().json()
    return (float(book["bids"][0][0]) + float(book["asks"][0][0])) / 2


def basis_bps(contract: float, spot: float) -> float:
    return (contract / spot - 1) * 1e4

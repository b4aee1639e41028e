"""An exchange whose clock stands still, and a client for it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from simulated_exchange.app import RunningExchange, running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.clock import StandingClock

NOW = 1_750_000_012_345  # 2025-06-15 15:06:52.345
SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(NOW)


@pytest.fixture
def exchange(clock: StandingClock) -> Iterator[RunningExchange]:
    with running_exchange(ExchangeConfig(), clock) as running:
        yield running


@pytest.fixture
def client(exchange: RunningExchange) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=exchange.url, trust_env=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recorded data of the venue; not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no recorded data at {SHARED_DATA}")
    return SHARED_DATA

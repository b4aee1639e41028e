"""Everything a venue can do wrong, in an order that a seed chooses: nothing is lost unseen, nothing is told that is not so.

CHAOS_SEED repeats a run that failed.
"""

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tickhouse.provision_pubsub import provision_pubsub
from tickhouse_core.settings import PubSubSettings, read

from .chaos_run import Chaos, chaos_venues

if TYPE_CHECKING:
    from conftest import Lake, PubSubEmulator


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Another one each time, but for the minute of every `make test-all`: what breaks there is the change under test."""
    usual = random.randrange(10**6) if request.node.get_closest_marker("long") else 1
    return int(os.environ.get("CHAOS_SEED") or usual)


@pytest.mark.parametrize(
    "seconds", [pytest.param(60.0, id="a minute"), pytest.param(600.0, id="ten minutes", marks=pytest.mark.long)]
)
def test_a_venue_that_does_everything_wrong_is_recorded_to_the_id(
    seconds: float, seed: int, moto_lake: "Lake", tmp_path: Path
) -> None:
    chaos = Chaos(seed, seconds, tmp_path, moto_lake.environment)
    chaos.run()
    assert chaos.wrongs(moto_lake.store) == [], f"CHAOS_SEED={seed}"


@pytest.mark.long
@pytest.mark.parametrize("place", range(4), ids=["binance", "kucoin", "binance-usdm", "binance-coinm"])
def test_its_books_are_mirrored_right_after_every_message_and_never_frozen(
    place: int, seed: int, pubsub_emulator: "PubSubEmulator", monkeypatch: pytest.MonkeyPatch
) -> None:
    from .chaos_mirror import wrongs_of_mirror  # Google's client

    provision_pubsub(read(PubSubSettings))
    venue = chaos_venues(seed)[place]
    venue.start()
    try:
        for name, value in venue.environment.items():
            monkeypatch.setenv(name, value)
        assert list(wrongs_of_mirror(venue, seed, 120.0)) == [], f"CHAOS_SEED={seed}"
    finally:
        venue.stop()

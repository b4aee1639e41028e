"""Everything a venue can do wrong, in an order that a seed chooses: nothing is lost unseen, nothing is told that is not so."""

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .chaos_run import Chaos

if TYPE_CHECKING:
    from conftest import Lake


@pytest.mark.parametrize(
    "seconds", [pytest.param(60.0, id="a minute"), pytest.param(600.0, id="ten minutes", marks=pytest.mark.long)]
)
@pytest.mark.slow
def test_a_venue_that_does_everything_wrong_is_recorded_to_the_id(seconds: float, moto_lake: "Lake", tmp_path: Path) -> None:
    """CHAOS_SEED repeats a run that failed."""
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(10**6))
    chaos = Chaos(seed, seconds, tmp_path, moto_lake.environment)
    chaos.run()
    assert chaos.wrongs(moto_lake.store) == [], f"CHAOS_SEED={seed}"

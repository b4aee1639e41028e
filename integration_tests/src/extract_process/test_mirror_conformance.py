"""The conformance suite of a venue's mirror: the rebuilt top is the venue's after every message, as the command runs it."""

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.waiting import patience

from extract_process.mirror.subscriber_book import Applied
from extract_process.venues import venue_named
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.faults import SocketFault, SocketFaultKind
from tickhouse.provision_pubsub import provision_pubsub
from tickhouse_core.settings import PubSubSettings, read

from .live import SOURCES
from .mirroring import VenueComparison, mirroring, subscribing
from .venue_cases import CASES, VenueCase

if TYPE_CHECKING:
    from conftest import PubSubEmulator

    from .conftest import OpenVenue


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.venue)
def test_the_top_30_is_the_venues_through_losses_and_the_check_of_the_command_agrees(
    case: VenueCase, open_venue: "OpenVenue", pubsub_emulator: "PubSubEmulator"
) -> None:
    provision_pubsub(read(PubSubSettings))
    exchange = open_venue(ExchangeConfig(symbols=2)).exchange
    exchange.set_faults([SocketFault(SocketFaultKind.DROP, case.depth, numbers=(30, 60))])
    compare = VenueComparison(exchange, futures=case.part)
    levels = venue_named(case.venue).usual_mirror_levels(1_000)
    options = {"venue": case.venue, "snapshot_levels": levels, "prove_seconds": 2.0, "snapshot_seconds": 1.0}
    with subscribing(f"crypto.{case.venue}.l2", compare) as subscriber, mirroring(case.symbol, **options) as run:
        subscriber.pull_until(lambda: case.sent(exchange, case.depth) > 70, "both losses")
        before = compare.equal[case.symbol]
        subscriber.pull_until(lambda: compare.equal[case.symbol] > before + 30, "states after them")
        command = [sys.executable, "-m", "extract_process.mirror_check", "--venue", case.venue]
        environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
        done = subprocess.run(
            [*command, "--symbol", case.symbol, "--duration", "5"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=patience(60),
            check=False,
        )
    assert compare.wrong == []
    assert subscriber.applied[Applied.JUMP] == 0
    assert run.report is not None
    assert run.report.counts.gaps == 2
    assert run.report.counts.mismatches == 0
    assert done.returncode == 0, done.stderr

"""`tickhouse demo` from the checkout: one process, no network, ends by itself. test_wheel.py runs it at every `make test-all`."""

import subprocess
import sys

import pytest
from tests.waiting import patience

pytestmark = pytest.mark.long


def test_demo_proves_every_claim_and_ends_with_zero() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tickhouse.cli", "demo", "--duration", "20"], capture_output=True, text=True, timeout=patience(240)
    )

    assert done.returncode == 0, done.stderr
    claims = [line for line in done.stdout.splitlines() if line.startswith(("ok", "FAIL"))]
    assert len(claims) == 15
    assert all(claim.startswith("ok") for claim in claims), done.stdout
    assert "│ rows in silver  │ 518,240   │ 518,240    │" in done.stdout

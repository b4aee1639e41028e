import logging
import time

import pytest

from load_process.trouble import Trouble
from pipeline.lifecycle import StopRequest


@pytest.fixture
def trouble(caplog: pytest.LogCaptureFixture) -> Trouble:
    caplog.set_level(logging.INFO)
    stop = StopRequest()
    stop.set()  # no pauses
    return Trouble("klines-notifications", stop)


def test_it_is_said_once_and_its_end_once(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        trouble.wait(OSError("away"))
    assert trouble.is_going_on
    for _ in range(3):
        trouble.is_over(time.monotonic())
    assert not trouble.is_going_on
    assert [record.message for record in caplog.records] == ["waiting for it to come back", "back to normal"]


def test_what_was_begun_before_the_failure_does_not_end_it(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    trouble.wait(OSError("away"))
    trouble.is_over(began)
    trouble.wait(OSError("away"))
    assert trouble.is_going_on
    assert [record.message for record in caplog.records] == ["waiting for it to come back"]

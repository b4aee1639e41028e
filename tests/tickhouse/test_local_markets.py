"""Which of the named channels `tickhouse local` records of each venue."""

import pytest

from extract_process.venues import venue_named
from tickhouse.local_markets import channels_by_venue
from tickhouse_core.errors import UsageError

SPOT, USDM, COINM = "binance", "binance-usdm", "binance-coinm"


def words(venue: str) -> str:
    return ", ".join(venue_named(venue).channels)


def test_each_venue_gets_the_named_channels_that_it_has(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert channels_by_venue([SPOT, USDM], ["mark_prices", "trades", "depth"]) == {
        SPOT: ("trades", "depth"),
        USDM: ("mark_prices", "trades", "depth"),
    }
    (left_out,) = caplog.records
    assert (left_out.__dict__["venue"], left_out.__dict__["channels"]) == (SPOT, "mark_prices")


def test_channels_that_every_venue_has_are_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert channels_by_venue([SPOT, USDM], ["trades"]) == {SPOT: ("trades",), USDM: ("trades",)}
    assert caplog.records == []


@pytest.mark.parametrize(
    ("venues", "named", "said"),
    [
        ([SPOT], ["trades", "mark_prices"], f"--channel 'mark_prices': choose from {words(SPOT)} ({SPOT})"),
        (
            [SPOT, USDM, COINM],
            ["trades", "candles"],
            f"--channel 'candles': choose from {words(SPOT)} ({SPOT}), or {words(USDM)} ({USDM}, {COINM})",
        ),
        (
            [USDM, SPOT],
            ["mark_prices", "liquidations"],
            f"--venue {SPOT}: it has no mark_prices or liquidations; leave it out, or choose from {words(SPOT)} ({SPOT})",
        ),
    ],
)
def test_a_channel_of_no_venue_and_a_venue_without_a_channel_are_one_line(venues: list[str], named: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        channels_by_venue(venues, named)
    assert str(caught.value) == said

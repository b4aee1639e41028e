import pytest

from load_process.selection import is_outside, span_of
from tickhouse_core.timestamps import DAY_US, HOUR_US, parse_instant

DAY = parse_instant("2024-02-29")
TRADES = "data_sources/trades/venue=binance/"


@pytest.mark.parametrize(
    ("folder", "span"),
    [
        (f"{TRADES}date=2024-02-29/", (DAY, DAY + DAY_US)),
        (f"{TRADES}date=2024-02-29/hour=07/", (DAY + 7 * HOUR_US, DAY + 8 * HOUR_US)),
        (TRADES, None),
        ("data_sources/trades/", None),
        ("data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1m/", None),
        (f"{TRADES}date=2023-02-29/", None),
        (f"{TRADES}date=2024-02-29/hour=24/", None),
        (f"{TRADES}date=someday/hour=07/", None),
    ],
)
def test_a_folder_stands_for_the_day_or_hour_it_names(folder: str, span: tuple[int, int] | None) -> None:
    assert span_of(folder) == span


@pytest.mark.parametrize(
    ("start", "end", "outside"),
    [("06:59", "07:00", True), ("06:59", "07:01", False), ("07:59", "09:00", False), ("08:00", "09:00", True)],
)
def test_an_hour_is_outside_when_nothing_of_it_is_within(start: str, end: str, outside: bool) -> None:
    span = (parse_instant(f"2024-02-29T{start}"), parse_instant(f"2024-02-29T{end}"))
    assert is_outside(f"{TRADES}date=2024-02-29/hour=07/", span) is outside
    assert is_outside(TRADES, span) is False  # it may hold anything

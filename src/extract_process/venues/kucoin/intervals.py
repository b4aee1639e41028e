"""PURE. KuCoin's names for intervals: `1min`, `1hour`, … in its topics and requests."""

from extract_process.kline_grid import grid_of

VENUE_NAMES = {
    **{f"{number}m": f"{number}min" for number in (1, 3, 5, 15, 30)},
    **{f"{number}h": f"{number}hour" for number in (1, 2, 4, 6, 8, 12)},
    "1d": "1day",
    "1w": "1week",
    "1M": "1month",
}
"""By our name, the shortest first."""

OUR_NAMES = {name: interval for interval, name in VENUE_NAMES.items()}

_MILLISECOND_US = 1_000


def close_time_of(interval: str, open_time: int) -> int:
    """The venue sends none: the last millisecond before the next kline opens, in microseconds."""
    return grid_of(interval).after(open_time) - _MILLISECOND_US

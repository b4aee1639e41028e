"""PURE. Which span of time a folder of the lake stands for: hourly datasets say it in `date=/hour=`, klines do not."""

from datetime import UTC, datetime

from tickhouse_core.lake_keys import parse_object_key
from tickhouse_core.timestamps import DAY_US, HOUR_US, from_datetime

Span = tuple[int, int]
"""From and up to, not including: instants in microseconds."""


def span_of(folder: str) -> Span | None:
    """The day or the hour that a folder's partitions name; None where they name none."""
    parsed = parse_object_key(f"{folder}any")
    if parsed is None or "date" not in parsed.partitions:
        return None
    date, hour = parsed.partitions["date"], parsed.partitions.get("hour")
    try:
        start = from_datetime(datetime.strptime(f"{date} {hour or '00'}", "%Y-%m-%d %H").replace(tzinfo=UTC))
    except ValueError:
        return None
    return start, start + (DAY_US if hour is None else HOUR_US)


def is_outside(folder: str, span: Span) -> bool:
    """Whether nothing of the folder can be of that span. A folder that names no time may hold anything."""
    named = span_of(folder)
    return named is not None and (named[1] <= span[0] or named[0] >= span[1])

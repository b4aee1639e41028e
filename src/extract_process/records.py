"""What happened, as frozen records: the rows of the small datasets."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One thing that happened to a stream or a backfill; a row of the dataset stream_events.

    For `gap`, `from_update_id`..`to_update_id` are the first and last missing ids, inclusive (klines: open_time in
    microseconds). Instants are microseconds since the epoch.
    """

    venue: str
    symbol: str
    channel: str
    instance: str
    event: str
    from_update_id: int | None
    to_update_id: int | None
    started_at: int
    ended_at: int | None
    cause: str
    detail: str

"""What a live capture says of itself: its figures with what is wrong, and its heartbeat."""

from dataclasses import dataclass, field

from extract_process.feed.plan import FeedPlan
from extract_process.listing import Listing
from extract_process.live.capture import Capture
from extract_process.live.metrics import Vitals, connection_trouble
from extract_process.live.options import StreamOptions
from extract_process.records import Heartbeat
from extract_process.spool.outbox import Uploader
from extract_process.venues.rate_limit import RateLimit
from tickhouse_core.metrics import heartbeat_detail, resident_bytes
from tickhouse_core.timestamps import now_us


@dataclass(slots=True)
class SelfReport:
    """The parts of one capture that have figures, and what was last measured. Instants in microseconds."""

    options: StreamOptions
    capture: Capture
    plan: FeedPlan
    listing: Listing
    limit: RateLimit
    uploader: Uploader
    started_at: int = field(default_factory=now_us)
    _spool_bytes: int = 0
    _free_bytes: int | None = None
    _unsynced: int = 0

    def on_measured(self, spool_bytes: int, free_bytes: int) -> None:
        """In the event loop, now and then: sizes on disk, and with them how many books wait."""
        self._spool_bytes, self._free_bytes = spool_bytes, free_bytes
        self._unsynced = len(self.capture.monitor.books(synced=False))

    def vitals(self) -> Vitals:
        """From any thread: nothing is looked at that the event loop changes in the middle of."""
        counts, capture = self.capture.counts, self.capture
        figures: dict[str, float] = {
            "frames_total": counts.frames,
            "frame_bytes_total": counts.frame_bytes,
            "rows_total": counts.rows,
            "gaps_total": counts.gaps,
            "refused_frames_total": counts.refused_frames,
            "discarded_frames_total": counts.discarded_frames,
            "objects_uploaded_total": self.uploader.uploaded,
            "objects_waiting": self.uploader.waiting,
            "last_upload_timestamp_seconds": self.uploader.last_upload,
            "batch_seconds": self.options.limits.age_seconds,
            "spool_bytes": self._spool_bytes,
            "spool_limit_bytes": self.options.spool_bytes,
            "connections": self.plan.connections,
            "connections_wanted": sum(feed.is_wanted for feed in self.plan.feeds),
            "connections_mute": sum(feed.is_mute for feed in self.plan.feeds),
            "symbols_unknown": len(self.listing.unknown),
            "books_unsynced": self._unsynced,
            "channels_stopped": len(capture.quota.stopped),
            "used_weight": self.limit.used_weight,
            "weight_limit": self.limit.limit,
            "last_receipt_timestamp_seconds": counts.last_receipt_time / 1e6,
            "event_lag_seconds": capture.lag.seconds,
            "best_prices_equal_total": capture.monitor.tops.equal,
            "best_prices_different_total": capture.monitor.tops.different,
        }
        trouble = list(connection_trouble(self.options.venue, figures))
        trouble += [f"channel {name} is not recorded: the spool is full" for name in sorted(capture.quota.stopped)]
        if self.uploader.failures:
            trouble.append(f"uploads to the lake failed {self.uploader.failures} times in a row")
        return Vitals("stream", self.options.venue, self.options.instance, figures, tuple(trouble))

    def heartbeat(self, beat_time: int) -> Heartbeat:
        """The row of this moment."""
        counts = self.capture.counts
        unsynced = len(self.capture.monitor.books(synced=False))
        return Heartbeat(
            venue=self.options.venue,
            process="stream",
            instance=self.options.instance,
            started_at=self.started_at,
            beat_time=beat_time,
            connections=self.plan.connections,
            frames=counts.frames,
            rows=counts.rows,
            spool_bytes=self._spool_bytes,
            detail=heartbeat_detail(
                f"{unsynced} books unsynced, {counts.gaps} gaps, {counts.refused_frames} frames refused",
                self.options.limits.age_seconds,
                {
                    "weight": self.limit.used_weight,
                    "weight_limit": self.limit.limit,
                    "memory_bytes": resident_bytes(),
                    "free_bytes": self._free_bytes,
                    "uploaded_bytes": self.uploader.uploaded_bytes,
                },
            ),
        )

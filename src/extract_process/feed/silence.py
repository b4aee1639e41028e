"""PURE. Silence: DataSilence of an open connection, SilentStreams of subscriptions that never delivered.

A venue's pings prove the connection, not the data. What is usual is learned: the longest pause between two
data frames of the last hour or two. Silence is an alarm beyond 15 such pauses, but at least 30 s; beyond half an hour
4 pauses are enough. A market that trades every few minutes therefore costs nothing, a busy connection alarms within a minute.
"""

from collections.abc import Iterable

from extract_process.records import ALL_SYMBOLS
from extract_process.stream_ids import StreamKey, key_of

USUAL_PAUSES = 15
"""Of the longest pause: pauses of real markets come in bursts, and one twice the longest is no news."""

SURE_PAUSES = 4
MOST_LEASTS = 60
"""The alarm's upper end where `SURE_PAUSES` allow it, in least silences: half an hour of 30 s."""

LEAST_FRAMES = 100
LEAST_MOMENTS = 8
"""Fewer frames or moments show no usual rate: a quiet market may begin with a burst. Two moments are a 30th of the least
silence apart: 1 s of 30."""

_MOMENTS_IN_LEAST = 30

WINDOW_SECONDS = 3_600.0


class DataSilence:
    """Whether an open connection has delivered nothing for longer than its own usual rate allows.

    Of one feed: what is usual is kept when its connection is replaced. `now` is in seconds of a clock that never steps.
    """

    def __init__(self, least_seconds: float) -> None:
        self._least = least_seconds
        self._since: float | None = None
        self._last: float | None = None
        self._longest = self._longest_before = 0.0
        self._window_began = 0.0
        self._frames = self._moments = 0
        self._last_moment = -WINDOW_SECONDS
        self.is_alarmed = False

    @property
    def longest_pause(self) -> float:
        """Seconds between two data frames in the last hour or two; pauses in which a connection was lost do not count."""
        return max(self._longest, self._longest_before)

    @property
    def limit_seconds(self) -> float | None:
        """Silence beyond it is an alarm; None while nothing is usual yet."""
        if self._moments < LEAST_MOMENTS or self._frames < LEAST_FRAMES:
            return None
        usual = min(USUAL_PAUSES * self.longest_pause, MOST_LEASTS * self._least)
        return max(self._least, usual, SURE_PAUSES * self.longest_pause)

    @property
    def is_usual(self) -> bool:
        """There is a connection, and it is not silent for longer than it usually is."""
        return self._since is not None and not self.is_alarmed

    def silent_seconds(self, now: float) -> float:
        """Since the last data, or since the connection took over; 0 without a connection."""
        return 0.0 if self._since is None else now - self._since

    def begin(self, now: float) -> None:
        """A connection takes over."""
        self._since, self._last, self.is_alarmed = now, None, False

    def end(self) -> None:
        """The connection is lost; that has an event of its own."""
        self._since, self._last, self.is_alarmed = None, None, False

    def on_data(self, now: float, frames: int = 1) -> bool:
        """`frames` frames came at once; True where that ends an alarm."""
        self._frames += frames
        if self._last is not None:
            if now - self._window_began > WINDOW_SECONDS:
                self._longest_before, self._longest, self._window_began = self._longest, 0.0, now
            self._longest = max(self._longest, now - self._last)
        if now - self._last_moment >= self._least / _MOMENTS_IN_LEAST:
            self._moments += 1
            self._last_moment = now
        self._since = self._last = now
        was_alarmed, self.is_alarmed = self.is_alarmed, False
        return was_alarmed

    def on_look(self, now: float) -> bool:
        """Call it now and then; True once, when the alarm begins."""
        limit = self.limit_seconds
        if self.is_alarmed or self._since is None or limit is None or now - self._since < limit:
            return False
        self.is_alarmed = True
        return True


class SilentStreams:
    """Which subscribed streams have not sent anything yet: costs nothing once each has, or once the silent ones were named."""

    def __init__(self, streams: Iterable[StreamKey]) -> None:
        """A ticker stream of the whole market has the symbol `*`; symbols are compared without case."""
        self._silent = {_place(key): key for key in streams}

    def on_messages(self, messages: Iterable[object]) -> None:
        if not self._silent:
            return
        for message in messages:
            if (key := key_of(message)) is not None:
                self._silent.pop(_place(key), None)
                self._silent.pop((key.channel, ALL_SYMBOLS), None)

    def take_silent(self) -> list[StreamKey]:
        """The streams that never delivered; they are named once."""
        silent = list(self._silent.values())
        self._silent.clear()
        return silent


def _place(key: StreamKey) -> tuple[str, str]:
    return key.channel, key.symbol.upper()

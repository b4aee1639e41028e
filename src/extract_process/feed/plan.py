"""FeedPlan: which streams go over which connection, for the symbols that the venue knows and for those it learns later."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

from extract_process.feed.interface import FeedOptions, FrameHandler
from extract_process.feed.stream_feed import StreamFeed
from extract_process.records import ALL_SYMBOLS
from extract_process.venues import Venue
from extract_process.venues.api import Address, split_over_connections
from extract_process.venues.rate_limit import EventLimit

CONNECTS_SHARE = 0.9
"""Of the connects the venue allows an address: others may be there too. Shards have equal parts of it."""


class FeedPlan:
    """One feed per connection, all under the venue's limit of connects. `feeds` grows with every `add`."""

    def __init__(
        self,
        venue: Venue,
        wanted: Mapping[str, Sequence[str]],
        intervals: Mapping[str, str],
        handler: FrameHandler,
        find_address: Callable[[str], Awaitable[Address]],
        options: FeedOptions,
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        """`wanted` has the channels of every symbol, of those that the venue does not know yet too; the first ones are
        subscribed first. `intervals` has the interval of a symbol's klines. `find_address` is given a socket's name.

        `on_refused` is called when the venue does not take a subscription.
        """
        limit = venue.sockets.connects
        self.feeds: list[StreamFeed] = []
        self._feed_of: dict[tuple[str, str], StreamFeed] = {}
        self._venue = venue
        self._handler = handler
        self._find_address = find_address
        self._options = options
        self._on_refused = on_refused
        self._connects = EventLimit(max(1, int(limit.most * CONNECTS_SHARE / options.sharers)), limit.seconds)
        self._left = venue.stream_names(wanted, intervals)

    @property
    def connections(self) -> int:
        """Open now, of all feeds."""
        return sum(feed.connections for feed in self.feeds)

    def delivers(self, channel: str, symbol: str) -> bool:
        """Whether the connection of this stream is there, and not mute."""
        feed = self._feed_of.get((channel, symbol.upper()))
        return feed is not None and feed.is_delivering

    def add(self, symbols: Collection[str]) -> list[StreamFeed]:
        """New feeds for the streams of these symbols, each stream once; a stream of the whole market is in the first ones.

        Streams whose subscription the venue ignored, because it did not know their symbols then, are subscribed anew.
        """
        for feed, streams in self._streams_of(symbols):
            feed.renew(streams)
        chosen = {symbol.upper() for symbol in (*symbols, ALL_SYMBOLS)}
        names = [name for name in self._left if self._venue.key_of_stream(name).symbol.upper() in chosen]
        self._left = [name for name in self._left if name not in set(names)]
        parts = list(self._connections_of(names))
        total = len(self.feeds) + len(parts)
        new = [
            StreamFeed(
                f"connection {number} of {total}",
                streams,
                self._handler,
                self._connects,
                self._options,
                self._venue,
                partial(self._find_address, socket),
                self._on_refused,
            )
            for number, (socket, streams) in enumerate(parts, start=len(self.feeds) + 1)
        ]
        self.feeds += new
        for feed in new:
            keys = map(self._venue.key_of_stream, feed.streams)
            self._feed_of |= {(key.channel, key.symbol.upper()): feed for key in keys}
        return new

    def _connections_of(self, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """The streams of each connection, with their socket."""
        most = min(self._options.streams_per_connection, self._venue.sockets.streams_per_connection)
        for socket in dict.fromkeys(map(self._venue.socket_of, names)):
            served = [name for name in names if self._venue.socket_of(name) == socket]
            yield from ((socket, part) for part in split_over_connections(served, most))

    def leave_out(self, symbols: Collection[str]) -> None:
        """The venue does not know them: connections to come do not subscribe to them, until they are added again."""
        for feed, streams in self._streams_of(symbols):
            feed.leave_out(streams)

    def _streams_of(self, symbols: Collection[str]) -> list[tuple[StreamFeed, list[str]]]:
        """By feed, where there are any."""
        chosen = {symbol.upper() for symbol in symbols}
        found = [
            (feed, [stream for stream in feed.streams if self._venue.key_of_stream(stream).symbol.upper() in chosen])
            for feed in self.feeds
        ]
        return [(feed, streams) for feed, streams in found if streams]

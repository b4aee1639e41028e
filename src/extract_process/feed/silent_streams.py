"""PURE. SilentStreams: which subscribed streams have not sent anything yet."""

from collections.abc import Iterable

from extract_process.stream_key import ALL_SYMBOLS, StreamKey, key_of


class SilentStreams:
    """Costs nothing once every stream has delivered, or once the silent ones were named."""

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

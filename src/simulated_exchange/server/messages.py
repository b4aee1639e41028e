"""PURE. One message of a stream, rendered at most once for each of the forms that clients want, and WebSocket frames."""

from collections.abc import Callable
from enum import StrEnum

from simulated_exchange.market.klines import TimeUnit

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
RESERVED = 0x3  # "%x3-7 are reserved for further non-control frames": a receiver must fail the connection

_SHORT, _LONG = 126, 1 << 16

Render = Callable[[TimeUnit], str]


class Channel(StrEnum):
    """What kind of messages a stream carries."""

    TRADE = "trade"
    DEPTH = "depth"
    BOOK_TICKER = "bookTicker"
    KLINE = "kline"
    ALL_MINI_TICKERS = "!miniTicker"
    MARK_PRICE = "markPrice"
    LIQUIDATION = "forceOrder"
    OTHER = "other"


class Message:
    """One event of one stream; ids are those a client checks for continuity (update or trade ids, open time)."""

    __slots__ = ("_frames", "_render", "channel", "first_id", "last_id", "stream", "symbol")

    def __init__(self, stream: str, symbol: str, channel: Channel, ids: tuple[int, int], render: Render) -> None:
        self.stream = stream
        self.symbol = symbol
        self.channel = channel
        self.first_id, self.last_id = ids
        self._render = render
        self._frames: dict[tuple[bool, TimeUnit], bytes] = {}

    def payload(self, *, combined: bool, unit: TimeUnit) -> bytes:
        """The JSON text; combined is `{"stream":…,"data":…}`."""
        text = self._render(unit)
        return (f'{{"stream":"{self.stream}","data":{text}}}' if combined else text).encode()

    def frame(self, combined: bool, unit: TimeUnit) -> bytes:
        """The same as a text frame."""
        form = combined, unit
        found = self._frames.get(form)
        if found is None:
            found = self._frames[form] = frame(TEXT, self.payload(combined=combined, unit=unit))
        return found

    def altered(self, change: Callable[[str], str]) -> "Message":
        """The same message with other text."""
        render = self._render
        ids = self.first_id, self.last_id
        return Message(self.stream, self.symbol, self.channel, ids, lambda unit: change(render(unit)))


def frame(opcode: int, payload: bytes) -> bytes:
    """One unmasked, final WebSocket frame (RFC 6455 section 5.2)."""
    length = len(payload)
    if length < _SHORT:
        return bytes((0x80 | opcode, length)) + payload
    if length < _LONG:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big") + payload

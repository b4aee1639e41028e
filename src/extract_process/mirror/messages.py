"""PURE. What the mirror publishes, byte for byte: JSON bodies, attributes, ordering keys and topic names."""

from typing import NamedTuple

import orjson

from extract_process.records import Ticker, Trade
from tickhouse_core.datasets import TICKERS

CHANNELS = ("depth", "trades", "ticker")
TOPIC_ENDS = {"depth": "l2", "trades": "trades", "ticker": "ticker"}
_TICKER_COLUMNS = frozenset(TICKERS.schema.names)


class Message(NamedTuple):
    """One message, ready to be published."""

    data: bytes
    kind: str
    sequence: int


class BookSides(NamedTuple):
    """Both sides as they are sides: price and quantity as the venue sent them."""

    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class BookState(NamedTuple):
    """The state of the venue's book a message is about; times in microseconds."""

    last_update_id: int
    event_time: int
    receipt_time: int


def topic_name(venue: str, channel: str) -> str:
    """`crypto.<venue>.l2`, `.trades` or `.ticker`."""
    return f"crypto.{venue}.{TOPIC_ENDS[channel]}"


class MessageForms:
    """The messages of one venue and symbol."""

    def __init__(self, venue: str, symbol: str) -> None:
        self._venue = venue
        self._symbol = symbol

    @property
    def ordering_key(self) -> str:
        return f"{self._venue}:{self._symbol}"

    def attributes(self, message: Message) -> dict[str, str]:
        """What a subscription can filter by."""
        return {"venue": self._venue, "symbol": self._symbol, "type": message.kind, "sequence": str(message.sequence)}

    def snapshot(self, sequence: int, moment: BookState, levels: int, view: BookSides) -> Message:
        """All levels that are visible, best first."""
        return self._l2("snapshot", sequence, moment, levels, view)

    def delta(self, sequence: int, moment: BookState, levels: int, changes: BookSides) -> Message:
        """What changed of them; quantity "0" = left the view."""
        return self._l2("delta", sequence, moment, levels, changes)

    def trade(self, sequence: int, trade: Trade, receipt_time: int) -> Message:
        body = {
            "venue": self._venue,
            "symbol": self._symbol,
            "sequence": sequence,
            "trade_id": trade.trade_id,
            "price": trade.price,
            "quantity": trade.quantity,
            "is_buyer_maker": trade.is_buyer_maker,
            "trade_time": trade.trade_time,
            "event_time": trade.event_time,
            "receipt_time": receipt_time,
        }
        return _outgoing(body, "trade", sequence)

    def ticker(self, sequence: int, ticker: Ticker, receipt_time: int) -> Message:
        """The columns of the dataset without what the venue does not send."""
        known = {name: value for name, value in ticker._asdict().items() if value is not None and name in _TICKER_COLUMNS}
        body = {"venue": self._venue, "symbol": self._symbol, "sequence": sequence, "receipt_time": receipt_time}
        return _outgoing({**body, **known}, "ticker", sequence)

    def _l2(self, kind: str, sequence: int, moment: BookState, levels: int, sides: BookSides) -> Message:
        body = {
            "venue": self._venue,
            "symbol": self._symbol,
            "sequence": sequence,
            "last_update_id": moment.last_update_id,
            "event_time": moment.event_time,
            "receipt_time": moment.receipt_time,
            "levels": levels,
            "bids": sides.bids,
            "asks": sides.asks,
        }
        return _outgoing(body, kind, sequence)


def _outgoing(body: dict[str, object], kind: str, sequence: int) -> Message:
    """A copy of its own size: orjson's result keeps the 4 kB it was written into for as long as it waits."""
    return Message(memoryview(orjson.dumps(body)).tobytes(), kind, sequence)

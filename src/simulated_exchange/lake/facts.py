"""What is known of a venue where its replay is: books, trades, tickers, klines, and which symbols there are."""

from dataclasses import dataclass, field

from simulated_exchange.lake.book import LakeBook
from simulated_exchange.lake.items import Change, Day, Deal, Item, Snapshot, Words
from simulated_exchange.lake.klines import LakeKlines
from simulated_exchange.lake.trades import LakeTrades
from simulated_exchange.market.instruments import DECIMALS, Instrument


@dataclass(slots=True)
class LakeFacts:
    """For the thread of the exchange, but for `klines` and `trades.look_up`."""

    words: Words
    klines: LakeKlines
    trades: LakeTrades
    _books: dict[str, LakeBook] = field(default_factory=dict)
    _days: dict[str, Day] = field(default_factory=dict)

    def note(self, item: Item) -> None:
        """It has happened (a snapshot: it will)."""
        if item.symbol:
            self.list_symbol(item.symbol)
        match item.fact:
            case Deal():
                self.trades.on_trade(item.symbol, item.fact)
            case Change():
                self._book(item.symbol).on_diff(item.fact)
            case Snapshot():
                self._book(item.symbol).on_snapshot(item.fact)
            case Day():
                self._days[item.symbol] = item.fact

    def list_symbol(self, symbol: str, decimals: tuple[int, int] = (DECIMALS, 0)) -> None:
        """Harmless when it is known."""
        if symbol not in self.klines.instruments:
            base, quote = self.words.base_and_quote(symbol)
            self.klines.instruments[symbol] = Instrument(symbol, base, quote, *decimals, 0, 1.0, 1.0)

    def depth(self, symbol: str, limit: int) -> Snapshot | None:
        """The book after the last diff; see `LakeBook.shown`."""
        book = self._books.get(symbol)
        return book.shown(limit) if book else None

    def day(self, symbol: str) -> Day | None:
        """The last ticker."""
        return self._days.get(symbol)

    def _book(self, symbol: str) -> LakeBook:
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = LakeBook()
        return book

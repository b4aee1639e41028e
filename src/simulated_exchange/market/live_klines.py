"""PURE. Klines of symbols whose book is running: history up to the start of the book, from there on sums of its trades.

`LiveKlines` stands in for the history it is given: every page of every interval agrees with the trades that were sent.
"""

from collections.abc import Sequence
from itertools import chain

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import MINUTE, SECOND, Interval
from simulated_exchange.market.klines import Kline, KlineQuery, KlineSource, merge, text_rows
from simulated_exchange.market.trade_log import Trade, TradeLog, flat_kline, with_trade


class LiveMinutes:
    """One symbol's minutes since its book was started at `start` (milliseconds); `base` is the minute as far as it had come."""

    def __init__(self, start: int, base: Kline, trades: TradeLog) -> None:
        self.start = start
        self.current = base
        self.trades = trades
        self._price_at_start = base.close
        self._closed: dict[int, Kline] = {}

    @property
    def first_minute(self) -> int:
        return self.start - self.start % MINUTE

    def add(self, trade: Trade) -> None:
        self.current = with_trade(self.current, trade)

    def roll(self, now: int) -> Kline | None:
        """Closes the current minute if it is over by `now`; call again until it says None."""
        kline = self.current
        if now < kline.open_time + MINUTE:
            return None
        self._closed[kline.open_time] = kline
        self.current = flat_kline(kline.open_time + MINUTE, kline.close)
        return kline

    def between(self, start: int, end: int) -> list[Kline]:
        """Minutes that open in [start, end), the current one included."""
        opens = range(max(start, self.first_minute), min(end, self.current.open_time), MINUTE)
        closed = [self._closed[at] for at in opens]
        return [*closed, self.current] if start <= self.current.open_time < end else closed

    def seconds(self, start: int, end: int) -> list[Kline]:
        """One-second klines that open in [start, end), out of the trades kept."""
        price = self.trades.price_before(start * 1000) or self._price_at_start
        klines = {at: flat_kline(at, 0) for at in range(start, end, SECOND)}
        for trade in self.trades.between(start * 1000, end * 1000):
            at = trade.time_us // 1000 // SECOND * SECOND
            klines[at] = with_trade(klines[at], trade)
        filled = []
        for at, kline in klines.items():
            filled.append(kline if kline.trade_count else flat_kline(at, price))
            price = filled[-1].close
        return filled


class LiveKlines:
    """A `KlineSource`: `history` with the minutes of running books laid over it."""

    def __init__(self, history: KlineSource) -> None:
        self.history = history
        self._live: dict[str, LiveMinutes] = {}

    @property
    def instruments(self) -> dict[str, Instrument]:
        return self.history.instruments

    def start(self, symbol: str, now: int, price: int, trades: TradeLog) -> LiveMinutes:
        """From `now` on, the symbol's klines are made of the trades added to what this returns."""
        opened = now - now % MINUTE
        parts = [kline for kline in self.history.traded(symbol, opened, now) if kline.trade_count]
        base = merge(parts, opened) if parts else flat_kline(opened, price)
        self._live[symbol] = live = LiveMinutes(now, base, trades)
        return live

    def kline(self, symbol: str, interval: Interval, opened: int) -> Kline | None:
        """The kline that opens at `opened`, as far as it has come; None if the symbol does not trade there."""
        live = self._live[symbol]
        end = interval.next_open(opened)
        if interval.length == SECOND:
            return live.seconds(opened, end)[0]
        before = self.history.traded(symbol, opened, live.first_minute) if opened < live.first_minute else []
        parts = [kline for kline in chain(before, live.between(opened, end)) if not self._halted(symbol, kline)]
        traded = [kline for kline in parts if kline.trade_count]
        return merge(traded or parts[-1:], opened) if parts else None

    def rows(self, query: KlineQuery) -> bytes:
        """History's rows where no book was running, then its own."""
        live = self._live.get(query.symbol)
        if live is None:
            return self.history.rows(query)
        second = query.interval.length == SECOND
        first = query.interval.floor(live.start if second else live.first_minute)
        opens = list(query.interval.opens(max(query.first, first), min(query.last, query.now) + 1))
        if query.newest:
            opens = opens[-query.limit :]
            ours = self._rendered(query, opens)
            left = query.limit - len(opens)
            theirs = self._rows_before(first, query, left)
            return b",".join(piece for piece in (theirs, ours) if piece)
        theirs = self._rows_before(first, query, query.limit)
        ours = self._rendered(query, opens[: query.limit - _number_of_rows(theirs)])
        return b",".join(piece for piece in (theirs, ours) if piece)

    def traded(self, symbol: str, opened: int, now: int) -> list[Kline]:
        return self.history.traded(symbol, opened, now)

    def minutes(self, symbol: str, start: int, end: int) -> list[Kline]:
        """Closed minutes and, if it is asked for, the current one."""
        live = self._live.get(symbol)
        if live is None:
            return self.history.minutes(symbol, start, end)
        theirs = self.history.minutes(symbol, start, min(end, live.first_minute))
        return [*theirs, *(kline for kline in live.between(start, end) if not self._halted(symbol, kline))]

    def minute_opens(self, symbol: str, start: int, number: int) -> Sequence[int]:
        return self.history.minute_opens(symbol, start, number)

    def is_halted(self, symbol: str, now: int) -> bool:
        return self.history.is_halted(symbol, now)

    def _rows_before(self, first: int, query: KlineQuery, limit: int) -> bytes:
        if limit <= 0 or query.first >= first:
            return b""
        return self.history.rows(
            KlineQuery(
                query.symbol,
                query.interval,
                query.first,
                min(query.last, first - 1),
                limit,
                query.newest,
                query.now,
                query.unit,
            )
        )

    def _rendered(self, query: KlineQuery, opens: Sequence[int]) -> bytes:
        if not opens:
            return b""
        live = self._live[query.symbol]
        if query.interval.length == SECOND:
            klines = live.seconds(opens[0], opens[-1] + SECOND)
        else:
            found = (self.kline(query.symbol, query.interval, opened) for opened in opens)
            klines = [kline for kline in found if kline]
        return text_rows(klines, self.instruments[query.symbol], query.interval, query.unit).text[:-1]

    def _halted(self, symbol: str, kline: Kline) -> bool:
        return not kline.trade_count and self.history.is_halted(symbol, kline.open_time)


def _number_of_rows(text: bytes) -> int:
    return text.count(b"],[") + 1 if text else 0

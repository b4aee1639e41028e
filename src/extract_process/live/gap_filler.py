"""PURE. GapFiller: what of a gap an answer filled, what the venue does not have, and what is asked for next."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from extract_process.live.monitor import Findings, StreamMonitor
from extract_process.live.requests import GapRequest
from extract_process.ranges import EVERY_ID, Range
from extract_process.records import AnsweredTrade, StreamEvent, Trade, UnreadableTrade
from extract_process.sequence import UNREADABLE
from extract_process.spool.segments import RestAnswer
from extract_process.stream_ids import StreamKey
from extract_process.venues import Venue


class GapFiller:
    """Tells the monitor. The answer's rows are recorded before that."""

    def __init__(self, monitor: StreamMonitor, venue: Venue) -> None:
        self._monitor = monitor
        self._venue = venue

    def rows_of(self, request: GapRequest, body: bytes, parsed: Any) -> RestAnswer | None:
        """What of an answer is to be recorded; None where it has none of the ids."""
        key = request.key
        if key.channel == "klines":
            page = request.first_page(self._venue.page_rows)
            return RestAnswer("klines", key.symbol, body, interval=key.interval, from_id=page.first, to_id=page.last)
        if not _found(request, parsed):
            return None
        return RestAnswer("trades", key.symbol, body, from_id=request.from_id, to_id=request.to_id)

    def on_answer(self, request: GapRequest, parsed: Any, now: int) -> Findings:
        """`parsed` is a table of klines or a list of trades; `now` in microseconds."""
        result = Findings()
        if request.key.channel == "klines":
            self._on_klines(request, parsed["open_time"].cast("int64").to_pylist(), now, result)
        else:
            self._on_trades(request, parsed, now, result)
        return result

    def on_refused(self, request: GapRequest, why: str, now: int, cause: str = "not_available") -> Findings:
        """These ids are nowhere to be had."""
        ids = (request.from_id, request.to_id)
        return Findings([self._monitor.event("heal_failed", now, request.key, cause=cause, ids=ids, detail=why)])

    def _on_klines(self, request: GapRequest, open_times: list[int], now: int, result: Findings) -> None:
        """In the order of their open times."""
        key, page = request.key, request.first_page(self._venue.page_rows)
        found = key.grid.ranges_of(open_times)
        absent = key.grid.missing(page, found)
        for span in sorted((*found, *absent), key=lambda span: span.first):
            if span not in absent:
                result.add(self._monitor.on_healed_ids(key, span.first, span.last, now))
            elif self._venue.settle_seconds is None:
                missing = GapRequest(key, span.first, span.last)
                result.add(self.on_refused(missing, "the venue has no such klines", now, "venue_has_no_data"))
            else:
                result.add(self._monitor.on_absent_ids(key, span.first, span.last, now))
        if page.last < request.to_id:
            result.requests.append(GapRequest(key, key.grid.after(page.last), request.to_id))

    def _on_trades(self, request: GapRequest, trades: list[AnsweredTrade], now: int, result: Findings) -> None:
        """Sparse ids: the answer is all there was from its first trade to its last."""
        key, missing = request.key, request.ids
        unreadable = [one for one in trades if isinstance(one, UnreadableTrade) and one.trade_id in missing]
        if self._venue.leaves_out_no_trades:
            result.events += self._left_out(key, missing, trades)
        knows_all = self._venue.leaves_out_no_trades or key.channel in self._venue.sparse_channels
        accounted = _spanned(missing, trades) if knows_all else EVERY_ID.ranges_of(_found(request, trades))
        for span in _without(accounted, unreadable):
            result.add(self._monitor.on_healed_ids(key, span.first, span.last, now))
        for one in unreadable:
            result.events += self._unreadable(key, one)
        if not request.is_history:  # what the most recent trades do not hold is history
            first = trades[0].trade_id if trades else missing.last + 1
            if first > missing.first:
                result.requests.append(GapRequest(key, missing.first, min(missing.last, first - 1), is_history=True))
            if trades and (after := trades[-1].trade_id + 1) <= missing.last:  # it was waited for, or is numbered otherwise
                rest = GapRequest(key, max(missing.first, after), missing.last)
                result.add(self.on_refused(rest, f"the venue's newest trade is {after - 1}", now))
        elif not trades or trades[-1].trade_id < missing.first:
            result.add(self.on_refused(request, "the venue sent no such trades", now))
        elif trades[-1].trade_id < missing.last:
            result.requests.append(GapRequest(key, trades[-1].trade_id + 1, missing.last, is_history=True))

    def _unreadable(self, key: StreamKey, trade: UnreadableTrade) -> list[StreamEvent]:
        """It stays a gap, at the time of the trade, as one that is streamed."""
        ids, at = (trade.trade_id, trade.trade_id), trade.event_time
        refused = self._monitor.event("refused_row", at, key, cause=UNREADABLE, ids=ids, detail=trade.why)
        return [refused, self._monitor.event("gap", at, key, cause=UNREADABLE, ids=ids, ended_at=at)]

    def _left_out(self, key: StreamKey, missing: Range, trades: list[AnsweredTrade]) -> list[StreamEvent]:
        """The ids that are no trades, told at the time of the trade before them."""
        events = []
        for before, after in pairwise(trades):
            ids = (max(before.trade_id + 1, missing.first), min(after.trade_id - 1, missing.last))
            if ids[0] <= ids[1]:
                words = "the venue's answer leaves it out"
                events.append(self._monitor.event("no_trade", before.event_time, key, ids=ids, detail=words))
        return events


def _spanned(missing: Range, trades: list[AnsweredTrade]) -> list[Range]:
    """What of the missing ids lies between the first and the last trade."""
    if not trades:
        return []
    first, last = max(missing.first, trades[0].trade_id), min(missing.last, trades[-1].trade_id)
    return [Range(first, last)] if first <= last else []


def _found(request: GapRequest, trades: list[AnsweredTrade]) -> list[int]:
    return [trade.trade_id for trade in trades if isinstance(trade, Trade) and trade.trade_id in request.ids]


def _without(spans: list[Range], unreadable: list[UnreadableTrade]) -> Iterator[Range]:
    """`unreadable` in the order of their ids."""
    for span in spans:
        first = span.first
        for trade in unreadable:
            if trade.trade_id in span:
                if first < trade.trade_id:
                    yield Range(first, trade.trade_id - 1)
                first = trade.trade_id + 1
        if first <= span.last:
            yield Range(first, span.last)

"""GapFiller: what the monitor asked becomes REST requests, and the answers come back into the capture."""

import asyncio
from functools import partial

from extract_process.live.capture import Capture
from extract_process.live.monitor import GapRequest, KlineRequest, Request
from extract_process.live.request_queue import Priority, RequestQueue
from extract_process.live.snapshot_pace import SnapshotPace
from extract_process.ranges import Range
from extract_process.records import Trade
from extract_process.sequence import EVERY_ID
from extract_process.spool.segments import RestAnswer
from extract_process.stream_key import StreamKey
from extract_process.venues import Venue
from extract_process.venues.api import VenueRest
from extract_process.venues.rest_client import Answer
from tickhouse_core.errors import VenueRefused, VenueUnavailable
from tickhouse_core.timestamps import now_us

PROOF_LEVELS = 1_000


class GapFiller:
    """Snapshots of `levels` a side; gaps in trades and klines are filled as far as the venue still has them."""

    def __init__(self, rest: VenueRest, queue: RequestQueue, venue: Venue, levels: int) -> None:
        self._rest = rest
        self._queue = queue
        self._venue = venue
        self._levels = levels
        self._pace = SnapshotPace()
        self._capture: Capture | None = None

    def answer_to(self, capture: Capture) -> None:
        """Where the answers go; before the first ask."""
        self._capture = capture

    def put(self, ask: Request) -> None:
        """Queues what the monitor wants to know."""
        if isinstance(ask, GapRequest):
            self._put_heal(ask.key, Range(ask.from_id, ask.to_id))
            return
        if isinstance(ask, KlineRequest):
            put = partial(self._put_heal, ask.key, Range(ask.from_id, ask.to_id))
            asyncio.get_running_loop().call_later(self._venue.settle_seconds or 0.0, put)
            return
        urgency = Priority.NEW_BOOK if ask.reason == "start" else Priority.BROKEN_BOOK
        work = partial(self._fetch_book, ask.symbol, ask.reason, self._levels)
        loop = asyncio.get_running_loop()
        pause = self._pace.pause_before(ask.symbol, ask.reason, loop.time())
        loop.call_later(pause, self._queue.ask, urgency, f"book of {ask.symbol}", work)

    def prove(self, symbol: str) -> None:
        """Queues a proof of a symbol's running book."""
        work = partial(self._fetch_book, symbol, "proof", min(PROOF_LEVELS, self._levels))
        self._queue.ask(Priority.PROOF, f"proof of {symbol}", work)

    def _put_heal(self, key: StreamKey, missing: Range) -> None:
        if key.channel == "klines":
            self._queue.ask(Priority.HISTORY, f"klines {key} {missing}", partial(self._heal_klines, key, missing))
        else:
            self._queue.ask(Priority.RECENT_TRADES, f"trades {key} {missing}", partial(self._heal_recent, key, missing))

    async def _fetch_book(self, symbol: str, reason: str, levels: int) -> None:
        capture = self._to_capture()
        capture.monitor.on_snapshot_asked(symbol, as_proof=reason == "proof")
        asked_at = now_us()
        capture.note(capture.monitor.event("snapshot_requested", asked_at, StreamKey("depth", symbol), cause=reason))
        body, receipt_time, snapshot = await self._rest.fetch_depth(symbol, levels, reason)
        capture.take_answer(RestAnswer("depth", symbol, body, reason=reason), receipt_time, snapshot)
        capture.follow(capture.monitor.on_snapshot(snapshot, levels, receipt_time))

    async def _heal_recent(self, key: StreamKey, missing: Range) -> None:
        """The venue's last trades hold a young gap; what they do not hold is history."""
        answer = await self._rest.fetch_recent_trades(key.symbol)
        self._land_trades(key, missing, answer)
        trades = answer.parsed
        first = trades[0].trade_id if trades else None
        if first is None or first > missing.first:
            older = Range(missing.first, missing.last if first is None else min(missing.last, first - 1))
            self._queue.ask(Priority.HISTORY, f"history {key} {older}", partial(self._heal_history, key, older))

    async def _heal_history(self, key: StreamKey, missing: Range) -> None:
        """One page of 1,000 trades, then the next as an ask of its own: a snapshot may go first."""
        try:
            answer = await self._rest.fetch_trades(key.symbol, missing.first)
        except VenueRefused as error:
            self._say_unhealed(key, missing, str(error))
            return
        self._land_trades(key, missing, answer)
        trades = answer.parsed
        if not trades or trades[-1].trade_id < missing.first:
            self._say_unhealed(key, missing, "the venue sent no such trades")
        elif trades[-1].trade_id < missing.last:
            rest = Range(trades[-1].trade_id + 1, missing.last)
            self._queue.ask(Priority.HISTORY, f"history {key} {rest}", partial(self._heal_history, key, rest))

    async def _heal_klines(self, key: StreamKey, missing: Range) -> None:
        """Through the backfiller's request, page by page."""
        for page in key.grid.split(missing, self._venue.page_rows):
            body, receipt_time, rows = await self._rest.fetch_klines(key.symbol, key.interval, page)
            open_times = rows["open_time"].cast("int64").to_pylist()
            answer = RestAnswer("klines", key.symbol, body, interval=key.interval, from_id=page.first, to_id=page.last)
            self._to_capture().take_answer(answer, receipt_time, rows)
            self._say_klines(key, page, key.grid.ranges_of(open_times))

    def _land_trades(self, key: StreamKey, missing: Range, answer: Answer[list[Trade]]) -> None:
        """Lands those of the answer that are missing, once."""
        body, receipt_time, trades = answer
        if key.channel in self._venue.sparse_channels and (not trades or trades[-1].trade_id <= missing.last):
            raise VenueUnavailable(f"the venue's last trades of {key.symbol} do not reach {missing.last} yet")
        found = [trade.trade_id for trade in trades if missing.first <= trade.trade_id <= missing.last]
        if found:
            wanted = RestAnswer("trades", key.symbol, body, from_id=missing.first, to_id=missing.last)
            self._to_capture().take_answer(wanted, receipt_time, trades)
        if key.channel in self._venue.sparse_channels:
            self._say_reached(key, missing, [trade.trade_id for trade in trades])
        else:
            self._say_healed(key, EVERY_ID.ranges_of(found))

    def _say_reached(self, key: StreamKey, missing: Range, ids: list[int]) -> None:
        """Sparse ids: the answer is all there was from its first trade on."""
        if ids[0] <= missing.last:
            self._say_healed(key, [Range(max(missing.first, ids[0]), missing.last)])

    def _say_klines(self, key: StreamKey, asked: Range, found: list[Range]) -> None:
        """In the order of their open times; what is missing is told as what it is."""
        capture, absent = self._to_capture(), key.grid.missing(asked, found)
        for span in sorted((*found, *absent), key=lambda span: span.first):
            if span not in absent:
                self._say_healed(key, [span])
            elif self._venue.settle_seconds is None:
                self._say_unhealed(key, span, "the venue has no such klines", cause="venue_has_no_data")
            else:
                capture.follow(capture.monitor.on_absent_ids(key, span.first, span.last, now_us()))

    def _say_healed(self, key: StreamKey, spans: list[Range]) -> None:
        capture = self._to_capture()
        for span in spans:
            capture.follow(capture.monitor.on_healed_ids(key, span.first, span.last, now_us()))

    def _say_unhealed(self, key: StreamKey, missing: Range, why: str, cause: str = "not_available") -> None:
        capture = self._to_capture()
        event = capture.monitor.event("heal_failed", now_us(), key, cause=cause, ids=(missing.first, missing.last), detail=why)
        capture.note(event)

    def _to_capture(self) -> Capture:
        assert self._capture is not None, "answer_to comes before the first ask"
        return self._capture

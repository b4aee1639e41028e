"""Fetcher: carries out a request with one REST call, and decides how long a request waits before it is sent."""

import asyncio
from typing import Any

from extract_process.live.requests import GapRequest, Request, SnapshotPace, SnapshotRequest
from extract_process.records import DepthSnapshot
from extract_process.venues import Venue
from extract_process.venues.api import VenueRest
from extract_process.venues.rest_client import Answer
from tickhouse_core.errors import VenueUnavailable


class Fetcher:
    """Raises VenueError; an answer that is too early for its request is VenueUnavailable."""

    def __init__(self, rest: VenueRest, venue: Venue) -> None:
        self._rest = rest
        self._venue = venue
        self._pace = SnapshotPace()

    def pause_before(self, request: Request) -> float:
        """Seconds."""
        if isinstance(request, GapRequest):
            return request.after_seconds
        return self._pace.pause_before(request.symbol, request.reason, asyncio.get_running_loop().time())

    async def fetch(self, request: Request) -> Answer[Any]:
        if isinstance(request, SnapshotRequest):
            return await self.fetch_snapshot(request)
        if request.key.channel == "klines":
            page = request.first_page(self._venue.page_rows)
            return await self._rest.fetch_klines(request.key.symbol, request.key.interval, page)
        if request.is_history:
            answer = await self._rest.fetch_trades(request.key.symbol, request.from_id)
        else:
            answer = await self._rest.fetch_recent_trades(request.key.symbol)
        trades = answer.parsed
        if request.key.channel in self._venue.sparse_channels and (not trades or trades[-1].trade_id <= request.to_id):
            raise VenueUnavailable(f"the venue's last trades of {request.key.symbol} do not reach {request.to_id} yet")
        return answer

    async def fetch_snapshot(self, request: SnapshotRequest) -> Answer[DepthSnapshot]:
        return await self._rest.fetch_depth(request.symbol, request.levels, request.reason)

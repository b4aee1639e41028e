"""Futures' sockets: USD-M's are split into two addresses, and a stream on the wrong one is accepted and silent."""

from collections.abc import Sequence

from aiohttp import web

from simulated_exchange.binance.futures.product import PRODUCTS, Product
from simulated_exchange.binance.ws import BinanceSockets
from simulated_exchange.binance.ws import parse_address as parse_spot_address
from simulated_exchange.server.connection import Connection
from simulated_exchange.server.websocket import Address, Listener


class FuturesSockets(BinanceSockets):
    """The open connections of one market."""

    product: Product
    routes: dict[int, str]
    """By connection: the part of the market that it was opened to."""

    def _attach(self, connection: Connection, names: Sequence[str], now: int) -> None:
        super()._attach(connection, self._served(connection, names), now)

    def _detach(self, connection: Connection, names: Sequence[str]) -> None:
        super()._detach(connection, self._served(connection, names))

    def _served(self, connection: Connection, names: Sequence[str]) -> list[str]:
        route = self.routes.get(connection.number, "")
        return [name for name in names if self.product.route_of(name) == route]

    def on_closed(self, connection: Connection, now: int) -> None:
        super().on_closed(connection, now)
        self.routes.pop(connection.number, None)


class FuturesListener(Listener):
    """Serves the sockets of one market."""

    _sockets: FuturesSockets

    def begin(self, connection: Connection, http: web.BaseRequest, address: Address, now: int) -> None:
        self._sockets.routes[connection.number] = _route_of(http.path)
        super().begin(connection, http, address, now)


def parse_address(path: str, query: str) -> tuple[Product, Address] | None:
    """`/usdm/public/stream`, `/usdm/market/ws/…`, `/coinm/stream`, …; None if it is no socket address of these markets."""
    for product in PRODUCTS:
        for start in [f"/{product.name}/{route}" for route in product.routes] or [f"/{product.name}"]:
            if path.startswith(f"{start}/") and (address := parse_spot_address(path.removeprefix(start), query)):
                return product, address
    return None


def _route_of(path: str) -> str:
    part = path.split("/")[2]
    return part if part not in ("ws", "stream") else ""

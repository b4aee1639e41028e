"""One futures market put together: spot's parts with its own words, paths and sockets. Both markets share one request limit."""

from dataclasses import replace

from simulated_exchange.binance.futures.messages import FuturesWording
from simulated_exchange.binance.futures.product import Product
from simulated_exchange.binance.futures.rest import answer, weight_of
from simulated_exchange.binance.futures.ws import FuturesSockets
from simulated_exchange.binance.limits import RateLimiter
from simulated_exchange.binance.rest import Call
from simulated_exchange.binance.venue import BinanceVenue
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.lake.source import LakeVenue
from simulated_exchange.market.generated import Market
from simulated_exchange.market.klines import KlineSource
from simulated_exchange.server.http import Reply, Request
from simulated_exchange.server.recorded_session import Session

_OTHER_ORDERS = 104_729


class FuturesVenue(BinanceVenue):
    """All state of one market."""

    WORDS = FuturesWording
    SOCKETS = FuturesSockets
    IS_SPOT = False

    def __init__(
        self,
        product: Product,
        config: ExchangeConfig,
        source: KlineSource,
        recorded: Session | LakeVenue | None,
        limiter: RateLimiter,
    ) -> None:
        """`source` is spot's, or a recording's own."""
        self.product = product
        super().__init__(config, _in_contracts(product, source), recorded, limiter, other_orders=_OTHER_ORDERS)
        self.sockets.product, self.sockets.routes = product, {}  # type: ignore[attr-defined]

    @property
    def archive_folder(self) -> str:
        return self.product.archive_folder

    def serves(self, path: str) -> bool:
        """Whether a request is one to this market's REST or archive."""
        return path.startswith((f"{self.product.api}/", self.archive_folder))

    def set_source(self, source: KlineSource) -> None:
        super().set_source(_in_contracts(self.product, source))

    def _weight(self, request: Request) -> int:
        return weight_of(self.product, request.path, request.pairs)

    def _answer(self, path: str, call: Call) -> Reply:
        return answer(self.product, path, call)


def _in_contracts(product: Product, source: KlineSource) -> KlineSource:
    """The generated market with this product's instruments; a halt is one of the same coin."""
    if not isinstance(source, Market):
        return source
    instruments = product.instruments(source.instruments)
    names = dict(zip(source.instruments, instruments, strict=True))
    halts = [replace(halt, symbol=names[halt.symbol]) for halt in source.halts]
    return Market(source.seed, instruments, halts)

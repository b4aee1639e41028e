"""One futures market put together: spot's parts with its own words, paths and sockets. Both markets share one request limit."""

from dataclasses import replace

from simulated_exchange.binance.futures.history import FUNDING_REQUESTS, OPEN_INTEREST, OPEN_INTEREST_REQUESTS, WINDOW
from simulated_exchange.binance.futures.messages import FuturesWording
from simulated_exchange.binance.futures.product import Product
from simulated_exchange.binance.futures.rest import answer, name_of, weight_of
from simulated_exchange.binance.futures.ws import FuturesSockets
from simulated_exchange.binance.limits import RateLimiter
from simulated_exchange.binance.rest import Call, over_limit
from simulated_exchange.binance.venue import BinanceVenue
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.lake.source import LakeVenue
from simulated_exchange.market.generated import Market
from simulated_exchange.market.klines import KlineSource
from simulated_exchange.server.http import Reply, Request
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.venue_core import Admission

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
        self._request_limits = {"openInterestHist": RateLimiter(OPEN_INTEREST_REQUESTS, config.ban_after, WINDOW)}
        if not product.has_contracts:
            self._request_limits["fundingRate"] = RateLimiter(FUNDING_REQUESTS, config.ban_after, WINDOW)

    @property
    def archive_folder(self) -> str:
        return self.product.archive_folder

    def serves(self, request: Request) -> bool:
        """Whether it is one to this market's REST or archive."""
        if request.path == OPEN_INTEREST:
            return self.product.has_contracts == any(name == "pair" for name, _ in request.pairs)
        return request.path.startswith((f"{self.product.api}/", self.archive_folder))

    def set_source(self, source: KlineSource) -> None:
        super().set_source(_in_contracts(self.product, source))

    def reset(self) -> None:
        super().reset()
        for limiter in self._request_limits.values():
            limiter.clear()

    def _admit(self, request: Request, now: int) -> Admission:
        """Two endpoints count requests as well, each on its own."""
        admission = super()._admit(request, now)
        limiter = self._request_limits.get(name_of(self.product, request.path))
        if limiter is None or admission.refusal is not None:
            return admission
        verdict = limiter.admit(request.address, 1, now // 1_000)
        if verdict.is_served:
            return admission
        return Admission(admission.headers, over_limit(verdict, limiter.weight_limit), verdict.cause)

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

"""PURE. The two futures markets: their names, paths and contracts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from simulated_exchange.market.instruments import Instrument

_BTC_WORTH, _OTHER_WORTH = 100, 10
"""USD a contract: "the contract multiplier of BTC is 100 USD, of others 10 USD"."""


@dataclass(frozen=True, slots=True)
class Product:
    """`name` is in the addresses of sockets, `api` begins the paths of REST, `routes` are what the sockets are split into."""

    name: str
    api: str
    archive_folder: str
    status_key: str
    diff_keys: frozenset[str]
    """Keys of its order book updates that spot's have not: a recording shows by them which market it is of."""

    routes: tuple[str, ...] = ()
    longest_klines_ms: int | None = None
    """Set where klines of a span are the newest of it."""

    has_contracts: bool = False
    """Quantities are contracts of a fixed worth in USD."""

    def instruments(self, spot: Mapping[str, Instrument]) -> dict[str, Instrument]:
        """Those of the spot market, in this market's spelling, in its order."""
        if not self.has_contracts:
            return dict(spot)
        contracts = map(_contract_of, spot.values())
        return {contract.symbol: contract for contract in contracts}

    def contract_size(self, instrument: Instrument) -> int:
        """USD a contract, of recorded markets too, whose messages do not say it."""
        return instrument.contract_size or _worth_of(instrument)

    def environment(self, url: str, ws_url: str) -> dict[str, str]:
        """The recorder's variables that point it here."""
        sockets = {f"{route.upper()}_WS_URL": f"{ws_url}/{self.name}/{route}" for route in self.routes}
        addresses = {"REST_URL": url, "ARCHIVE_URL": url} | (sockets or {"WS_URL": f"{ws_url}/{self.name}"})
        return {f"BINANCE_{self.name.upper()}_{name}": address for name, address in addresses.items()}

    def route_of(self, stream: str) -> str:
        """Where the venue serves a stream; empty where there is one socket for all."""
        if not self.routes:
            return ""
        is_of_book = stream.partition("@")[2].startswith(("depth", "bookTicker", "trade"))
        return self.routes[0] if is_of_book else self.routes[1]


def _contract_of(spot: Instrument) -> Instrument:
    worth = _worth_of(spot)
    return replace(
        spot,
        symbol=f"{spot.base}USD_PERP",
        quote="USD",
        step_decimals=0,
        contract_size=worth,
        follows=spot.symbol,
        usual_quantity=max(200.0, spot.usual_quantity * spot.usual_price / worth),
    )


PRODUCTS = (
    Product(
        name="usdm",
        api="/fapi/v1",
        archive_folder="/data/futures/um/",
        status_key="status",
        diff_keys=frozenset({"pu"}),
        routes=("public", "market"),
    ),
    Product(
        name="coinm",
        api="/dapi/v1",
        archive_folder="/data/futures/cm/",
        status_key="contractStatus",
        diff_keys=frozenset({"pu", "ps"}),
        longest_klines_ms=200 * 86_400_000,
        has_contracts=True,
    ),
)


def _worth_of(instrument: Instrument) -> int:
    return _BTC_WORTH if instrument.base == "BTC" else _OTHER_WORTH

"""PURE. The variables that point the recorder to an exchange at an address: what the Docker stack, the demo and people set."""

from itertools import chain

from simulated_exchange.binance.futures.product import PRODUCTS


def variables_of(url: str) -> dict[str, str]:
    """Every venue's, by name; `url` such as http://127.0.0.1:8090. ValueError for another scheme."""
    url = url.rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address: it begins with http:// or https://")
    ws_url = url.replace("http", "ws", 1)
    spot = {"BINANCE_REST_URL": url, "BINANCE_ARCHIVE_URL": url, "BINANCE_WS_URL": ws_url}
    futures = chain.from_iterable(product.environment(url, ws_url).items() for product in PRODUCTS)
    return {**spot, **dict(futures), "KUCOIN_REST_URL": url}

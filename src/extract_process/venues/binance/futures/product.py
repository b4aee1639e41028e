"""What Binance's two futures markets differ in: names, addresses, where streams are served, and the rules of their klines."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
from pydantic import Field
from pydantic_settings import BaseSettings

from extract_process.venues.binance.klines import parse_klines
from tickhouse_core.settings import HttpUrl


class FuturesSettings(BaseSettings, env_ignore_empty=True):
    """What both markets read of the environment; each has its own prefix and sockets."""

    rest_url: HttpUrl
    archive_url: HttpUrl = Field("https://data.binance.vision", description="base URL of the bulk archive")


@dataclass(frozen=True, slots=True)
class Product:
    """One futures market. `api` begins every path of REST, `archive` is the folder of its bulk files."""

    name: str
    api: str
    archive: str
    usual_symbols: tuple[str, ...]
    settings: type[FuturesSettings]
    status_key: str
    """Where exchangeInfo says whether a contract trades."""

    earliest_us: int
    socket_of: Callable[[str], str]
    address_of: Callable[[str], str]
    """The base URL of a socket, by the name that `socket_of` gives."""

    quantities_are_contracts: bool = False
    longest_klines_us: int | None = None
    """The longest span that a request for klines may have. Set where the venue answers with the newest of a span."""

    def parse_klines(self, body: bytes, symbol: str, interval: str, receipt_time: int) -> pa.Table:
        return parse_klines(body, symbol, interval, receipt_time, self.name)

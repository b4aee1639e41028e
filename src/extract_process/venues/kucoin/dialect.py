"""KuCoin's dialect: its parsers, gathered for the venue-neutral parts of the capture."""

from extract_process.venues.kucoin.messages import VENUE, parse_depth, parse_klines, parse_trades
from extract_process.venues.kucoin.ws import channel_of_frame, parse_frame
from extract_process.venues.parsing import Dialect

KLINES_SETTLE_SECONDS = 5.0
"""Between the first message of the next candle and the question how the one before ended."""

KUCOIN = Dialect(
    venue=VENUE,
    parse_frame=parse_frame,
    channel_of_frame=channel_of_frame,
    parse_depth=lambda body, symbol, reason: parse_depth(body, symbol=symbol, reason=reason),
    parse_trades=lambda body, symbol: parse_trades(body, symbol=symbol),
    parse_klines=lambda body, symbol, interval, receipt_time: parse_klines(
        body, symbol=symbol, interval=interval, receipt_time=receipt_time
    ),
    sparse_channels=frozenset({"trades"}),
    settle_seconds=KLINES_SETTLE_SECONDS,
)

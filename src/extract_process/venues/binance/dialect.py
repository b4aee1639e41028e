"""Binance's dialect: its parsers, gathered for the venue-neutral parts of the capture."""

from extract_process.venues.binance.messages import VENUE, parse_depth, parse_klines, parse_trades
from extract_process.venues.binance.ws import channel_of_frame, parse_frame
from extract_process.venues.parsing import Dialect

BINANCE = Dialect(
    venue=VENUE,
    parse_frame=lambda frame, _: parse_frame(frame),
    channel_of_frame=channel_of_frame,
    parse_depth=lambda body, symbol, reason: parse_depth(body, symbol=symbol, reason=reason),
    parse_trades=lambda body, symbol: parse_trades(body, symbol=symbol),
    parse_klines=lambda body, symbol, interval, receipt_time: parse_klines(
        body, symbol=symbol, interval=interval, receipt_time=receipt_time
    ),
)

"""The channel book_ticker, best bid and ask: what it takes in each file, as (line that is there, lines in its place). Not a test.

Binance: `<symbol>@bookTicker`. KuCoin: `/spotMarket/level1`, whose messages have a time and no id.
"""

DATASET = """\
BOOK_TICKERS = Dataset(
    name="book_tickers",
    folder="book_tickers",
    queue="tickers-notifications",
    natural_key=("venue", "symbol", "update_id"),
    id_column="update_id",
    time_column="receipt_time",
    channel="book_ticker",
    schema=pa.schema(
        [
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("update_id", pa.uint64(), nullable=False),
            *(pa.field(f"{side}_{what}", DECIMAL, nullable=False) for side in ("bid", "ask") for what in ("price", "quantity")),
            pa.field("receipt_time", INSTANT, nullable=False),
        ]
    ),
)

HEARTBEATS = Dataset(
"""

RECORD = '''\
class BookTicker(NamedTuple):
    """The best of both sides. `update_id` is the venue's, or where it has none its time in milliseconds."""

    symbol: str
    update_id: int
    bid_price: str
    bid_quantity: str
    ask_price: str
    ask_quantity: str


class Kline(NamedTuple):
'''

BINANCE = '''\
def _parse_book_ticker(message: dict[str, Any]) -> BookTicker | UnreadableRow:
    """`{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}`."""
    symbol, update_id = name_of(message["s"]), id_of(message["u"])
    try:
        return BookTicker(symbol, update_id, *(plain_number(message[key]) for key in "bBaA"))
    except UnreadableNumber as error:
        return UnreadableRow("book_ticker", symbol, "", None, None, str(error))


def _parse_control(message: dict[str, Any]) -> Message:
'''

KUCOIN = '''\
def _parse_book_ticker(data: dict[str, Any], symbol: str, receipt_time: int) -> BookTicker | UnreadableRow:
    """`{"asks":["68145.8","0.51987471"],"bids":["68145.7","1.29267802"],"timestamp":1729816058766}`."""
    at = id_of(data["timestamp"])
    try:
        return BookTicker(name_of(symbol), at, *(plain_number(number) for side in ("bids", "asks") for number in data[side]))
    except UnreadableNumber as error:
        return UnreadableRow("book_ticker", symbol, "", None, None, str(error))


_PARSERS: dict[str, Callable[[dict[str, Any], str, int], Message]] = {
    "/spotMarket/level1": _parse_book_ticker,
'''

RECORDS = ("import ALL_SYMBOLS, DepthDiff", "import ALL_SYMBOLS, BookTicker, DepthDiff")
MESSAGES = ("Message = Trade | ", "Message = BookTicker | Trade | ")

EDITS = {
    "src/tickhouse_core/datasets.py": [
        ("HEARTBEATS = Dataset(\n", DATASET),
        ("TICKERS, STREAM_EVENTS", "TICKERS, BOOK_TICKERS, STREAM_EVENTS"),
    ],
    "src/extract_process/records.py": [
        ("datasets import DEPTH_DIFFS", "datasets import BOOK_TICKERS, DEPTH_DIFFS"),
        ("class Kline(NamedTuple):\n", RECORD),
        ("    Ticker: TICKERS,\n", "    Ticker: TICKERS,\n    BookTicker: BOOK_TICKERS,\n"),
    ],
    "src/extract_process/venues/binance/ws.py": [
        RECORDS,
        ('_SUFFIXES = {"trades"', '_SUFFIXES = {"book_ticker": "bookTicker", "trades"'),
        MESSAGES,
        ("def _parse_control(message: dict[str, Any]) -> Message:\n", BINANCE),
        ('    if "u" in message or', '    if "u" in message:\n        return _parse_book_ticker(message)\n    if'),
    ],
    "src/extract_process/venues/kucoin/ws.py": [
        RECORDS,
        ('_PREFIXES = {"trades"', '_PREFIXES = {"book_ticker": "/spotMarket/level1", "trades"'),
        MESSAGES,
        ("_PARSERS: dict[str, Callable[[dict[str, Any], str, int], Message]] = {\n", KUCOIN),
    ],
}

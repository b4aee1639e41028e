"""The channel average_price: what it takes in each file, as (line that is there, lines in its place). Not a test.

Binance: `<symbol>@avgPrice`, once a second. KuCoin has no such topic.
"""

DATASET = """\
AVERAGE_PRICES = Dataset(
    name="average_prices",
    folder="average_prices",
    queue="tickers-notifications",
    natural_key=("venue", "symbol", "event_time"),
    id_column="event_time",
    time_column="event_time",
    channel="average_price",
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol"),
            *required(DECIMAL, "price"),
            *required(INSTANT, "event_time", "receipt_time"),
        ]
    ),
)

HEARTBEATS = Dataset(
"""

RECORD = '''\
class AveragePrice(NamedTuple):
    """Of the last five minutes; `event_time` in microseconds."""

    symbol: str
    price: str
    event_time: int


class Kline(NamedTuple):
'''

BINANCE = '''\
def _parse_average_price(message: dict[str, Any]) -> AveragePrice | UnreadableRow:
    """`{"e":"avgPrice","E":1693907033000,"s":"BTCUSDT","i":"5m","w":"25776.86000000","T":1693907032213}`."""
    symbol = name_of(message["s"])
    try:
        return AveragePrice(symbol, plain_number(message["w"]), instant_of(message["E"], unit_to_us))
    except UnreadableNumber as error:
        return UnreadableRow("average_price", symbol, "", None, None, str(error))


def _parse_control(message: dict[str, Any]) -> Message:
'''

OF_DATASETS, OF_RECORDS = "from tickhouse_core.datasets import", "from extract_process.records import"

EDITS = {
    "src/tickhouse_core/datasets.py": [
        ("HEARTBEATS = Dataset(\n", DATASET),
        ("STREAM_EVENTS, HEARTBEATS)", "AVERAGE_PRICES, STREAM_EVENTS, HEARTBEATS)"),
    ],
    "src/extract_process/records.py": [
        (OF_DATASETS, f"{OF_DATASETS} AVERAGE_PRICES\n{OF_DATASETS}"),
        ("class Kline(NamedTuple):\n", RECORD),
        ("    Ticker: TICKERS,\n", "    Ticker: TICKERS,\n    AveragePrice: AVERAGE_PRICES,\n"),
    ],
    "src/extract_process/venues/binance/ws.py": [
        (OF_RECORDS, f"{OF_RECORDS} AveragePrice\n{OF_RECORDS}"),
        ('SUFFIXES = {"trades"', 'SUFFIXES = {"average_price": "avgPrice", "trades"'),
        ("Message = Trade | ", "Message = AveragePrice | Trade | "),
        ("def _parse_control(message: dict[str, Any]) -> Message:\n", BINANCE),
        ('    "bookTicker": ', '    "avgPrice": _parse_average_price,\n    "bookTicker": '),
    ],
}

"""The one catalogue of what travels: a dataset's folder in the lake, its Parquet schema, its queue and its table."""

from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa

from tickhouse_core.columns import DECIMAL, INSTANT, LEVELS, NAME, nullable, required
from tickhouse_core.errors import UsageError
from tickhouse_core.timestamps import HOUR_US

SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of row on its way from the venue to the warehouse.

    `name` is the warehouse's word (`bronze_<name>`), `folder` the lake's (`data_sources/<folder>/`). Silver keeps one row of
    each `natural_key`: its sorting key. `channel` is what a capture subscribes to for these rows, if anything.
    """

    name: str
    folder: str
    schema: pa.Schema
    queue: str
    natural_key: tuple[str, ...]
    id_column: str
    """Grows from row to row of a symbol; the footer of an object has its first and its last value."""

    time_column: str
    """When what a row says happened; tables are partitioned by it."""

    channel: str | None = None
    is_live: bool = True
    """Whether all its objects are recorded live. Of klines most are backfilled history."""

    is_captured: bool = True
    """Whether a capture can record its channel; else all of it is requested history."""

    longest_step_us: int = 0
    """The most microseconds from one row of a periodic series to the next, where no column has its period; 0: no such series."""

    has_sparse_ids: bool = False
    """Ids jump at every venue, as instants do: a capture concludes a gap from an interruption only, never from a jump alone."""

    counted_at: frozenset[str] = frozenset()
    """Venues at which ids that others let jump count up by one: a jump that no gap names is a hole there."""

    @property
    def series_columns(self) -> tuple[str, ...]:
        """Of a dataset with a channel: what tells rows of one symbol and id apart."""
        return tuple(name for name in self.natural_key if name not in ("venue", "symbol", self.id_column))

    @property
    def prefix(self) -> str:
        """Where the dataset's objects are in the bucket."""
        return f"data_sources/{self.folder}/"

    @property
    def bronze_table(self) -> str:
        return f"bronze_{self.name}"

    @property
    def notification_id(self) -> str:
        return f"{self.name.replace('_', '-')}-parquet-notification"


KLINES = Dataset(
    name="klines",
    folder="klines_pricing",
    queue="klines-notifications",
    natural_key=("venue", "symbol", "interval", "open_time"),
    id_column="open_time",
    time_column="open_time",
    channel="klines",
    is_live=False,
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol", "interval"),
            *required(INSTANT, "open_time", "close_time"),
            *required(DECIMAL, "open", "high", "low", "close", "volume", "quote_volume"),
            *required(pa.int64(), "trade_count"),
            *required(DECIMAL, "taker_buy_volume", "taker_buy_quote_volume"),
            *required(pa.bool_(), "is_closed"),
            *required(NAME, "source"),
            *required(INSTANT, "receipt_time"),
        ]
    ),
)

_COUNTS_TRADES = frozenset({"binance", "binance-usdm", "binance-coinm"})

TRADES = Dataset(
    name="trades",
    folder="trades",
    queue="trades-notifications",
    natural_key=("venue", "symbol", "trade_id"),
    id_column="trade_id",
    time_column="trade_time",
    channel="trades",
    counted_at=_COUNTS_TRADES,
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol"),
            *required(pa.uint64(), "trade_id"),
            *required(DECIMAL, "price", "quantity"),
            *required(pa.bool_(), "is_buyer_maker"),
            *required(INSTANT, "trade_time", "event_time", "receipt_time"),
        ]
    ),
)

AGG_TRADES = Dataset(
    name="agg_trades",
    folder="agg_trades",
    queue="trades-notifications",
    natural_key=("venue", "symbol", "agg_trade_id"),
    id_column="agg_trade_id",
    time_column="trade_time",
    channel="agg_trades",
    is_live=False,
    is_captured=False,
    counted_at=_COUNTS_TRADES,
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol"),
            *required(pa.uint64(), "agg_trade_id"),
            *required(DECIMAL, "price", "quantity"),
            *required(pa.uint64(), "first_trade_id", "last_trade_id"),
            *required(pa.bool_(), "is_buyer_maker"),
            *required(INSTANT, "trade_time", "receipt_time"),
        ]
    ),
)
"""Trades of one order, price and instant as one row, from the venue's bulk files. Ids of its events are those of single trades:
the aggregates of a market have each of them once."""

DEPTH_DIFFS = Dataset(
    name="depth_diffs",
    folder="depth_diffs",
    queue="depth-notifications",
    natural_key=("venue", "symbol", "last_update_id"),
    id_column="last_update_id",
    time_column="event_time",
    channel="depth",
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol"),
            *required(pa.uint64(), "first_update_id", "last_update_id"),
            *required(LEVELS, "bids", "asks"),
            *required(INSTANT, "event_time", "receipt_time"),
        ]
    ),
)

DEPTH_SNAPSHOTS = Dataset(
    name="depth_snapshots",
    folder="depth_snapshots",
    queue="depth-notifications",
    natural_key=("venue", "symbol", "last_update_id"),
    id_column="last_update_id",
    time_column="receipt_time",
    channel="depth",
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol"),
            *required(pa.uint64(), "last_update_id"),
            *required(LEVELS, "bids", "asks"),
            *required(NAME, "reason"),
            *required(INSTANT, "receipt_time"),
        ]
    ),
)

TICKERS = Dataset(
    name="tickers",
    folder="tickers",
    queue="tickers-notifications",
    natural_key=("venue", "symbol", "event_time"),
    id_column="event_time",
    time_column="event_time",
    channel="ticker",
    has_sparse_ids=True,
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol"),
            *required(INSTANT, "event_time", "receipt_time"),
            *nullable(DECIMAL, "open", "high", "low"),
            *required(DECIMAL, "close"),
            *nullable(DECIMAL, "volume", "quote_volume"),
            *nullable(DECIMAL, "best_bid_price", "best_bid_quantity", "best_ask_price", "best_ask_quantity"),
        ]
    ),
)

BOOK_TICKERS = Dataset(
    name="book_tickers",
    folder="book_tickers",
    queue="tickers-notifications",
    natural_key=("venue", "symbol", "update_id"),
    id_column="update_id",
    time_column="receipt_time",
    channel="book_tickers",
    has_sparse_ids=True,
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol"),
            *required(pa.uint64(), "update_id"),
            *required(DECIMAL, "bid_price", "bid_quantity", "ask_price", "ask_quantity"),
            *nullable(INSTANT, "event_time"),
            *required(INSTANT, "receipt_time"),
        ]
    ),
)
"""Binance spot sends no time with the best of both sides, so the time of a row is when it was received."""

MARK_PRICES = Dataset(
    name="mark_prices",
    folder="mark_prices",
    queue="tickers-notifications",
    natural_key=("venue", "symbol", "event_time"),
    id_column="event_time",
    time_column="event_time",
    channel="mark_prices",
    has_sparse_ids=True,
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol"),
            *required(INSTANT, "event_time"),
            *required(DECIMAL, "mark_price"),
            *nullable(DECIMAL, "index_price", "settle_price", "funding_rate"),
            *nullable(INSTANT, "next_funding_time"),
            *required(INSTANT, "receipt_time"),
        ]
    ),
)
"""Contracts with a delivery date have no funding: its rate and time are null."""

FUNDING_RATES = Dataset(
    name="funding_rates",
    folder="funding_rates",
    queue="tickers-notifications",
    natural_key=("venue", "symbol", "funding_time"),
    id_column="funding_time",
    time_column="funding_time",
    channel="funding_rates",
    is_live=False,
    is_captured=False,
    longest_step_us=8 * HOUR_US,
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol"),
            *required(INSTANT, "funding_time"),
            *required(DECIMAL, "funding_rate"),
            *nullable(DECIMAL, "mark_price"),
            *required(INSTANT, "receipt_time"),
        ]
    ),
)
"""Settled rates, which may be negative: every eight hours, of some contracts every four, two or one.

The rate of the period that runs is in `MARK_PRICES`."""

OPEN_INTEREST = Dataset(
    name="open_interest",
    folder="open_interest",
    queue="tickers-notifications",
    natural_key=("venue", "symbol", "period", "event_time"),
    id_column="event_time",
    time_column="event_time",
    channel="open_interest",
    is_live=False,
    has_sparse_ids=True,
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol", "period"),
            *required(INSTANT, "event_time"),
            *required(DECIMAL, "open_interest"),
            *nullable(DECIMAL, "open_interest_value"),
            *required(NAME, "source"),
            *required(INSTANT, "receipt_time"),
        ]
    ),
)
"""`period` is empty where a capture requested the present value (`source` is `poll`), else that of the venue's history (`5m`;
`source` is `rest` or `archive`): it keeps the two apart."""

LIQUIDATIONS = Dataset(
    name="liquidations",
    folder="liquidations",
    queue="tickers-notifications",
    natural_key=("venue", "symbol", "liquidation_id"),
    id_column="liquidation_id",
    time_column="trade_time",
    channel="liquidations",
    has_sparse_ids=True,
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol"),
            *required(pa.uint64(), "liquidation_id"),
            *required(NAME, "side", "order_type", "time_in_force", "status"),
            *required(DECIMAL, "quantity", "price", "average_price", "last_filled_quantity", "filled_quantity"),
            *required(INSTANT, "trade_time", "event_time", "receipt_time"),
        ]
    ),
)
"""The venue sends no id. Ours is made of `trade_time` and of what the message says of the order, see `records.liquidation_id`."""

HEARTBEATS = Dataset(
    name="heartbeats",
    folder="heartbeats",
    queue="ops-notifications",
    natural_key=("venue", "process", "instance", "beat_time"),
    id_column="beat_time",
    time_column="beat_time",
    schema=pa.schema(
        [
            *required(NAME, "venue", "process", "instance"),
            *required(INSTANT, "started_at", "beat_time"),
            *required(pa.uint32(), "connections"),
            *required(pa.uint64(), "frames", "rows", "spool_bytes"),
            *required(pa.string(), "detail"),
        ]
    ),
)

STREAM_EVENTS = Dataset(
    name="stream_events",
    folder="stream_events",
    queue="ops-notifications",
    natural_key=(
        *("venue", "symbol", "channel", "instance", "event"),
        *("started_at", "from_update_id", "to_update_id", "detail"),
    ),
    id_column="started_at",
    time_column="started_at",
    schema=pa.schema(
        [
            *required(NAME, "venue", "symbol", "channel", "instance", "event"),
            *nullable(pa.uint64(), "from_update_id", "to_update_id"),
            *required(INSTANT, "started_at"),
            *nullable(INSTANT, "ended_at"),
            *required(NAME, "cause"),
            *required(pa.string(), "detail"),
        ]
    ),
)

_OF_DERIVATIVES = (MARK_PRICES, FUNDING_RATES, OPEN_INTEREST, LIQUIDATIONS)
_OF_MARKETS = (KLINES, TRADES, AGG_TRADES, DEPTH_DIFFS, DEPTH_SNAPSHOTS, TICKERS, BOOK_TICKERS)
DATASETS = (*_OF_MARKETS, *_OF_DERIVATIVES, STREAM_EVENTS, HEARTBEATS)
DATASET_OF = {dataset.channel: dataset for dataset in reversed(DATASETS) if dataset.channel}
"""By channel; of depth, the diffs."""

CHANNELS = tuple(dict.fromkeys(dataset.channel for dataset in DATASETS if dataset.channel and dataset.is_captured))
"""What a capture can record; a venue may lack some."""

SPARSE_CHANNELS = frozenset(str(dataset.channel) for dataset in DATASETS if dataset.has_sparse_ids)
"""Of every venue; one may have more (see `Venue.sparse_channels`)."""

QUEUES = tuple(dict.fromkeys(dataset.queue for dataset in DATASETS))


def dataset_named(name: str) -> Dataset:
    """By the warehouse's name (`klines`). Raises UsageError that lists the names."""
    for dataset in DATASETS:
        if dataset.name == name:
            return dataset
    names = [known.name for known in DATASETS]
    if meant := get_close_matches(name.lower(), names, 1, 0.75):
        raise UsageError(f"unknown dataset {name!r}: did you mean {meant[0]}?")
    raise UsageError(f"unknown dataset {name!r}: choose from {', '.join(names)}")


def dataset_of_key(key: str) -> Dataset | None:
    """The dataset whose prefix an object key has, or None."""
    return next((dataset for dataset in DATASETS if key.startswith(dataset.prefix)), None)

"""The one catalogue of what travels: a dataset's folder in the lake, its Parquet schema, its queue and its table."""

from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa

from tickhouse_core.errors import UsageError
from tickhouse_core.timestamps import HOUR_US

DECIMAL = pa.decimal128(38, 18)
"""Prices and quantities: exact; 18 digits before the point hold the largest real quantity (1e11) with room."""

INSTANT = pa.timestamp("us", tz="UTC")
NAME = pa.dictionary(pa.int32(), pa.string())
"""Few distinct values: dictionary-encoded in memory and in the file."""

LEVELS = pa.list_(
    pa.field(
        "element",
        pa.struct([pa.field("price", DECIMAL, nullable=False), pa.field("quantity", DECIMAL, nullable=False)]),
        nullable=False,
    )
)
"""One side of a book or of a diff, in the venue's order."""

SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class InstantRange:
    """The instants that a column can hold, in microseconds: from `first` on, up to but not including `end`."""

    first: int
    end: int

    def holds(self, instant_us: int) -> bool:
        return self.first <= instant_us < self.end


_END_US = 4_102_444_800_000_000  # 2100-01-01: ClickHouse's DateTime, which gold counts in, ends in 2106
MARKET_TIMES = InstantRange(1_230_940_800_000_000, _END_US)
"""What a venue can say, and when it can be received: nothing was traded before the first Bitcoin block, 2009-01-03.

It does not follow the clock, so that a file is judged the same on every day and machine.
"""

_SPAN_TIMES = InstantRange(0, _END_US)
"""A gap of klines begins where a backfill was asked to begin, which may be before the first market."""

_NAME_BYTES = 256
"""Of a venue, symbol, interval, cause, ...: far longer than any, and short enough for every page and index."""

_DETAIL_BYTES = 1024**2
"""Of what an event or a heartbeat says about itself, as JSON."""

_INSTANT_RANGES = {"started_at": _SPAN_TIMES, "ended_at": _SPAN_TIMES}


def instant_range(column: str) -> InstantRange:
    """What is plausible in a column of instants: outside of it an object is quarantined and a venue's message refused."""
    return _INSTANT_RANGES.get(column, MARKET_TIMES)


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
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("interval", NAME, nullable=False),
            pa.field("open_time", INSTANT, nullable=False),
            pa.field("close_time", INSTANT, nullable=False),
            *(pa.field(name, DECIMAL, nullable=False) for name in ("open", "high", "low", "close", "volume")),
            pa.field("quote_volume", DECIMAL, nullable=False),
            pa.field("trade_count", pa.int64(), nullable=False),
            pa.field("taker_buy_volume", DECIMAL, nullable=False),
            pa.field("taker_buy_quote_volume", DECIMAL, nullable=False),
            pa.field("is_closed", pa.bool_(), nullable=False),
            pa.field("source", NAME, nullable=False),
            pa.field("receipt_time", INSTANT, nullable=False),
        ]
    ),
)

TRADES = Dataset(
    name="trades",
    folder="trades",
    queue="trades-notifications",
    natural_key=("venue", "symbol", "trade_id"),
    id_column="trade_id",
    time_column="trade_time",
    channel="trades",
    counted_at=frozenset({"binance", "binance-usdm", "binance-coinm"}),
    schema=pa.schema(
        [
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("trade_id", pa.uint64(), nullable=False),
            pa.field("price", DECIMAL, nullable=False),
            pa.field("quantity", DECIMAL, nullable=False),
            pa.field("is_buyer_maker", pa.bool_(), nullable=False),
            pa.field("trade_time", INSTANT, nullable=False),
            pa.field("event_time", INSTANT, nullable=False),
            pa.field("receipt_time", INSTANT, nullable=False),
        ]
    ),
)

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
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("first_update_id", pa.uint64(), nullable=False),
            pa.field("last_update_id", pa.uint64(), nullable=False),
            pa.field("bids", LEVELS, nullable=False),
            pa.field("asks", LEVELS, nullable=False),
            pa.field("event_time", INSTANT, nullable=False),
            pa.field("receipt_time", INSTANT, nullable=False),
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
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("last_update_id", pa.uint64(), nullable=False),
            pa.field("bids", LEVELS, nullable=False),
            pa.field("asks", LEVELS, nullable=False),
            pa.field("reason", NAME, nullable=False),
            pa.field("receipt_time", INSTANT, nullable=False),
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
    schema=pa.schema(
        [
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("event_time", INSTANT, nullable=False),
            pa.field("receipt_time", INSTANT, nullable=False),
            *(pa.field(name, DECIMAL) for name in ("open", "high", "low")),
            pa.field("close", DECIMAL, nullable=False),
            *(pa.field(name, DECIMAL) for name in ("volume", "quote_volume")),
            *(pa.field(f"best_{side}_{what}", DECIMAL) for side in ("bid", "ask") for what in ("price", "quantity")),
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
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("update_id", pa.uint64(), nullable=False),
            *(pa.field(f"{side}_{what}", DECIMAL, nullable=False) for side in ("bid", "ask") for what in ("price", "quantity")),
            pa.field("event_time", INSTANT),
            pa.field("receipt_time", INSTANT, nullable=False),
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
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("event_time", INSTANT, nullable=False),
            pa.field("mark_price", DECIMAL, nullable=False),
            *(pa.field(name, DECIMAL) for name in ("index_price", "settle_price", "funding_rate")),
            pa.field("next_funding_time", INSTANT),
            pa.field("receipt_time", INSTANT, nullable=False),
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
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("funding_time", INSTANT, nullable=False),
            pa.field("funding_rate", DECIMAL, nullable=False),
            pa.field("mark_price", DECIMAL),
            pa.field("receipt_time", INSTANT, nullable=False),
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
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("period", NAME, nullable=False),
            pa.field("event_time", INSTANT, nullable=False),
            pa.field("open_interest", DECIMAL, nullable=False),
            pa.field("open_interest_value", DECIMAL),
            pa.field("source", NAME, nullable=False),
            pa.field("receipt_time", INSTANT, nullable=False),
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
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("liquidation_id", pa.uint64(), nullable=False),
            *(pa.field(name, NAME, nullable=False) for name in ("side", "order_type", "time_in_force", "status")),
            *(pa.field(name, DECIMAL, nullable=False) for name in ("quantity", "price", "average_price")),
            *(pa.field(name, DECIMAL, nullable=False) for name in ("last_filled_quantity", "filled_quantity")),
            pa.field("trade_time", INSTANT, nullable=False),
            pa.field("event_time", INSTANT, nullable=False),
            pa.field("receipt_time", INSTANT, nullable=False),
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
            pa.field("venue", NAME, nullable=False),
            pa.field("process", NAME, nullable=False),
            pa.field("instance", NAME, nullable=False),
            pa.field("started_at", INSTANT, nullable=False),
            pa.field("beat_time", INSTANT, nullable=False),
            pa.field("connections", pa.uint32(), nullable=False),
            pa.field("frames", pa.uint64(), nullable=False),
            pa.field("rows", pa.uint64(), nullable=False),
            pa.field("spool_bytes", pa.uint64(), nullable=False),
            pa.field("detail", pa.string(), nullable=False),
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
            pa.field("venue", NAME, nullable=False),
            pa.field("symbol", NAME, nullable=False),
            pa.field("channel", NAME, nullable=False),
            pa.field("instance", NAME, nullable=False),
            pa.field("event", NAME, nullable=False),
            pa.field("from_update_id", pa.uint64()),
            pa.field("to_update_id", pa.uint64()),
            pa.field("started_at", INSTANT, nullable=False),
            pa.field("ended_at", INSTANT),
            pa.field("cause", NAME, nullable=False),
            pa.field("detail", pa.string(), nullable=False),
        ]
    ),
)

_OF_DERIVATIVES = (MARK_PRICES, FUNDING_RATES, OPEN_INTEREST, LIQUIDATIONS)
DATASETS = (KLINES, TRADES, DEPTH_DIFFS, DEPTH_SNAPSHOTS, TICKERS, BOOK_TICKERS, *_OF_DERIVATIVES, STREAM_EVENTS, HEARTBEATS)
DATASET_OF = {dataset.channel: dataset for dataset in reversed(DATASETS) if dataset.channel}
"""By channel; of depth, the diffs."""

CHANNELS = tuple(dict.fromkeys(dataset.channel for dataset in DATASETS if dataset.channel and dataset.is_captured))
"""What a capture can record; a venue may lack some."""

SPARSE_CHANNELS = frozenset(str(dataset.channel) for dataset in DATASETS if dataset.has_sparse_ids)
"""Of every venue; one may have more (see `Venue.sparse_channels`)."""

QUEUES = tuple(dict.fromkeys(dataset.queue for dataset in DATASETS))


def most_text_bytes(field: pa.Field) -> int | None:
    """The longest text, in bytes of UTF-8, that a column may hold; None for a column of something else."""
    if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type):
        return _DETAIL_BYTES if field.name == "detail" else _NAME_BYTES
    return None


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

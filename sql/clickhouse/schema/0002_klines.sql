-- Grain: one kline as landed, once per object version. No natural key: append-only. Rerun of an insert is safe:
-- the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the partition
-- follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_klines (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    interval LowCardinality(String) comment 'length, in the spelling of the venue (1m, 1h, 1M)',
    open_time DateTime64(6, 'UTC') comment 'first instant; identity of a kline in its series' codec(Delta, ZSTD(1)),
    close_time DateTime64(6, 'UTC') comment 'last instant, to the millisecond, as the venue says' codec(Delta, ZSTD(1)),
    open Decimal(38, 18) comment 'first price' codec(GCD, ZSTD(1)),
    high Decimal(38, 18) comment 'highest price' codec(GCD, ZSTD(1)),
    low Decimal(38, 18) comment 'lowest price' codec(GCD, ZSTD(1)),
    close Decimal(38, 18) comment 'last price' codec(GCD, ZSTD(1)),
    volume Decimal(38, 18) comment 'traded, in the base asset' codec(GCD, ZSTD(1)),
    quote_volume Decimal(38, 18) comment 'traded, in the quote asset' codec(GCD, ZSTD(1)),
    trade_count Int64 comment 'number of trades' codec(ZSTD(1)),
    taker_buy_volume Decimal(38, 18) comment 'bought by takers, in the base asset' codec(GCD, ZSTD(1)),
    taker_buy_quote_volume Decimal(38, 18) comment 'bought by takers, in the quote asset' codec(GCD, ZSTD(1)),
    is_closed Bool comment 'false while the interval was still running',
    source LowCardinality(String) comment 'rest, archive or stream',
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(open_time)
order by (venue, symbol, interval, open_time)
settings non_replicated_deduplication_window = 10000
comment 'Klines as landed, every version of every object';

-- Grain: one kline. Natural key: venue, symbol, interval, open_time. Rerun is safe: rows of the same key collapse to
-- the highest row_version: a closed kline beats an open one, among equals the later receipt_time wins.
create table if not exists silver_klines (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    interval LowCardinality(String) comment 'length, in the spelling of the venue (1m, 1h, 1M)',
    open_time DateTime64(6, 'UTC') comment 'first instant; identity of a kline in its series' codec(Delta, ZSTD(1)),
    close_time DateTime64(6, 'UTC') comment 'last instant, to the millisecond, as the venue says' codec(Delta, ZSTD(1)),
    open Decimal(38, 18) comment 'first price' codec(GCD, ZSTD(1)),
    high Decimal(38, 18) comment 'highest price' codec(GCD, ZSTD(1)),
    low Decimal(38, 18) comment 'lowest price' codec(GCD, ZSTD(1)),
    close Decimal(38, 18) comment 'last price' codec(GCD, ZSTD(1)),
    volume Decimal(38, 18) comment 'traded, in the base asset' codec(GCD, ZSTD(1)),
    quote_volume Decimal(38, 18) comment 'traded, in the quote asset' codec(GCD, ZSTD(1)),
    trade_count Int64 comment 'number of trades' codec(ZSTD(1)),
    taker_buy_volume Decimal(38, 18) comment 'bought by takers, in the base asset' codec(GCD, ZSTD(1)),
    taker_buy_quote_volume Decimal(38, 18) comment 'bought by takers, in the quote asset' codec(GCD, ZSTD(1)),
    is_closed Bool comment 'false while the interval was still running',
    source LowCardinality(String) comment 'rest, archive or stream',
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted' codec(Delta, ZSTD(1)),
    row_version UInt64 default bitOr(bitShiftLeft(toUInt64(is_closed), 63), toUInt64(toUnixTimestamp64Micro(receipt_time))) comment 'is_closed in the top bit, receipt_time in microseconds below' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1,
    index load_time_minmax load_time type minmax granularity 1
)
engine = ReplacingMergeTree(row_version)
partition by toYYYYMM(open_time)
order by (venue, symbol, interval, open_time)
settings non_replicated_deduplication_window = 10000
comment 'Klines, one row each once merged: query the view klines';

-- Grain: one kline per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by natural key,
-- and a retried block is recognised by its token here too.
create materialized view if not exists silver_klines_mv to silver_klines
as
select
    venue,
    symbol,
    interval,
    open_time,
    close_time,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    trade_count,
    taker_buy_volume,
    taker_buy_quote_volume,
    is_closed,
    source,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_klines as landed
comment 'Deduplication of klines';

-- Grain: one kline. Natural key: venue, symbol, interval, open_time. A view: nothing is stored, exact at any moment.
create view if not exists klines
as
select
    venue,
    symbol,
    interval,
    open_time,
    close_time,
    toDecimal256(open, 18) as open,
    toDecimal256(high, 18) as high,
    toDecimal256(low, 18) as low,
    toDecimal256(close, 18) as close,
    toDecimal256(volume, 18) as volume,
    toDecimal256(quote_volume, 18) as quote_volume,
    trade_count,
    toDecimal256(taker_buy_volume, 18) as taker_buy_volume,
    toDecimal256(taker_buy_quote_volume, 18) as taker_buy_quote_volume,
    is_closed,
    source,
    receipt_time
from silver_klines final
settings do_not_merge_across_partitions_select_final = 1
comment 'Klines without doubles: what people query';

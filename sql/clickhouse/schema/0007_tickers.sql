-- Grain: one ticker update as landed, once per object version. No natural key: append-only. Rerun of an insert is
-- safe: the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the
-- partition follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_tickers (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    open Nullable(Decimal(38, 18)) comment 'price 24 hours ago, null where the venue does not send it' codec(ZSTD(1)),
    high Nullable(Decimal(38, 18)) comment 'highest price of the last 24 hours' codec(ZSTD(1)),
    low Nullable(Decimal(38, 18)) comment 'lowest price of the last 24 hours' codec(ZSTD(1)),
    close Decimal(38, 18) comment 'last price' codec(GCD, ZSTD(1)),
    volume Nullable(Decimal(38, 18)) comment 'traded in the last 24 hours, in the base asset' codec(ZSTD(1)),
    quote_volume Nullable(Decimal(38, 18)) comment 'traded in the last 24 hours, in the quote asset' codec(ZSTD(1)),
    best_bid_price Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    best_bid_quantity Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    best_ask_price Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    best_ask_quantity Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(event_time)
order by (venue, symbol, event_time)
settings non_replicated_deduplication_window = 10000
comment 'Rolling 24 hour tickers as landed, every version of every object';

-- Grain: one ticker update. Natural key: venue, symbol, event_time. Rerun is safe: rows of the same key collapse to
-- the highest first_received: of several recordings the one that was received first, whatever was loaded first.
create table if not exists silver_tickers (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    open Nullable(Decimal(38, 18)) comment 'price 24 hours ago, null where the venue does not send it' codec(ZSTD(1)),
    high Nullable(Decimal(38, 18)) comment 'highest price of the last 24 hours' codec(ZSTD(1)),
    low Nullable(Decimal(38, 18)) comment 'lowest price of the last 24 hours' codec(ZSTD(1)),
    close Decimal(38, 18) comment 'last price' codec(GCD, ZSTD(1)),
    volume Nullable(Decimal(38, 18)) comment 'traded in the last 24 hours, in the base asset' codec(ZSTD(1)),
    quote_volume Nullable(Decimal(38, 18)) comment 'traded in the last 24 hours, in the quote asset' codec(ZSTD(1)),
    best_bid_price Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    best_bid_quantity Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    best_ask_price Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    best_ask_quantity Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted' codec(Delta, ZSTD(1)),
    first_received UInt64 default toUInt64(9223372036854775807) - toUInt64(toUnixTimestamp64Micro(receipt_time)) comment 'greater for an earlier receipt_time: 2^63 - 1 minus its microseconds' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = ReplacingMergeTree(first_received)
partition by toYYYYMM(event_time)
order by (venue, symbol, event_time)
settings non_replicated_deduplication_window = 10000
comment 'Rolling 24 hour tickers, one row each once merged: query the view tickers';

-- Grain: one ticker update per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_tickers_mv to silver_tickers
as
select
    venue,
    symbol,
    event_time,
    receipt_time,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    best_bid_price,
    best_bid_quantity,
    best_ask_price,
    best_ask_quantity,
    object_key,
    object_etag,
    load_time
from bronze_tickers as landed
comment 'Deduplication of rolling 24 hour tickers';

-- Grain: one ticker update. Natural key: venue, symbol, event_time. A view: nothing is stored, exact at any moment.
create view if not exists tickers
as
select
    venue,
    symbol,
    event_time,
    receipt_time,
    toDecimal256(open, 18) as open,
    toDecimal256(high, 18) as high,
    toDecimal256(low, 18) as low,
    toDecimal256(close, 18) as close,
    toDecimal256(volume, 18) as volume,
    toDecimal256(quote_volume, 18) as quote_volume,
    toDecimal256(best_bid_price, 18) as best_bid_price,
    toDecimal256(best_bid_quantity, 18) as best_bid_quantity,
    toDecimal256(best_ask_price, 18) as best_ask_price,
    toDecimal256(best_ask_quantity, 18) as best_ask_quantity
from silver_tickers final
settings do_not_merge_across_partitions_select_final = 1
comment 'Rolling 24 hour tickers without doubles: what people query';

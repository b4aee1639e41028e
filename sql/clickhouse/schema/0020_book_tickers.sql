-- Grain: one best bid and ask as landed, once per object version. No natural key: append-only. Rerun of an insert is
-- safe: the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the
-- partition follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_book_tickers (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    update_id UInt64 comment 'of the book, as the venue counts; KuCoin: its time in milliseconds. Ids grow and jump' codec(Delta, ZSTD(1)),
    bid_price Decimal(38, 18) comment 'best bid, in the quote asset; 0 where there are no bids' codec(GCD, ZSTD(1)),
    bid_quantity Decimal(38, 18) comment 'at the best bid, in the base asset' codec(GCD, ZSTD(1)),
    ask_price Decimal(38, 18) comment 'best ask, in the quote asset; 0 where there are no asks' codec(GCD, ZSTD(1)),
    ask_quantity Decimal(38, 18) comment 'at the best ask, in the base asset' codec(GCD, ZSTD(1)),
    event_time Nullable(DateTime64(6, 'UTC')) comment 'when the venue sent it; null where it sends no time (Binance spot)' codec(ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(receipt_time)
order by (venue, symbol, update_id)
settings non_replicated_deduplication_window = 10000
comment 'Best bids and asks as landed, every version of every object';

-- Grain: one best bid and ask. Natural key: venue, symbol, update_id. Rerun is safe: rows of the same key collapse to
-- the highest first_received: of several recordings the one that was received first, whatever was loaded first.
-- Two recordings may receive one update in different months, so FINAL has to look across partitions.
create table if not exists silver_book_tickers (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    update_id UInt64 comment 'of the book, as the venue counts; KuCoin: its time in milliseconds. Ids grow and jump' codec(Delta, ZSTD(1)),
    bid_price Decimal(38, 18) comment 'best bid, in the quote asset; 0 where there are no bids' codec(GCD, ZSTD(1)),
    bid_quantity Decimal(38, 18) comment 'at the best bid, in the base asset' codec(GCD, ZSTD(1)),
    ask_price Decimal(38, 18) comment 'best ask, in the quote asset; 0 where there are no asks' codec(GCD, ZSTD(1)),
    ask_quantity Decimal(38, 18) comment 'at the best ask, in the base asset' codec(GCD, ZSTD(1)),
    event_time Nullable(DateTime64(6, 'UTC')) comment 'when the venue sent it; null where it sends no time (Binance spot)' codec(ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted' codec(Delta, ZSTD(1)),
    first_received UInt64 default toUInt64(9223372036854775807) - toUInt64(toUnixTimestamp64Micro(receipt_time)) comment 'greater for an earlier receipt_time: 2^63 - 1 minus its microseconds' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1,
    index load_time_minmax load_time type minmax granularity 1,
    index receipt_time_minmax receipt_time type minmax granularity 1
)
engine = ReplacingMergeTree(first_received)
partition by toYYYYMM(receipt_time)
order by (venue, symbol, update_id)
settings non_replicated_deduplication_window = 10000
comment 'Best bids and asks, one row each once merged: query the view book_tickers';

-- Grain: one best bid and ask per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_book_tickers_mv to silver_book_tickers
as
select
    venue,
    symbol,
    update_id,
    bid_price,
    bid_quantity,
    ask_price,
    ask_quantity,
    event_time,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_book_tickers as landed
comment 'Deduplication of best bids and asks';

-- Grain: one best bid and ask. Natural key: venue, symbol, update_id. A view: nothing is stored, exact at any moment.
create view if not exists book_tickers
as
select
    venue,
    symbol,
    update_id,
    toDecimal256(bid_price, 18) as bid_price,
    toDecimal256(bid_quantity, 18) as bid_quantity,
    toDecimal256(ask_price, 18) as ask_price,
    toDecimal256(ask_quantity, 18) as ask_quantity,
    event_time,
    receipt_time
from silver_book_tickers final
comment 'Best bids and asks without doubles: what people query';

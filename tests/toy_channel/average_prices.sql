-- Grain: one average price as landed, once per object version. No natural key: append-only. Rerun of an insert is
-- safe: the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the
-- partition follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_average_prices (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    price Decimal(38, 18) comment 'average of the last five minutes' codec(GCD, ZSTD(1)),
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(event_time)
order by (venue, symbol, event_time)
settings non_replicated_deduplication_window = 10000
comment 'Average prices as landed, every version of every object';

-- Grain: one average price. Natural key: venue, symbol, event_time. Rerun is safe: rows of the same key collapse to
-- the highest first_received: of several recordings the one that was received first, whatever was loaded first.
create table if not exists silver_average_prices (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    price Decimal(38, 18) comment 'average of the last five minutes' codec(GCD, ZSTD(1)),
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
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
comment 'Average prices, one row each once merged: query the view average_prices';

-- Grain: one average price per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_average_prices_mv to silver_average_prices
as
select
    venue,
    symbol,
    price,
    event_time,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_average_prices as landed
comment 'Deduplication of average prices';

-- Grain: one average price. Natural key: venue, symbol, event_time. A view: nothing is stored, exact at any moment.
create view if not exists average_prices
as
select
    venue,
    symbol,
    toDecimal256(price, 18) as price,
    event_time,
    receipt_time
from silver_average_prices final
comment 'Average prices without doubles: what people query';

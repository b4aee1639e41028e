-- Grain: one snapshot of a book with its levels as landed, once per object version. No natural key: append-only.
-- Rerun of an insert is safe: the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts
-- per partition, so the partition follows from the rows: by load_time a retry in the next month would be another
-- insert.
create table if not exists bronze_depth_snapshots (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    last_update_id UInt64 comment 'the update the book is at' codec(Delta, ZSTD(1)),
    bids Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))) comment 'best first' codec(GCD, ZSTD(1)),
    asks Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))) comment 'best first' codec(GCD, ZSTD(1)),
    reason LowCardinality(String) comment 'why it was asked for: start, gap, mismatch, proof, ...',
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(receipt_time)
order by (venue, symbol, last_update_id)
settings non_replicated_deduplication_window = 10000
comment 'Order book snapshots as landed, every version of every object';

-- Grain: one snapshot of a book with its levels. Natural key: venue, symbol, last_update_id. Rerun is safe: rows of
-- the same key collapse to the highest first_received: of several recordings the one that was received first,
-- whatever was loaded first. receipt_time does not follow from the key (two connections, two instances), so the view
-- merges across partitions.
create table if not exists silver_depth_snapshots (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    last_update_id UInt64 comment 'the update the book is at' codec(Delta, ZSTD(1)),
    bids Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))) comment 'best first' codec(GCD, ZSTD(1)),
    asks Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))) comment 'best first' codec(GCD, ZSTD(1)),
    reason LowCardinality(String) comment 'why it was asked for: start, gap, mismatch, proof, ...',
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
order by (venue, symbol, last_update_id)
settings non_replicated_deduplication_window = 10000
comment 'Order book snapshots, one row each once merged: query the view depth_snapshots';

-- Grain: one snapshot per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by natural
-- key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_depth_snapshots_mv to silver_depth_snapshots
as
select
    venue,
    symbol,
    last_update_id,
    bids,
    asks,
    reason,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_depth_snapshots as landed
comment 'Deduplication of order book snapshots';

-- Grain: one snapshot of a book with its levels. Natural key: venue, symbol, last_update_id. A view: nothing is
-- stored, exact at any moment.
create view if not exists depth_snapshots
as
select
    venue,
    symbol,
    last_update_id,
    cast(bids, 'Array(Tuple(price Decimal(76, 18), quantity Decimal(76, 18)))') as bids,
    cast(asks, 'Array(Tuple(price Decimal(76, 18), quantity Decimal(76, 18)))') as asks,
    reason,
    receipt_time
from silver_depth_snapshots final
comment 'Order book snapshots without doubles: what people query';

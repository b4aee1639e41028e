-- Grain: one diff message with the levels it changed. Natural key: venue, symbol, last_update_id. Rerun is safe:
-- rows of the same key collapse to the highest first_received: of several recordings the one that was received
-- first, whatever was loaded first. event_time does not follow from the key (two connections, two instances), so the
-- view merges across partitions.
create table if not exists silver_depth_diffs (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    first_update_id UInt64 comment 'first update in the message' codec(Delta, ZSTD(1)),
    last_update_id UInt64 comment 'last update in the message; identity of a diff in its symbol' codec(Delta, ZSTD(1)),
    bids Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))) comment 'changed bids: absolute quantities, 0 for a level that is gone' codec(GCD, ZSTD(1)),
    asks Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))) comment 'changed asks: absolute quantities, 0 for a level that is gone' codec(GCD, ZSTD(1)),
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
order by (venue, symbol, last_update_id)
settings non_replicated_deduplication_window = 10000
comment 'Order book diffs, one row each once merged: query the view depth_diffs'

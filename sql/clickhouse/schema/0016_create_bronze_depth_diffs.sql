-- Grain: one diff message with the levels it changed as landed, once per object version. No natural key: append-
-- only. Rerun of an insert is safe: the loader's token (key and etag) is remembered for the last 10,000 blocks. It
-- counts per partition, so the partition follows from the rows: by load_time a retry in the next month would be
-- another insert.
create table if not exists bronze_depth_diffs (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    first_update_id UInt64 comment 'first update in the message' codec(Delta, ZSTD(1)),
    last_update_id UInt64 comment 'last update in the message; identity of a diff in its symbol' codec(Delta, ZSTD(1)),
    bids Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))) comment 'changed bids: absolute quantities, 0 for a level that is gone' codec(GCD, ZSTD(1)),
    asks Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))) comment 'changed asks: absolute quantities, 0 for a level that is gone' codec(GCD, ZSTD(1)),
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(event_time)
order by (venue, symbol, last_update_id)
settings non_replicated_deduplication_window = 10000
comment 'Order book diffs as landed, every version of every object'

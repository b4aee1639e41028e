-- Grain: one event as landed, once per object version. No natural key: append-only. Rerun of an insert is safe:
-- the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the partition
-- follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_stream_events (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, empty where the event is about a whole connection',
    channel LowCardinality(String) comment 'klines, depth, trades, ...',
    instance LowCardinality(String) comment 'which extractor saw it',
    event LowCardinality(String) comment 'gap, healed, disagreement, connected, ...',
    from_update_id Nullable(UInt64) comment 'gap: first missing id, inclusive (klines: open_time in microseconds)',
    to_update_id Nullable(UInt64) comment 'gap: last missing id, inclusive',
    started_at DateTime64(6, 'UTC') comment 'when it began',
    ended_at Nullable(DateTime64(6, 'UTC')) comment 'when it ended',
    cause LowCardinality(String) comment 'sequence, disconnect, venue_has_no_data, ...',
    detail String comment 'what a person would want to know',
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted',
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(started_at)
order by (venue, symbol, channel, started_at)
settings non_replicated_deduplication_window = 10000
comment 'What happened to streams and backfills, as landed'

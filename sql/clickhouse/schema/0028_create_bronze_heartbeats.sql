-- Grain: one pulse of a process as landed, once per object version. No natural key: append-only. Rerun of an insert
-- is safe: the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so
-- the partition follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_heartbeats (
    venue LowCardinality(String) comment 'exchange',
    process LowCardinality(String) comment 'stream, ...',
    instance LowCardinality(String) comment 'name of the process among its like',
    started_at DateTime64(6, 'UTC') comment 'when the process started' codec(Delta, ZSTD(1)),
    beat_time DateTime64(6, 'UTC') comment 'when this was written' codec(Delta, ZSTD(1)),
    connections UInt32 comment 'sockets open',
    frames UInt64 comment 'received since the start' codec(ZSTD(1)),
    rows UInt64 comment 'landed since the start' codec(ZSTD(1)),
    spool_bytes UInt64 comment 'on local disk, not yet in the lake' codec(ZSTD(1)),
    detail String comment 'what a person would want to know' codec(ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(beat_time)
order by (venue, process, instance, beat_time)
settings non_replicated_deduplication_window = 10000
comment 'Heartbeats of processes as landed, every version of every object'

-- Grain: one pulse of a process. Natural key: venue, process, instance, beat_time. Rerun is safe: rows of the same
-- key collapse to the later load_time.
create table if not exists silver_heartbeats (
    venue LowCardinality(String) comment 'exchange',
    process LowCardinality(String) comment 'stream, ...',
    instance LowCardinality(String) comment 'name of the process among its like',
    started_at DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'when the process started',
    beat_time DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'when this was written',
    connections UInt32 comment 'sockets open',
    frames UInt64 codec(ZSTD(1)) comment 'received since the start',
    rows UInt64 codec(ZSTD(1)) comment 'landed since the start',
    spool_bytes UInt64 codec(ZSTD(1)) comment 'on local disk, not yet in the lake',
    detail String codec(ZSTD(1)) comment 'what a person would want to know',
    object_key LowCardinality(String) comment 'object it came from',
    load_time DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'when it was inserted'
)
engine = ReplacingMergeTree(load_time)
partition by toYYYYMM(beat_time)
order by (venue, process, instance, beat_time)
settings non_replicated_deduplication_window = 10000
comment 'Heartbeats of processes, one row each once merged: query the view heartbeats'

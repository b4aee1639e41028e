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
comment 'Heartbeats of processes as landed, every version of every object';

-- Grain: one pulse of a process. Natural key: venue, process, instance, beat_time. Rerun is safe: rows of the same
-- key collapse to the later load_time.
create table if not exists silver_heartbeats (
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
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = ReplacingMergeTree(load_time)
partition by toYYYYMM(beat_time)
order by (venue, process, instance, beat_time)
settings non_replicated_deduplication_window = 10000
comment 'Heartbeats of processes, one row each once merged: query the view heartbeats';

-- Grain: one heartbeat per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_heartbeats_mv to silver_heartbeats
as
select
    venue,
    process,
    instance,
    started_at,
    beat_time,
    connections,
    frames,
    rows,
    spool_bytes,
    detail,
    object_key,
    object_etag,
    load_time
from bronze_heartbeats as landed
comment 'Deduplication of heartbeats of processes';

-- Grain: one pulse of a process. Natural key: venue, process, instance, beat_time. A view: nothing is stored, exact
-- at any moment.
create view if not exists heartbeats
as
select
    venue,
    process,
    instance,
    started_at,
    beat_time,
    connections,
    frames,
    rows,
    spool_bytes,
    detail
from silver_heartbeats final
settings do_not_merge_across_partitions_select_final = 1
comment 'Heartbeats of processes without doubles: what people query';

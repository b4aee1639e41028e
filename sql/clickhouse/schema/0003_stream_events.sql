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
comment 'What happened to streams and backfills, as landed';

-- Grain: one event. Natural key: everything that tells two events apart. Rerun is safe: equal events collapse, the
-- later load_time wins.
create table if not exists silver_stream_events (
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
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted',
    index object_keys object_key type bloom_filter granularity 1
)
engine = ReplacingMergeTree(load_time)
partition by toYYYYMM(started_at)
order by (venue, symbol, channel, instance, event, started_at, from_update_id, to_update_id, detail)
settings non_replicated_deduplication_window = 10000, allow_nullable_key = 1
comment 'Events, one row each once merged: query the view stream_events';

-- Grain: one event per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by natural key,
-- and a retried block is recognised by its token here too.
create materialized view if not exists silver_stream_events_mv to silver_stream_events
as
select
    venue,
    symbol,
    channel,
    instance,
    event,
    from_update_id,
    to_update_id,
    started_at,
    ended_at,
    cause,
    detail,
    object_key,
    object_etag,
    load_time
from bronze_stream_events as landed
comment 'Deduplication of stream events';

-- Grain: one event. A view: nothing is stored, exact at any moment.
create view if not exists stream_events
as
select
    venue,
    symbol,
    channel,
    instance,
    event,
    from_update_id,
    to_update_id,
    started_at,
    ended_at,
    cause,
    detail
from silver_stream_events final
settings do_not_merge_across_partitions_select_final = 1
comment 'Gaps and everything else that happened to streams: what people query';

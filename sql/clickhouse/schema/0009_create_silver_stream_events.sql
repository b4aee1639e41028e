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
comment 'Events, one row each once merged: query the view stream_events'

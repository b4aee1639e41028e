-- Grain: one object version in one batch. Natural key: bucket, key, etag, batch. Rerun is safe: the later state wins.
create table if not exists ops_load_claims (
    bucket LowCardinality(String) comment 'bucket of the object',
    key String comment 'object key',
    etag String comment 'version of the bytes',
    batch String comment 'the batch it is inserted with; the insert''s token follows from the members that are claimed',
    position UInt32 comment 'place in the batch: a token must name the same rows in the same order',
    state LowCardinality(String) comment 'claimed, or released: not part of this batch after all',
    time DateTime64(6, 'UTC') default now64(6) comment 'when that was said',
    index batches batch type bloom_filter granularity 1
)
engine = ReplacingMergeTree(time)
order by (bucket, key, etag, batch)
ttl toDateTime(time) + interval 30 day
comment 'What a loader is about to insert together: whoever finds it unfinished repeats that very insert'

-- Grain: one failed try to load one object. No natural key: append-only log. Rerun is safe: `if not exists`.
create table if not exists ops_load_errors (
    time DateTime64(6, 'UTC') default now64(6) comment 'when the try failed',
    bucket LowCardinality(String) comment 'bucket of the object',
    key String comment 'object key',
    etag String comment 'version of the bytes, empty where they could not be read',
    dataset LowCardinality(String) comment 'dataset by its prefix, empty where it has none',
    reason LowCardinality(String) comment 'not_parquet, missing_column, wrong_type, object_missing, warehouse, ...',
    detail String comment 'what, where',
    fate LowCardinality(String) comment 'quarantined, dropped (nothing to load) or retried',
    attempts UInt32 comment 'deliveries so far'
)
engine = MergeTree
partition by toYYYYMM(time)
order by (time, key)
comment 'Every object that could not be loaded, and what became of it'

-- Grain: one version (etag) of one object. Natural key: bucket, key, etag. Rerun is safe: the later row of the same key wins.
create table if not exists ops_loaded_objects (
    bucket LowCardinality(String) comment 'bucket of the object',
    key String comment 'object key',
    etag String comment 'version of the bytes: an object written again under its key is another row',
    dataset LowCardinality(String) comment 'which bronze table it went to',
    rows UInt64 comment 'rows in the Parquet footer',
    checksum UInt64 comment 'of the values, whatever the order of rows: ops_accounting computes the same number from bronze',
    status LowCardinality(String) comment 'loaded, quarantined, superseded by a newer version of its key, or replaced by a redrive of it',
    attempts UInt32 comment 'deliveries it took',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when the loader was done with it'
)
engine = ReplacingMergeTree(load_time)
partition by dataset
order by (bucket, key, etag)
comment 'The load ledger: what is in the warehouse, and from where'

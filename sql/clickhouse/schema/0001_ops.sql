-- Grain: one applied schema file. Natural key: version. Rerun is safe: `if not exists`, and the same file is the same row.
create table if not exists ops_schema_migrations (
    version UInt32 comment 'number in front of the file name',
    name String comment 'file name',
    checksum String comment 'SHA-256 of the file: an applied file is never edited, a fix is the next number',
    applied_time DateTime64(6, 'UTC') default now64(6) comment 'when it was applied here'
)
engine = ReplacingMergeTree(applied_time)
order by version
comment 'Which files of sql/clickhouse/schema this database has';

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
comment 'The load ledger: what is in the warehouse, and from where';

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
comment 'Every object that could not be loaded, and what became of it';

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
comment 'What a loader is about to insert together: whoever finds it unfinished repeats that very insert';

-- Grain: a minute in which silver lost a row that an object no longer has. No natural key: append-only. Rerun is safe:
-- `if not exists`; a minute that is here twice is built twice.
create table if not exists ops_lost_minutes (
    dataset LowCardinality(String) comment 'trades, klines, depth_diffs or depth_snapshots',
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    minute DateTime('UTC') comment 'of the row; of a kline the minute in which it opened',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was taken out: the transforms look at it as at a load'
)
engine = MergeTree
order by load_time
comment 'Where gold has to be built anew although nothing was loaded';

-- Grain: one step of one window of a transform; the row with an empty step says that the whole window is done. No natural
-- key: append-only log. Rerun is safe: `if not exists`.
create table if not exists ops_transform_runs (
    transform LowCardinality(String) comment 'ohlcv, book, ...',
    step LowCardinality(String) comment 'what was filled; empty: the window is done, its end is the watermark',
    window_start DateTime64(6, 'UTC') comment 'load_time from which silver rows were looked at, inclusive',
    window_end DateTime64(6, 'UTC') comment 'load_time up to which, exclusive',
    build_version UInt64 comment 'of the gold rows that were built: the higher one wins',
    loaded_rows UInt64 comment 'silver rows in the window',
    built_rows UInt64 comment 'gold rows that were built anew',
    seconds Float64 comment 'how long it took',
    run_time DateTime64(6, 'UTC') default now64(6) comment 'when it was done'
)
engine = MergeTree
order by (transform, step, window_end)
comment 'What the transforms rebuilt, and how far they are';

-- Grain: one finding of one check in one run, or one row with the verdict `passed`. No natural key: append-only log. Rerun is
-- safe: `if not exists`.
create table if not exists ops_check_results (
    run_time DateTime64(6, 'UTC') comment 'when the run began: the same for all its rows',
    check_name LowCardinality(String) comment 'file of sql/clickhouse/checks without its ending',
    severity LowCardinality(String) comment 'error or warning, from resources/checks.yaml',
    verdict LowCardinality(String) comment 'passed or failed',
    findings UInt64 comment 'how many this check had in this run; the first 1,000 have rows',
    since DateTime64(6, 'UTC') comment 'data from here on was looked at',
    until DateTime64(6, 'UTC') comment 'up to, not including, here',
    venue LowCardinality(String) comment 'exchange, empty in a passed row',
    symbol LowCardinality(String) comment 'market, empty where it is not about one',
    at DateTime64(6, 'UTC') comment 'where in time',
    value Float64 comment 'the measured figure, its unit is in the check''s file',
    detail String comment 'what a person would want to know'
)
engine = MergeTree
order by (check_name, run_time)
comment 'Verdicts of data quality checks';

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
comment 'What the transforms rebuilt, and how far they are'
